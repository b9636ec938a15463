"""Other actions, other poses: only what comes after the given frames is another, and the numbers are the right ones."""

import numpy as np
import pytest

from tests.promise import same_picture
from vidpred.errors import BadInput
from vidpred.explorer.drive import what_if as module
from vidpred.explorer.drive.simulator import Physics
from vidpred.explorer.drive.what_if import (
    CAMERA,
    CHANGED,
    CHANGES,
    MODEL,
    ORIGINAL,
    POSE_CHANGES,
    POSES,
    SIMULATED,
    TRUTH,
    Piece,
    change_actions,
    change_poses,
    follow_poses,
    longest_future,
    plan_poses,
    what_if,
)
from vidpred.explorer.runs.gripper_model import GripperModel
from vidpred.explorer.runs.library import Library, names
from vidpred.frames import to_uint8
from vidpred.rollout import predict

GRIPPER = GripperModel(np.ones(3), np.full(3, -10.0), np.full(3, 10.0), np.ones(3), (0.0, 1.0))
ROWS = np.random.default_rng(0).normal(size=(8, 7)).astype(np.float32)
FIELDS = {"seed": 3, "n_future": 5}


@pytest.fixture
def robot(families):
    """Library, run and clip of the robot family."""
    return families, families.run("tiny"), families.clip("traj_0_to_255/2")


@pytest.fixture
def dancer(families):
    return families, families.run("dance"), families.clip("test/0")


# --- changed conditions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", CHANGES)
def test_only_actions_after_the_given_frames_change_and_positions_follow(change):
    changed = change_actions(ROWS, 3, change, 1, GRIPPER, -2 * ROWS)
    assert np.array_equal(changed[:2], ROWS[:2])
    assert np.array_equal(changed[2, 4:], ROWS[2, 4:])  # where the arm is when it begins to do something else
    assert np.allclose(np.diff(changed[2:, 4:], axis=0), changed[2:-1, :3], atol=1e-6)
    expected = {
        "still": np.concatenate([np.zeros((6, 3)), ROWS[2:, 3:4]], 1),
        "reversed": ROWS[2:, :4][::-1],
        "opposite": ROWS[2:, :4] * [-1, -1, -1, 1],
        "other": -2 * ROWS[2:, :4],
    }
    if change == "shuffled":
        assert not np.array_equal(changed[2:, :4], ROWS[2:, :4])
        assert np.array_equal(np.sort(changed[2:, :4], 0), np.sort(ROWS[2:, :4], 0))
        assert np.array_equal(changed, change_actions(ROWS, 3, change, 1, GRIPPER))
        assert not np.array_equal(changed, change_actions(ROWS, 3, change, 2, GRIPPER))
    else:
        assert np.allclose(changed[2:, :4], expected[change])


def test_of_a_shorter_clip_as_many_actions_as_it_has():
    assert len(change_actions(ROWS, 3, "other", 0, GRIPPER, ROWS[:5])) == 5


@pytest.mark.parametrize("change", POSE_CHANGES)
def test_only_poses_after_the_given_frames_change(change):
    poses = np.arange(6, dtype=np.uint8)
    changed = change_poses(poses, 2, change, 3, poses + 10)
    assert changed[:2].tolist() == [0, 1]
    expected = {"still": [1, 1, 1, 1], "reversed": [5, 4, 3, 2], "other": [12, 13, 14, 15]}
    assert sorted(changed[2:]) == [2, 3, 4, 5] if change == "shuffled" else changed[2:].tolist() == expected[change]


# --- what the model makes of them -------------------------------------------------------------------------------------


def test_the_original_is_what_predict_gives_and_is_compared_with_the_truth(robot):
    library, run, clip = robot
    scored = what_if(library, Physics(), run, clip, "opposite", **FIELDS)
    batch = library.read_clip(clip, 7)
    with library.model(run) as model:
        expected = to_uint8(predict(model, batch.to_clip(2), batch.ids, n_future=5, seed=3)[0, 0])
    assert list(scored.clips) == [TRUTH, ORIGINAL, CHANGED]
    assert np.array_equal(scored.clips[TRUTH], batch.frames[0].numpy())
    assert same_picture(scored.clips[ORIGINAL][2:], expected)
    assert np.array_equal(scored.clips[CHANGED][:2], scored.clips[TRUTH][:2])
    assert scored.scores[ORIGINAL]["PSNR"] == pytest.approx(psnr(scored, ORIGINAL, TRUTH), abs=0.05)  # rounded here
    assert CHANGED not in scored.scores  # nobody knows what the changed actions do
    assert scored.protocol == "finn"


def psnr(scored, one, other):
    """Of the predicted frames of one clip against another's."""
    error = (scored.clips[one][2:].astype(float) - scored.clips[other][2:]) / 255
    return (-10 * np.log10(np.square(error).mean((1, 2)))).mean(-1)


