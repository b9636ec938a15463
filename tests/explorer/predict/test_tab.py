"""What the widgets of Predict call: right answers, and one friendly line for every bad value."""

import json
import math
import shutil
from dataclasses import replace

import gradio as gr
import pytest

from tests.explorer.predictions import BAD, ROBOT
from vidpred import runs
from vidpred.checkpoint import save_weights
from vidpred.errors import BadInput
from vidpred.explorer.predict.downloads import KINDS
from vidpred.explorer.predict.tab import PredictHandlers, build
from vidpred.explorer.runs.library import Library
from vidpred.models import build_model

CLIP = ROBOT["clip"]
FIELDS = {**ROBOT, "temperature": 1, "n_past": None, "prior": "learned", "sweep": False}
BAD_NAMES = [
    *[("run", value) for value in (None, "", "other", ["tiny"], "../tiny", 0, {"a": 1})],
    *[("clip", value) for value in (None, "traj_0_to_255/99", [CLIP], f"../../test/{CLIP}", "validate", "test/0")],
]
VIEW = {"tiles": [0, 1], "choice": 0, "gain": 4, "fps": 5}


@pytest.fixture(scope="module")
def handlers(families):
    return PredictHandlers(families)


def drawing(library):
    """The tab alone, its event that draws: (fields, to what it drew last) -> (value, to what it is an answer)."""
    with gr.Blocks() as demo:
        parts = build(library, demo)
    (_,), (event,) = parts.opened

    def draw(answered=None, **fields):
        values = event["fn"](answered=answered, **{**FIELDS, **fields})
        return (values, answered) if values == gr.skip() else values

    return draw


@pytest.fixture(scope="module")
def draw(families):
    return drawing(families)


@pytest.fixture
def copied_run(tiny_run, tmp_path):
    """A run that a test may change."""
    return shutil.copytree(tiny_run, tmp_path / "tiny")


# --- drawing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("field", "value"), [*BAD_NAMES, *BAD])
def test_a_bad_value_is_one_friendly_line(handlers, draw, field, value):
    fields = {**FIELDS, field: value}
    with pytest.raises(gr.Error) as error:
        handlers.predict(**fields)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 120
    assert not error.value.print_exception
    answer, _ = draw(**fields)  # on the page the line stands where the picture is
    assert answer["message"] == str(error.value).strip("'") + "."
    assert set(answer) == {"request", "message"}


def test_the_page_draws_what_the_api_answers(handlers, draw):
    drawn, answered = draw()
    expected = handlers.predict(**FIELDS)
    assert {**drawn, "request": 0} == {**expected, "request": 0}
    assert draw(answered)[0] == gr.skip()
    assert draw(answered, seed=4)[0]["request"] > drawn["request"]


def test_a_refusal_is_no_answer(copied_run, tiny_run, tiny_data):
    (copied_run / runs.WEIGHTS).unlink()
    draw = drawing(Library([copied_run], [tiny_data]))
    for _ in range(2):  # said again, not skipped
        answer, answered = draw()
        assert answer["message"] == "tiny has no weights yet: its first epoch has not ended."
    shutil.copy(tiny_run / runs.WEIGHTS, copied_run / runs.WEIGHTS)
    answer, answered = draw(answered)
    assert answer["tiles"]
    assert draw(answered)[0] == gr.skip()


def test_new_weights_are_drawn(copied_run, tiny_data, tiny_settings, tmp_path):
    draw = drawing(Library([copied_run], [tiny_data]))
    before, answered = draw()
    save_weights(copied_run / runs.WEIGHTS, build_model(tiny_settings.model))
    after, answered = draw(answered)
    assert after["tiles"][1]["scores"] != before["tiles"][1]["scores"]
    assert draw(answered)[0] == gr.skip()


def test_a_run_may_be_given_as_many_frames_as_in_training(tiny_settings, tiny_data, tmp_path):
    """Also where these are more than the slider offers of others."""
    config = replace(tiny_settings, data=replace(tiny_settings.data, n_past=12))
    save_weights(tmp_path / "long" / runs.WEIGHTS, build_model(config.model))
    runs.write_config(tmp_path / "long", config, {})
    library = Library([tmp_path / "long"], [tiny_data])
    handlers = PredictHandlers(library)
    *_, n_past, n_future, samples = handlers.choose_run("long", CLIP, math.nan, 99, 2)
    assert (n_past["value"], n_past["maximum"], n_future["value"], samples) == (12, 12, 4, 2)
    with gr.Blocks() as demo:
        slider = build(library, demo).widgets["n_past"]
    assert (slider.value, slider.maximum) == (12, 12)
    answer, _ = drawing(library)(run="long", n_past=12, n_future=4)
    assert answer["n_past"] == 12
    assert handlers.restore(**{**FIELDS, "run": "long", "n_past": 12})["n_past"]["value"] == 12


# --- downloads --------------------------------------------------------------------------------------------------------


def test_saving_names_the_file_and_refuses_what_it_does_not_know(handlers):
    for kind in KINDS:
        answer = handlers.save(json.dumps(VIEW), kind, **ROBOT)
        assert answer["name"] == f"tiny-traj-0-to-255-2-seed-3.{kind}"
    for change in ({"kind": "exe"}, {"kind": None}, {"seed": -1}, {"view": "{}"}, {"view": None}, {"run": "other"}):
        fields = {"view": json.dumps(VIEW), "kind": "gif", **ROBOT, **change}
        assert set(handlers.save(**fields)) == {"request", "message"}


# --- fields that follow each other ------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", [None, "other", ["tiny"], 3])
def test_bad_run_changes_no_field(handlers, run):
    with pytest.raises(gr.Error, match="choose a run"):
        handlers.choose_run(run, CLIP, 2, 4, 1)


def test_clips_and_sliders_follow_the_run(handlers):
    about, prior, clip, n_past, n_future, samples = handlers.choose_run("tiny", CLIP, 3, 99, 7)
    assert "Learned prior" in about
    assert prior["visible"] and prior["value"] == "learned"
    assert (clip["value"], len(clip["choices"])) == (CLIP, 4)
    assert (n_past["value"], n_past["visible"]) == (3, True)
    assert (n_future["value"], n_future["maximum"], samples) == (13, 13, 7)
    about, prior, clip, n_past, n_future, samples = handlers.choose_run("dance", CLIP, 3, 99, 7)
    assert "Dancer, poses known" in about
    assert not prior["visible"] and prior["value"] == "standard"
    assert (clip["value"], clip["choices"]) == ("validate", ["validate", "test/0", "test/1"])
    assert (n_past["value"], n_past["visible"]) == (1, False)
    assert (n_future["value"], n_future["maximum"], samples) == (11, 11, 1)
    assert handlers.fit("dance", "test/0", 1, 99, 1)[2]["value"] == 8
    assert handlers.limit_future("tiny", CLIP, 5, 14)["value"] == 11
    assert handlers.limit_future("tiny", CLIP, 99, 14) == gr.skip()


def test_a_run_without_clips_is_described_and_the_player_says_so(dance_run, tiny_data):
    handlers = PredictHandlers(Library([dance_run], [tiny_data]))
    about, _, clip, *_ = handlers.choose_run("dance", CLIP, 1, 1, 1)
    assert "Dancer, poses known" in about and (clip["choices"], clip["value"]) == ([], None)
    with pytest.raises(BadInput, match="None of the clips here is for dance: open others with --data"):
        handlers.draw("dance", clip["value"])


def test_side_by_side_the_slider_that_is_ignored_is_off(handlers):
    assert [handlers.lock_temperature(sweep)["interactive"] for sweep in (True, False)] == [False, True]
