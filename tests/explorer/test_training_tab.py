"""Curves of any set of runs: values, gaps, thinning, smoothing, following; one friendly line for every bad value."""

import json
import math
import shutil
import subprocess
import sys

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from tests.commands import ROOT
from vidpred import runs
from vidpred.errors import BadInput
from vidpred.explorer import training
from vidpred.explorer.chart import MOST_POINTS, Line, Panel, chart_value, thin
from vidpred.explorer.library import Library
from vidpred.explorer.training_tab import Handlers

ALL = list(training.CURVES)
GOOD = {"runs": ["tiny"], "curves": ALL, "axis": "epochs", "smoothing": 0, "log": False}
BAD = [
    *[("runs", value) for value in (None, "tiny", ["other"], [["tiny"]], ["tiny"] * 2000, {"tiny": 1}, [None], 3)],
    *[("curves", value) for value in (None, "KL", ["kld"], [3], ["KL", "../x"])],
    *[("axis", value) for value in (None, "days", ["epochs"], 0)],
    *[("smoothing", value) for value in (None, -0.1, 1, math.nan, "0.5", True)],
    *[("log", value) for value in (None, 1, "yes", [True])],
]


@pytest.fixture
def two_runs(tiny_run, tiny_data, tmp_path):
    """The tiny run, and an older, longer one that lacks keys; a test may change both."""
    shutil.copytree(tiny_run, tmp_path / "tiny")
    old = shutil.copytree(tiny_run, tmp_path / "old")
    rows = [{"epoch": i, "step": 3 * (i + 1), "kld": 1 + i % 7, "loss": 0.5} for i in range(5000)]
    for i in (10, 11, 4000):
        rows[i]["kld"] = math.nan
    runs.write_metrics(old, rows)
    return Library([tmp_path], [tiny_data])


def value(library, names=("tiny",), curves=tuple(ALL), axis="epochs", smoothing=0, log=False, window=None):
    return training.training_value(library, list(names), list(curves), axis, smoothing, log, 1, window)


def panel(shown, title):
    return next(p for p in shown["panels"] if p["title"] == title)


def test_curves_are_those_of_the_run(library, tiny_run):
    rows = runs.read_metrics(tiny_run)
    shown = value(library)
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    assert [p["title"] for p in shown["panels"]] == ALL
    for title, series in (("KL", ["kld"]), ("PSNR", ["val_psnr", "train_psnr"]), ("Learning rate", ["lr"])):
        for line, key in zip(panel(shown, title)["lines"], series):
            assert line["x"] == [row["epoch"] for row in rows]
            assert line["y"] == pytest.approx([row[key] for row in rows], rel=1e-6)
    forcing = panel(shown, "Teacher forcing")
    assert [line["style"] for line in forcing["lines"]] == ["solid", "dots"]
    assert forcing["lines"][1]["y"] == pytest.approx([row["teacher_forced"] for row in rows], rel=1e-6)


def test_mse_is_per_step_in_training_as_in_validation(library, tiny_run):
    rows = runs.read_metrics(tiny_run)
    validation, trained = panel(value(library), "MSE")["lines"]
    assert validation["y"] == pytest.approx([row["val_loss"] for row in rows], rel=1e-6)
    assert trained["y"] == pytest.approx([row["mse"] / 5 for row in rows], rel=1e-6)  # windows of 2 + 4 frames


@pytest.mark.parametrize(("axis", "key", "unit"), [("iterations", "step", 1), ("hours", "seconds", 3600)])
def test_other_x_axes(library, tiny_run, axis, key, unit):
    rows = runs.read_metrics(tiny_run)
    assert panel(value(library, axis=axis), "KL")["lines"][0]["x"] == pytest.approx([row[key] / unit for row in rows])


def test_only_curves_that_can_have_a_logarithm_get_one(library):
    shown = value(library, log=True)
    assert {p["title"] for p in shown["panels"] if p["log"]} == {"KL", "beta", "Loss", "MSE", "Learning rate"}


def test_missing_keys_leave_gaps(two_runs):
    shown = value(two_runs, ["old", "tiny"])
    assert [line["name"] for line in panel(shown, "Active units")["lines"]] == ["tiny"]
    assert [line["name"] for line in panel(shown, "PSNR")["lines"]] == ["tiny", "tiny"]
    assert value(two_runs, ["old"], axis="hours")["panels"][0]["lines"] == []
    near = panel(value(two_runs, ["old"], window=(5, 15)), "KL")["lines"][0]
    assert [near["y"][near["x"].index(i)] for i in (9, 10, 11, 12)] == [3, None, None, 6]


