"""Jobs in processes of their own, any of which may die: a renderer crashes, a machine runs out of memory."""

import concurrent.futures
import multiprocessing
import os
import queue
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from tqdm import tqdm

from train.workers import block_interrupts, end_with_parent
from vidpred.errors import BadInput

TRIES = 3  # processes that a job may cost


def run_jobs(jobs: list[Callable[[], int]], workers: int, unit: str, total: int, done: int) -> None:
    """With a progress bar; a job returns how many units it made, and its str() is the file that it is to make.

    A process that dies is replaced and its job tried again; BadInput names the job that TRIES of them did not survive.
    Whenever it ends, also by Ctrl-C, jobs in work are finished and the rest is left for another time.
    """
    count = min(workers or os.cpu_count() or 1, max(1, len(jobs)))
    idle: queue.SimpleQueue[ProcessPoolExecutor] = queue.SimpleQueue()
    for _ in range(count):
        idle.put(_new_pool())

    def attempt(job: Callable[[], int]) -> int:
        pool = idle.get()
        try:
            for _ in range(TRIES):
                try:
                    return pool.submit(job).result()
                except BrokenProcessPool:
                    tqdm.write(f"{job}: the process that made it died", file=sys.stderr)
                    pool.shutdown()
                    pool = _new_pool()
            raise BadInput(f"{job}: {TRIES} processes died making it; what is finished is kept, run again to go on")
        finally:
            idle.put(pool)

    threads = concurrent.futures.ThreadPoolExecutor(count, initializer=block_interrupts)
    progress = tqdm(total=total, initial=done, unit=unit, desc="simulate")
    try:
        for made in concurrent.futures.as_completed([threads.submit(attempt, job) for job in jobs]):
            progress.update(made.result())
    finally:
        interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would leave workers waiting for ever
        threads.shutdown(wait=True, cancel_futures=True)
        while not idle.empty():
            idle.get().shutdown()
        signal.signal(signal.SIGINT, interrupt)
        progress.close()


def _new_pool() -> ProcessPoolExecutor:
    """Of one process: when it dies, it is known at which job."""
    spawn = multiprocessing.get_context("spawn")  # a forked OpenGL context does not work
    return ProcessPoolExecutor(1, mp_context=spawn, initializer=_begin_work)


def _begin_work() -> None:
    os.environ["LP_NUM_THREADS"] = "1"  # software OpenGL: the processes already share out the processors
    end_with_parent(lambda: os._exit(1))  # it would wait for work for ever
