"""How long the app takes to its first page."""

import contextlib
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

from tqdm import tqdm

from train.benchmark import harness
from train.cli import Json
from vidpred.errors import BadInput


def startup(port: int = 0, rounds: int = 3, json: Json = False) -> None:
    """`python app.py` from start to its first page.

    Args:
        port: to listen on (0: any that is free)
        rounds: starts; the median counts
    """
    harness.require_at_least(rounds=(rounds, 1), port=(port, 0))
    seconds = [_first_page(port or _free_port()) for _ in tqdm(range(rounds), desc="startup", leave=False)]
    result = {"device": harness.device_name("cpu"), "rounds": rounds, "first_page_s": statistics.median(seconds)}
    harness.report(result, json)


def _first_page(port: int) -> float:
    began = time.perf_counter()
    app = subprocess.Popen([sys.executable, "app.py", "--port", str(port)], cwd=harness.ROOT, stdout=subprocess.DEVNULL)
    try:
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30).read()
                return time.perf_counter() - began
            if app.poll() is not None or time.perf_counter() - began > 120:
                raise BadInput(f"app.py did not start on port {port}")
            time.sleep(0.02)
    finally:
        app.terminate()
        app.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
