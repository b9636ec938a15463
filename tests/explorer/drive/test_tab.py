"""The Drive tab: what its component draws, presses, refusals, menus."""

import base64
import json
import math
import shutil

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from tests.explorer.menus import names_of
from vidpred.errors import BadInput
from vidpred.explorer.drive import tab
from vidpred.explorer.drive.session import Drives
from vidpred.explorer.drive.simulator import Physics
from vidpred.explorer.drive.tab import DriveHandlers, _joined_link, drive_value, recording, setup
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.validate import MAX_SEED
from vidpred.explorer.ui.tab_parts import Link

CLIP = "traj_0_to_255/2"
RIGHT = {"what": "step", "move": [0, 1, 0], "fingers": 0}


@pytest.fixture
def handlers(library):
    return DriveHandlers(library, Physics())


@pytest.fixture
def begun(handlers):
    """Handlers and the id of a drive."""
    return handlers, handlers.begin("", "tiny", CLIP, 3, 1.0)[0]


# --- what the component draws -----------------------------------------------------------------------------------------


def test_values_are_plain_and_hold_the_pixels(begun):
    handlers, drive_id = begun
    with handlers.drives.use(drive_id) as drive:
        first = drive_value(drive, 0) | {"setup": setup(drive, drive_id)}
    value = handlers.press({"drive": drive_id, **RIGHT})
    assert json.loads(json.dumps([first, value], allow_nan=False)) == [first, value]
    assert (first["since"], len(first["frames"]), value["since"], len(value["frames"])) == (0, 2, 2, 1)
    assert first["setup"]["size"] == [64, 64]
    pixels = np.frombuffer(base64.b64decode(value["frames"][0]["model"]), np.uint8).reshape(64, 64, 3)
    assert np.array_equal(pixels, drive.frames[2].image)
    assert value["frames"][0]["physics"] is None
    assert "No true physics" in value["note"]
    undone = handlers.press({"drive": drive_id, "what": "undo"})
    assert (undone["since"], undone["frames"]) == (2, [])
    assert undone["request"] > value["request"]


def test_a_refresh_gives_every_frame_again(begun):
    handlers, drive_id = begun
    assert len(handlers.press({"drive": drive_id, "what": "replay"})["frames"]) == 1
    everything = handlers.press({"drive": drive_id, "what": "refresh"})
    assert (everything["since"], len(everything["frames"])) == (0, 3)
    assert "setup" not in everything  # the component has it since the drive began


def test_physics_that_starts_later_is_drawn_beside(simulated, tiny_run, monkeypatch):
    library, physics = Library([tiny_run], [simulated[0]]), Physics()
    physics.warm_up().result()
    _, drive = Drives(library, physics).begin(library.run("tiny"), library.clip("a/1"), 0, 1.0)
    monkeypatch.setattr(Physics, "starting", True)
    for _ in range(3):
        drive.replay()
    assert drive_value(drive, 0)["starting"]
    monkeypatch.undo()
    drive.catch_up()
    value = drive_value(drive, 0)
    assert not value["starting"]
    assert all(frame["physics"] for frame in value["frames"])
    assert [frame["psnr"] is None for frame in value["frames"]] == [True, True, False, False, False]


def test_a_missing_simulator_is_one_line(simulated, tiny_run, monkeypatch):
    def missing():
        raise BadInput("the simulator needs mujoco: pip install mujoco")

    monkeypatch.setattr("vidpred.explorer.drive.simulator.require_simulator", missing)
    library = Library([tiny_run], [simulated[0]])
    drives = Drives(library, Physics())
    _, drive = drives.begin(library.run("tiny"), library.clip("a/1"), 0, 1.0)
    drives.physics.warm_up().exception()
    drive.replay()
    value = drive_value(drive, 0)
    assert value["note"] == "No true physics beside it: the simulator needs mujoco: pip install mujoco"
    assert not value["starting"]
    assert value["frames"][2]["physics"] is None


def test_the_recording_holds_every_frame(begun):
    handlers, drive_id = begun
    for _ in range(3):
        handlers.press({"drive": drive_id, **RIGHT})
    with handlers.drives.use(drive_id) as drive:
        film = recording(drive)
    assert len(film) == 5
    assert np.array_equal(film[3, 2:-2:3, 2:-2:3], drive.frames[3].image)
    gif = handlers.save(drive_id)["gif"]
    assert gif["orig_name"] == "drive-tiny-traj_0_to_255-2.gif"
    assert Image.open(gif["path"]).n_frames == 5
    with pytest.raises(gr.Error, match="has ended"):
        handlers.save("other")


# --- refusals ---------------------------------------------------------------------------------------------------------

BAD_PRESSES = [
    *[None, [], "step", 3, {}, {"what": "step"}, {"drive": "other", **RIGHT}, {"drive": ["a"], **RIGHT}],
    *[
        {**RIGHT, "move": move}
        for move in (None, [0, 1], [0, 1, 0, 0], [0, 2, 0], [0, math.nan, 0], "abc", [0, "1", 0])
    ],
    *[{**RIGHT, "fingers": fingers} for fingers in (None, -0.1, 1.5, math.inf, True, "open", [1])],
    *[{"what": what} for what in ("undo", "fly", None, ["step"], {"a": 1})],
]


@pytest.mark.parametrize("sent", BAD_PRESSES)
def test_a_bad_press_is_one_line_and_changes_nothing(begun, sent):
    handlers, drive_id = begun
    if isinstance(sent, dict) and sent and "drive" not in sent and sent != {"what": "step"}:
        sent = {"drive": drive_id, **sent}
    value = handlers.press(sent)
    assert "\n" not in value["refusal"]
    assert 0 < len(value["refusal"]) < 120
    with handlers.drives.use(drive_id) as drive:
        assert drive.steps == 0


