"""`train.prepare simulate-robot` and `simulate-dance` as a whole: repeatable, resumable, in their layouts; and their
refusals."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from train.prepare import simulate
from train.prepare.__main__ import main
from train.prepare.simulate import (
    FRAMES_AT_ONCE,
    MANIFEST,
    FramesJob,
    RobotClipJob,
    clip_folder,
    simulate_dance,
    simulate_robot,
)
from vidpred.data.dance import list_videos
from vidpred.data.robot_push import read_clip
from vidpred.errors import BadInput
from vidpred.simulate.dance import Dance, DanceStage
from vidpred.simulate.robot_push.scene import Scene

FILES = {f"{t}.png" for t in range(30)} | {"actions.csv", "endeffector_positions.csv", "simulation.json"}


def run_until_two_are_made(*words) -> subprocess.Popen:
    """A command in a process group of its own, from when its progress bar counts two."""
    command = [sys.executable, "-m", "train.prepare", *map(str, words), "--workers", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    said = ""
    while not re.search(r"\b([2-9]|\d\d+)/\d", said):
        said += (more := process.stderr.read(1))
        assert more, said
    return process


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


def refuses(capsys, *words) -> str:
    """What a command that must end with exit code 2 says."""
    with pytest.raises(SystemExit) as stopped:
        main([str(word) for word in words])
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_bad_options_are_one_line_and_code_2(simulator, tmp_path, capsys):
    words = ("simulate-robot", tmp_path / "out", "--train", 1, "--validate", 1, "--test", 1, "--seed", -1)
    errors = refuses(capsys, *words)
    assert errors.count("\n") == 1 and "negative" in errors
    errors = refuses(capsys, "import-bair", tmp_path, tmp_path / "out")
    assert errors.count("\n") == 1 and "no *.tfrecords files" in errors
    assert not (tmp_path / "out").exists()


def test_ctrl_c_leaves_whole_clips(simulator, tmp_path):
    out = tmp_path / "robot"
    command = run_until_two_are_made("simulate-robot", out, "--train", 500, "--validate", 0, "--test", 0, "--seed", 0)
    os.killpg(command.pid, signal.SIGINT)  # as a terminal does: to parent and workers alike
    errors = command.communicate()[1]
    assert command.returncode == 130
    assert errors.splitlines()[-1] == "interrupted" and "Traceback" not in errors
    clips = list(out.glob("train/*/*")) + list(out.glob("train/*/.*"))
    assert 2 <= len(clips) < 500
    assert all({path.name for path in clip.iterdir()} == FILES for clip in clips)


DANCE = {"train": FRAMES_AT_ONCE + 4, "val": 6, "test": 2, "test_frames": 5, "seed": 7}


@pytest.fixture(scope="module")
def danced(simulator, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("danced") / "dance"
    simulate_dance(out, **DANCE, workers=2)
    return out


def test_dance_layout(danced):
    """The pictures are those of the simulator, each at its own number."""
    videos = {video.id: video for split in ("train", "validate", "test") for video in list_videos(danced, split)}
    assert {name: len(video.frames) for name, video in videos.items()} == {
        "train": DANCE["train"], "validate": 6, "test/0": 5, "test/1": 5}  # fmt: skip
    assert len(list(danced.rglob("*.png"))) == 2 * (DANCE["train"] + 6 + 2 * 5) + 2
    with DanceStage() as stage:
        for name, t in (("train", 0), ("train", DANCE["train"] - 1), ("validate", 5), ("test/1", 3)):
            split, _, sequence = name.partition("/")
            frame, pose = stage.render(Dance.draw(7, split, int(sequence or 0)), t)
            np.testing.assert_array_equal(np.asarray(Image.open(videos[name].frames[t])), frame)
            np.testing.assert_array_equal(np.asarray(Image.open(videos[name].poses[t])), pose)
    for k in (0, 1):
        given = danced / f"test/test_img/{k}/0.png"
        assert given.read_bytes() == (danced / f"test/test_truth/{k}/0.png").read_bytes()
    record = json.loads((danced / MANIFEST).read_text())
    assert record["seed"] == 7 and record["videos"] == {"train": DANCE["train"], "validate": 6, "test": 2}
    assert {"mujoco", "gymnasium"} <= set(record)


def test_dance_resumption_and_extension_give_the_bytes_of_one_go(danced, tmp_path):
    out = tmp_path / "dance"
    simulate_dance(out, **DANCE | {"train": 10, "test": 1}, workers=1)
    for lost in ("train/train_img/3.png", "train/train_label/9.png", "test/test_img/0/0.png", "test/test_truth/0/4.png",
                 "val/val_label/0.png"):  # fmt: skip
        (out / lost).unlink()
    begun = [out / "train/train_img/.12.begun.png", out / "val/val_label/.0.begun.png"]
    for file in begun:
        file.touch()
    kept = (out / "train/train_img/2.png").stat().st_mtime_ns
    simulate_dance(out, **DANCE | {"val": 0}, workers=1)  # what is not asked for stays as it is
    assert not (out / "val/val_label/0.png").exists()
    simulate_dance(out, **DANCE, workers=1)
    assert contents(out) == contents(danced)
    assert (out / "train/train_img/2.png").stat().st_mtime_ns == kept


def test_interrupted_dance_goes_on_to_the_same_bytes(danced, tmp_path):
    out = tmp_path / "dance"
    words = ("--train", 100_000, "--val", 6, "--test", 2, "--test-frames", 5, "--seed", 7)
    command = run_until_two_are_made("simulate-dance", out, *words)
    os.killpg(command.pid, signal.SIGKILL)
    command.communicate()
    made = {path.name for path in out.glob("train/train_img/[0-9]*")}
    assert 2 <= len(made) < 100_000
    simulate_dance(out, **DANCE, workers=2)
    for name, content in contents(danced).items():
        assert name == MANIFEST or (out / name).read_bytes() == content, name
    assert not list(out.rglob(".*.png"))


def test_a_dance_folder_of_anything_else_is_refused(danced, made, tmp_path):
    before = contents(danced)
    for changed, message in (
        ({"seed": 8}, "made with seed 7, not 8"),
        ({"test_frames": 6}, "made with test_frames 5, not 6"),
    ):
        with pytest.raises(BadInput, match=message):
            simulate_dance(danced, **DANCE | changed)
    with pytest.raises(BadInput, match="not a simulation's record"):
        simulate_dance(made, **DANCE)
    with pytest.raises(BadInput, match="not a simulation's record"):
        simulate_robot(danced, train=1, validate=0, test=0, seed=7)
    assert contents(danced) == before
    for changed in ({"train": -1}, {"seed": -1}, {"test_frames": 0}, {"workers": -1}):
        with pytest.raises(BadInput, match="cannot be negative"):
            simulate_dance(tmp_path / "out", **DANCE | changed)
    assert not (tmp_path / "out").exists()


def die_writing(times: int, deaths: Path) -> None:
    """This process is killed as it writes its sixth picture, unless `times` were before; the dead leave a file each."""
    count = len(list(deaths.iterdir()))
    if count == times:
        return
    written, save = [], Image.Image.save

    def save_or_die(picture, *args, **options):
        written.append(picture)
        if len(written) == 6:
            (deaths / str(count)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        save(picture, *args, **options)

    Image.Image.save = save_or_die


class DeadlyClip(RobotClipJob):
    def __call__(self) -> int:
        if self.split == "train" and self.index == 1:
            die_writing(int(os.environ["DEATHS"]), Path(os.environ["DEAD"]))
        return super().__call__()


class DeadlyFrames(FramesJob):
    def __call__(self) -> int:
        if self.split == "validate":
            die_writing(int(os.environ["DEATHS"]), Path(os.environ["DEAD"]))
        return super().__call__()


ROBOT_WORDS = ("simulate-robot", "--train", 3, "--validate", 1, "--test", 1, "--seed", 7)
DANCE_WORDS = ("simulate-dance", "--train", DANCE["train"], "--val", 6, "--test", 2, "--test-frames", 5, "--seed", 7)


@pytest.fixture(params=["robot", "dance"])
def deadly(request, made, danced, tmp_path, monkeypatch):
    """A command whose workers die at one clip, the data set that it makes otherwise, and what it is making then."""
    monkeypatch.setattr(simulate, "RobotClipJob", DeadlyClip)
    monkeypatch.setattr(simulate, "FramesJob", DeadlyFrames)
    (tmp_path / "dead").mkdir()
    monkeypatch.setenv("DEAD", str(tmp_path / "dead"))
    if request.param == "robot":
        return (ROBOT_WORDS[0], tmp_path / "out", *ROBOT_WORDS[1:]), made, "train/traj_0_to_255/2"
    return (DANCE_WORDS[0], tmp_path / "out", *DANCE_WORDS[1:]), danced, "val/val_img/2.png"


def hidden(out: Path) -> list[Path]:
    return list(out.rglob(".*"))


def test_a_clip_at_which_workers_die_is_tried_again_and_then_named(deadly, tmp_path, monkeypatch, capsys):
    words, whole, clip = deadly
    before = "train/traj_0_to_255/1/" if "robot" in words[0] else "train/"
    monkeypatch.setenv("DEATHS", "5")
    errors = refuses(capsys, *words, "--workers", 1)
    assert len(list((tmp_path / "dead").iterdir())) == 3
    last = errors.splitlines()[-1]
    assert last.startswith(f"train.prepare: {tmp_path / 'out' / clip}: 3 processes died") and "Traceback" not in errors
    left = contents(tmp_path / "out")
    assert clip not in left and hidden(tmp_path / "out") == []
    assert left.items() < contents(whole).items()
    assert left.keys() > {name for name in contents(whole) if name.startswith(before)}  # what was finished is kept
    main([str(word) for word in (*words, "--workers", 2)])  # two more die, the next one lives
    assert len(list((tmp_path / "dead").iterdir())) == 5
    assert contents(tmp_path / "out") == contents(whole)
    assert hidden(tmp_path / "out") == []
