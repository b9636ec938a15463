"""The processes that a command starts: what they find loaded, and how they end."""

import multiprocessing
import signal
import threading
from collections.abc import Callable
from multiprocessing import resource_tracker
from typing import Any


def training_processes() -> multiprocessing.context.BaseContext:
    """Processes that find torch loaded: each is forked from one that has loaded it and done nothing else."""
    if "forkserver" not in multiprocessing.get_all_start_methods():  # Windows
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    # the last is what an optimizer's first step would load, for a second
    context.set_forkserver_preload(["vidpred.training.loop", "vidpred.evaluation", "torch._dynamo"])
    return context


def block_interrupts() -> None:
    """In this thread and the processes that it starts: Ctrl-C reaches the whole group, the main thread sees to it."""
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        resource_tracker.ensure_running()  # started with the first process, it would unblock them
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def end_with_parent(end: Callable[[], Any]) -> None:
    """In a process that was started: call `end` once its parent is gone, also one that was killed."""

    def wait() -> None:
        multiprocessing.parent_process().join()
        end()

    threading.Thread(target=wait, daemon=True).start()
