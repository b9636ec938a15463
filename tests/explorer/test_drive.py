"""Driving: the same frames as predict, states that are values, drives of one's own, and the physics in step."""

import json
import math
from dataclasses import replace

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from tests.promise import same_picture
from vidpred import runs
from vidpred.config import ACTION_DIM
from vidpred.data.robot_push import write_clip
from vidpred.errors import BadInput
from vidpred.explorer import drive as driving
from vidpred.explorer.drive import Drives
from vidpred.explorer.drive_tab import Handlers, drive_value, recording, seat
from vidpred.explorer.law import law_of, measure_law
from vidpred.explorer.library import Library
from vidpred.explorer.physics import Physics, camera, scene_of
from vidpred.explorer.predict import MAX_SEED
from vidpred.frames import to_uint8
from vidpred.rollout import predict
from vidpred.simulate.robot_push import simulate_clip

CLIP, OTHER = "traj_0_to_255/2", "traj_0_to_255/3"
RIGHT = {"what": "step", "move": [0, 1, 0], "fingers": 0}


@pytest.fixture
def drives(library):
    return Drives(library, Physics())


@pytest.fixture
def drive(drives):
    return drives.begin("tiny", CLIP, 3, 1.0)[1]


@pytest.fixture
def handlers(library):
    return Handlers(library, Physics())


@pytest.fixture
def begun(handlers):
    """Handlers and the id of a drive."""
    return handlers, handlers.begin("", "tiny", CLIP, 3, 1.0)[0]


def frames(drive):
    return np.stack([moment.frame for moment in drive.moments])


# --- the model --------------------------------------------------------------------------------------------------------


def test_own_actions_and_positions_give_the_frames_of_predict(library, drive):
    batch = library.read_clip(CLIP, 12)
    with library.model("tiny") as model:
        expected = to_uint8(predict(model, batch.to_clip(2), batch.ids, n_future=10, seed=3)[0, 0])
    for t in range(1, 11):
        drive.take(drive.own[t, :ACTION_DIM], drive.own[t + 1, ACTION_DIM:])
    assert np.array_equal(frames(drive)[:2], batch.frames[0, :2].numpy())
    assert same_picture(frames(drive)[2:], expected)  # drawn one at a time


def test_actions_seed_and_temperature_matter(drives):
    def last(*moves, seed=3, temperature=1.0):
        _, drive = drives.begin("tiny", CLIP, seed, temperature)
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
    drive.step([0, 1, 0], 0)
    before, state, size = frames(drive), drive.moments[-1].state, drive.bytes
    after = drive.step([1, 0, 0], 1).frame
    assert drive.undo().state is state
    assert np.array_equal(frames(drive), before)
    assert drive.bytes == size
    drive.step([-1, -1, 0], 0)
    drive.undo()
    assert np.array_equal(drive.step([1, 0, 0], 1).frame, after)
    drive.undo()
    drive.undo()
    assert drive.bytes == 0
    with pytest.raises(BadInput, match="no step to undo"):
        drive.undo()


def test_steps_end(drive, monkeypatch):
    monkeypatch.setattr(driving, "MOST_STEPS", 2)
    drive.step([0, 0, 0], 0)
    drive.step([0, 0, 0], 0)
    with pytest.raises(BadInput, match="2 steps are kept"):
        drive.step([0, 0, 0], 0)


def test_own_actions_end_with_the_clip(drive):
    for _ in range(14):
        drive.replay()
    assert len(drive.moments) == 16
    with pytest.raises(BadInput, match="own actions end"):
        drive.replay()
    drive.step([0, 0, 0], 0)


# --- what an action does ----------------------------------------------------------------------------------------------


def test_the_law_is_what_moved_the_tiny_disc(library, drive):
    """Its clips push by 5 pixels for an action of 1, positions are in 64 pixels; the height never changes."""
    law = drive.law
    assert law.gain == pytest.approx([5 / 64, 5 / 64, 0], abs=1e-4)
    assert law.fingers == (0.0, 0.0)
    assert law.command(drive.own[1, ACTION_DIM:], [0, 0, 1], 1).tolist() == [0, 0, 0, 0]
    entry = library.clip(CLIP)
    assert law_of(entry.root, entry.split) is law


