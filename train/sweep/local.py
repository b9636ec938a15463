"""The runs of a sweep in processes of this machine, so many at once: one that fails or dies takes none with it."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import connection

from train.sweep.job import Job
from train.sweep.training import last_line, train_logged
from train.workers import block_interrupts, end_with_parent, training_processes


def train_here(jobs: dict[str, Job], at_once: int, stop: Callable[[], bool]) -> Iterator[dict[str, str | None]]:
    """Train them all; when `stop` says so, those in work save and no other begins.

    Yields, at least every second, the runs that have ended, each with its error (None: finished or stopped).
    """
    processes, starter = training_processes(), ThreadPoolExecutor(1, initializer=block_interrupts)
    waiting, running, told = list(jobs), {}, False
    while running or (waiting and not stop()):
        while waiting and len(running) < at_once and not stop():
            name = waiting.pop(0)
            running[name] = processes.Process(target=_work, args=(jobs[name],), name=name, daemon=True)
            starter.submit(running[name].start).result()
        if stop() and not told:
            told = True
            for process in running.values():
                process.terminate()
        connection.wait([process.sentinel for process in running.values()], timeout=1)
        ended = {name: process.exitcode for name, process in running.items() if process.exitcode is not None}
        for name in ended:
            del running[name]
        yield {name: _error(jobs[name], code, told) for name, code in ended.items()}


def _work(job: Job) -> None:
    # what nobody watches saves and ends: the sweep may have been started again
    end_with_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    sys.exit(0 if train_logged(job) else 1)


def _error(job: Job, code: int, told: bool) -> str | None:
    if code >= 0:
        return last_line(job.out) if code else None
    if told and -code == signal.SIGTERM:  # before it had begun
        return None
    return f"the process was ended by {signal.Signals(-code).name}"
