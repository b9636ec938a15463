"""The tab of training curves: following, zooming, figures; one friendly line for every bad value."""

import math
import shutil

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from vidpred import runs
from vidpred.explorer.predict.tab import PredictHandlers
from vidpred.explorer.runs.curves import FIGURES
from vidpred.explorer.runs.library import Library, names
from vidpred.explorer.training import tab
from vidpred.explorer.training.tab import CurveHandlers
from vidpred.explorer.ui.run_colors import COLOURS
from vidpred.explorer.ui.training_chart import CURVES, FIRST, first_runs

GOOD = {"runs": ["tiny"], "curves": list(CURVES), "axis": "epochs", "smoothing": 0, "log": False, "seeds": False}
BAD = [
    *[("runs", value) for value in (None, "tiny", ["other"], [["tiny"]], ["tiny"] * 2000, {"tiny": 1}, [None], 3)],
    *[("curves", value) for value in (None, "KL", ["kld"], [3], ["KL", "../x"])],
    *[("axis", value) for value in (None, "days", ["epochs"], 0)],
    *[("smoothing", value) for value in (None, -0.1, 1, math.nan, "0.5", True)],
    *[(switch, value) for switch in ("log", "seeds") for value in (None, 1, "yes", [True])],
]


def kl(drawn):
    """The first curve of the first panel."""
    return drawn["panels"][0]["lines"][0]


def test_the_first_view_is_of_runs_that_see_the_same_and_leaves_colours(
    families, bundled, tiny_run, tiny_data, tmp_path
):
    assert names(first_runs(families)) == ["tiny"]
    assert all("free" in name and "collapsed" not in name for name in names(first_runs(bundled)))  # beta to 1
    for i in range(COLOURS + 1):
        shutil.copytree(tiny_run, tmp_path / f"run{i}")
    assert len(first_runs(Library([tmp_path], [tiny_data]))) == FIRST < COLOURS


def test_the_table_ticks_what_is_drawn_and_draws_what_is_ticked(two_runs):
    handlers = CurveHandlers(two_runs)
    table = handlers.table(["tiny", 3])
    assert ([row["name"] for row in table["rows"]], table["chosen"]) == (["tiny", "old"], ["tiny"])  # ticked ones first
    assert [row["name"] for row in handlers.table(["tiny", "old"])["rows"]] == ["old", "tiny"]
    assert handlers.tick(gr.EventData(None, {"runs": ["tiny", "old"]})) == ["tiny", "old"]
    for wrong in (["unheard of"], "tiny", None):
        with pytest.raises(gr.Error):
            handlers.tick(gr.EventData(None, {"runs": wrong}))


def test_the_api_gives_the_lines_of_the_run(library, tiny_run):
    handlers = CurveHandlers(library)
    assert handlers.curves(["tiny"]) == {"tiny": runs.read_metrics(tiny_run)}
    with pytest.raises(gr.Error, match="choose runs from the list"):
        handlers.curves("tiny")


@pytest.mark.parametrize(("field", "bad"), BAD)
def test_bad_value_is_one_friendly_line(library, field, bad):
    with pytest.raises(gr.Error) as error:
        CurveHandlers(library).draw(**{**GOOD, field: bad})
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 120
    assert not error.value.print_exception


@pytest.mark.parametrize("window", [3, [1], [2, 1], [math.nan, 1], ["1", "2"], [1, 2, 3], {"a": 1}, [None, 2]])
def test_bad_window(library, window):
    with pytest.raises(gr.Error, match="part of the x axis"):
        CurveHandlers(library).zoom(**GOOD, event=gr.EventData(None, {"x_lim": window}))


def test_zoom_and_its_end(library):
    handlers = CurveHandlers(library)
    zoomed, *_, window = handlers.zoom(**GOOD, event=gr.EventData(None, {"x_lim": [1, 2]}))
    assert zoomed["x_lim"] == window == [1, 2]
    assert handlers.zoom(**GOOD, event=gr.EventData(None, {"x_lim": None}))[-1] is None
    assert handlers.zoom(**GOOD, event=gr.EventData(None, {}))[-1] is None


