"""The address of the page holds the view, and opens it again: `?tab=predict&run=push-free-learned-monotonic&seed=7`.

Only what differs from what the page would open with anyway stands in it. A tab whose view can be linked returns a
`Link` as `link` from its build; static/links.js writes the address, in the browser alone.
"""

import functools
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import gradio as gr

from vidpred.errors import BadInput
from vidpred.explorer import fields
from vidpred.explorer.events import chain, while_shown
from vidpred.explorer.library import Library

STATIC = Path(__file__).parent / "static"
HEAD = f"<script>{(STATIC / 'links.js').read_text()}</script>"
SHORT = {"n_future": "frames", "n_past": "context"}  # what the address calls a field, where not by its name
NOTHING = {"first": {}, "runs": {}, "clips": {}}
SWITCHES = {"1": True, "0": False}
PRIVATE = {"api_visibility": "private", "show_progress": "hidden"}


class Link(NamedTuple):
    """What the address holds of a tab.

    widgets: of the fields, by name. first: what they open with; of_run: and for a run (of several: the first one).
    restore: the fields' values -> updates of their widgets; what does not fit is BadInput.
    """

    widgets: dict[str, gr.blocks.Block]
    first: dict[str, Any]
    restore: Callable[..., dict[str, Any]]
    of_run: Callable[[str], dict[str, Any]] = lambda run: {}

    def open(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What restores a view of which only these fields are given."""
        run = given.get("run") or next(iter(given.get("runs", ())), None)
        return self.restore(**{**self.first, **(self.of_run(run) if run else {}), **given})


Links = Mapping[str, Link | None]  # by tab, in their order; None: the address holds the tab alone


def open_view(links: Links, query: Mapping[str, str]) -> tuple[str | None, dict[str, Any]]:
    """(the tab that an address leads to, updates of its widgets by name). Of what the address does not hold: None.

    Every value is checked as one that a visitor sets; what is not there is BadInput, and names it. Names in the query
    that are none of ours (a theme, a campaign) mean nothing.
    """
    tab = fields.choice(query.get("tab", next(iter(links))), "tab", links)
    link = links[tab]
    first = link.first if link else {}
    given = {field: _read(query[_short(field)], first[field]) for field in first if _short(field) in query}
    if not given:
        return (tab if "tab" in query else None), {}
    return tab, link.open(given)


def first_views(library: Library, links: Links) -> dict[str, dict[str, dict[str, Any]]]:
    """For the browser: tab -> what an address leaves out, by the names that it has there. first: what the tab opens
    with; runs: what is otherwise for a run; clips: how long they are, where a prediction may end with them."""
    return {tab: _first_views(library, link) if link else NOTHING for tab, link in links.items()}


def _first_views(library: Library, link: Link) -> dict[str, dict[str, Any]]:
    runs = {}
    for run in library.runs:
        own = link.of_run(run).items()
        if differs := {_short(name): value for name, value in own if name != "run" and value != link.first[name]}:
            runs[run] = differs
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
        html_template=(STATIC / "links.html").read_text(),
        css_template=(STATIC / "links.css").read_text(),
        js_on_load="links.copies(element);",
        apply_default_css=False,
        value=None,
        elem_classes=["drawn", "copy-block"],
    )


def wire(
    library: Library, demo: gr.Blocks, tabs: gr.Tabs, places: dict[str, gr.Tab], parts: dict[str, dict[str, Any]]
) -> None:
    """Read the address when the page opens, fill each tab when it is looked at, and keep the address up to date.

    parts: tab -> what its build returned (see `layout.TABS`). Nothing is filled before the address has been read: what
    it holds would be drawn second. In a hidden tab values arrive one by one: its events wait until it is looked at.
    """
    links = {tab: parts.get(tab, {}).get("link") for tab in places}
    shown_text = gr.Textbox("", visible=False)  # the tab that is looked at; nothing until the address has been read
    led_text = gr.Textbox("", visible=False)  # the tab that the address led to
    views_json = gr.JSON(first_views(library, links), visible=False)

    def open_address(request: gr.Request) -> dict[gr.blocks.Block, Any]:
        try:
            tab, updates = open_view(links, dict(request.query_params))
        except BadInput as error:
            # a toast is HTML, an address anyone's
            gr.Warning(f"{escape(str(error))}.", title="This link cannot be opened")
            return {led_text: ""}
        if tab is None:
            return {led_text: ""}
        values = {links[tab].widgets[name]: update for name, update in updates.items()}
        return {**values, tabs: gr.Tabs(selected=tab), led_text: tab}

    widgets = [widget for link in links.values() if link for widget in link.widgets.values()]
    # progress would be noted on every widget, again and again while the first view is drawn: on one that nobody sees
    opening = {"concurrency_limit": None, "show_progress_on": led_text, **PRIVATE}
    opened = demo.load(open_address, None, [*widgets, tabs, led_text], **opening)
    opened.then(None, led_text, js="tab => links.opened(tab)", **PRIVATE)
    for tab, place in places.items():
        part, link = parts.get(tab, {}), links[tab]
        held = [link.widgets[field] for field in link.first] if link else []  # in the order of first_views
        keeping = {
            "fn": None,
            "inputs": [shown_text, views_json, *held],
            "js": f"(shown, views, ...values) => links.keep('{tab}', shown, views, values)",
        }
        looked = place.select(None, None, shown_text, js=f"() => links.look('{tab}')", **PRIVATE)
        chain(looked.then, keeping)
        if held:
            chain(functools.partial(gr.on, [widget.change for widget in held]), keeping)
        for events in part.get("opened", ()):
            chain(looked.then, *(while_shown(event, tab, shown_text) for event in events))
        for triggers, events in part.get("changed", ()):
            chain(functools.partial(gr.on, triggers), *(while_shown(event, tab, shown_text) for event in events))
