"""The address of the page holds the view, and opens it again: `?tab=predict&run=push-free-learned-monotonic&seed=7`.

Only what differs from what the page would open with anyway stands in it. A tab whose view can be linked returns a
`Link` in its TabParts; static/deep_links.js writes the address, in the browser alone.
"""

import contextlib
import functools
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import gradio as gr

from vidpred.errors import BadInput
from vidpred.explorer.runs import validate
from vidpred.explorer.runs.library import Library
from vidpred.explorer.ui.events import chain, while_shown
from vidpred.explorer.ui.handlers import QUIET
from vidpred.explorer.ui.tab_parts import Link, Pages, TabParts

STATIC = Path(__file__).parent / "static"
HEAD = f"<script>{(STATIC / 'deep_links.js').read_text()}</script>"
SHORT = {
    "n_future": "frames",
    "n_past": "context",
    "if_n_future": "if_frames",
}  # what the address calls a field, where not by its name
NOTHING = {"first": {}, "runs": {}, "clips": {}}
SWITCHES = {"1": True, "0": False}


Links = Mapping[str, Link | None]  # by tab, in their order; None: the address holds the tab alone


def open_view(library: Library, links: Links, query: Mapping[str, str]) -> tuple[str | None, dict[str, Any]]:
    """(the tab that an address leads to, updates of its widgets by name). Of what the address does not hold: None.

    Every value is checked as one that a visitor sets; what is not there is BadInput, and names it. Names in the query
    that are none of ours (a theme, a campaign) mean nothing.
    """
    tab = validate.choice(query.get("tab", next(iter(links))), "tab", links)
    link = links[tab]
    first = link.first if link else {}
    given = {field: _read(query[_short(field)], first[field]) for field in first if _short(field) in query}
    if not given:
        return (tab if "tab" in query else None), {}
    return tab, link.open({**_instead_of_deleted(library, link), **given}, library)


def without_deleted(library: Library, link: Link) -> dict[str, Any]:
    """Updates of a tab's widgets where runs that it opens with are no longer there; none where all are."""
    with contextlib.suppress(BadInput):  # say, one is left where two are compared: the tab says so itself
        if given := _instead_of_deleted(library, link):
            return link.open(given, library)
    return {}


def _instead_of_deleted(library: Library, link: Link | None) -> dict[str, Any]:
    """The fields of runs, where one of those that a tab opens with is no longer there."""
    if link is None:
        return {}
    there = [run for run in link.first.get("runs", ()) if run in library.runs]
    return link.instead() | ({"runs": there} if there != link.first.get("runs", []) else {})


def open_page(pages: Pages | None, query: Mapping[str, str]) -> dict[gr.blocks.Block, Any]:
    """Update of the tabs within a tab, where an address names one of them."""
    if pages is None or "part" not in query:
        return {}
    return {pages.tabs: gr.Tabs(selected=validate.choice(query["part"], "part", pages.places))}


def first_views(library: Library, links: Links) -> dict[str, dict[str, dict[str, Any]]]:
    """For the browser: tab -> what an address leaves out, by the names that it has there. first: what the tab opens
    with; runs: what is otherwise for a run; clips: how long they are, where a prediction may end with them."""
    return {tab: _first_views(library, link) if link else NOTHING for tab, link in links.items()}


def _first_views(library: Library, link: Link) -> dict[str, dict[str, Any]]:
    runs = {}
    for run in library.all_runs():
        own = link.of_runs(run).items()
        if differs := {_short(name): value for name, value in own if name != "run" and value != link.first[name]}:
            runs[run.name] = differs
    clips = {name: clip.frames for name, clip in library.clips.items()} if "n_future" in link.first else {}
    return {"first": {_short(name): value for name, value in link.first.items()}, "runs": runs, "clips": clips}


def _short(field: str) -> str:
    return SHORT.get(field, field)


def _read(text: str, like: Any) -> Any:
    """A value as its field would give it; what makes no sense stays text, to be refused like any other input."""
    if isinstance(like, list):
        return [unquote(name) for name in text.split(",")] if text else []
    if isinstance(like, bool):
        return SWITCHES.get(text, text)
    if isinstance(like, (int, float)):
        try:
            return float(text)
        except ValueError:
            return text
    return text


