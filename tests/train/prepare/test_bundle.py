"""`train.prepare bundle`: what a run that is given away says of the machine that trained it."""

import shutil
from dataclasses import replace

import pytest

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