def test_rows_are_plain_json(two_runs, tiny_run):
    rows = Handlers(two_runs).curves(["old", "tiny"])
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    assert rows["tiny"] == runs.read_metrics(tiny_run)
    assert [epoch for epoch, row in enumerate(rows["old"]) if row["kld"] is None] == [10, 11, 4000]
    with pytest.raises(gr.Error, match="choose runs from the list"):
        Handlers(two_runs).curves("old")


def test_nothing_chosen_and_nothing_written(two_runs):
    assert value(two_runs, [])["message"] == value(two_runs, ["tiny"], [])["message"] != ""
    runs.write_metrics(two_runs.run_folder("old"), [])
    assert all(p["lines"] == [] for p in value(two_runs, ["old"])["panels"])


def test_long_curves_are_thinned_and_a_zoom_brings_the_points_back(two_runs):
    line = panel(value(two_runs, ["old"]), "KL")["lines"][0]
    assert value(two_runs, ["old"])["thinned"]
    assert not value(two_runs, ["tiny"])["thinned"]
    assert len(line["x"]) <= MOST_POINTS + 2
    assert {min(y for y in line["y"] if y), max(y for y in line["y"] if y)} == {1, 7}
    assert (line["x"][0], line["x"][-1]) == (0, 4999)
    near = panel(value(two_runs, ["old"], window=[1000, 1100]), "KL")["lines"][0]
    assert [x for x in near["x"] if 1000 <= x <= 1100] == list(range(1000, 1101))
    assert (near["x"][0], near["x"][-1]) == (0, 4999)
    assert near["x"] == sorted(set(near["x"]))


def test_thinning_keeps_a_lone_peak_and_a_gap():
    y = [0.0] * 3000
    y[1234], y[2000:2100] = 9.0, [None] * 100
    x, kept = thin(range(3000), y, most=100)
    assert 1234 in x and kept[x.index(1234)] == 9
    assert None in kept
    assert thin([], []) == ([], [])
    assert thin([3], [None]) == ([3], [None])


def test_smoothing_keeps_a_constant_and_gaps_and_calms_the_rest():
    assert training.smooth([2, 2, None, 2], 0.9) == pytest.approx([2, 2, None, 2])
    noise = np.random.default_rng(0).normal(size=500).tolist()
    assert np.std(training.smooth(noise, 0.9)[50:]) < 0.4 * np.std(noise)
    assert training.smooth(noise, 0) == noise


def test_the_raw_curve_stays_behind_the_smooth_one(library):
    lines = panel(value(library, smoothing=0.8), "PSNR")["lines"]
    assert [line["style"] for line in lines] == ["faint", "solid", "faint", "dashed"]
    assert lines[0]["y"] == panel(value(library), "PSNR")["lines"][0]["y"]
    assert [line["style"] for line in panel(value(library, smoothing=0.8), "beta")["lines"]] == ["solid"]


def test_colours_belong_to_runs(two_runs):
    assert value(two_runs, ["tiny"])["legend"] == [{"name": "tiny", "colour": 1}]
    assert value(two_runs, ["tiny", "old"])["legend"] == [
        {"name": "tiny", "colour": 1},
        {"name": "old", "colour": 0},
    ]


def test_the_first_view_shows_one_family(tiny_run, dance_run, tiny_data):
    assert training.first_runs(Library([tiny_run, dance_run], [tiny_data])) == ["tiny"]


def test_no_more_runs_than_colours(tiny_run, tiny_data, tmp_path):
    for i in range(training.MOST_RUNS + 1):
        shutil.copytree(tiny_run, tmp_path / f"run{i}")
    library = Library([tmp_path], [tiny_data])
    assert len(training.first_runs(library)) == training.MOST_RUNS
    shown = value(library, list(library.runs)[1:])
    assert len({entry["colour"] for entry in shown["legend"]}) == training.MOST_RUNS
    with pytest.raises(BadInput, match="At most 8 runs"):
        value(library, library.runs)


@pytest.mark.parametrize(("field", "bad"), BAD)
def test_bad_value_is_one_friendly_line(library, field, bad):
    with pytest.raises(gr.Error) as error:
        Handlers(library).draw(**{**GOOD, field: bad})
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 120
    assert not error.value.print_exception


@pytest.mark.parametrize("window", [3, [1], [2, 1], [math.nan, 1], ["1", "2"], [1, 2, 3], {"a": 1}, [None, 2]])
def test_bad_window(library, window):
    with pytest.raises(gr.Error, match="part of the x axis"):
        Handlers(library).zoom(**GOOD, event=gr.EventData(None, {"x_lim": window}))


