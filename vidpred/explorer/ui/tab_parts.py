"""What a tab gives the page that holds it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import gradio as gr

from vidpred.explorer.runs.library import Library
from vidpred.explorer.ui.events import Event


class Link(NamedTuple):
    """What the address holds of a tab.

    widgets: of the fields, by name. first: what they open with; of_runs: and for a run, or several.
    restore: the fields' values -> updates of their widgets; what does not fit is BadInput. instead: what it would open
    with now in place of `first`, where the run of that has been deleted.
    """

    widgets: dict[str, gr.blocks.Block]
    first: dict[str, Any]
    restore: Callable[..., dict[str, Any]]
    of_runs: Callable[..., dict[str, Any]] = lambda *runs: {}
    instead: Callable[[], dict[str, Any]] = dict

    def open(self, given: Mapping[str, Any], library: Library) -> dict[str, Any]:
        """What restores a view of which only these fields are given."""
        named = [given["run"]] if given.get("run") else given.get("runs", ())
        own = self.of_runs(*map(library.run, named)) if named else {}
        return self.restore(**{**self.first, **own, **given})


class Pages(NamedTuple):
    """Tabs within a tab: the component, and each by its id."""

    tabs: gr.Tabs
    places: dict[str, gr.Tab]


class TabParts(NamedTuple):
    """Of a tab that was laid out.

    widgets: what another tab may set before it opens this one, by name. link: what the address holds of it. opened:
    lists of events, one after the other, that fill the tab when it is opened; changed: (triggers, such a list), for
    changes while it is open. menus: widgets that offer runs, and how they are listed now: more may have been begun.
    pages: the tabs in it, which the address names, too.
    """

    widgets: Mapping[str, gr.blocks.Block] = {}
    link: Link | None = None
    opened: list[list[Event]] = []  # noqa: RUF012 -- never changed
    changed: list[tuple[list[Callable], list[Event]]] = []  # noqa: RUF012
    menus: Mapping[gr.blocks.Block, Callable[[], list[str] | list[tuple[str, str]]]] = {}
    pages: Pages | None = None
