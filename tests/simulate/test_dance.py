"""The dance simulator: repeatable frame by frame, inside the joints' limits and the picture, and its skeleton lies over
the figure."""

import numpy as np
import pytest

from vidpred.simulate.dance import (
    COLOURS,
    WAVES,
    Dance,
    DanceStage,
    Waves,
    joint_names,
    joint_range,
    project,
)
from vidpred.simulate.skeleton import LIMBS

FRAMES = range(0, 630, 21)


@pytest.fixture(scope="module")
def video(stage):
    """Every 21st frame of a validation video with its pose pictures, (30, 32, 64, 3) int each."""
    dance = Dance.draw(0, "validate", 0)
    frames, poses = zip(*(stage.render(dance, t) for t in FRAMES))
    return np.stack(frames).astype(int), np.stack(poses).astype(int)


@pytest.fixture(scope="module")
def room(video):
    """The picture without the figure: every row has one colour, that of its outermost pixel."""
    return np.broadcast_to(video[0][0, :, :1], (32, 64, 3))


def still(joints, travel) -> Dance:
    """A dance that stays where the waves have the given values, each -1 to 1."""

    def waves(values):
        values = np.asarray(values, float)[:, None]
        amplitudes = np.abs(values) * np.eye(WAVES)[0]
        return Waves(amplitudes, np.zeros((len(values), WAVES)), np.pi / 2 * np.sign(values) * np.ones(WAVES))

    return Dance(waves(joints), waves(travel))


def outline(stage):
    """Left, right, upper and lower end of the figure in the picture, pixels, from its capsules and spheres."""
    model, data = stage._model, stage._data
    parts = np.flatnonzero(model.geom_bodyid > 0)
    capsule = model.geom_type[parts] == stage._mujoco.mjtGeom.mjGEOM_CAPSULE
    axes = data.geom_xmat[parts].reshape(-1, 3, 3)[:, :, 2] * np.where(capsule, model.geom_size[parts, 1], 0)[:, None]
    edges = []
    for end in (data.geom_xpos[parts] + axes, data.geom_xpos[parts] - axes):
        for offset in ([0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]):
            edges += [project(place) for place in end + model.geom_size[parts, :1] * offset]
    x, y = np.array(edges).T
    return x.min(), x.max(), y.min(), y.max()


def test_a_frame_is_a_function_of_its_numbers_alone(stage):
    """Pieces of a video are made in any order by several processes."""
    with DanceStage() as other:
        for split, sequence, t in (("train", 0, 7999), ("test", 3, 12), ("train", 0, 0), ("train", 0, 7999)):
            one, same = (s.render(Dance.draw(0, split, sequence), t) for s in (stage, other))
            np.testing.assert_array_equal(one, same)
            assert one[0].shape == one[1].shape == (32, 64, 3) and one[0].dtype == one[1].dtype == np.uint8


def test_seeds_splits_and_sequences_are_different_videos(stage):
    keys = [(0, "train", 0), (0, "validate", 0), (0, "test", 0), (0, "test", 1), (1, "train", 0), (1, "test", 1)]
    starts = [[stage.render(Dance.draw(*key), t)[0].tobytes() for t in (0, 5)] for key in keys]
    assert len({picture for start in starts for picture in start}) == 2 * len(keys)


def test_joints_stay_inside_the_limits_of_the_model(stage):
    model, data = stage._model, stage._data
    assert set(joint_names()) == {model.joint(i).name for i in range(model.njnt)} - {"root"}
    for name in joint_names():
        low, high = np.degrees(model.joint(name).range)
        assert low - 1e-6 <= joint_range(name)[0] < joint_range(name)[1] <= high + 1e-6
    seen = []
    for t in range(0, 8000, 10):
        stage.pose(Dance.draw(0, "train", 0), t)
        seen.append([data.joint(name).qpos[0] for name in joint_names()])
    low, high = np.array([model.joint(name).range for name in joint_names()]).T
    assert (seen >= low).all() and (seen <= high).all()
    reach = (np.max(seen, 0) - np.min(seen, 0)) / np.ptp(np.radians([joint_range(n) for n in joint_names()]), axis=1)
    assert reach.min() > 0.7  # and every joint moves


def test_left_and_right_mirror_each_other(stage):
    """A sign that is wrong on one side bends a limb the wrong way."""
    rng = np.random.default_rng(0)
    sides = {}
    for name in joint_names():
        sides.setdefault(name.partition("_")[2] if name.startswith(("left", "right")) else name, rng.uniform(-1, 1))
    values = []
    for name in joint_names():
        side, _, part = name.partition("_")
        flip = -1 if side == "left" and part.startswith("shoulder") else 1
        values.append(0 if name.startswith("abdomen") else flip * sides[part])
    stage.pose(still(values, [0, 0, 0, 0]), 0)
    points = stage.points()
    for name in ("elbow", "hand", "knee", "foot"):
        left, right = points[f"left_{name}"], points[f"right_{name}"]
        np.testing.assert_allclose(left * [1, -1, 1], right, atol=0.005)


