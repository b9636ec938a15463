"""The package as pip installs it: every file of it is there, and it works from any folder, without the checkout."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.commands import ROOT

PACKAGES = ("vidpred", "train")
SOURCES = ("pyproject.toml", "requirements.txt", "LICENSE")
RUN, CLIPS = ROOT / "assets" / "runs" / "push-free-learned-monotonic", ROOT / "assets" / "data" / "robot_push"

PREDICT = f"""
import vidpred, train
from vidpred.checkpoint import load_model
from vidpred.data.batches import open_split, window_batch
from vidpred.rollout import predict

print(vidpred.__file__, train.__file__, sep="\\n")
clips = open_split({str(CLIPS)!r}, "test")
batch = window_batch(clips, [0], 2)
print(tuple(predict(load_model({str(RUN)!r}), batch.to_clip(2), batch.ids, n_future=2).shape))
"""
BUILD_PAGE = f"""
from vidpred.explorer.__main__ import make_demo

demo, *_ = make_demo(["--runs", {str(RUN)!r}, "--data", {str(CLIPS)!r}])
print(len(demo.fns) > 20)
"""


def files(package):
    return {str(file.relative_to(package.parent)) for file in package.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that pip installed into, without a network; from a copy, because a build leaves files in the sources."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in SOURCES:
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "--no-compile"]
    done = subprocess.run([*pip, "--target", target, source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def python(installed, folder, *arguments):
    """The installed package alone, from another folder."""
    return subprocess.run(
        [sys.executable, "-B", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_file_is_installed_and_what_it_needs_is_declared(installed):
    for name in PACKAGES:
        there = {file for file in files(ROOT / name) if "__pycache__" not in file}
        assert files(installed / name) == there
    (about,) = installed.glob("vidpred-*.dist-info/METADATA")
    lines = [line for line in about.read_text().splitlines() if line.startswith("Requires-Dist: ")]
    needs = [line.removeprefix("Requires-Dist: ") for line in lines if "extra ==" not in line]
    wanted = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    assert {need.split("<")[0].split(">")[0] for need in needs} == {want.split(">")[0] for want in wanted}


def test_it_predicts_from_another_folder(installed, tmp_path):
    done = python(installed, tmp_path, "-c", PREDICT)
    assert done.returncode == 0, done.stderr
    *places, shape = done.stdout.splitlines()
    assert all(place.startswith(str(installed)) for place in places)
    assert shape == "(1, 1, 2, 3, 64, 64)"


def test_the_explorer_opens_what_is_named_and_says_so_when_nothing_is(installed, tmp_path):
    done = python(installed, tmp_path, "-c", BUILD_PAGE)
    assert done.stdout == "True\n", done.stderr
    done = python(installed, tmp_path, "-m", "vidpred.explorer")
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and "--runs DIR" in done.stderr
