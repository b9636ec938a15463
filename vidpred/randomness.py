"""Randomness is an argument: every draw has a name, and a name always draws the same."""

import hashlib

import torch
from torch import Tensor


def generator(*name: object) -> torch.Generator:
    """CPU generator seeded by a name, such as (seed, sample, clip id)."""
    digest = hashlib.blake2b("/".join(map(str, name)).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little", signed=True))


def draw_steps(source: torch.Generator, steps: int, shape: tuple[int, ...]) -> Tensor:
    """Standard normal noise (steps, *shape), drawn step by step so that more steps keep the earlier ones."""
    return torch.stack([torch.randn(shape, generator=source) for _ in range(steps)])