def test_the_figure_never_leaves_the_picture(stage, video, room):
    """Not even with every joint at one of its ends: more than any dance does."""
    rng = np.random.default_rng(0)
    for _ in range(2000):
        stage.pose(still(rng.choice([-1, 1], len(joint_names())), rng.choice([-1, 1], 4)), 0)
        left, right, top, bottom = outline(stage)
        assert left >= 0 and right <= 64 and top >= 0 and bottom <= 32
    for edge in (np.s_[:, 0], np.s_[:, -1], np.s_[:, :, 0], np.s_[:, :, -1]):
        assert (video[0][edge] == room[edge[1:]]).all()


def test_the_figure_fills_the_height_and_stands_on_the_floor(stage, video, room):
    for seed in range(3):
        for t in range(0, 630, 5):
            stage.pose(Dance.draw(seed, "train", 0), t)
            _, _, top, bottom = outline(stage)
            assert bottom - top > 20
            assert bottom == pytest.approx(project([0, 0, 0])[1])
    rows = np.abs(video[0] - room).max((2, 3)) > 10
    assert all(np.ptp(np.flatnonzero(picture)) >= 20 for picture in rows)


def test_the_skeleton_lies_over_the_figure(video, room):
    frames, poses = video
    figure = np.abs(frames - room).max(-1) > 10

    def inside(dy, dx):
        return figure[np.roll(poses.max(-1) > 100, (dy, dx), (1, 2))].mean()

    assert inside(0, 0) > 0.97
    for shift in ((0, 2), (0, -2), (2, 0), (-2, 0)):
        assert inside(*shift) < inside(0, 0) - 0.08
    assert (poses.max(-1) > 100)[figure].mean() > 0.4  # every limb is drawn, not some


@pytest.mark.parametrize(
    ("limb", "part", "other"),
    [
        ("left_shin", "left_shin1", "right_shin1"),
        ("right_shin", "right_shin1", "left_shin1"),
        ("left_upper_arm", "left_uarm1", "right_uarm1"),
        ("right_upper_arm", "right_uarm1", "left_uarm1"),
    ],
)
def test_limbs_of_the_skeleton_are_those_of_the_figure(video, limb, part, other):
    """Left and right are not swapped: what lies under a limb has that limb's colour."""
    frames, poses = video
    under = frames[np.abs(poses - LIMBS[limb][2]).max(-1) < 20] / 255
    assert len(under) > 20
    nearer = np.abs(under - COLOURS[part]).sum(-1) < np.abs(under - COLOURS[other]).sum(-1)
    assert nearer.mean() > 0.75  # the rest: edges, and what lies before the limb


@pytest.mark.parametrize(("turn", "near"), [(1, "right_shin"), (-1, "left_shin")])
def test_nearer_limbs_cover_those_behind_them(stage, turn, near):
    stage.pose(still(np.zeros(len(joint_names())), [0, turn, 0, 0]), 0)
    pose = stage.skeleton().astype(int)

    def seen(limb):
        return (np.abs(pose - LIMBS[limb][2]).max(-1) < 60).sum()

    far = "left_shin" if near == "right_shin" else "right_shin"
    assert stage.points()[f"{near.split('_')[0]}_knee"][0] > stage.points()[f"{far.split('_')[0]}_knee"][0]
    assert seen(near) > seen(far)


def test_pose_pictures_are_smooth_limbs_on_black(video):
    poses = video[1]
    assert (poses.max(-1) == 0).mean() > 0.8
    shades = np.unique(poses.reshape(-1, 3), axis=0)
    assert len(shades) > 10 * len(LIMBS)  # averaged down: between limb and black lies more than nothing


def test_the_motion_is_that_of_a_dancer(stage):
    """Much moves over a video, little from one frame to the next."""
    dance = Dance.draw(0, "validate", 0)
    frames = np.stack([stage.render(dance, t)[0] for t in [*range(0, 630, 30), *range(1, 630, 30)]]) / 255.0
    now, later = frames[:21], frames[21:]

    def psnr(a, b):
        return (-10 * np.log10(((a - b) ** 2).mean((1, 2, 3)))).mean()

    assert 16 < psnr(now[1:], now[:1]) < 19
    assert psnr(now, later) > 30
