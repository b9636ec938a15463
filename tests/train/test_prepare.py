"""`train.prepare simulate-robot` as a whole: repeatable, resumable, in the robot-push layout; and its refusals."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from train.prepare import MANIFEST, clip_folder, simulate_robot
from vidpred.data.robot_push import read_clip
from vidpred.errors import BadInput
from vidpred.simulate.robot_push import Scene

FILES = {f"{t}.png" for t in range(30)} | {"actions.csv", "endeffector_positions.csv", "simulation.json"}


def run(*words, **options) -> subprocess.Popen:
    command = [sys.executable, "-m", "train.prepare", *map(str, words)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True, **options)


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def made(simulator, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("made") / "robot"
    simulate_robot(out, train=3, validate=1, test=1, seed=7, workers=2)
    return out


def test_layout(made):
    clips = sorted(str(path.relative_to(made)) for path in made.glob("*/*/*"))
    assert clips == [*("test/traj_0_to_255/1", "train/traj_0_to_255/1"), *(f"train/traj_0_to_255/{n}" for n in (2, 3)),
                     "validate/traj_0_to_255/1"]  # fmt: skip
    for clip in clips:
        assert {path.name for path in (made / clip).iterdir()} == FILES
        read = read_clip(made / clip)
        assert read.frames.shape == (30, 64, 64, 3) and read.conditions.shape == (30, 7)
        Scene.from_dict(json.loads((made / clip / "simulation.json").read_text())["scene"])
    pictures = list(made.rglob("*.png"))
    assert sum(path.stat().st_size for path in pictures) / len(pictures) < 5500
    assert len({path.read_bytes() for path in made.rglob("actions.csv")}) == len(clips)  # no clip stands twice
    assert clip_folder(made, "train", 256) == made / "train/traj_256_to_511/1"


def test_resumption_and_extension_give_the_bytes_of_one_go(made, tmp_path):
    out = tmp_path / "robot"
    simulate_robot(out, train=2, validate=1, test=1, seed=7, workers=1)
    group = out / "train/traj_0_to_255"
    shutil.rmtree(group / "1")
    (out / "test/traj_0_to_255/1/12.png").unlink()
    (group / ".2.begun").mkdir()
    kept = (group / "2/0.png").stat().st_mtime_ns
    simulate_robot(out, train=3, validate=0, test=1, seed=7, workers=1)
    assert contents(out) == contents(made)
    assert (group / "2/0.png").stat().st_mtime_ns == kept
    assert not (group / ".2.begun").exists()


def test_a_folder_of_anything_else_is_refused(made, tmp_path):
    before = contents(made)
    for options, message in (
        ({"seed": 8}, "made with seed 7, not 8"),
        ({"seed": 7, "size": 32}, "made with size 64, not 32"),
    ):
        with pytest.raises(BadInput, match=message):
            simulate_robot(made, train=3, validate=1, test=1, **options)
    assert contents(made) == before
    (tmp_path / "notes.txt").touch()
    with pytest.raises(BadInput, match="not empty"):
        simulate_robot(tmp_path, train=1, validate=1, test=1, seed=0)
    (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(BadInput, match="not a simulation's record"):
        simulate_robot(tmp_path, train=1, validate=1, test=1, seed=0)


def test_bad_options_are_one_line_and_code_2(simulator, tmp_path):
    command = run("simulate-robot", tmp_path / "out", "--train", 1, "--validate", 1, "--test", 1, "--seed", -1)
    errors = command.communicate()[1]
    assert command.returncode == 2 and errors.count("\n") == 1 and "negative" in errors
    command = run("import-bair", tmp_path, tmp_path / "out")
    errors = command.communicate()[1]
    assert command.returncode == 2 and errors.count("\n") == 1 and "no *.tfrecords files" in errors
    assert not (tmp_path / "out").exists()


def test_ctrl_c_leaves_whole_clips(simulator, tmp_path):
    out = tmp_path / "robot"
    command = run("simulate-robot", out, "--train", 500, "--validate", 0, "--test", 0, "--seed", 0, "--workers", 2)
    for _ in range(300):
        if len(list(out.glob("train/*/[0-9]*"))) >= 2:
            break
        time.sleep(0.1)
    os.killpg(command.pid, signal.SIGINT)  # as a terminal does: to parent and workers alike
    errors = command.communicate(timeout=30)[1]
    assert command.returncode == 130
    assert errors.splitlines()[-1] == "interrupted" and "Traceback" not in errors
    clips = list(out.glob("train/*/*")) + list(out.glob("train/*/.*"))
    assert 2 <= len(clips) < 500
    assert all({path.name for path in clip.iterdir()} == FILES for clip in clips)
