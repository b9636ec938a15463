"""Drives: the same frames as predict, states that are values, each visitor's own, and the simulator in step."""

import math
import os
import shutil

import numpy as np
import pytest

from tests.promise import same_picture
from vidpred import checkpoint, runs
from vidpred.config import ACTION_DIM
from vidpred.errors import BadInput
from vidpred.explorer.drive import session
from vidpred.explorer.drive.session import Drives
from vidpred.explorer.drive.simulator import Physics
from vidpred.explorer.runs.library import Library
from vidpred.frames import to_uint8
from vidpred.rollout import predict


def images(drive):
    return np.stack([frame.image for frame in drive.frames])


# --- the model --------------------------------------------------------------------------------------------------------


def test_own_actions_and_positions_give_the_frames_of_predict(library, run, clip, drive):
    batch = library.read_clip(clip, 12)
    with library.model(run) as model:
        expected = to_uint8(predict(model, batch.to_clip(2), batch.ids, n_future=10, seed=3)[0, 0])
    for t in range(1, 11):
        drive.take(drive.conditions[t, :ACTION_DIM], drive.conditions[t + 1, ACTION_DIM:])
    assert np.array_equal(images(drive)[:2], batch.frames[0, :2].numpy())
    assert same_picture(images(drive)[2:], expected)  # drawn one at a time


def test_actions_seed_and_temperature_matter(drives, run, clip):
    def last(*moves, seed=3, temperature=1.0):
        _, drive = drives.begin(run, clip, seed, temperature)
        for move in moves:
            drive.step(move, 0)
        return drive.stepper.state[1]

    right = last([0, 1, 0], [0, 1, 0])
    assert right.equal(last([0, 1, 0], [0, 1, 0]))
    assert not right.equal(last([0, -1, 0], [0, 1, 0]))
    assert not right.equal(last([0, 1, 0], [0, 1, 0], seed=4))
    cold = last([0, 1, 0], temperature=0)
    assert cold.equal(last([0, 1, 0], temperature=0, seed=4))


def test_undo_gives_the_very_frame_and_the_step_can_be_taken_again(drive):
    start = drive.bytes
    drive.step([0, 1, 0], 0)
    before, state, size = images(drive), drive.frames[-1].state, drive.bytes
    after = drive.step([1, 0, 0], 1).image
    assert drive.bytes > size > start
    assert drive.undo().state is state
    assert np.array_equal(images(drive), before)
    assert drive.bytes == size
    drive.step([-1, -1, 0], 0)
    drive.undo()
    assert np.array_equal(drive.step([1, 0, 0], 1).image, after)
    drive.undo()
    drive.undo()
    assert drive.bytes == start
    with pytest.raises(BadInput, match="no step to undo"):
        drive.undo()


def test_steps_end(drive, monkeypatch):
    monkeypatch.setattr(session, "MOST_STEPS", 2)
    drive.step([0, 0, 0], 0)
    drive.step([0, 0, 0], 0)
    with pytest.raises(BadInput, match="2 steps are kept"):
        drive.step([0, 0, 0], 0)


def test_own_actions_end_with_the_clip(drive):
    for _ in range(14):
        drive.replay()
    assert len(drive.frames) == 16
    with pytest.raises(BadInput, match="own actions end"):
        drive.replay()
    drive.step([0, 0, 0], 0)


def test_new_weights_are_for_new_drives(tiny_run, tiny_data, clip, tmp_path, monkeypatch):
    """A drive goes on with the model that it began with, and loads none again."""
    loaded = []
    monkeypatch.setattr(
        checkpoint, "load_model", lambda *args, load=checkpoint.load_model: loaded.append(1) or load(*args)
    )
    weights = shutil.copytree(tiny_run, tmp_path / "tiny") / runs.WEIGHTS
    library = Library([tmp_path], [tiny_data])
    drives = Drives(library, Physics())
    _, drive = drives.begin(library.run("tiny"), clip, 0, 1.0)
    os.utime(weights, ns=(1, 1))
    _, newer = drives.begin(library.run("tiny"), clip, 0, 1.0)
    drive.step([0, 1, 0], 0)
    newer.step([0, 1, 0], 0)
    assert len(loaded) == 2


# --- each visitor's own -----------------------------------------------------------------------------------------------


