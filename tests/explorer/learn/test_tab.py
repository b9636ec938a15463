"""The Learn pages: every mark stands for something, every door opens what is there, nothing comes from another host."""

import re

import gradio as gr
import pytest

from tests.commands import ROOT
from vidpred import runs
from vidpred.explorer.findings.stored import read_findings
from vidpred.explorer.findings.tab import DOORS
from vidpred.explorer.learn import tab
from vidpred.explorer.learn.tab import (
    BOUNCING,
    CHARTS,
    PAGES,
    PAGES_FOLDER,
    TABLES,
    at_walls,
    blocks,
    evaluated,
    page_chart,
)
from vidpred.explorer.page import build_demo
from vidpred.explorer.runs import comparison
from vidpred.explorer.runs.library import Library, names
from vidpred.explorer.ui.doors import opening


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
            assert content in TABLES
        else:
            assert not re.search(r"^\[\w+: ", content, re.MULTILINE)


def test_nothing_is_left_lying_about():
    used = {content for page in PAGES for kind, content in blocks(page) if kind == "picture"}
    assert {path.stem for path in PAGES_FOLDER.glob("*.html")} == used
    assert {path.stem for path in PAGES_FOLDER.glob("*.js")} - {"figure"} <= used
    assert {content for page in PAGES for kind, content in blocks(page) if kind == "chart"} == set(CHARTS)
    assert {content for page in PAGES for kind, content in blocks(page) if kind == "table"} == set(TABLES)


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
    value = page_chart(tab.bundled(), name)
    assert all(panel["lines"] for panel in value["panels"])
    assert len(value["panels"]) == len(CHARTS[name][1])


def test_the_figures_of_what_went_wrong_are_those_of_eval_json(bundled):
    text = " ".join((PAGES_FOLDER / "wrong.md").read_text().split())
    constant, cyclical, calibrated, fixed = (
        bundled.run(f"push-free-{name}").evaluation
        for name in ("learned-none", "learned-cyclical", "learned-calibrated", "fixed-cyclical")
    )
    assert (
        f"from the start, is {constant.sharpness:.2f}, of `push-free-learned-cyclical` {cyclical.sharpness:.2f}" in text
    )
    assert f"of `push-free-learned-calibrated` {calibrated.sharpness:.2f}." in text
    assert f"`push-free-fixed-cyclical` has {fixed.kld_per_step:.0f} nats per step and {fixed.psnr:.1f} dB" in text
    assert f"frames, {cyclical.kld_per_step:.0f} nats and {cyclical.psnr:.1f} dB" in text
    seen, guessed = calibrated.z_from["posterior"], calibrated.z_from["prior"]
    assert f"has {seen:.1f} dB, with $z$ from its prior {guessed:.1f}." in text
    silent = bundled.run("push-free-learned-collapsed").evaluation
    assert f"has {silent.psnr:.1f} dB, of its best sample of {silent.samples} {silent.psnr_best:.1f}, and" in text
    assert f"sharpness of fog, {silent.sharpness:.2f}." in text
    assert all(bundled.run(name).is_collapsed for name in ("push-free-learned-collapsed", "push-learned-cyclical"))


def test_the_figures_of_a_calibrated_beta_are_those_of_eval_json(bundled):
    text = " ".join((PAGES_FOLDER / "annealing.md").read_text().split())
    annealed, calibrated = (bundled.run(f"push-learned-{name}").evaluation for name in ("cyclical", "calibrated"))
    lost = calibrated.z_from["prior"] - calibrated.z_from["zero"]
    keeps = f"keeps {calibrated.kld_per_step:.0f} nats a step, and its frames need them"
    assert f"{keeps}: with $z$ at zero it loses {lost:.1f} dB" in text
    assert f"the other's, {calibrated.psnr:.1f} and {annealed.psnr:.1f} dB" in text


