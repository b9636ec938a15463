"""A run has one colour in every picture."""

import shutil
from copy import copy

import pytest

from vidpred.explorer.runs.library import Library
from vidpred.explorer.ui.run_colors import COLOURS, own_colour, run_colours


@pytest.fixture(scope="module")
def bundled(tiny_run, tiny_data, tmp_path_factory):
    """As many runs as there are colours."""
    folder = tmp_path_factory.mktemp("runs")
    for i in range(COLOURS):
        shutil.copytree(tiny_run, folder / f"run{i}")
    return Library([folder], [tiny_data])


def colours(library, *names):
    return run_colours(library, [library.run(name) for name in names])


def test_a_run_keeps_its_colour_whatever_else_is_chosen(bundled):
    names = list(bundled.runs)
    every = colours(bundled, *names)
    assert sorted(every.values()) == list(range(COLOURS))
    for name in names:
        assert colours(bundled, name) == {name: every[name]}
    assert colours(bundled, "run6", "run1") == {"run6": every["run6"], "run1": every["run1"]}


def test_own_runs_take_what_is_free_and_nobody_else_s(bundled, tiny_run):
    every = colours(bundled, *bundled.runs)
    own = bundled.with_own({"mine": tiny_run, "also mine": tiny_run}, {})
    assert own_colour(own, own.run("mine")) is None
    for name in bundled.runs:
        chosen = colours(own, "mine", name, "also mine")
        assert list(chosen) == ["mine", name, "also mine"]  # in the order of the choice
        assert chosen[name] == every[name]
        assert len(set(chosen.values())) == 3


def test_a_run_that_has_left_the_library_since_takes_what_is_free(bundled):
    left, other = bundled.run("run0"), bundled.run("run1")
    later = copy(bundled)
    later.runs = {name: folder for name, folder in bundled.runs.items() if name != "run0"}
    chosen = run_colours(later, [left, other])
    assert chosen["run1"] == run_colours(later, [other])["run1"] != chosen["run0"]


def test_a_run_that_is_begun_later_takes_nobody_s_colour(tiny_run, tiny_data, tmp_path):
    for name in ("b", "c"):
        shutil.copytree(tiny_run, tmp_path / name)
    library = Library([tmp_path], [tiny_data])
    before = colours(library, "b", "c")
    shutil.copytree(tiny_run, tmp_path / "a")
    library.rescan()
    assert list(library.runs) == ["a", "b", "c"]
    assert colours(library, "a", "b", "c") == {**before, "a": 2}
