"""Other actions, other poses: only what comes after the given frames is another, and the numbers are the right ones."""

import math

import gradio as gr
import numpy as np
import pytest

from tests.promise import same_picture
from vidpred.data.robot_push import write_clip
from vidpred.errors import BadInput
from vidpred.explorer.law import Law
from vidpred.explorer.library import Library
from vidpred.explorer.physics import Physics
from vidpred.explorer.player import next_request, player_value
from vidpred.explorer.what_if import (
    CAMERA,
    CHANGED,
    CHANGES,
    MODEL,
    OF_POSES,
    ORIGINAL,
    POSES,
    REALLY,
    TRUTH,
    Segment,
    change_actions,
    change_poses,
    clips_of,
    follow_poses,
    plan_poses,
    runs_of,
    what_if,
)
from vidpred.explorer.what_if_tab import NOTHING, Handlers, shown
from vidpred.frames import to_uint8
from vidpred.rollout import predict
from vidpred.simulate.robot_push import simulate_clip

CLIP, OTHER = "traj_0_to_255/2", "traj_0_to_255/3"
LAW = Law(np.ones(3), np.full(3, -10.0), np.full(3, 10.0), np.ones(3), (0.0, 1.0))
ROWS = np.random.default_rng(0).normal(size=(8, 7)).astype(np.float32)
GOOD = {"run": "tiny", "clip": CLIP, "change": "opposite", "other": OTHER, "shuffle_seed": 0, "seed": 3}
GOOD |= {"temperature": 1.0, "n_future": 5}


@pytest.fixture(scope="module")
def both(tiny_run, tiny_data, dance_run, tiny_dance):
    """A run and clips of each family."""
    return Library([tiny_run, dance_run], [tiny_data, tiny_dance])


# --- changed conditions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", CHANGES)
def test_only_actions_after_the_given_frames_change_and_positions_follow(change):
    changed = change_actions(ROWS, 3, change, 1, LAW, -2 * ROWS)
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
        assert np.array_equal(changed, change_actions(ROWS, 3, change, 1, LAW))
        assert not np.array_equal(changed, change_actions(ROWS, 3, change, 2, LAW))
    else:
        assert np.allclose(changed[2:, :4], expected[change])


def test_a_shorter_clip_lends_what_it_has():
    assert len(change_actions(ROWS, 3, "other", 0, LAW, ROWS[:5])) == 5


@pytest.mark.parametrize("change", OF_POSES)
def test_only_poses_after_the_given_frames_change(change):
    poses = np.arange(6, dtype=np.uint8)
    changed = change_poses(poses, 2, change, 3, poses + 10)
    assert changed[:2].tolist() == [0, 1]
    expected = {"still": [1, 1, 1, 1], "reversed": [5, 4, 3, 2], "other": [12, 13, 14, 15]}
    assert sorted(changed[2:]) == [2, 3, 4, 5] if change == "shuffled" else changed[2:].tolist() == expected[change]


# --- what the model makes of them -------------------------------------------------------------------------------------


def test_the_original_is_what_predict_gives_and_is_compared_with_the_truth(both):
    answer = what_if(both, Physics(), **GOOD)
    batch = both.read_clip(CLIP, 7)
    with both.model("tiny") as model:
        expected = to_uint8(predict(model, batch.to_clip(2), batch.ids, n_future=5, seed=3)[0, 0])
    assert list(answer.clips) == [TRUTH, ORIGINAL, CHANGED]
    assert np.array_equal(answer.clips[TRUTH], batch.frames[0].numpy())
    assert same_picture(answer.clips[ORIGINAL][2:], expected)
    assert np.array_equal(answer.clips[CHANGED][:2], answer.clips[TRUTH][:2])
    error = (answer.clips[CHANGED][2:].astype(float) - answer.clips[TRUTH][2:]) / 255
    psnr = (-10 * np.log10(np.square(error).mean((1, 2)))).mean(-1)
    assert answer.scores[CHANGED]["PSNR"] == pytest.approx(psnr, abs=0.05)  # frames were rounded here
    assert answer.mean(CHANGED) == pytest.approx(np.mean(answer.scores[CHANGED]["PSNR"]))
    assert answer.protocol == "finn"


def test_the_actions_of_another_clip_are_its_own(both):
    """Lent back to itself through a copy, they change nothing but the positions that the law foretells."""
    same = what_if(both, Physics(), **GOOD | {"change": "other"})
    again = what_if(both, Physics(), **GOOD | {"change": "other", "other": "traj_0_to_255/4"})
    assert np.array_equal(same.clips[ORIGINAL], again.clips[ORIGINAL])
    assert same.scores[CHANGED] != again.scores[CHANGED]


@pytest.mark.parametrize("change", OF_POSES)
def test_poses_can_be_changed_too(both, change):
    sequences = clips_of(both, "dance")
    asked = {"run": "dance", "clip": "test/0", "change": change, "other": "test/1", "n_future": 4}
    answer = what_if(both, Physics(), **asked)
    assert sequences == ["validate", "test/0", "test/1"]
    assert list(answer.clips) == [TRUTH, ORIGINAL, CHANGED, POSES]
    assert answer.clips[POSES].shape == answer.clips[CHANGED].shape == (5, 32, 64, 3)
    assert answer.protocol == "joint"
    assert answer.scores[CHANGED]["PSNR"] != answer.scores[ORIGINAL]["PSNR"]


