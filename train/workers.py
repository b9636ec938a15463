"""Processes that a command starts to train in."""

import multiprocessing


def training_processes() -> multiprocessing.context.BaseContext:
    """Processes that find torch loaded: each is forked from one that has loaded it and done nothing else."""
    if "forkserver" not in multiprocessing.get_all_start_methods():  # Windows
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["vidpred.training", "vidpred.evaluation"])
    return context
