"""The Learn pages: every mark stands for something, every door opens what is there, nothing comes from another host."""

import re

import gradio as gr
import pytest

from vidpred.explorer.learn import tab as learn_tab
from vidpred.explorer.learn.tab import CHARTS, PAGES, PAGES_FOLDER, blocks, bundled, curves, evaluated, opening
from vidpred.explorer.page import TABS
from vidpred.explorer.runs.library import Library


def test_every_page_has_its_text_and_every_text_its_page():
    assert {path.stem for path in PAGES_FOLDER.glob("*.md")} == set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_marks_stand_for_something(page):
    found = blocks(page)
    assert found[0][0] == "text" and found[0][1].startswith("## ")
    for kind, content in found:
        if kind == "picture":
            assert (PAGES_FOLDER / f"{content}.html").exists()
        elif kind == "chart":
            assert content in CHARTS
        elif kind == "table":
            assert content == "evaluated"
        else:
            assert not re.search(r"^\[\w+: ", content, re.MULTILINE)


def test_nothing_is_left_lying_about():
    used = {content for page in PAGES for kind, content in blocks(page) if kind == "picture"}
    assert {path.stem for path in PAGES_FOLDER.glob("*.html")} == used
    assert {path.stem for path in PAGES_FOLDER.glob("*.js")} <= used
    assert {content for page in PAGES for kind, content in blocks(page) if kind == "chart"} == set(CHARTS)


@pytest.mark.parametrize("path", sorted(PAGES_FOLDER.iterdir()), ids=lambda path: path.name)
def test_nothing_comes_from_elsewhere_and_nothing_is_injected(path):
    text = path.read_text()
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    if path.suffix != ".md":
        assert "innerHTML" not in text
        assert "${" not in text and "{{" not in text


@pytest.mark.parametrize("page", PAGES)
def test_formulas_are_closed(page):
    text = (PAGES_FOLDER / f"{page}.md").read_text()
    assert text.count("$$") % 2 == 0
    assert text.replace("$$", "").count("$") % 2 == 0


@pytest.mark.parametrize("name", CHARTS)
def test_charts_are_drawn_from_the_bundled_runs(name):
    value = curves(bundled(), name)
    assert all(panel["lines"] for panel in value["panels"])
    assert len(value["panels"]) == len(CHARTS[name][1])


def test_the_table_is_that_of_eval_json():
    library = bundled()
    table = evaluated(library)
    assert "dance" not in table  # another protocol
    for name, folder in library.runs.items():
        if name.startswith("dance-"):
            continue
        result = learn_tab.runs.read_eval(folder)
        row = next(line for line in table.splitlines() if f"`{name}`" in line)
        assert f"{result['psnr']:.2f} dB" in row and f"{result['kld_per_step']:.2f} nats" in row
    assert "20 samples, temperature 1, protocol finn" in table


def test_without_the_bundled_runs(tiny_run, tiny_data, monkeypatch, tmp_path):
    monkeypatch.setattr(learn_tab, "BUNDLED", tmp_path)
    assert bundled() is None
    library = Library([tiny_run], [tiny_data])
    assert curves(library, "terms") is None
    assert evaluated(library) == ""


def test_doors_set_only_what_is_there(library):
    known = {"views": 1, "runs": 1, "curves": 1}
    assert opening(library, "bound", known) == {"views": "curves", "curves": PAGES["bound"].sets["curves"]}
    assert opening(bundled(), "bound", known)["runs"] == ["push-free-learned-cyclical"]
    assert opening(bundled(), "noise", {}) == {}
    assert opening(bundled(), "noise", {"run": 1}) == {"run": "push-free-learned-cyclical"}
    assert opening(library, "noise", {"run": 1}) == {}


def test_every_door_leads_to_a_tab(demo):
    tabs = {name for name, _, _ in TABS} | {"learn"}
    assert {page.tab for page in PAGES.values()} <= tabs
    doors = [fn for fn in demo.fns.values() if fn.name == "open_tab"]
    assert len(doors) == len(PAGES)
    for fn in doors:
        assert [type(output) for output in fn.outputs] == [gr.Tabs]
        assert fn.fn().selected in tabs
    setting = [fn for fn in demo.fns.values() if fn.name == "set_widgets"]
    assert setting
    for fn in setting:
        assert fn.fn() and fn.fn().keys() <= set(fn.outputs)
