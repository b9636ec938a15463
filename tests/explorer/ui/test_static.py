"""Static files draw in colours that are there, and lie in the folder of what needs them."""

import re
from pathlib import Path

import pytest

from vidpred import explorer
from vidpred.explorer.page import CSS, theme
from vidpred.explorer.ui.run_colors import COLOURS
from vidpred.explorer.ui.run_colors import CSS as RUN_COLOURS

FOLDER = Path(explorer.__file__).parent
STATIC = sorted(path for path in FOLDER.rglob("*") if path.suffix in (".css", ".html", ".js"))
DEFINED = r"(--[\w-]+)(?::|\", )"  # in a style, or by a script
WIDGETS = [
    {"run_table"},
    {"heat_map"},
    {"accessible"},
    {"glossary"},
    {"player"},
    {"filmstrip"},
    {"player", "filmstrip"},
    {"chart"},
    {"deep_links"},
    {"run_colors"},
]
WIDGETS += [{"drive"}, {"drawing"}, {"drive", "drawing"}]


def name(path):
    return path.relative_to(FOLDER).as_posix()


def test_every_colour_of_a_run_is_there_by_day_and_by_night():
    light, dark = RUN_COLOURS.split(".dark &")
    for palette in (light, dark):
        assert re.findall(r"--c(\d): #\w+;", palette) == [str(colour) for colour in range(COLOURS)]


def of_one_widget(path):
    """The files that are drawn together with one."""
    if path.parent != FOLDER / "ui" / "static":
        return path.parent.iterdir()
    return [beside for beside in path.parent.iterdir() if {beside.stem, path.stem} in WIDGETS]


@pytest.mark.parametrize("path", [path for path in STATIC if "export" not in path.relative_to(FOLDER).parts], ids=name)
def test_no_variable_is_undefined(path):
    """Where one is, nothing is drawn, and nobody is told."""
    own = "".join(beside.read_text() for beside in of_one_widget(path))
    known = set(re.findall(DEFINED, own + RUN_COLOURS + theme()._get_theme_css()))
    assert set(re.findall(r"var\((--[\w-]+)", path.read_text())) - {"--c"} <= known


def test_nor_in_the_page_s_own_style():
    assert set(re.findall(r"var\((--[\w-]+)", CSS)) <= set(re.findall(DEFINED, theme()._get_theme_css()))


@pytest.mark.parametrize("path", [path for path in STATIC if path.parent.name == "static"], ids=name)
def test_it_lies_beside_the_code_that_names_it(path):
    sources = "".join(source.read_text() for source in path.parent.parent.glob("*.py"))
    assert re.search(rf"\b{path.stem}\b", sources)
