"""How long the app takes to its first page."""

import statistics
import time
import urllib.request

from tqdm import tqdm

from train.benchmark import harness
from train.benchmark.served_app import serve
from train.cli import Json, require_at_least


def startup(rounds: int = 3, json: Json = False) -> None:
    """`python app.py` from start to its first page.

    Args:
        rounds: starts; the median counts
    """
    require_at_least(1, rounds=rounds)
    seconds = [_first_page() for _ in tqdm(range(rounds), desc="startup", leave=False)]
    result = {"device": harness.device_name("cpu"), "rounds": rounds, "first_page_s": statistics.median(seconds)}
    harness.report(result, json)


def _first_page() -> float:
    began = time.perf_counter()
    with serve() as (url, _pid):
        urllib.request.urlopen(url, timeout=30).read()
        return time.perf_counter() - began