def test_too_many_presses_at_once_are_to_come_again(begun):
    handlers, drive_id = begun
    while handlers._presses.acquire(blocking=False):
        pass
    assert "press again" in handlers.press({"drive": drive_id, **RIGHT})["refusal"]


BAD_PLACES = [
    *[("run", value) for value in (None, "other", ["tiny"], 0, "dance")],
    *[("clip", value) for value in (None, "traj_0_to_255/99", [CLIP], "test/0")],
]
BAD_NUMBERS = [
    *[("seed", value) for value in (None, 1.7, -1, MAX_SEED + 1, math.nan, "3", True)],
    *[("temperature", value) for value in (None, -0.1, 2.1, math.nan, "hot")],
]


@pytest.mark.parametrize(("field", "value"), BAD_PLACES + BAD_NUMBERS)
def test_a_bad_begin_is_one_line(families, field, value):
    """A run or clip that cannot be driven ends the last drive, whose picture would stand for the wrong one."""
    handlers = DriveHandlers(families, Physics())
    good = {"run": "tiny", "clip": CLIP, "seed": 0, "temperature": 1.0}
    session, _ = handlers.begin("", **good)
    with pytest.raises((gr.Error, BadInput)) as error:
        handlers.begin(session, **good | {field: value})
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 120
    assert isinstance(error.value, BadInput) == (len(handlers.drives) == 0) == (field in ("run", "clip"))


@pytest.mark.parametrize(("field", "value"), BAD_PLACES + BAD_NUMBERS)
def test_a_bad_view_is_one_line(families, field, value):
    good = {"run": "tiny", "clip": CLIP, "seed": 3, "temperature": 0.5}
    handlers = DriveHandlers(families, Physics())
    assert handlers.restore(**good) == good
    with pytest.raises(BadInput):
        handlers.restore(**good | {field: value})


# --- the page ---------------------------------------------------------------------------------------------------------


def built(library):
    """The tab alone: the app, and what it gives the page."""
    with gr.Blocks() as demo:
        parts = tab.build(library, demo)
    return demo, parts


def test_a_run_without_weights_is_refused_until_it_has_some(tiny_run, tiny_data, tmp_path):
    """The refusal stands where the picture would be; the same question asks again."""
    weights = shutil.copytree(tiny_run, tmp_path / "tiny") / "model.safetensors"
    written = weights.rename(tmp_path / "written")
    _, parts = built(Library([tmp_path], [tiny_data]))
    ((_, (beginning,)),) = parts.changed
    fields = {"session": "", "run": "tiny", "clip": CLIP, "seed": 0, "temperature": 1.0}
    session, refused, answered = beginning["fn"](None, **fields)
    assert (session, refused["message"]) == ("", "tiny has no weights yet: its first epoch has not ended")
    written.rename(weights)
    session, value, answered = beginning["fn"](answered, **fields)
    assert session
    assert value["setup"]["drive"] == session
    again = beginning["fn"](answered, **fields | {"session": session})
    assert again == gr.skip()


def test_a_run_that_was_begun_later_is_in_every_menu(tiny_run, tiny_data, dance_run, tiny_dance, tmp_path):
    for run in (tiny_run, dance_run):
        shutil.copytree(run, tmp_path / run.name)
    library = Library([tmp_path], [tiny_data, tiny_dance])
    _, parts = built(library)
    assert [names_of(listed()) for listed in parts.menus.values()] == [["tiny"], ["tiny", "dance"], ["dance"]]
    assert [names_of(menu.choices) for menu in parts.menus] == [["tiny"], ["tiny", "dance"], ["dance"]]
    shutil.copytree(tiny_run, tmp_path / "later")
    shutil.copytree(dance_run, tmp_path / "later-dance")
    library.rescan()
    drive, what_if, poses = (set(names_of(listed())) for listed in parts.menus.values())
    assert drive == {"tiny", "later"}
    assert what_if == {"tiny", "dance", "later", "later-dance"}
    assert poses == {"dance", "later-dance"}


@pytest.mark.parametrize("family", ["robot", "dance", "none"])
def test_what_is_not_there_is_said(family, tiny_run, tiny_data, dance_run, tiny_dance, tmp_path):
    """With one family alone, or runs without clips, the other parts say what they need."""
    folders = {"robot": (tiny_run, tiny_data), "dance": (dance_run, tiny_dance), "none": (dance_run, tiny_data)}
    run, data = folders[family]
    library = Library([run], [data])
    demo, parts = built(library)
    texts = [block.value for block in demo.blocks.values() if isinstance(block, gr.Markdown)]
    assert ["No robot clips" in text for text in texts].count(True) == (family != "robot")
    assert ["nothing can be changed" in text for text in texts].count(True) == (family == "none")
    assert ["draws a dancer" in text for text in texts].count(True) == (family != "dance")
    assert (parts.link is None) == (family == "none")  # What if takes poses too


def test_our_own_checks_are_the_only_ones(families):
    """Gradio's would answer with all choices, and with a traceback, for what a menu has come to offer since."""
    demo, _ = built(families)
    assert [fn.name for fn in demo.fns.values() if fn.preprocess] == []
    assert {fn.api_visibility for fn in demo.fns.values()} == {"private"}


def test_a_link_of_one_half_does_not_open_the_other():
    """Which may have no run that it can open with."""

    def refused(**fields):
        raise BadInput("no actions")

    drive, what_if = Link({}, {"run": "a"}, refused), Link({}, {"if_seed": 0}, lambda if_seed: {"if_seed": if_seed + 1})
    joined = _joined_link(drive, what_if)
    assert joined.restore(run="a", if_seed=3) == {"run": "a", "if_seed": 4}
    with pytest.raises(BadInput):
        joined.restore(run="b", if_seed=3)
