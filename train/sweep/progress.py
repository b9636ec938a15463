"""Where the runs of a sweep stand, as a person watches it."""

import sys
from collections.abc import Callable, Iterator
from datetime import timedelta

from tqdm import tqdm

from train.sweep.job import Job
from train.training_command import interruptible
from vidpred import runs

Errors = dict[str, str | None]  # of runs that have ended; None: finished, or stopped


def watch(jobs: dict[str, Job], train_all: Callable[..., Iterator[Errors]]) -> list[dict]:
    """Train what is not finished while showing where each run stands; at the end that of all, as JSON values."""
    errors: Errors = {}

    def standing(name: str) -> dict:
        job, error = jobs[name], errors.get(name)
        rows = runs.read_metrics(job.out, damaged="skip")
        return {
            "name": name,
            "run": str(job.out),
            "state": "failed" if error else job.state(len(rows)),
            "epochs": len(rows),
            "best_val_psnr": max((row["val_psnr"] for row in rows if row["val_psnr"] is not None), default=None),
            "seconds": rows[-1]["seconds"] if rows else 0.0,
            "error": error,
        }

    before = [standing(name) for name in jobs]
    table = Table({name: job.epochs for name, job in jobs.items()})
    for now in before:
        table.show(now)
    unfinished = {now["name"]: jobs[now["name"]] for now in before if now["state"] == "unfinished"}
    with interruptible() as stop:
        for ended in train_all(unfinished, stop=stop):
            errors |= ended
            for name in unfinished:
                table.show(standing(name))
    table.close()
    return [standing(name) for name in jobs]


class Table:
    """A line for each run: refreshed on a terminal, elsewhere printed when it has changed."""

    def __init__(self, epochs: dict[str, int]):
        """epochs: name -> number of epochs that a run has in the end."""
        self.epochs, self.width = epochs, max(map(len, epochs))
        self.lines = dict.fromkeys(epochs, "")
        self.bars = {}
        if sys.stdout.isatty():
            self.bars = {name: tqdm(bar_format="{desc}", file=sys.stdout, position=i) for i, name in enumerate(epochs)}

    def show(self, now: dict) -> None:
        """Where a run stands."""
        name, psnr = now["name"], now["best_val_psnr"]
        line = "  ".join(
            [
                f"{name:<{self.width}}",
                f"{now['epochs']:>4} of {self.epochs[name]} epochs",
                f"{'' if psnr is None else f'{psnr:.2f} dB':>8}",
                str(timedelta(seconds=round(now["seconds"]))),
                "" if now["state"] == "unfinished" else now["state"],
            ]
        ).rstrip()
        if line == self.lines[name]:
            return
        self.lines[name] = line
        if self.bars:
            self.bars[name].set_description_str(line)
        elif now["epochs"] or now["error"]:
            print(line, flush=True)

    def close(self) -> None:
        """Leave the cursor below the table."""
        for bar in self.bars.values():
            bar.close()
