"""Train a table of runs: `python -m train.sweep FILE --data DIR --out DIR`. Run it again to go on."""

import contextlib
import functools
import json as json_module
import os
import sys
from pathlib import Path
from typing import Annotated

import tyro

from train.cli import Cache, Cpu, Json, print_json, run_command
from train.sweep.table import naming, read_table
from train.training_command import Command
from vidpred.config import SpeedConfig
from vidpred.errors import BadInput


def sweep(
    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")],
    data: Path,
    out: Path,
    at_once: int = 0,
    ray: str | None = None,
    cpu: Cpu = False,
    cache: Cache = None,
    fresh: bool = False,
    dry_run: bool = False,
    json: Json = False,
) -> None:
    """Train a table of runs, each on one thread in a process of its own. Ctrl-C saves; the same command goes on.

    Args:
        file: the runs in TOML: [runs.NAME] with preset, clips (a folder in --data), seeds, any --model.*, --data.*
            and --train.* option of the training commands, and evaluate.{split,clips,samples,n-future} for a score at
            the end; [defaults] holds what they share
        data: folder of the clips, or of the folders that the runs name
        out: folder for the run folders, each with its log beside it; what is there goes on
        at_once: runs that train side by side (0: as many as there are cores, one where there is a GPU)
        ray: train on the Ray cluster of this address (auto: one that runs on this machine), whose machines see --data
            and --out under the same paths
        fresh: delete what earlier trainings left in the run folders
        dry_run: print the resolved settings of every run as JSON and stop
    """
    if at_once < 0 or (at_once and ray):
        raise BadInput("--at-once is a number of processes here; with --ray the cluster's cores and GPUs decide")
    table = read_table(file)
    if dry_run:
        settings = {run.name: {"clips": str(data / run.clips), **run.config.to_dict()} for run in table}
        print(json_module.dumps(settings, indent=None if json else 1))
        return
    import torch  # takes seconds: not before the table is known to be good

    from train.sweep import cluster, local
    from train.sweep.job import Job
    from train.sweep.progress import watch
    from train.sweep.training import require_ready
    from vidpred import runs
    from vidpred.data.batches import open_split
    from vidpred.lock import held
    from vidpred.training.settings import with_absolute_init

    jobs = {}
    for run in table:
        # paths are absolute: another machine starts in another folder
        command = Command(
            data=data.resolve() / run.clips,
            out=out.resolve() / run.name,
            model=run.config.model,
            window=run.config.data,
            train=with_absolute_init(run.config.train),
            speed=SpeedConfig(),
            cache=cache and cache.resolve(),
            cpu=cpu,
        )
        jobs[run.name] = Job(command, run.evaluation)
    open_once = functools.cache(functools.partial(open_split, progress=True))
    for name, job in jobs.items():
        with naming(f"run {name}"):
            jobs[name] = require_ready(job, open_once, fresh)
    at_once = at_once or (1 if torch.cuda.is_available() and not cpu else os.cpu_count() or 1)
    train_all = functools.partial(local.train_here, at_once=at_once)
    if ray:
        train_all = functools.partial(cluster.train_there, ray=cluster.join(ray))
    out.mkdir(parents=True, exist_ok=True)
    if fresh:
        with contextlib.ExitStack() as stack:  # all before any is deleted
            for job in jobs.values():
                stack.enter_context(held(job.out))
            for job in jobs.values():
                runs.remove(job.out)
    results = watch(jobs, train_all)
    for result in results:
        if result["error"]:
            print(f"{result['name']} failed: {result['error']}", file=sys.stderr)
    finished = sum(result["state"] == "finished" for result in results)
    rest = "" if finished == len(results) else "; the same command goes on"
    print(f"{finished} of {len(results)} runs are finished{rest}")
    if json:
        print_json({"out": str(out), "finished": finished == len(results), "runs": results})
    if any(result["error"] for result in results):
        raise SystemExit(1)


if __name__ == "__main__":
    run_command(sweep, "python -m train.sweep")