def test_the_law_foretells_the_bundled_clips(request):
    root = request.config.rootpath / "assets" / "data" / "robot_push"
    library = Library([request.config.rootpath / "assets" / "runs"], [root])
    clips = [library.read_clip(name, 30).conditions[0].numpy() for name in library.clips]
    law = measure_law(clips)
    assert law.gain == pytest.approx([1, 1, 1], abs=0.005)
    errors = [law.after(clip[t, 4:], clip[t, :4]) - clip[t + 1, 4:] for clip in clips for t in range(29)]
    assert np.median(np.abs(errors)) < 1e-4  # metres
    assert np.sqrt(np.mean(np.square(errors))) < 2e-3  # objects and walls stop the arm now and then


def test_at_the_edge_only_what_is_possible_is_commanded(drive):
    law = drive.law
    corner = law.high.copy()
    assert law.command(corner, [1, 1, 0], 0)[:2] == pytest.approx([0, 0], abs=1e-6)
    inwards = law.command(corner, [-1, -0.5, 0], 0)
    assert inwards[:2] == pytest.approx([-law.strongest[0], -law.strongest[1] / 2], rel=1e-5)
    assert (law.after(corner, inwards) <= law.high).all()


# --- drives -----------------------------------------------------------------------------------------------------------


def test_drives_are_ones_own(drives):
    (first, a), (second, b) = (drives.begin("tiny", CLIP, 0, 1.0) for _ in range(2))
    assert first != second
    a.step([0, 1, 0], 0)
    assert b.steps == 0
    assert drives.find(first) is a
    drives.begin("tiny", OTHER, 0, 1.0, instead_of=first)
    assert len(drives) == 2
    with pytest.raises(BadInput, match="has ended"):
        drives.find(first)
    assert drives.find(second) is b


@pytest.mark.parametrize("name", [None, "", "other", ["a"], 3, {"a": 1}, math.nan])
def test_no_drive_under_another_name(drives, name):
    with pytest.raises(BadInput, match="has ended"):
        drives.find(name)


def test_few_drives_are_kept_and_not_for_ever(library, monkeypatch):
    few = Drives(library, Physics(), most=2)
    names = [few.begin("tiny", CLIP, 0, 1.0)[0] for _ in range(3)]
    assert len(few) == 2
    with pytest.raises(BadInput):
        few.find(names[0])
    brief = Drives(library, Physics(), seconds=-1.0)
    name, _ = brief.begin("tiny", CLIP, 0, 1.0)
    with pytest.raises(BadInput):
        brief.find(name)
    monkeypatch.setattr(driving, "MOST_BYTES", 1)
    full = Drives(library, Physics())
    old, drive = full.begin("tiny", CLIP, 0, 1.0)
    drive.step([0, 0, 0], 0)
    full.begin("tiny", CLIP, 0, 1.0)
    assert len(full) == 1
    with pytest.raises(BadInput):
        full.find(old)


def test_an_action_free_run_says_what_can_be_driven(tiny_run, tiny_data, tmp_path):
    config = runs.read_config(tiny_run)
    free = replace(config, model=replace(config.model, condition="none", condition_mean=(), condition_scale=()))
    runs.write_config(tmp_path / "free", free, {})
    library = Library([tiny_run, tmp_path], [tiny_data])
    with pytest.raises(BadInput, match="free knows no actions, so it cannot be driven: choose tiny"):
        Drives(library, Physics()).begin("free", CLIP, 0, 1.0)
    handlers = Handlers(library, Physics())
    name, _ = handlers.begin("", "tiny", CLIP, 0, 1.0)
    after, value = handlers.begin(name, "free", CLIP, 0, 1.0)
    assert (after, len(handlers.drives)) == ("", 0)
    assert "choose tiny" in value["message"]


# --- handlers ---------------------------------------------------------------------------------------------------------


