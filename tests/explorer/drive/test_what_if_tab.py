"""What if, as the page calls it: answers for the player, refusals, menus, and a model that nobody blocks."""

import functools
import json
import math
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import gradio as gr
import httpx
import pytest

from vidpred.errors import BadInput
from vidpred.explorer.drive import tab
from vidpred.explorer.drive.simulator import Physics
from vidpred.explorer.drive.what_if import CHANGED, ORIGINAL, POSE_CHANGES, TRUTH
from vidpred.explorer.drive.what_if_tab import NO_CLIP, WhatIfHandlers
from vidpred.explorer.runs.library import Library

CLIP, OTHER = "traj_0_to_255/2", "traj_0_to_255/3"
GOOD = {"run": "tiny", "clip": CLIP, "change": "opposite", "other": OTHER, "shuffle_seed": 0, "seed": 3}
GOOD |= {"temperature": 1.0, "n_future": 5}
DANCE = GOOD | {"run": "dance", "clip": "test/0", "change": "still"}


@pytest.fixture(scope="module")
def handlers(families):
    return WhatIfHandlers(families, Physics())


# --- answers and refusals ---------------------------------------------------------------------------------------------


def test_the_player_takes_both(handlers):
    value = handlers.what_if(**GOOD)
    assert [tile["label"] for tile in value["tiles"]] == [TRUTH, ORIGINAL, CHANGED, "Error, original"]
    assert [tile["on"] for tile in value["tiles"]] == [True, True, True, False]
    assert "“What if” not at all: nobody knows what the changed actions would have done" in value["note"]
    assert not value["tiles"][2]["scores"]
    value = handlers.follow("dance", 0, 1.0, "test/0", 0, 4, "1x", False, NO_CLIP, 0, 3, "1x", False)
    assert [tile["kind"] for tile in value["tiles"]] == ["truth", "prediction", "pose", "error"]
    assert value["protocol"] == "joint: frames 1…4, one sample, against “Camera”"


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


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_question_is_one_line(handlers, bad):
    with pytest.raises(gr.Error) as error:
        handlers.what_if(**GOOD | bad)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 120


