"""Buttons that open another tab with some of its widgets set."""

import contextlib
from collections.abc import Mapping
from typing import Any

import gradio as gr

from vidpred.errors import BadInput
from vidpred.explorer.runs.library import Library
from vidpred.explorer.ui.events import chain
from vidpred.explorer.ui.handlers import QUIET
from vidpred.explorer.ui.tab_parts import TabParts


def opening(library: Library, sets: Mapping[str, Any], known: Any) -> dict[str, Any]:
    """Of the values that a door sets, those of known widgets; runs that are not there, and the clips for them, are left
    as the visitor has them."""
    values = {}
    for name, value in sets.items():
        if name == "runs":
            value = [run for run in value if run in library.runs]
        there = {"run": library.runs, "clip": library.clips}
        if name in known and value and value in there.get(name, [value]):
            values[name] = value
    return values if "run" in values else {name: value for name, value in values.items() if name != "clip"}


def wire_door(
    door_btn: gr.Button, library: Library, tab: str, sets: Mapping[str, Any], tabs: gr.Tabs, part: TabParts
) -> None:
    """A door is a link: a tab, some fields of its view, and what else is set there."""
    link = part.link
    known = {**part.widgets, **(link.widgets if link else {})}
    sets = opening(library, sets, known)
    given = {name: value for name, value in sets.items() if link and name in link.first}
    others = {name: value for name, value in sets.items() if name not in given}

    def set_widgets() -> dict[gr.blocks.Block, Any]:
        updates = dict.fromkeys(given, gr.skip())
        if given:
            with contextlib.suppress(BadInput):  # say, there are no clips for its run: the tab opens as it stands
                updates |= link.open(given, library)
        updates |= {name: gr.Tabs(selected=value) if name == "views" else value for name, value in others.items()}
        return {known[name]: update for name, update in updates.items()}

    def open_tab() -> gr.Tabs:
        return gr.Tabs(selected=tab)

    at_once = {"queue": False, **QUIET}
    outputs = [known[name] for name in [*(link.first if given else ()), *others]]
    setting = [{"fn": set_widgets, "outputs": outputs, **at_once}] if sets else []
    opening_tab = {"fn": open_tab, "outputs": tabs, **at_once}  # once its fields are set: it is filled when it is shown
    chain(door_btn.click, *setting, opening_tab, {"fn": None, "js": "() => window.scrollTo(0, 0)"})
