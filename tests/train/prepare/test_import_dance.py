"""A film of a dancer into the dance layout: poses drawn as the simulator draws them, frames without a person left out.

Where mediapipe is installed and VIDPRED_POSE_MODEL names a pose landmarker (a .task file), a real film is read.
"""

import importlib.util
import os

import numpy as np
import pytest
from PIL import Image

from tests.commands import fails, run, succeeds
from tests.films import make_film, real_films
from train.prepare import import_dance
from train.prepare.import_dance import LANDMARKS, skeleton
from vidpred.data.dance import list_videos, read_pictures
from vidpred.errors import BadInput
from vidpred.lock import held
from vidpred.simulate.dance import Dance, DanceStage, project
from vidpred.simulate.skeleton import LIMBS, draw_skeleton

MODEL = os.environ.get("VIDPRED_POSE_MODEL", "")
# A figure that stands with its arms to the sides: x, y, z of the skeleton's points that landmarks give.
STANDING = {
    **{"head": (0.5, 0.1, 0), "left_shoulder": (0.56, 0.25, 0), "right_shoulder": (0.44, 0.25, 0)},
    **{"left_elbow": (0.66, 0.25, 0), "right_elbow": (0.34, 0.25, 0)},
    **{"left_hand": (0.8, 0.25, 0), "right_hand": (0.2, 0.25, 0)},
    **{"left_hip": (0.54, 0.55, 0), "right_hip": (0.46, 0.55, 0)},
    **{"left_knee": (0.55, 0.75, 0), "right_knee": (0.45, 0.75, 0)},
    **{"left_foot": (0.56, 0.95, 0), "right_foot": (0.44, 0.95, 0)},
}


def landmarks_of(points):
    """(33, 3) landmarks whose means are these points."""
    landmarks = np.full((33, 3), np.nan)  # none that is not named may be used
    for name, place in points.items():
        landmarks[list(LANDMARKS[name])] = place
    return landmarks


def test_every_limb_lies_where_its_landmarks_are():
    picture = skeleton(landmarks_of(STANDING))
    for limb in ("left_upper_arm", "right_upper_arm", "left_lower_arm", "right_lower_arm", "left_shin", "right_shin"):
        start, end, colour = LIMBS[limb]
        x, y, _ = (np.array(STANDING[start]) + STANDING[end]) / 2
        assert abs(picture[int(32 * y), int(64 * x)].astype(int) - colour).max() < 100, limb
    assert picture[2:6, 30:34].max() > 200  # the head, white
    assert picture[20:, :12].max() == 0


def test_the_nearer_limb_hides_the_other():
    for near, limb in ((-0.5, "right_lower_arm"), (0.5, "chest")):  # an arm across the chest
        crossed = {**STANDING, "right_elbow": (0.34, 0.35, near), "right_hand": (0.66, 0.35, near)}
        seen = skeleton(landmarks_of(crossed))[11, 32].astype(int)
        others = {name: abs(seen - LIMBS[name][2]).max() for name in ("right_lower_arm", "chest")}
        assert min(others, key=others.get) == limb


def test_a_simulated_dancer_s_landmarks_give_the_simulator_s_picture(simulator):
    """But for the pelvis, which lies between the hips in a film and a little above in the simulator."""
    with DanceStage() as stage:
        stage.pose(Dance.draw(3, "train", 0), 40)
        points, drawn = stage.points(), stage.skeleton()
    places = {name: np.array(project(point)) / (64, 32) for name, point in points.items()}
    landmarks = landmarks_of({name: (*places[name], -points[name][0]) for name in STANDING})
    again = skeleton(landmarks)
    points["pelvis"] = (points["left_hip"] + points["right_hip"]) / 2
    points["waist"] = points["pelvis"] + import_dance.WAIST * (points["neck"] - points["pelvis"])
    expected = draw_skeleton({n: project(p) for n, p in points.items()}, {n: p[0] for n, p in points.items()})
    assert np.array_equal(again, expected)
    same = (abs(again.astype(int) - drawn).max(-1) < 30).mean()
    assert same > 0.97


