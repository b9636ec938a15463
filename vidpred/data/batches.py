"""The way in: batches of windows, uint8 until they are on the device."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vidpred.clip import Clip
from vidpred.config import DataConfig
from vidpred.data.packed import PackedClips
from vidpred.errors import BadInput
from vidpred.frames import to_float
from vidpred.randomness import generator


class Batch(NamedTuple):
    """frames: (B, T, H, W, 3) uint8; conditions: (B, T, 7) float32; ids: of the clips."""

    frames: Tensor
    conditions: Tensor
    ids: list[str]

    def to_clip(self, n_past: int, device: torch.device | str = "cpu") -> Clip:
        """On the device and across the border: frames (B, T, C, H, W) in [0, 1]."""
        return Clip(to_float(self.frames.to(device)), self.conditions.to(device), n_past)


def training_batch(clips: PackedClips, config: DataConfig, batch_size: int, seed: int, iteration: int) -> Batch:
    """The batch of an iteration: clips drawn without replacement where there are enough, windows as configured.

    A pure function of (seed, iteration), so that a resumed training sees the batches it would have seen.
    """
    source = generator("batch", seed, iteration)
    longest = clips.lengths()
    if longest.min() < config.length:
        short = int(longest.argmin())
        raise BadInput(f"clip {clips.ids[short]} has {longest[short]} frames, {config.length} are needed for training")
    if len(clips) >= batch_size:
        chosen = torch.randperm(len(clips), generator=source)[:batch_size].tolist()
    else:
        chosen = torch.randint(len(clips), (batch_size,), generator=source).tolist()
    starts = [0] * batch_size
    if config.windows == "random":
        starts = [int(torch.randint(int(longest[i]) - config.length + 1, (), generator=source)) for i in chosen]
    return _stack(clips, chosen, starts, config.length)


def window_batch(clips: PackedClips, chosen: list[int], length: int) -> Batch:
    """The first `length` frames of the given clips, as validation and test take them."""
    return _stack(clips, chosen, [0] * len(chosen), length)


def condition_moments(clips: PackedClips) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(mean, scale) of the conditions over all frames; a number that never changes has scale 1."""
    total, count = np.zeros(clips.conditions.shape[1]), len(clips.conditions)
    square = total.copy()
    for rows in np.array_split(clips.conditions, max(1, count // 100_000)):  # memory independent of the clips
        total += rows.sum(0, dtype=np.float64)
    mean = total / count
    for rows in np.array_split(clips.conditions, max(1, count // 100_000)):
        square += ((rows - mean) ** 2).sum(0)
    scale = np.sqrt(square / count)
    return tuple(mean.tolist()), tuple(np.where(scale > 1e-6, scale, 1.0).tolist())


def _stack(clips: PackedClips, chosen: list[int], starts: list[int], length: int) -> Batch:
    windows = [clips.window(i, start, length) for i, start in zip(chosen, starts)]
    batch = Batch(
        torch.from_numpy(np.stack([frames for frames, _ in windows])),
        torch.from_numpy(np.stack([conditions for _, conditions in windows])),
        [clips.ids[i] for i in chosen],
    )
    clips.release()  # the windows are copied
    return batch
