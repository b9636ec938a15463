"""`train.prepare bundle`: what a run that is given away says of the machine that trained it."""

import shutil
from dataclasses import replace

from train.prepare.__main__ import bundle
from vidpred import runs


def test_what_it_began_from_is_named_without_the_folders_of_this_machine(tiny_run, tmp_path):
    run, out = tmp_path / "run", tmp_path / "bundled"
    shutil.copytree(tiny_run, run)
    config = runs.read_config(run)
    runs.write_config(run, replace(config, train=replace(config.train, init=str(tmp_path / "first" / "before"))), {})
    bundle(run, out)
    assert runs.read_config(out) == replace(config, train=replace(config.train, init="before"))
    assert str(tmp_path) not in (out / runs.CONFIG).read_text()