def test_the_table_is_that_of_eval_json(bundled):
    table = evaluated(bundled)
    assert "dance" not in table  # another protocol
    assert "bounce" not in table  # other clips
    for run in (run for run in bundled.all_runs() if not run.takes_poses and not run.evaluation.has_bounces):
        result = runs.read_eval(run.folder)
        row = next(line for line in table.splitlines() if f"`{run.name}`" in line)
        assert f"{result['psnr']:.2f} dB" in row and f"{result['kld_per_step']:.2f} nats" in row
    assert "100 samples, temperature 1, protocol finn" in table


def test_the_table_of_walls_is_that_of_eval_json(bundled):
    table = at_walls(bundled)
    assert len(table.splitlines()) == 2 + len(BOUNCING)
    for name in BOUNCING:
        numbers = runs.read_eval(bundled.run(name).folder)["bounces"]
        row = next(line for line in table.splitlines() if f"`{name}`" in line)
        assert f"{numbers['kld_at']:.1f} : {numbers['kld_between']:.1f} nats" in row


def test_without_the_bundled_runs(library, monkeypatch, tmp_path):
    monkeypatch.setattr(tab, "BUNDLED", tmp_path)
    assert tab.bundled() is None
    assert page_chart(library, "terms") is None
    assert evaluated(library) == at_walls(library) == ""


def test_the_page_on_priors_opens_runs_whose_prior_matters(bundled):
    """Where the actions are known z carries almost nothing, and so its prior is of no consequence."""
    pair = [bundled.run(name) for name in PAGES["priors"].sets["runs"]]
    assert comparison.differences(pair).keys() - comparison.INCIDENTAL == {"model.learned_prior"}
    assert not any(run.takes_actions or run.is_collapsed for run in pair)


def test_doors_set_only_what_is_there(library, bundled):
    known = {"views": 1, "runs": 1, "curves": 1}
    assert opening(library, PAGES["bound"].sets, known) == {"views": "curves", "curves": PAGES["bound"].sets["curves"]}
    assert opening(bundled, PAGES["bound"].sets, known)["runs"] == ["push-free-learned-cyclical"]
    assert opening(bundled, PAGES["noise"].sets, {}) == {}
    assert opening(bundled, PAGES["noise"].sets, {"run": 1}) == {"run": "push-free-learned-cyclical"}
    assert opening(library, PAGES["noise"].sets, {"run": 1}) == {}


@pytest.mark.parametrize("page", PAGES)
def test_every_run_that_a_page_names_is_bundled(bundled, page):
    sets = PAGES[page].sets
    assert {*sets.get("runs", ()), *filter(None, [sets.get("run")])} <= set(names(bundled.all_runs()))
    if "clip" in sets:
        assert bundled.clip(sets["clip"]) in bundled.clips_for(bundled.run(sets["run"]))


def test_every_door_leads_to_a_tab(demo):
    (tabs,) = (block for block in demo.blocks.values() if block.elem_id == "tabs")
    places = {place.id for place in tabs.children}
    doors = [fn for fn in demo.fns.values() if fn.name == "open_tab"]
    findings = DOORS.values() if read_findings() else ()
    assert len(doors) == len(PAGES) + len(findings)
    assert (
        {page.tab for page in PAGES.values()} | {tab for _, tab, _ in findings}
        == {fn.fn().selected for fn in doors}
        <= places
    )
    assert all([type(output) for output in fn.outputs] == [gr.Tabs] for fn in doors)


@pytest.mark.parametrize("data", ["robot_push", "bounce", "dance"])
def test_doors_open_where_no_clip_is_for_their_run(data):
    demo = build_demo(Library([ROOT / "assets" / "runs"], [ROOT / "assets" / "data" / data]))
    setting = [fn for fn in demo.fns.values() if fn.name == "set_widgets"]
    assert setting
    for fn in setting:
        assert fn.fn() and fn.fn().keys() <= set(fn.outputs)