BAD_PLANS = [
    [],
    [NO_CLIP, 0, 3, "1x", False],
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


def test_widgets_follow_the_run(handlers):
    clip, change, other, frames = handlers.fit("dance", CLIP, "opposite", 12)
    assert clip["choices"] == ["validate", "test/0", "test/1"]
    assert clip["value"] == "validate"
    assert change["value"] == "still"
    assert not other["visible"]
    assert (frames["maximum"], frames["value"]) == (11, 10)
    clip, change, other, frames = handlers.fit("tiny", CLIP, "other", 12)
    assert (clip["value"], change["value"], other["visible"], frames["value"]) == (CLIP, "other", True, 12)
    assert CLIP not in other["choices"]
    chosen = other["choices"][-1]
    assert handlers.fit("tiny", CLIP, "other", 12, chosen)[2]["value"] == chosen != other["value"]


LINKED = {
    **{"if_run": "tiny", "if_clip": CLIP, "if_change": "other", "if_other": "traj_0_to_255/4", "if_n_future": 3.0},
    **{"if_seed": 2.0, "if_shuffle_seed": 0.0, "if_temperature": 0.5},
}


def test_an_address_sets_the_fields(handlers):
    view = handlers.restore(**LINKED)
    assert view.keys() == LINKED.keys()
    values = {name: update["value"] if isinstance(update, dict) else update for name, update in view.items()}
    assert values == LINKED


@pytest.mark.parametrize(
    ("name", "value"),
    [("if_change", "upwards"), ("if_other", CLIP), ("if_n_future", 99.0), ("if_seed", -1.0), ("if_temperature", "hot")],
)
def test_an_address_that_names_what_is_not_there(handlers, name, value):
    with pytest.raises(BadInput):
        handlers.restore(**{**LINKED, name: value})


@pytest.mark.parametrize("value", [None, ["a"], {"a": 1}, math.nan, "x"])
def test_widgets_are_fitted_whatever_they_hold(handlers, value):
    clip, change, _, frames = handlers.fit("tiny", value, value, value)
    assert (clip["value"], change["value"], frames["value"]) == ("traj_0_to_255/1", "still", 10)


def test_where_there_are_no_clips_for_a_run(dance_run, tiny_data):
    with pytest.raises(gr.Error, match="None of the clips here is for dance"):
        WhatIfHandlers(Library([dance_run], [tiny_data]), Physics()).fit("dance", CLIP, "still", 5)


def test_runs_without_clips_are_not_offered(tiny_run, dance_run, tiny_data, tiny_dance):
    demo = built(Library([tiny_run, dance_run], [tiny_dance]))
    fields = dict(zip(event(demo, "what_if").input_parameter_names, event(demo, "what_if").inputs))
    assert [name for _, name in fields["run"].choices] == [fields["run"].value] == ["dance"]
    assert fields["clip"].value == "validate"
    assert fields["change"].value == "still"
    assert [change for _, change in fields["change"].choices] == list(POSE_CHANGES)
    robots = str(built(Library([tiny_run, dance_run], [tiny_data])).get_config_file())
    assert "There are no clips for it" in robots and "None is open" not in robots
    assert "None is open" in str(built(Library([tiny_run], [tiny_data])).get_config_file())


# --- the page ---------------------------------------------------------------------------------------------------------


def built(library):
    with gr.Blocks() as demo:
        tab.build(library, demo)
    return demo


def event(demo, name):
    """The first event of that name."""
    return next(fn for fn in demo.fns.values() if fn.name == name)


def ordered(fn, fields):
    """The inputs of an event."""
    return [fields[name] for name in fn.input_parameter_names]


def test_a_clip_of_the_other_family_is_let_through(families):
    """The page began with the robot's clips in the menu; when the run has changed, it offers others."""
    demo = built(families)
    fn = event(demo, "what_if")
    with ThreadPoolExecutor(1) as apart:  # a browser that a test has opened in this thread keeps a loop there
        done = apart.submit(anyio.run, functools.partial(demo.process_api, fn, ordered(fn, DANCE))).result()
    assert [tile["label"] for tile in done["data"][0]["tiles"]][:3] == [TRUTH, ORIGINAL, CHANGED]


def answer(url, fn, fields):
    """An event as a visitor's page asks it; its outputs."""
    session = secrets.token_hex(8)
    with httpx.Client(base_url=url, timeout=None) as page:
        sent = {"fn_index": fn._id, "data": ordered(fn, fields), "session_hash": session}
        page.post("gradio_api/queue/join", json=sent).raise_for_status()
        with page.stream("GET", "gradio_api/queue/data", params={"session_hash": session}) as lines:
            for line in lines.iter_lines():
                message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if message.get("msg") == "process_completed":
                    assert message["success"], message
                    return message["output"]["data"]


def test_nobody_waits_for_another_ones_simulator(simulated, tiny_run, tiny_data, monkeypatch):
    """A simulator that never gets ready: who needs it waits, the model answers others meanwhile."""
    starting, end = threading.Event(), threading.Event()

    def make():
        starting.set()
        end.wait()
        raise BadInput("it was never ready")

    monkeypatch.setattr("vidpred.explorer.drive.simulator._make", make)
    monkeypatch.setattr("vidpred.explorer.drive.what_if_tab.STARTUP_SECONDS", 60.0)
    demo = built(Library([tiny_run], [tiny_data, simulated[0]]))
    _, url, _ = demo.queue(api_open=False).launch(prevent_thread_lock=True, quiet=True)
    clip = "a/1"
    try:
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(answer, url, event(demo, "await_physics"), {"run": "tiny", "clip": clip})
            assert starting.wait(60), waiting.result()
            (value,) = answer(url, event(demo, "what_if"), GOOD)
            still_waiting = not waiting.done()
            end.set()
    finally:
        end.set()
        demo.close()
    assert still_waiting
    assert [tile["label"] for tile in value["tiles"]][:3] == [TRUTH, ORIGINAL, CHANGED]


def test_the_simulator_is_awaited_before_the_model_is_called(families):
    demo = built(families)
    before = [demo.fns[fn.trigger_after].name for fn in demo.fns.values() if fn.name == "what_if"]
    assert before == ["await_physics"] * 2  # a button was pressed; a menu has changed


@pytest.mark.parametrize(
    ("run", "clip"), [("tiny", CLIP), ("dance", "test/0"), ("none", CLIP), ("tiny", None), (["tiny"], 3)]
)
def test_a_simulator_that_is_not_needed_is_not_started(families, run, clip, monkeypatch):
    monkeypatch.setattr(Physics, "warm_up", lambda self: pytest.fail("nobody needs it"))
    WhatIfHandlers(families, Physics()).await_physics(run, clip)