def test_zoom_and_its_end(library):
    handlers = Handlers(library)
    zoomed, *_, window = handlers.zoom(**GOOD, event=gr.EventData(None, {"x_lim": [1, 2]}))
    assert zoomed["x_lim"] == window == [1, 2]
    assert handlers.zoom(**GOOD, event=gr.EventData(None, {"x_lim": None}))[-1] is None
    assert handlers.zoom(**GOOD, event=gr.EventData(None, {}))[-1] is None


def test_following_a_training(two_runs):
    handlers = Handlers(two_runs)
    assert handlers.live(True).active is True
    assert [handlers.live(on).active for on in (False, None, "yes", 1)] == [False] * 4
    _, told, seen, _ = handlers.draw(**GOOD)
    assert not told["visible"]  # all epochs have ended
    same = handlers.refresh(**GOOD, window=None, seen=seen)
    assert [update["__type__"] for update in same] == ["update"] * 3
    folder = two_runs.run_folder("tiny")
    rows = [row | {"seconds": 20.0 * (row["epoch"] + 1)} for row in runs.read_metrics(folder)]  # on any machine
    runs.write_metrics(folder, rows[:2])
    shown, told, later = handlers.refresh(**GOOD, window=[0, 1], seen=seen)
    assert panel(shown, "KL")["lines"][0]["x"] == [0, 1]
    assert shown["x_lim"] == [0, 1]
    assert later != seen
    assert told["visible"] and told["value"].startswith("**tiny**: 2 of 4 epochs, about 1 min to go")
    much_later = 1e10
    assert "stopped" in training.progress(two_runs, ["tiny"], now=much_later)
    assert training.progress(two_runs, ["old"]) == ""  # longer than its settings say: finished
    assert request_rises(handlers)


def request_rises(handlers):
    first, second = (handlers.draw(**GOOD)[0]["request"] for _ in range(2))
    return second > first


def test_broken_metrics_are_told_in_a_line(two_runs):
    (two_runs.run_folder("tiny") / runs.METRICS).write_text("{\n")
    with pytest.raises(gr.Error, match="line 1 is not"):
        Handlers(two_runs).draw(**GOOD)


@pytest.mark.parametrize("kind", training.FIGURES)
def test_the_reports_figures(two_runs, kind):
    path, button = Handlers(two_runs).figure(["tiny", "old"], kind)
    picture = np.asarray(Image.open(path))
    assert picture.shape[1] == 900
    assert picture.std() > 10
    assert button["value"] == path and button["interactive"]
    assert path.endswith(f"{kind.lower().replace(' ', '-')}.png")


def test_a_dashboard_for_every_run(two_runs):
    one, both = (training.figure(two_runs, names, "Dashboard") for names in (["tiny"], ["tiny", "old"]))
    assert both.shape[0] == 2 * one.shape[0]
    runs.write_metrics(two_runs.run_folder("old"), [])
    assert training.figure(two_runs, ["tiny", "old"], "Dashboard").shape == one.shape


@pytest.mark.parametrize(
    ("names", "kind"), [([], "Dashboard"), (["other"], "Dashboard"), (["tiny"], "rm"), (["tiny"], None)]
)
def test_bad_figure(library, names, kind):
    with pytest.raises(gr.Error):
        Handlers(library).figure(names, kind)


def test_value_of_a_chart_without_lines():
    empty = chart_value([Panel("a", "b", [])], "x", 1)
    assert empty["x_full"] == [0, 1]
    short = chart_value([Panel("a", "b", [Line("n", "l", 0, "solid", [2, 3], [1, math.inf])])], "x", 1)
    assert short["panels"][0]["lines"][0]["y"] == [1, None]


def test_wiring(demo):
    charts = [fn for fn in demo.fns.values() if any(block.elem_id == "training-chart" for block in fn.outputs)]
    drawing = [fn for fn in charts if fn.name == "draw"]
    assert len(drawing) == 2  # the tab is looked at; a field has changed
    labels = {"runs": "Runs", "axis": "x axis", "smoothing": "Smoothing", "log": "Logarithmic scale"}
    for fn in drawing:
        fed = dict(zip(fn.input_parameter_names, (block.label for block in fn.inputs), strict=True))
        assert {name: fed[name] for name in labels} == labels
    timers = [block for block in demo.blocks.values() if isinstance(block, gr.Timer)]
    assert timers and not any(timer.active for timer in timers)


def test_the_page_stands_before_torch_and_matplotlib(tiny_run, tiny_data):
    code = (
        "import sys; from pathlib import Path; from vidpred.explorer.library import Library; "
        "from vidpred.explorer.layout import build_demo; "
        f"build_demo(Library([Path({str(tiny_run)!r})], [Path({str(tiny_data)!r})])); "
        "print([m for m in ('torch', 'matplotlib', 'torchvision') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "[]"