def test_drives_are_ones_own(library, drives, run, clip):
    (first, a), (second, b) = (drives.begin(run, clip, 0, 1.0) for _ in range(2))
    assert first != second
    a.step([0, 1, 0], 0)
    assert b.steps == 0
    with drives.use(first) as drive:
        assert drive is a
    drives.begin(run, library.clip("traj_0_to_255/3"), 0, 1.0, instead_of=first)
    assert len(drives) == 2
    with pytest.raises(BadInput, match="has ended"), drives.use(first):
        pass
    with drives.use(second) as drive:
        assert drive is b


@pytest.mark.parametrize("drive_id", [None, "", "other", ["a"], 3, {"a": 1}, math.nan])
def test_no_drive_under_another_id(drives, drive_id):
    with pytest.raises(BadInput, match="has ended"), drives.use(drive_id):
        pass


def kept(drives, drive_id):
    return drive_id in drives._drives


def test_few_are_kept_and_the_longest_idle_goes_first(library, run, clip):
    drives = Drives(library, Physics(), most=2)
    first, second = (drives.begin(run, clip, 0, 1.0)[0] for _ in range(2))
    with drives.use(first):
        pass
    third, _ = drives.begin(run, clip, 0, 1.0)
    assert [kept(drives, drive_id) for drive_id in (first, second, third)] == [True, False, True]


def test_they_end_after_a_while_without_a_press(library, run, clip):
    now = 0
    drives = Drives(library, Physics(), seconds=10, timer=lambda: now)
    pressed, idle = (drives.begin(run, clip, 0, 1.0)[0] for _ in range(2))
    now = 9
    with drives.use(pressed):
        pass
    now = 18
    assert len(drives) == 1
    assert kept(drives, pressed)
    with pytest.raises(BadInput, match="has ended"), drives.use(idle):
        pass


def test_one_that_has_grown_makes_others_go(library, run, clip, drive):
    drives = Drives(library, Physics(), most_bytes=2 * drive.bytes)
    first, second = (drives.begin(run, clip, 0, 1.0)[0] for _ in range(2))
    with drives.use(first) as grown:
        assert kept(drives, second)
        grown.step([0, 0, 0], 0)
    assert kept(drives, first)
    assert not kept(drives, second)


def test_one_that_is_too_large_is_kept_alone(library, run, clip):
    drives = Drives(library, Physics(), most_bytes=1)
    first, second = (drives.begin(run, clip, 0, 1.0)[0] for _ in range(2))
    assert (kept(drives, first), kept(drives, second)) == (False, True)


def test_one_that_was_ended_during_a_step_stays_ended(drives, run, clip):
    drive_id, _ = drives.begin(run, clip, 0, 1.0)
    with drives.use(drive_id):
        drives.end(drive_id)
    assert len(drives) == 0


# --- the simulator beside it ------------------------------------------------------------------------------------------


@pytest.fixture
def begin(simulated, tiny_run):
    """Begins a drive of the simulated clip, the simulator being ready."""
    library, physics = Library([tiny_run], [simulated[0]]), Physics()
    physics.warm_up().result()
    drives = Drives(library, physics)
    return lambda: drives.begin(library.run("tiny"), library.clip("a/1"), 0, 1.0)[1]


def test_the_physics_repeats_the_clip_with_its_own_actions(begin, simulated):
    drive = begin()
    for t in range(2, 12):
        frame = drive.replay()
        assert np.array_equal(frame.true_image, simulated[1].frames[t])
        assert np.allclose(frame.true_position, simulated[1].positions[t], atol=1e-6)


def test_the_physics_keeps_in_step_with_undo_and_with_other_drives(begin, simulated):
    one, two = begin(), begin()
    for _ in range(6):
        one.replay()
        two.step([1, -1, 1], 0)
    for _ in range(4):
        one.undo()
    one.step([0, 1, 0], 1)
    one.undo()
    for t in range(4, 12):
        assert np.array_equal(one.replay().true_image, simulated[1].frames[t])
    assert not np.array_equal(two.frames[-1].true_image, simulated[1].frames[7])


def test_the_physics_catches_up(begin, simulated, monkeypatch):
    drive = begin()
    monkeypatch.setattr(Physics, "starting", True)
    for _ in range(3):
        assert drive.replay().true_image is None
    assert drive.awaits_physics
    monkeypatch.undo()
    drive.catch_up()
    for t in range(2, 5):
        assert np.array_equal(drive.frames[t].true_image, simulated[1].frames[t])
    drive.catch_up()
    assert not drive.awaits_physics
