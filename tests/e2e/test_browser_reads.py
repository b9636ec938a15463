"""One question, from click to picture, reads a run's files once, and none of them where nothing has changed."""

import builtins
import io
import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.page import SHOWN, answered, settled
from tests.explorer.serving import served
from vidpred import runs
from vidpred.explorer.page import build_demo
from vidpred.explorer.runs.library import Library

FILES = (runs.CONFIG, runs.EVAL, runs.METRICS)


def press(name):
    return lambda page: page.get_by_role("button", name=name, exact=True).click()


def choose_the_other(page):
    run = page.get_by_label("Run", exact=True).locator("visible=true")
    other = {"one": "two", "two": "one"}[run.input_value().rpartition(" · ")[2]]
    run.click()
    page.get_by_role("option", name=f"· {other}").click()


@pytest.fixture(scope="module")
def library(tiny_run, tiny_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reads")
    for name in ("one", "two"):
        copy = shutil.copytree(tiny_run, folder / name)
        (copy / runs.EVAL).write_text(json.dumps({"psnr": 20.0, "kld_per_step": 1.0}))
    return Library([folder], [tiny_data])


@pytest.fixture(scope="module")
def reads_url(library):
    with served(build_demo(library)) as address:
        yield address


@pytest.fixture
def reads(monkeypatch):
    """Which files of runs were opened, and how often."""
    counted, opened = Counter(), io.open

    def count(file, *args, **kwargs):
        if isinstance(file, (str, os.PathLike)) and Path(file).name in FILES:
            counted[Path(file)] += 1
        return opened(file, *args, **kwargs)

    monkeypatch.setattr(io, "open", count)  # what Path.read_text calls
    monkeypatch.setattr(builtins, "open", count)
    return counted


@pytest.mark.parametrize(
    ("tab", "drawn", "click", "read"),
    [
        ("predict", "player", press("Another seed"), {runs.CONFIG, runs.EVAL}),
        ("predict", "player", choose_the_other, set(FILES)),
        ("compare", "compare-player", press("Compare"), {runs.CONFIG, runs.EVAL}),
        ("latents", "lens-sources", press("Look into z"), {runs.CONFIG, runs.EVAL}),
    ],
)
def test_reads_of_a_click(open_page, library, reads, tab, drawn, click, read):
    shown = SHOWN.replace("#player", f"#{drawn}")
    page = open_page(f"?tab={tab}", app="reads_url", until=shown)
    answered(page, lambda: click(page), shown)  # both runs have been looked at
    settled(page)
    reads.clear()
    answered(page, lambda: click(page), shown)
    settled(page)
    assert reads == {}
    for folder in library.runs.values():
        for name in (*FILES, runs.WEIGHTS):
            shutil.copy(folder / name, folder / "next")
            (folder / "next").replace(folder / name)
    reads.clear()
    answered(page, lambda: click(page), shown)
    settled(page)
    assert {path.name for path in reads} == read
    assert set(reads.values()) == {1}
