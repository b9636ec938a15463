"""Trainings of a few steps, by one process or by several under torchrun: `python -m tests.training.shared JOBS`.

JOBS is a JSON list of [RUN, DATA, STEPS, "key=value", …]; a training stops after STEPS, or goes on where it stopped.
A command that follows, as after `python -m`, is run by the same processes at the end."""

import json
import runpy
import sys
from dataclasses import replace
from pathlib import Path

from vidpred import processes
from vidpred.config import DataConfig
from vidpred.data.batches import open_split
from vidpred.data.dance import is_dance
from vidpred.presets import preset
from vidpred.training.loop import train


def main(jobs, *command):
    processes.join(cpu=True)
    for job in json.loads(Path(jobs).read_text()):
        train_steps(*job)
    if command:
        sys.argv = [*command]
        runpy.run_module(command[0], run_name="__main__")


def train_steps(run, data, steps, *settings):
    """Every step is an epoch, so that metrics.jsonl holds each step's loss. The family is that of the data."""
    if is_dance(data):
        start = preset("pose-debug")
    else:
        start = preset("debug")
        model, window = replace(start.model, learned_prior=True), DataConfig(n_past=2, n_future=3)
        start = replace(start, model=model, data=window)
    changes = {key: type(getattr(start.train, key) or 0)(value) for key, value in (s.split("=") for s in settings)}
    config = replace(
        start,
        train=replace(
            start.train,
            **{"epochs": 10, "iterations_per_epoch": 1, "tfr": 0.6, "tfr_decay_start": 50, "validation_clips": 3}
            | {"gif_every": 0, "batch_size": 4}
            | changes,
        ),
    )
    left = steps

    def stop():
        nonlocal left
        left -= 1
        return left < 0

    with processes.first_alone():
        training, validation = (open_split(Path(data), split) for split in ("train", "validate"))
    train(Path(run), config, training, validation, cpu=True, show_progress=False, stop=stop)


if __name__ == "__main__":
    main(*sys.argv[1:])
