"""What the handlers of all tabs share: their base, how a refusal reaches the visitor, the queue of the model."""

import functools
from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.context import LocalContext

from vidpred.errors import BadInput
from vidpred.explorer.runs.library import Library, names
from vidpred.explorer.runs.run import Run

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

    def weights(self, run: Any, **fields: Any) -> int | None:
        """What a picture depends on beside the fields: an epoch may have ended since."""
        return self.library.run(run).weights

    def fitting_clips(self, run: Run, clip: Any, known: bool = False) -> tuple[list[str], str | None]:
        """Names of the clips for a run (known: as for `clips_for`), and the one that is chosen: this one where it is
        among them, else the first; None where there are none."""
        clips = names(self.library.clips_for(run, known))
        return clips, clip if clip in clips else next(iter(clips), None)

    def clip_menu(self, run: Run, clip: Any, known: bool = False) -> dict:
        """The menu of these clips."""
        clips, chosen = self.fitting_clips(run, clip, known)
        return gr.update(choices=clips, value=chosen)

    def require_clips(self, run: Run, clip: Any, known: bool = False) -> tuple[list[str], str]:
        """As fitting_clips; BadInput where there are none."""
        clips, chosen = self.fitting_clips(run, clip, known)
        if chosen is None:
            raise BadInput(f"None of the clips here is for {run.name}: open others with --data")
        return clips, chosen
