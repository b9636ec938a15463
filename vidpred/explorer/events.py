"""What Gradio's events lack: one after the other, not twice for the same, and only while their tab is looked at.

An event is a dict of what `gr.on` takes: fn, inputs_kwargs, outputs and options.
"""

from collections.abc import Callable, Collection
from typing import Any

import gradio as gr

Event = dict[str, Any]


def chain(listen: Callable, *events: Event) -> None:
    """The first event where `listen` says, say `button.click`, then each of the others if the one before went well."""
    for event in events:
        listen = listen(**{"api_visibility": "private", **event}).success


def once(event: Event, aside: Collection[str] = ()) -> Event:
    """The same event, which does nothing where it is asked what it answered last: a tab is looked at again, or several
    fields that were set together each say that they have changed. aside: inputs that are no part of what is asked."""
    answered_state = gr.State()
    outputs = event["outputs"] if isinstance(event["outputs"], list) else [event["outputs"]]

    def answer(answered: Any, **inputs: Any) -> Any:
        asked = {name: value for name, value in inputs.items() if name not in aside}
        if asked == answered:
            return gr.skip()
        values = event["fn"](**inputs)
        return *(values if len(outputs) > 1 else [values]), asked

    return _instead(event, answer, answered=answered_state) | {"outputs": [*outputs, answered_state]}


def again(event: Event) -> Event:
    """What `once` made, for a button: it answers whatever it answered last, and that is then what it answered last."""
    return event | {"inputs_kwargs": event["inputs_kwargs"] | {"answered": gr.State()}}


def while_shown(event: Event, tab: str, shown_text: gr.Textbox) -> Event:
    """The same event, which does nothing while another tab is looked at. What shown_text says comes from the browser
    together with the inputs, so that an answer never mixes fields from before and after an address was read."""

    def answer(shown: Any, **inputs: Any) -> Any:
        return event["fn"](**inputs) if shown == tab else gr.skip()

    return _instead(event, answer, shown=shown_text)


def _instead(event: Event, answer: Callable, **inputs: Any) -> Event:
    answer.__name__ = event["fn"].__name__  # what it is called in logs and tests
    return event | {"fn": answer, "inputs_kwargs": {**inputs, **event["inputs_kwargs"]}}