def test_values_are_plain_and_hold_the_pixels(begun):
    import base64

    handlers, name = begun
    drive = handlers.drives.find(name)
    first = drive_value(drive, 0) | {"seat": seat(drive, name)}
    value = handlers.press({"drive": name, **RIGHT})
    assert json.loads(json.dumps([first, value], allow_nan=False)) == [first, value]
    assert (first["since"], len(first["frames"]), value["since"], len(value["frames"])) == (0, 2, 2, 1)
    assert first["seat"]["size"] == [64, 64]
    pixels = np.frombuffer(base64.b64decode(value["frames"][0]["model"]), np.uint8).reshape(64, 64, 3)
    assert np.array_equal(pixels, drive.moments[2].frame)
    assert value["frames"][0]["physics"] is None
    assert "No true physics" in value["note"]
    undone = handlers.press({"drive": name, "what": "undo"})
    assert (undone["since"], undone["frames"]) == (2, [])
    assert undone["request"] > value["request"]


def test_presses_over_and_over(begun):
    handlers, name = begun
    assert len(handlers.press({"drive": name, "what": "replay"})["frames"]) == 1
    everything = handlers.press({"drive": name, "what": "look"})
    assert (everything["since"], len(everything["frames"])) == (0, 3)
    assert "seat" not in everything  # the component keeps what it was told when the drive began


BAD_PRESSES = [
    *[None, [], "step", 3, {}, {"what": "step"}, {"drive": "other", **RIGHT}, {"drive": ["a"], **RIGHT}],
    *[
        {**RIGHT, "move": move}
        for move in (None, [0, 1], [0, 1, 0, 0], [0, 2, 0], [0, math.nan, 0], "abc", [0, "1", 0])
    ],
    *[{**RIGHT, "fingers": fingers} for fingers in (None, -0.1, 1.5, math.inf, True, "open", [1])],
    *[{"what": what} for what in ("undo", "fly", None, ["step"], {"a": 1})],
]


@pytest.mark.parametrize("asked", BAD_PRESSES)
def test_a_bad_press_is_one_line_and_changes_nothing(begun, asked):
    handlers, name = begun
    if isinstance(asked, dict) and asked and "drive" not in asked and asked != {"what": "step"}:
        asked = {"drive": name, **asked}
    value = handlers.press(asked)
    assert "\n" not in value["refusal"]
    assert 0 < len(value["refusal"]) < 120
    assert handlers.drives.find(name).steps == 0


BAD_BEGINS = [
    *[("run", value) for value in (None, "other", ["tiny"], 0)],
    *[("clip", value) for value in (None, "traj_0_to_255/99", [CLIP])],
    *[("seed", value) for value in (None, 1.7, -1, MAX_SEED + 1, math.nan, "3", True)],
    *[("temperature", value) for value in (None, -0.1, 2.1, math.nan, "hot")],
]


@pytest.mark.parametrize(("field", "value"), BAD_BEGINS)
def test_a_bad_begin_is_one_line(handlers, field, value):
    asked = {"session": "", "run": "tiny", "clip": CLIP, "seed": 0, "temperature": 1.0, field: value}
    if field in ("run", "clip"):  # stands where the picture would be
        message = handlers.begin(**asked)[1]["message"]
    else:
        with pytest.raises(gr.Error) as error:
            handlers.begin(**asked)
        message = str(error.value)
    assert "\n" not in message
    assert len(message) < 120
    assert len(handlers.drives) == 0


def test_too_many_presses_at_once_are_told_to_come_again(begun):
    handlers, name = begun
    while handlers._room.acquire(blocking=False):
        pass
    assert "press again" in handlers.press({"drive": name, **RIGHT})["refusal"]


def test_the_recording_holds_every_frame(begun):
    handlers, name = begun
    for _ in range(3):
        handlers.press({"drive": name, **RIGHT})
    drive = handlers.drives.find(name)
    film = recording(drive)
    assert len(film) == 5
    assert np.array_equal(film[3, 2:-2:3, 2:-2:3], drive.moments[3].frame)
    gif = handlers.save(name)["gif"]
    assert gif["orig_name"] == "drive-tiny-traj_0_to_255-2.gif"
    assert Image.open(gif["path"]).n_frames == 5
    with pytest.raises(gr.Error, match="has ended"):
        handlers.save("other")


