"""ZeroGPU: a Space that has no GPU of its own, and is lent one for the length of a call.

The call runs in a process forked from the server's, which may serve later calls too. What goes there and comes back is
pickled; of errors only Gradio's come back; and neither process sees what the other changes in memory: results that are
kept, numbers of requests, runs that were opened since. So only a call of a model goes there, by value, and all else
stays in the server. Drive is never lent a GPU: its state is the model's own and has to live from press to press.

Elsewhere, and where the package `spaces` is not installed, nothing of this happens.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidpred.errors import BadInput

try:
    import spaces  # before torch, and before Gradio, which would import it in the middle of its own import
except ImportError:
    spaces = None

if TYPE_CHECKING:
    from vidpred.data.batches import Batch
    from vidpred.models import Model

SECONDS = 30  # of a GPU that a call may take; the less is asked for, the sooner it is lent


def compute(folder: Path, changed: int, function: Callable, batch: "Batch", args: tuple) -> Any:
    """function(model, batch, *args) in the process that is lent the GPU. changed: when the weights were written."""
    answer = _leased(folder, changed, function, batch.frames.numpy(), batch.conditions.numpy(), batch.ids, args)
    if isinstance(answer, BadInput):
        raise answer
    return answer


def device() -> str:
    """Where this process computes: on the GPU if it has one. To ZeroGPU's server torch only pretends that it has."""
    import torch

    return "cuda" if torch.cuda.is_available() and not ACTIVE else "cpu"


def _computed(
    folder: Path, changed: int, function: Callable, frames: Any, conditions: Any, ids: list, args: tuple
) -> Any:
    import torch

    from vidpred.data.batches import Batch

    try:
        model = _model(folder, changed)
        return function(model, Batch(torch.from_numpy(frames), torch.from_numpy(conditions), ids), *args)
    except BadInput as error:
        return error


@functools.lru_cache(maxsize=4)  # of a forked process, which has no other use for its memory
def _model(folder: Path, changed: int) -> "Model":
    import torch

    from vidpred.checkpoint import load_model

    return load_model(folder, "cuda" if torch.cuda.is_available() else "cpu")


_leased = _computed if spaces is None else spaces.GPU(_computed, duration=SECONDS)
ACTIVE = _leased is not _computed  # on other hardware the package leaves a function as it is