class EveryOther:
    """Finds the figure in all but some of the pictures that it is given."""

    def __init__(self, model):
        self.seen = []

    def find(self, picture):
        self.seen.append(picture.size)
        assert picture.size == (96, 48)  # twice as wide as high, in the film's own pixels
        return None if 10 <= len(self.seen) - 1 < 14 or len(self.seen) - 1 == 2 else landmarks_of(STANDING)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def test_frames_without_a_person_are_left_out_and_named(tmp_path, monkeypatch):
    film, model = make_film(tmp_path / "film.mp4", frames=50), tmp_path / "pose.task"
    model.touch()
    monkeypatch.setattr(import_dance, "PoseFinder", EveryOther)
    printed = succeeds("train.prepare", "import-dance", film, tmp_path / "out", "--pose-model", model)
    assert "train 35 frames, validate 5 frames, test 5 frames; no person in 5: 2, 10-13" in printed
    videos = [list_videos(tmp_path / "out", split)[0] for split in ("train", "validate", "test")]
    assert [len(video.frames) for video in videos] == [35, 5, 5]
    for video in videos:
        frames, poses = read_pictures(video, 0, 99)
        assert frames.shape == poses.shape == (len(video.frames), 32, 64, 3)
        assert (poses == skeleton(landmarks_of(STANDING))).all()
        assert len(np.unique(frames, axis=0)) == len(frames)
    assert {path.name for path in tmp_path.iterdir()} == {"film.mp4", "pose.task", "out"}


def test_what_comes_into_the_folder_meanwhile_stays(tmp_path, monkeypatch):
    """And no second import goes there. The folder may be the one that a command is called in, or a link to one."""
    film, model, out = make_film(tmp_path / "film.mp4", frames=50), tmp_path / "pose.task", tmp_path / "out"
    model.touch()
    out.mkdir()
    (tmp_path / "link").symlink_to(out)
    words = ("train.prepare", "import-dance", film, "--pose-model", model)

    class Late(EveryOther):
        def __exit__(self, *_):
            with pytest.raises(BadInput, match="is writing it"), held(out):
                pass
            (out / "notes").write_text("hours of work")

    with monkeypatch.context() as patched:
        patched.setattr(import_dance, "PoseFinder", Late)
        assert "out is not empty" in fails(*words, out)
    assert [path.name for path in out.iterdir()] == ["notes"]
    (out / "notes").unlink()
    monkeypatch.setattr(import_dance, "PoseFinder", EveryOther)
    succeeds(*words, tmp_path / "link")
    assert {path.name for path in out.iterdir()} == {"train", "val", "test"}


def test_bad_input_is_one_line(tmp_path):
    film, model = make_film(tmp_path / "film.mp4", frames=5), tmp_path / "pose.task"
    words = ("train.prepare", "import-dance", film, tmp_path / "out", "--pose-model", model)
    assert "pose.task: no such file" in fails(*words)
    model.write_bytes(b"no model")
    missing = importlib.util.find_spec("mediapipe") is None
    assert ("pip install mediapipe" if missing else "no pose landmarker") in fails(*words)
    assert "--crop a: centre" in fails(*words, "--crop", "a")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes").touch()
    assert "is not empty" in fails(*words)
    assert {path.name for path in tmp_path.iterdir()} == {"film.mp4", "pose.task", "out"}


@pytest.mark.skipif(not MODEL or importlib.util.find_spec("mediapipe") is None, reason="no mediapipe or no pose model")
def test_a_man_in_a_car(tmp_path):
    *_, carphone = real_films()
    done = run("train.prepare", "import-dance", carphone, tmp_path / "out", "--pose-model", MODEL)
    assert done.returncode == 0 and "train 96 frames" in done.stdout
    video = list_videos(tmp_path / "out", "train")[0]
    with Image.open(video.poses[30]) as pose:
        white = (np.asarray(pose).min(-1) > 200).nonzero()
    assert 20 < white[1].mean() < 40  # the head, about the middle


def test_frames_that_are_no_neighbours_are_no_range():
    assert import_dance._ranges([10, 20], 1) == "10, 20"
    assert import_dance._ranges([3, 7, 11, 100], 1) == "3, 7, 11, 100"
    assert import_dance._ranges([0, 2, 4, 40], 2) == "0-4, 40"
