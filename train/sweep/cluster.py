"""The runs of a sweep as tasks of a Ray cluster: where each is trained, and where it goes on when its machine is lost,
is Ray's business. Every machine sees the clips and the run folders under the same paths, and has this package."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

from train.sweep.job import Job
from train.sweep.training import last_line, train_logged
from vidpred.errors import BadInput

LOSSES = 10  # machines that a run may lose


def join(address: str) -> Any:
    """The module ray, joined to the cluster of that address."""
    try:
        import ray
    except ImportError:
        raise BadInput("--ray needs Ray: pip install .[cluster]") from None
    host, colon, port = address.rpartition(":")
    try:
        if colon and "//" not in host:
            socket.create_connection((host, int(port)), timeout=10).close()  # Ray itself tries for minutes
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except (OSError, ValueError) as error:  # ConnectionError is one of the first
        raise BadInput(f"--ray {address}: {error}") from None
    return ray


def train_there(jobs: dict[str, Job], stop: Callable[[], bool], ray: Any) -> Iterator[dict[str, str | None]]:
    """As `train_here` on the cluster that `ray` has joined: a core for each run, and a GPU where there are any."""
    gpus = ray.cluster_resources().get("GPU", 0) and not all(job.command.cpu for job in jobs.values())
    task = ray.remote(num_cpus=1, num_gpus=1 if gpus else 0, max_retries=LOSSES)(train_logged)
    running, told = {task.remote(job): name for name, job in jobs.items()}, False
    while running:
        if stop() and not told:
            told = True
            for ref in running:
                ray.cancel(ref)  # as Ctrl-C where it runs
        done, _ = ray.wait(list(running), num_returns=len(running), timeout=1)
        ended = {running.pop(ref): ref for ref in done}
        yield {name: _error(jobs[name], ref, ray) for name, ref in ended.items()}
    ray.shutdown()


def _error(job: Job, ref: Any, ray: Any) -> str | None:
    try:
        return None if ray.get(ref) else last_line(job.out)
    except ray.exceptions.TaskCancelledError:
        return None
    except ray.exceptions.RayError as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
