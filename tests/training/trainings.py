"""Trainings of seconds, and what they leave behind."""

import itertools
import json
from dataclasses import replace

import safetensors.torch
import torch

from vidpred import runs
from vidpred.training.loop import train


def run_training(run, settings, splits, *, stop=lambda: False, fresh=False, **changes):
    """Train with some of the settings changed; whether it has finished."""
    settings = replace(settings, train=replace(settings.train, **changes))
    return train(run, settings, *splits, cpu=True, show_progress=False, stop=stop, fresh=fresh)


def after(iterations):
    """A `stop` that says so once that many iterations have run."""
    count = itertools.count()
    return lambda: next(count) >= iterations


def state_tensors(run):
    """Weights and moments to resume from."""
    return safetensors.torch.load_file(next((run / runs.LAST).glob("step-*.safetensors")))


def progress(run):
    """Where a stopped training stands."""
    return json.loads((run / runs.LAST / "state.json").read_text())["progress"]


def rows_without_time(run):
    """metrics.jsonl but for the seconds."""
    return [{k: v for k, v in row.items() if "seconds" not in k} for row in runs.read_metrics(run)]


def assert_equal_tensors(ours, expected):
    """The same names, the same bits."""
    assert ours.keys() == expected.keys()
    for name in ours:
        assert torch.equal(ours[name], expected[name]), name
