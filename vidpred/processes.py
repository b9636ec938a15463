"""The processes that work together under torchrun; alone, a group of one."""

import contextlib
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed

Part = TypeVar("Part")
PATIENCE = timedelta(hours=3)
"""How long the others wait for one that packs clips: a million pictures take a quarter of an hour, or far longer where
they lie behind a network. NCCL's own is ten minutes."""


def join(cpu: bool = False) -> torch.device:
    """Join the group that torchrun has started (gloo on CPUs, NCCL on GPUs), if any; the device of this process."""
    from accelerate import PartialState  # takes a second to import

    return PartialState(cpu=cpu or not torch.cuda.is_available(), timeout=PATIENCE).device


def first_alone() -> contextlib.AbstractContextManager[None]:
    """Process 0 of each machine goes through the block before the others: what it makes, they find. After `join`."""
    from accelerate import PartialState

    return PartialState().local_main_process_first()


def count() -> int:
    """Processes that work together."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    """Number of this process, from 0; 0 alone writes and prints."""
    return distributed.get_rank() if count() > 1 else 0


def own(items: list[Part]) -> list[Part]:
    """Those of the items that fall to this process."""
    return items[rank() :: count()]


def gathered(results: list[Part]) -> list[Part]:
    """The results of all processes for what `own` dealt out, in the items' order."""
    if count() == 1:
        return results
    hands = [None] * count()
    distributed.all_gather_object(hands, results)
    return [hands[i % count()][i // count()] for i in range(sum(len(hand) for hand in hands))]


def averaged(values: dict[str, float], device: torch.device) -> dict[str, float]:
    """The mean of each number over the processes."""
    if count() == 1:
        return values
    numbers = torch.tensor(list(values.values()), dtype=torch.float64, device=device)
    distributed.all_reduce(numbers)
    return dict(zip(values, (numbers / count()).tolist()))