def test_the_actions_of_another_clip_are_its_own(robot, monkeypatch):
    library, run, clip = robot
    given, predict_each = [], module._predict
    monkeypatch.setattr(module, "_predict", lambda *args: given.append(args[3]) or predict_each(*args))
    for other in (3, 4):
        lender = library.clip(f"traj_0_to_255/{other}")
        what_if(library, Physics(), run, clip, "other", lender, **FIELDS)
        lent = library.read_clip(lender, 7).conditions[0].numpy()
        assert np.array_equal(given[-1][CHANGED][1:, :4], lent[1:, :4])  # from the last given frame on
    assert np.array_equal(given[0][ORIGINAL], given[1][ORIGINAL])


@pytest.mark.parametrize("change", POSE_CHANGES)
def test_poses_can_be_changed_too(dancer, change):
    library, run, clip = dancer
    scored = what_if(library, Physics(), run, clip, change, library.clip("test/1"), n_future=4)
    assert names(library.clips_for(run, known=True)) == ["validate", "test/0", "test/1"]
    assert list(scored.clips) == [TRUTH, ORIGINAL, CHANGED, POSES]
    assert scored.clips[POSES].shape == scored.clips[CHANGED].shape == (5, 32, 64, 3)
    assert scored.protocol == "joint"
    assert list(scored.scores) == [ORIGINAL]
    assert not np.array_equal(scored.clips[CHANGED], scored.clips[ORIGINAL])


def test_the_simulator_shows_what_changed_actions_do(simulator, simulated, tiny_run):
    root, clip = simulated
    library, physics = Library([tiny_run], [root]), Physics()
    physics.warm_up().result()
    scored = what_if(library, physics, library.run("tiny"), library.clip("a/1"), "still", n_future=5)
    still = clip.actions.copy()
    still[1:, :3] = 0
    simulator.reset(clip.scene)
    for t in range(6):
        simulator.step(still[t])
    assert np.array_equal(scored.clips[SIMULATED][6], simulator.render(64))
    assert np.array_equal(scored.clips[SIMULATED][:2], clip.frames[:2])
    assert scored.scores[CHANGED]["PSNR"] == pytest.approx(psnr(scored, CHANGED, SIMULATED), abs=1e-3)
    assert scored.scores[CHANGED]["PSNR"] != pytest.approx(psnr(scored, CHANGED, TRUTH), abs=1e-3)


def test_the_true_frames_end_a_prediction(dancer, robot, monkeypatch):
    library, run, clip = dancer
    assert longest_future(run, clip) == 8
    monkeypatch.setattr(module, "MOST_FRAMES", 4)
    assert longest_future(run, clip) == 4
    with pytest.raises(BadInput, match="from 1 to 4"):
        what_if(library, Physics(), run, clip, "still", n_future=5)


# --- pose plans -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("speed", "backwards", "expected"),
    [
        ("1x", False, [2, 3, 4, 5, 6]),
        ("1x", True, [6, 5, 4, 3, 2]),
        ("2x", False, [2, 4, 6]),
        ("2x", True, [6, 4, 2]),
        ("0.5x", False, [2, 2, 3, 3, 4, 4, 5, 5, 6, 6]),
        ("0.5x", True, [6, 6, 5, 5, 4, 4, 3, 3, 2, 2]),
    ],
)
def test_speeds_and_directions(dancer, speed, backwards, expected):
    _, _, clip = dancer
    assert plan_poses([Piece(clip, 2, 6, speed, backwards)], 1) == [(clip, t) for t in expected]


def test_a_mix_is_followed_beside_what_the_camera_saw(dancer):
    library, run, clip = dancer
    pieces = [Piece(library.clip("test/1"), 0, 3, "1x", True), Piece(clip, 1, 4, "2x", False)]
    scored = follow_poses(library, run, pieces, seed=1)
    one, other = (library.read_clip(piece.clip, 9) for piece in pieces)
    assert np.array_equal(scored.clips[CAMERA][:4], one.frames[0, :4].flip(0).numpy())
    assert np.array_equal(scored.clips[POSES][4:], other.conditions[0, [1, 3]].numpy())
    assert np.array_equal(scored.clips[MODEL][0], scored.clips[CAMERA][0])
    assert len(scored.scores[MODEL]["PSNR"]) == len(scored.copied["SSIM"]) == 5


def test_a_whole_sequence_forwards_is_the_prediction(dancer):
    library, run, clip = dancer
    scored = follow_poses(library, run, [Piece(clip, 0, 4, "1x", False)], temperature=0)
    batch = library.read_clip(clip, 5)
    with library.model(run) as model:
        expected = predict(model, batch.to_clip(1), batch.ids, n_future=4, temperature=0.0)
    assert same_picture(scored.clips[MODEL][1:], expected[0, 0])


def test_plans_have_an_end_and_robots_no_poses(dancer, robot, monkeypatch):
    library, _, clip = dancer
    monkeypatch.setattr(module, "MOST_FRAMES", 5)
    with pytest.raises(BadInput, match="from 2 to 5 poses, this one 6"):
        plan_poses([Piece(clip, 0, 2, "0.5x", False)], 1)
    with pytest.raises(BadInput, match="tiny follows no poses: choose dance"):
        follow_poses(library, robot[1], [Piece(clip, 0, 2, "1x", False)])
