"""What the handlers of all tabs share: their base, how a refusal reaches the visitor, the queue of the model."""

import functools
from collections.abc import Callable

import gradio as gr
from gradio.context import LocalContext

from vidpred.errors import BadInput
from vidpred.explorer.runs.library import Library

MODEL_QUEUE = {"concurrency_id": "model", "concurrency_limit": 1}
# preprocess=False: Gradio's own checks would answer in their words and print tracebacks; ours come first.
PRIVATE = {"api_visibility": "private", "preprocess": False}
QUIET = {"show_progress": "hidden", **PRIVATE}
WAITING_QUEUE = {"concurrency_id": "physics", "concurrency_limit": 8, **PRIVATE}  # not the model's, where all wait
BUSY = {"show_progress": "minimal", **PRIVATE, **MODEL_QUEUE}  # runs the model


def toast_refusals(handler: Callable) -> Callable:
    """BadInput becomes one line in front of the visitor; what is on the page stays."""

    @functools.wraps(handler)
    def checked(*args, **kwargs):
        try:
            return handler(*args, **kwargs)
        except BadInput as error:
            raise gr.Error(str(error), print_exception=False, duration=6) from None

    return checked


def still_wanted() -> bool:
    """Whether whoever caused the event that this thread answers still listens, and has not taken it back."""
    blocks, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    if blocks is None or event_id is None:
        return True
    event = blocks._queue.event_ids_to_events.get(event_id)
    return event is not None and event.alive


class Handlers:
    """What the widgets of a tab call. Names become Run and Clip here, and every field is checked again: the raw API
    enforces nothing."""

    def __init__(self, library: Library):
        self.library = library
