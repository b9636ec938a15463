"""The schedule designer as a visitor uses it: what makes no schedule is said in its place."""

import math

import gradio as gr
import pytest

from vidpred.explorer.training import schedule, schedule_tab
from vidpred.explorer.training.schedule_tab import ONLY_WITH, DesignHandlers
from vidpred.presets import PRESETS

BAD = [
    *[("epochs", value, "Epochs must be") for value in (0, 1.5, None, math.nan, "8", 10**9, True)],
    *[("kl_anneal", value, "from the list") for value in ("sawtooth", None, ["cyclical"], 3)],
    ("kl_anneal_cycles", 0, "Cycles must be"),
    ("kl_anneal_ratio", 0, "train.kl_anneal_ratio must lie in (0, 1]"),
    ("kl_anneal_ratio", 1.1, "Ramp share must be"),
    ("kl_anneal_cycles", 2000, "the rise of beta would take"),
    ("beta_max", -1, "beta_max must be"),
    ("beta_max", math.inf, "beta_max must be"),
    ("tfr", 2, "Ratio at the start must be"),
    ("tfr_mix", "on", "Mixing is either on or off"),
    ("tfr_coin", "step", "from the list"),
    ("iterations_per_epoch", -1, "Iterations per epoch must be"),
]
SMALL = schedule.values_of(PRESETS["small"])


@pytest.fixture(scope="module")
def handlers(library):
    return DesignHandlers(library)


@pytest.mark.parametrize(("field", "bad", "line"), BAD)
def test_bad_value_is_one_friendly_line_in_place(handlers, field, bad, line):
    kept, said, command = handlers.design("small", **{**SMALL, field: bad})
    assert kept["__type__"] == "update" and "value" not in kept  # the last good curves stay
    assert line in said and "\n" not in said
    assert command == ""


def test_bad_combination(handlers):
    _, said, _ = handlers.design("small", **{**SMALL, "tfr_decay": "every", "tfr_decay_start": 0})
    assert "train.tfr_decay every needs train.tfr_decay_start of at least 1 epoch" in said


@pytest.mark.parametrize("start", [None, "nothing", "run: other", "run: ../tiny", ["small"], "run: "])
def test_bad_start(handlers, start):
    _, said, command = handlers.design(start, **SMALL)
    assert "from the list" in said and command == ""
    with pytest.raises(gr.Error, match="from the list"):
        handlers.fill(start)


def test_missing_values_are_told(handlers):
    assert "Epochs must be" in handlers.design("small")[1]


def test_widgets_follow_the_start(handlers):
    updates = dict(zip(schedule.FIELDS, handlers.fill("report-dance-floor")))
    assert updates["tfr_decay"]["value"] == "every"
    assert updates["kl_anneal_cycle_epochs"]["value"] == 10
    assert updates["kl_anneal_cycles"]["visible"]
    assert not updates["kl_anneal_value"]["visible"]
    updates = zip(ONLY_WITH, handlers.apply("none", "linear"))
    assert [name for name, update in updates if update["visible"]] == ["beta_max", "kl_anneal_value"]


def test_widgets_feed_the_settings_of_their_name(library):
    with gr.Blocks() as demo:
        schedule_tab.build(library, demo)
    for fn in (fn for fn in demo.fns.values() if fn.name == "design"):
        fed = dict(zip(fn.input_parameter_names, fn.inputs, strict=True))
        start = fed.pop("start")
        assert {name: widget.elem_id for name, widget in fed.items()} == {
            name: f"design-{name.replace('_', '-')}" for name in schedule.FIELDS
        }
        assert {value for _, value in start.choices} == {*PRESETS, "run: tiny"}
