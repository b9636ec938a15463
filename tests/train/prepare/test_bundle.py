"""`train.prepare bundle`: what a run that is given away says of the machine that trained it."""

import shutil
from dataclasses import replace

import pytest
import torch

from tests.trust.faults import contents
from train.prepare.__main__ import bundle
from vidpred import checkpoint, runs
from vidpred.errors import BadInput


def test_what_it_began_from_is_named_without_the_folders_of_this_machine(tiny_run, tmp_path):
    run, out = tmp_path / "run", tmp_path / "bundled"
    shutil.copytree(tiny_run, run)
    config = runs.read_config(run)
    runs.write_config(run, replace(config, train=replace(config.train, init=str(tmp_path / "first" / "before"))), {})
    bundle(run, out)
    assert runs.read_config(out) == replace(config, train=replace(config.train, init="before"))
    assert str(tmp_path) not in (out / runs.CONFIG).read_text()


def test_weights_that_float16_cannot_hold_are_not_shipped(tiny_run, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    model = checkpoint.load_trained(run)
    model.encoder.head.bias.data[0] = 1e5
    checkpoint.save_weights(run / runs.WEIGHTS, model)
    with pytest.raises(BadInput, match=r"encoder.head.bias holds numbers that float16 has not"):
        bundle(run, tmp_path / "bundled")
    assert not (tmp_path / "bundled").exists()


def test_an_earlier_bundle_alone_is_replaced(tiny_run, tmp_path):
    """Another program's model has files of the same names, and so has a mean or an imported checkpoint."""
    foreign, mean = tmp_path / "foreign", tmp_path / "mean"
    (foreign / runs.SAMPLES).mkdir(parents=True)
    (foreign / runs.CONFIG).write_text('{"architectures": ["Other"]}')
    checkpoint.save_tensors(foreign / runs.WEIGHTS, {"weight": torch.zeros(3).half()})
    (foreign / runs.SAMPLES / "mine.wav").touch()
    shutil.copytree(tiny_run, mean, ignore=shutil.ignore_patterns(runs.LAST))  # float32, nothing to resume
    for folder in (foreign, mean):
        before = contents(folder)
        with pytest.raises(BadInput, match="is not empty and no earlier bundle"):
            bundle(tiny_run, folder)
        assert contents(folder) == before
    for _ in range(2):
        bundle(tiny_run, tmp_path / "bundled")
