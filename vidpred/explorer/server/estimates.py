"""How far an answer is, told to whoever asked, and how long that lets the others wait.

Gradio's own estimate takes every question of a widget to be as long as they were on average: a long one would be
announced as a short one, and the first one not at all.
"""

from statistics import fmean
from typing import Any

import anyio
import gradio as gr
from gradio.context import LocalContext
from gradio.server_messages import EstimationMessage

from vidpred.explorer.runs.progress import Progress
from vidpred.explorer.ui.handlers import MODEL_QUEUE

MODEL = MODEL_QUEUE["concurrency_id"]


def tell_progress(progress: Progress) -> None:
    """Called in the thread that answers an event, before each frame; it says something every now and then."""
    blocks = LocalContext.blocks.get(None)
    if blocks is None or not progress.due():
        return
    gr.Progress()((progress.done, progress.frames), unit="frames")
    if (seconds := progress.seconds_left) is not None:
        anyio.from_thread.run_sync(_estimate, blocks._queue, seconds)


def _estimate(queue: Any, seconds: float) -> None:
    """Tell those who wait for the model, which is free in so many seconds."""
    waiting = queue.event_queue_per_concurrency_id[MODEL].queue
    known = {fn: times.avg_time for fn, times in queue.process_time_per_fn.items() if fn.concurrency_id == MODEL}
    usual = fmean(known.values()) if known else 0.0
    for rank, event in enumerate(waiting):
        seconds += known.get(event.fn, usual)
        queue.send_message(event, EstimationMessage(rank=rank, rank_eta=seconds, queue_size=len(waiting)))