def test_following_a_training(two_runs):
    handlers, folder = CurveHandlers(two_runs), two_runs.run("tiny").folder
    timer, chosen, said, table = handlers.live(True, ["old"])
    assert timer.active is True
    assert "value" not in chosen and said["value"].startswith("No run is training now")  # all are finished
    assert table["chosen"] == ["old"]
    assert [handlers.live(on, ["old"])[0].active for on in (False, None, "yes", 1)] == [False] * 4
    assert handlers.live(False, ["old"])[2]["visible"] is False  # nothing is promised any more
    first, told, seen, _ = handlers.draw(**GOOD)
    assert not told["visible"]  # all epochs have ended
    assert handlers.refresh(**GOOD, window=None, seen=seen) == (gr.skip(),) * 4
    rows = [row | {"seconds": 20.0 * (row["epoch"] + 1)} for row in runs.read_metrics(folder)]  # on any machine
    runs.write_metrics(folder, rows[:2])
    _, chosen, said, _ = handlers.live(True, ["old"])
    assert (chosen["value"], said["value"]) == (["tiny"], "**tiny**: 2 of 4 epochs, about 1 min to go")
    drawn, told, later, table = handlers.refresh(**GOOD, window=[0, 1], seen=seen)
    steps = f"{rows[1]['step']:,}"
    assert [row["cells"][-1][0] for row in table["rows"] if row["name"] == "tiny"] == [steps]
    assert (kl(drawn)["x"], drawn["x_lim"]) == ([0, 1], [0, 1])
    assert drawn["request"] > first["request"]
    assert later != seen
    assert told["visible"] and told["value"] == "**tiny**: 2 of 4 epochs, about 1 min to go"


def test_a_run_that_was_begun_since_is_ticked_in_the_table_when_it_is_followed(two_runs):
    handlers, folder = CurveHandlers(two_runs), two_runs.run("tiny").folder
    shutil.copytree(folder, folder.with_name("later"))
    runs.write_metrics(folder.with_name("later"), runs.read_metrics(folder)[:2])
    _, chosen, _, table = handlers.live(True, ["old"])
    assert chosen["value"] == table["chosen"] == ["later"]
    assert "later" in [row["name"] for row in table["rows"]]
    with gr.Blocks() as demo:
        tab.build(two_runs, demo)
    (following,) = (fn for fn in demo.fns.values() if fn.name == "live")
    assert "training-table" in [widget.elem_id for widget in following.outputs]


def test_a_run_that_is_deleted_while_it_is_followed_leaves_the_others(two_runs):
    handlers, both = CurveHandlers(two_runs), {**GOOD, "runs": ["tiny", "old"]}
    *_, seen, _ = handlers.draw(**both)
    shutil.rmtree(two_runs.run("tiny").folder)
    drawn, _, seen, _ = handlers.refresh(**both, window=None, seen=seen)
    assert [entry["name"] for entry in drawn["legend"]] == ["old"]
    two_runs.rescan()
    assert handlers.refresh(**both, window=None, seen=seen) == (gr.skip(),) * 4


def test_an_epoch_that_ends_while_the_curves_are_drawn_is_drawn_next_time(two_runs, monkeypatch):
    handlers, folder = CurveHandlers(two_runs), two_runs.run("tiny").folder
    rows, draw = runs.read_metrics(folder), tab.training_chart
    runs.write_metrics(folder, rows[:2])

    def draw_slowly(*args):
        drawn = draw(*args)
        runs.write_metrics(folder, rows[:3])
        return drawn

    monkeypatch.setattr(tab, "training_chart", draw_slowly)
    drawn, _, seen, _ = handlers.draw(**GOOD)
    assert kl(drawn)["x"] == [0, 1]
    assert kl(handlers.refresh(**GOOD, window=None, seen=seen)[0])["x"] == [0, 1, 2]


def test_a_line_that_was_cut_off_leaves_all_else(two_runs):
    """Nor does the page show where the server keeps its files."""
    folder = two_runs.run("tiny").folder
    whole = (folder / runs.METRICS).read_text()
    (folder / runs.METRICS).write_text(whole[:-30])
    handlers, both = CurveHandlers(two_runs), {**GOOD, "runs": ["tiny", "old"]}
    drawn, told, *_ = handlers.draw(**both)
    first, second = drawn["panels"][0]["lines"]
    assert (first["name"], first["x"], second["name"]) == ("tiny", [0, 1, 2], "old")
    assert "3 of 4 epochs" in told["value"]
    said = [drawn, told, handlers.curves(["tiny"]), PredictHandlers(two_runs).describe("tiny")]
    assert str(folder.parent) not in repr(said)
    handlers.figure(both["runs"], "Dashboard")


@pytest.mark.parametrize("kind", FIGURES)
def test_a_figure_is_a_file_named_by_its_kind(two_runs, kind):
    path, button = CurveHandlers(two_runs).figure(["tiny", "old"], kind)
    assert np.asarray(Image.open(path)).shape[1] == 900
    assert button["value"] == path and button["interactive"]
    assert path.endswith(f"{kind.lower().replace(' ', '-')}.png")


@pytest.mark.parametrize(
    ("names", "kind"), [([], "Dashboard"), (["other"], "Dashboard"), (["tiny"], "rm"), (["tiny"], None)]
)
def test_bad_figure(library, names, kind):
    with pytest.raises(gr.Error):
        CurveHandlers(library).figure(names, kind)