def test_the_physics_of_changed_actions_stands_beside(simulator, tiny_run, tmp_path):
    clip = simulate_clip(simulator, 6, "test", 0, n_frames=8)
    extra = {"simulation.json": {"scene": clip.scene.to_dict()}}
    still = clip.actions.copy()
    still[1:, :3] = 0
    write_clip(tmp_path / "test" / "a" / "1", clip.frames, clip.actions, clip.positions, extra)
    physics = Physics()
    physics.warm_up().result()
    asked = {"run": "tiny", "clip": "a/1", "n_future": 5}
    answer = what_if(Library([tiny_run], [tmp_path]), physics, change="still", **asked)
    simulator.reset(clip.scene)
    for t in range(6):
        simulator.step(still[t])
    assert np.array_equal(answer.clips[REALLY][6], simulator.render(64))
    assert np.array_equal(answer.clips[REALLY][:2], clip.frames[:2])


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
def test_speeds_and_directions(both, speed, backwards, expected):
    plan = plan_poses(both, "dance", [Segment("test/0", 2, 6, speed, backwards)])
    assert plan == [("test/0", t) for t in expected]


def test_a_mix_is_followed_beside_what_the_camera_saw(both):
    pieces = [Segment("test/1", 0, 3, "1x", True), Segment("test/0", 1, 4, "2x", False)]
    answer = follow_poses(both, "dance", pieces, seed=1)
    one, other = (both.read_clip(clip, 9) for clip in ("test/1", "test/0"))
    assert np.array_equal(answer.clips[CAMERA][:4], one.frames[0, :4].flip(0).numpy())
    assert np.array_equal(answer.clips[POSES][4:], other.conditions[0, [1, 3]].numpy())
    assert np.array_equal(answer.clips[MODEL][0], answer.clips[CAMERA][0])
    assert len(answer.scores[MODEL]["PSNR"]) == len(answer.copied["SSIM"]) == 5


def test_a_whole_sequence_forwards_is_the_prediction(both):
    answer = follow_poses(both, "dance", [Segment("test/0", 0, 4, "1x", False)], temperature=0)
    batch = both.read_clip("test/0", 5)
    with both.model("dance") as model:
        expected = predict(model, batch.to_clip(1), batch.ids, n_future=4, temperature=0.0)
    assert same_picture(answer.clips[MODEL][1:], expected[0, 0])


# --- refusals and the page --------------------------------------------------------------------------------------------

BAD = [
    *[{"run": value} for value in (None, "other", ["tiny"], "dance")],
    *[{"clip": value} for value in (None, "test/0", [CLIP])],
    *[{"change": value} for value in (None, "sideways", ["still"], 3)],
    *[{"change": "other", "other": value} for value in (None, CLIP, "test/0", [OTHER])],
    *[{"shuffle_seed": value} for value in (None, -1, 1.5, math.nan)],
    *[{"seed": value} for value in (None, 1.7, 10**30, "3")],
    *[{"temperature": value} for value in (None, 2.1, math.nan)],
    *[{"n_future": value} for value in (None, 0, 15, 2.5, math.inf)],
]


@pytest.fixture(scope="module")
def handlers(both):
    handlers = Handlers(both, Physics())
    handlers.physics.warm_up().cancel()  # no clip here was simulated
    return handlers


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_question_is_one_line(handlers, bad):
    with pytest.raises(gr.Error) as error:
        handlers.what_if(**GOOD | bad)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 120


BAD_PLANS = [
    [],
    [NOTHING, 0, 3, "1x", False],
    *[[clip, 0, 3, "1x", False] for clip in (None, CLIP, "test/9", ["test/0"])],
    *[["test/0", first, last, "1x", False] for first, last in ((-1, 3), (0, 9), (1.5, 3), (3, 2), (None, 3), (0, "3"))],
    *[["test/0", 0, 3, speed, False] for speed in (None, "3x", 2, ["1x"])],
    ["test/0", 0, 0, "1x", False],
    ["test/0", 0, 3],
    *[["test/0", 0, 3, "1x", backwards] for backwards in (None, "yes", 1)],
]


@pytest.mark.parametrize("plan", BAD_PLANS)
def test_a_bad_plan_is_one_line(handlers, plan):
    with pytest.raises(gr.Error) as error:
        handlers.follow("dance", 0, 1.0, *plan)
    assert "\n" not in str(error.value)


def test_plans_have_an_end_and_robots_no_poses(both, monkeypatch):
    monkeypatch.setattr("vidpred.explorer.what_if.MOST_POSES", 5)
    with pytest.raises(BadInput, match="from 2 to 5 poses, this one 6"):
        plan_poses(both, "dance", [Segment("test/0", 0, 2, "0.5x", False)])
    with pytest.raises(BadInput, match="tiny follows no poses: choose dance"):
        follow_poses(both, "tiny", [Segment("test/0", 0, 2, "1x", False)])


def test_the_player_takes_both(both, handlers):
    value = handlers.what_if(**GOOD)
    assert [tile["label"] for tile in value["tiles"]] == [TRUTH, ORIGINAL, CHANGED, "Error, original", "Error, what if"]
    assert "what really happened" in value["note"]
    answer = follow_poses(both, "dance", [Segment("test/0", 0, 4, "1x", False)])
    value = player_value(shown(answer), next_request())
    assert [tile["kind"] for tile in value["tiles"]] == ["truth", "prediction", "pose", "error"]
    assert value["protocol"] == "joint: frames 1…4, one sample, against “Camera”"


def test_widgets_follow_the_run(handlers, both):
    clip, change, other, frames = handlers.limit("dance", CLIP, "opposite", 12)
    assert clip["choices"] == clips_of(both, "dance")
    assert clip["value"] == "validate"
    assert change["value"] == "still"
    assert not other["visible"]
    assert (frames["maximum"], frames["value"]) == (11, 10)
    clip, change, other, frames = handlers.limit("tiny", CLIP, "other", 12)
    assert (clip["value"], change["value"], other["visible"], frames["value"]) == (CLIP, "other", True, 12)
    assert CLIP not in other["choices"]
    assert runs_of(both, "robot") == ["tiny"]
