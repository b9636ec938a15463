"""What Gradio's events lack: one after the other, not twice for the same, and only while their tab is looked at.

An event is a dict of what `gr.on` takes: fn, inputs_kwargs, outputs and options.
"""

import contextlib
from collections.abc import Callable, Collection
from typing import Any

import gradio as gr

from vidpred.errors import BadInput

Event = dict[str, Any]


def chain(listen: Callable, *events: Event) -> None:
    """The first event where `listen` says, say `button.click`, then each of the others if the one before went well. A
    trigger that comes while its event is under way is heard afterwards."""
    for event in events:
        listen = listen(**{"api_visibility": "private", "trigger_mode": "always_last", **event}).success


def once(
    fn: Callable,
    inputs_kwargs: dict,
    outputs: Any,
    *,
    refused: Callable[[BadInput], Any] | None = None,
    version: Callable[..., Any] = lambda **inputs: None,
    aside: Collection[str] = (),
    **options: Any,
) -> Event:
    """An event that does nothing where its inputs are those of its last answer: a tab is opened again, or several
    fields that were set together each say that they have changed.

    refused: what the outputs are where fn raises BadInput; that is no answer, so the same inputs try again. version:
    what an answer depends on beside its inputs, given them, such as when weights were written. aside: inputs on which
    the answer does not depend.
    """
    answered_state = gr.State()
    outputs = outputs if isinstance(outputs, list) else [outputs]

    def answer(answered: Any, **inputs: Any) -> Any:
        asked = {name: value for name, value in inputs.items() if name not in aside}
        with contextlib.suppress(BadInput):  # fn will say it
            asked["version of the answer"] = version(**inputs)
        if asked == answered:
            return gr.skip()
        try:
            values = fn(**inputs)
        except BadInput as error:
            if refused is None:
                raise
            values, asked = refused(error), None
        return *(values if len(outputs) > 1 else [values]), asked

    queue = {"concurrency_id": f"once {answered_state._id}"}  # one for all its triggers: the next finds the last answer
    event = {"fn": fn, "inputs_kwargs": inputs_kwargs, "outputs": [*outputs, answered_state], **queue, **options}
    return _instead(event, answer, answered=answered_state)


def again(event: Event) -> Event:
    """What `once` made, for a button: it answers in any case, and that is its last answer then."""
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
