"""What Gradio's events lack: one after the other, not twice for the same, and only while their tab is looked at.

An event is a dict of what `gr.on` takes: fn, inputs_kwargs, outputs and options.
"""

from collections.abc import Callable, Collection
from typing import Any

import gradio as gr

Event = dict[str, Any]


def chain(listen: Callable, *events: Event) -> None:
    """The first event where `listen` says, say `button.click`, then each of the others if the one before went well. A
    trigger that comes while its event is under way is heard afterwards."""
    for event in events:
        listen = listen(**{"api_visibility": "private", "trigger_mode": "always_last", **event}).success


def once(fn: Callable, inputs_kwargs: dict, outputs: Any, aside: Collection[str] = (), **options: Any) -> Event:
    """An event that does nothing where it is asked what it answered last: a tab is looked at again, or several fields
    that were set together each say that they have changed. aside: inputs that are no part of what is asked."""
    answered_state = gr.State()
    outputs = outputs if isinstance(outputs, list) else [outputs]

    def answer(answered: Any, **inputs: Any) -> Any:
        asked = {name: value for name, value in inputs.items() if name not in aside}
        if asked == answered:
            return gr.skip()
        values = fn(**inputs)
        return *(values if len(outputs) > 1 else [values]), asked

    event = {"fn": fn, "inputs_kwargs": inputs_kwargs, "outputs": [*outputs, answered_state], **options}
    return _instead(event, answer, answered=answered_state)


def again(event: Event) -> Event:
    """What `once` made, for a button: it answers in any case, and that counts as its last answer."""
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