# --- in the page ------------------------------------------------------------------------------------------------------


def copy_button() -> gr.HTML:
    """The button that copies the address; where that is not allowed, the address to be copied by hand."""
    return gr.HTML(
        html_template=(STATIC / "deep_links.html").read_text(),
        css_template=(STATIC / "deep_links.css").read_text(),
        js_on_load="links.copies(element);",
        apply_default_css=False,
        value=None,
        elem_classes=["drawn", "copy-block"],
    )


def wire(
    library: Library, demo: gr.Blocks, tabs: gr.Tabs, places: dict[str, gr.Tab], parts: Mapping[str, TabParts]
) -> None:
    """Read the address when the page opens, fill each tab when it is looked at, and keep the address up to date.

    Runs that have been begun since are taken in first: the address may name one. Nothing is filled before it has been
    read: what it holds would be drawn second. In a hidden tab values arrive one by one: its events wait until it is
    opened.
    """
    links = {tab: parts[tab].link for tab in places}
    menus = {widget: listed for part in parts.values() for widget, listed in part.menus.items()}
    shown_text = gr.Textbox("", visible=False)  # the tab that is looked at; nothing until the address has been read
    led_text = gr.Textbox("", visible=False)  # the tab that the address led to
    views_json = gr.JSON(first_views(library, links), visible=False)

    def open_address(request: gr.Request) -> dict[gr.blocks.Block, Any]:
        library.rescan()
        updates = {widget: gr.update(choices=listed()) for widget, listed in menus.items()}
        updates[views_json] = first_views(library, links)

        def place(link: Link, view: dict[str, Any]) -> None:
            for name, update in view.items():
                widget = link.widgets[name]
                updates[widget] = {**updates[widget], "value": update} if widget in menus else update

        for link in filter(None, links.values()):
            place(link, without_deleted(library, link))
        try:
            query = dict(request.query_params)
            tab, view = open_view(library, links, query)
            page = open_page(parts[tab].pages, query) if tab else {}
        except BadInput as error:
            # what a toast says is HTML, an address anyone's; of its title Gradio shows nothing
            gr.Warning(f"<strong>This link cannot be opened.</strong> {escape(str(error))}.")
            return {**updates, led_text: ""}
        if tab is None:
            return {**updates, led_text: ""}
        if view:
            place(links[tab], view)
        return {**updates, **page, tabs: gr.Tabs(selected=tab), led_text: tab}

    widgets = dict.fromkeys([*menus, *(widget for link in links.values() if link for widget in link.widgets.values())])
    # progress would be noted on every widget, again and again while the first view is drawn: on one that nobody sees
    opening = {"concurrency_limit": None, "show_progress_on": led_text, **QUIET}
    within = [part.pages.tabs for part in parts.values() if part.pages]
    opened = demo.load(open_address, None, [*widgets, tabs, *within, views_json, led_text], **opening)
    opened.then(None, led_text, js="tab => links.opened(tab)", **QUIET)
    for tab, place in places.items():
        part, link = parts[tab], links[tab]
        held = [link.widgets[field] for field in link.first] if link else []  # in the order of first_views
        keeping = {
            "fn": None,
            "inputs": [shown_text, views_json, *held],
            "js": f"(shown, views, ...values) => links.keep('{tab}', shown, views, values)",
        }
        looked = place.select(None, None, shown_text, js=f"() => links.look('{tab}')", **QUIET)
        chain(looked.then, keeping)
        within = part.pages.places if part.pages else {}
        for name, inner_tab in within.items():
            js = f"() => links.page('{tab}', '{name}', '{next(iter(within))}')"
            inner_tab.select(None, None, None, js=js, **QUIET)
        if held:
            chain(functools.partial(gr.on, [widget.change for widget in held]), keeping)
        for events in part.opened:
            chain(looked.then, *(while_shown(event, tab, shown_text) for event in events))
        for triggers, events in part.changed:
            chain(functools.partial(gr.on, triggers), *(while_shown(event, tab, shown_text) for event in events))