# --- the physics beside it --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulated(simulator, tmp_path_factory):
    """A simulated clip on disk."""
    root, clip = tmp_path_factory.mktemp("simulated"), simulate_clip(simulator, 5, "test", 0, n_frames=12)
    folder = root / "test" / "traj_0_to_255" / "1"
    extra = {"simulation.json": {"scene": clip.scene.to_dict()}}
    write_clip(folder, clip.frames, clip.actions, clip.positions, extra)
    return root, clip


@pytest.fixture
def beside(simulated, tiny_run):
    """Drives of the simulated clip, the simulator being there."""
    drives = Drives(Library([tiny_run], [simulated[0]]), Physics())
    drives.physics.warm_up().result()
    return drives


def test_the_physics_repeats_the_clip_with_its_own_actions(beside, simulated):
    _, drive = beside.begin("tiny", "traj_0_to_255/1", 0, 1.0)
    for t in range(2, 12):
        moment = drive.replay()
        assert np.array_equal(moment.true_frame, simulated[1].frames[t])
        assert np.allclose(moment.true_position, simulated[1].positions[t], atol=1e-6)


def test_the_physics_keeps_in_step_with_undo_and_with_other_drives(beside, simulated):
    clip = simulated[1]
    (_, one), (_, two) = (beside.begin("tiny", "traj_0_to_255/1", 0, 1.0) for _ in range(2))
    for _ in range(6):
        one.replay()
        two.step([1, -1, 1], 0)
    for _ in range(4):
        one.undo()
    one.step([0, 1, 0], 1)
    one.undo()
    for t in range(4, 12):
        assert np.array_equal(one.replay().true_frame, clip.frames[t])
    assert not np.array_equal(two.moments[-1].true_frame, clip.frames[7])


def test_the_physics_catches_up(beside, simulated, monkeypatch):
    _, drive = beside.begin("tiny", "traj_0_to_255/1", 0, 1.0)
    monkeypatch.setattr(type(drive.physics), "starting", True)
    for _ in range(3):
        assert drive.replay().true_frame is None
    assert drive_value(drive, 0)["starting"]
    monkeypatch.undo()
    drive.catch_up()
    value = drive_value(drive, 0)
    assert not value["starting"]
    assert all(frame["physics"] for frame in value["frames"])
    assert [frame["psnr"] is None for frame in value["frames"]] == [True, True, False, False, False]
    for t in range(2, 5):
        assert np.array_equal(drive.moments[t].true_frame, simulated[1].frames[t])


def test_the_camera_sees_the_gripper_where_the_picture_shows_it(simulator):
    """Against the engine's own camera."""
    data, model = simulator._data, simulator._model
    index = model.camera("front").id
    own, place = camera(), np.array([1.35, 0.70, 0.45])
    assert own.place == pytest.approx(data.cam_xpos[index], abs=1e-6)
    right, up, back = data.cam_xmat[index].reshape(3, 3).T @ (place - data.cam_xpos[index])
    half = math.tan(math.radians(model.cam_fovy[index]) / 2)
    assert own.pixel(place) == pytest.approx([0.5 - right / back / half / 2, 0.5 + up / back / half / 2], abs=1e-6)


def test_a_missing_simulator_is_one_line(simulated, tiny_run, monkeypatch):
    def missing():
        raise BadInput("the simulator needs mujoco: pip install mujoco")

    monkeypatch.setattr("vidpred.explorer.physics.require_simulator", missing)
    drives = Drives(Library([tiny_run], [simulated[0]]), Physics())
    _, drive = drives.begin("tiny", "traj_0_to_255/1", 0, 1.0)
    drives.physics.warm_up().exception()
    drive.replay()
    value = drive_value(drive, 0)
    assert value["note"] == "No true physics beside it: the simulator needs mujoco: pip install mujoco"
    assert not value["starting"]
    assert value["frames"][2]["physics"] is None


def test_only_simulated_clips_have_a_scene(simulated, tiny_data, tmp_path):
    assert scene_of(simulated[0] / "test" / "traj_0_to_255" / "1") == simulated[1].scene
    assert scene_of(tiny_data / "test" / "traj_0_to_255" / "1") is None
    for text in ("", "{}", "[1]", '{"scene": {"objects": 3}}'):
        (tmp_path / "simulation.json").write_text(text)
        assert scene_of(tmp_path) is None
