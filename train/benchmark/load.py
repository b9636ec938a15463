"""Many visitors at once: whether each gets an answer, the right one, how long it takes, and what the app holds."""

import contextlib
import hashlib
import http.client
import itertools
import json as json_text
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from tqdm import tqdm

from train.benchmark import harness
from train.benchmark.served_app import serve
from train.benchmark.visitor import Visitor
from train.cli import Json, print_json, require_at_least
from vidpred.errors import BadInput

ROBOT, OTHER, DANCER = "push-free-learned-monotonic", "push-free-fixed-cyclical", "dance-cyclical"
CLIPS = {ROBOT: "traj_0_to_255/3", DANCER: "validate"}
LOOKS = (0.5, 2.0)  # seconds that a visitor looks at an answer, from … to
ASKED_AGAIN = 40  # answers that a single visitor of a new app gets too, to be compared
POPULAR = 8  # seeds that many ask for
MOST_GROWTH = 0.05  # of memory, over what it is after the warm-up

Question = tuple[str, tuple]  # a function of the API, and what it is given


class Answer(NamedTuple):
    """question; digest: of all numbers and pixels; None where there was no answer; seconds; error: in words."""

    question: Question
    digest: str | None
    seconds: float
    error: str = ""


def load(minutes: float = 3.0, clients: int = 20, warm_up: int = 400, json: Json = False) -> None:
    """Visitors at once, each with questions of its own, some of whom leave before the answer; the bundled runs.

    Args:
        minutes: how long they stay, after the warm-up
        clients: visitors
        warm_up: answers before, while the app's caches fill
    """
    require_at_least(1, clients=clients, warm_up=warm_up)
    if not minutes > 0:
        raise BadInput(f"--minutes must be positive, got {minutes:g}")
    with serve() as (url, pid), tqdm(desc="load", unit=" answers", leave=False) as bar:
        answers, warm, most = visit(url, pid, 60 * minutes, clients, warm_up, bar.update)
    first = {}
    for answer in answers:
        first.setdefault(answer.question, answer.digest)
    again = random.Random(0).sample(sorted(first, key=repr), min(ASKED_AGAIN, len(first)))
    with serve() as (url, _pid):
        alone = Asker(url)
        single = {question: alone.ask(question).digest for question in tqdm(again, desc="alone", leave=False)}
    differing = sum(answer.digest not in (None, first[answer.question]) for answer in answers)
    differing += sum(first[question] is not None and first[question] != digest for question, digest in single.items())
    times = sorted(answer.seconds for answer in answers if answer.digest)
    errors = [answer.error for answer in answers if answer.error]
    result = {
        "clients": clients,
        "minutes": minutes,
        "warm_up": warm_up,
        "answers": len(times),
        "errors": len(errors),
        "compared": len(single),
        "differing": differing,
        "median_s": statistics.median(times) if times else None,
        "p95_s": times[int(0.95 * len(times))] if times else None,
        "memory_gb": most / 1e9,
        "growth": most / warm - 1,
        "kept": not errors and not differing and most / warm - 1 < MOST_GROWTH,
    }
    if json:
        print_json({"device": harness.device_name("cpu"), **result})
        return
    print(harness.device_name("cpu"))
    harness.report(result, False)
    for error in sorted(set(errors)):
        print(f"{errors.count(error)} x {error}")


class Asker:
    """A visitor, and the functions of the API by name."""

    def __init__(self, url: str):
        self.visitor = Visitor(url)
        config = json_text.loads(self.visitor.get("/config")[1])
        self.numbers = {entry["api_name"]: entry["id"] for entry in config["dependencies"] if entry["api_name"]}

    def ask(self, question: Question) -> Answer:
        """The answer, its pictures fetched."""
        name, given = question
        began = time.perf_counter()
        try:
            message = self.visitor.call(self.numbers[name], list(given))
        except (EOFError, OSError, http.client.HTTPException) as error:
            return Answer(question, None, time.perf_counter() - began, f"lost: {type(error).__name__}: {error}")
        if not message.get("success"):
            return Answer(question, None, time.perf_counter() - began, f"refused: {message}"[:200])
        (value,) = message["output"]["data"]
        digest = hashlib.blake2b()
        for sheet in value.pop("sheets", []):
            status, picture = self.visitor.get(f"/gradio_api/file={sheet['file']['path']}")
            if status != http.HTTPStatus.OK:
                return Answer(question, None, time.perf_counter() - began, f"a picture: {status}")
            digest.update(picture)
        value.pop("request", None)
        digest.update(json_text.dumps(value, sort_keys=True).encode())
        return Answer(question, digest.hexdigest(), time.perf_counter() - began)

    def leave(self, question: Question) -> None:
        """Ask, and be gone before the answer."""
        name, given = question
        with contextlib.suppress(OSError):
            status, _ = self.visitor.join(self.numbers[name], list(given))
            if status == http.HTTPStatus.OK:
                with self.visitor.stream() as lines:
                    lines.readline()


def questions(client: int) -> Iterator[tuple[Question, bool]]:
    """What a visitor asks, and whether it stays for the answer."""
    chance = random.Random(client)
    for number in itertools.count():
        seed = chance.randrange(POPULAR) if chance.random() < 0.3 else 1000 * client + number + POPULAR
        kind = chance.random()
        run = ROBOT if kind < 0.5 else DANCER
        question = "predict", (run, CLIPS[run], seed, 1.0, 10, None, 1, None, False)
        if kind > 0.9:
            question = "curves", ((ROBOT, OTHER),)
        elif kind > 0.8:
            question = "compare", ((ROBOT, OTHER), CLIPS[ROBOT], seed, 1.0, 1)
        yield question, chance.random() > 0.05


def visit(
    url: str, pid: int, seconds: float, clients: int, warm_up: int, progress: Callable[[], Any]
) -> tuple[list[Answer], int, int]:
    """All answers, and the memory of the process, bytes: after warm_up answers, and the most in the seconds after."""
    alone = Asker(url)
    answers = [alone.ask(("predict", (run, CLIPS[ROBOT if run == OTHER else run], 0, 1.0, 10, None, 1, None, False)))
               for run in (ROBOT, OTHER, DANCER)]  # fmt: skip
    over, answered = threading.Event(), threading.Semaphore(0)

    def stay(client: int) -> list[Answer]:
        asker, mine, pause = Asker(url), [], random.Random(-client)
        with asker.visitor.heartbeat():
            for question, stays in questions(client):
                if over.is_set():
                    return mine
                if stays:
                    mine.append(asker.ask(question))
                    answered.release()
                    progress()
                else:
                    asker.leave(question)
                over.wait(pause.uniform(*LOOKS))

    with ThreadPoolExecutor(clients) as pool:
        staying = [pool.submit(stay, client) for client in range(1, clients + 1)]
        try:
            while warm_up and not all(one.done() for one in staying):  # done: each has met an error, raised below
                warm_up -= answered.acquire(timeout=1)
            warm = most = harness.memory_of(pid, "VmRSS")
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                over.wait(0.5)
                most = max(most, harness.memory_of(pid, "VmRSS"))
        finally:
            over.set()
        for one in staying:
            answers += one.result()
    return answers, warm, most
