"""The way in: batches of windows, uint8 until they are on the device."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vidpred.clip import Clip
from vidpred.config import DataConfig
from vidpred.data.packed import PackedClips, pack_split
from vidpred.data.robot_push import split_name
from vidpred.data.shards import INDEX, ShardedClips
from vidpred.errors import BadInput
from vidpred.frames import to_float
from vidpred.randomness import generator

Clips = PackedClips | ShardedClips


def open_split(root: Path, split: str, cache: Path | None = None, progress: bool = False) -> Clips:
    """The clips of ROOT/split: tar shards where there are some, else folders of pictures, packed on the first call.

    cache: folder for the packed files; by default `.packed` beside the splits, or, where nothing can be written there,
    one in the system's temporary folder.
    """
    folder = Path(root) / split_name(split)
    if (folder / INDEX).exists():
        return ShardedClips(folder)
    return pack_split(root, split, cache, progress=progress)


class Batch(NamedTuple):
    """frames: (B, T, H, W, 3) uint8; conditions: (B, T, 7) float32; ids: of the clips."""

    frames: Tensor
    conditions: Tensor
    ids: list[str]

    def to_clip(self, n_past: int, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Clip:
        """On the device and across the border: frames (B, T, C, H, W) in [0, 1]."""
        frames, conditions = (x.to(device, non_blocking=True) for x in (self.frames, self.conditions))
        return Clip(to_float(frames).to(dtype), conditions.to(dtype), n_past)

    def parts(self, count: int) -> "list[Batch]":
        """The batch in equal parts."""
        size = len(self.ids) // count
        pieces = zip(self.frames.split(size), self.conditions.split(size))
        return [Batch(*pair, self.ids[i * size : (i + 1) * size]) for i, pair in enumerate(pieces)]

    def pinned(self) -> "Batch":
        """In memory that a GPU fetches by itself."""
        return Batch(self.frames.pin_memory(), self.conditions.pin_memory(), self.ids)


def training_batch(
    clips: Clips,
    config: DataConfig,
    batch_size: int,
    seed: int,
    iteration: int,
    rows: list[int] | None = None,
) -> Batch:
    """The batch of an iteration, or only the given rows of it.

    A pure function of (seed, iteration), so that a resumed training sees the batches it would have seen.
    """
    longest = clips.lengths()
    if longest.min() < config.length:
        short = int(longest.argmin())
        raise BadInput(f"clip {clips.ids[short]} has {longest[short]} frames, {config.length} are needed for training")
    source = generator("batch", seed, iteration)
    chosen = clips.draw(source, batch_size, seed, iteration)
    starts = [0] * batch_size
    if config.windows == "random":
        starts = [int(torch.randint(int(longest[i]) - config.length + 1, (), generator=source)) for i in chosen]
    rows = range(batch_size) if rows is None else rows
    return _stack(clips, [chosen[row] for row in rows], [starts[row] for row in rows], config.length)


def read_ahead(read: Callable[[int], Batch], first: int, end: int, ahead: int) -> Iterator[Batch]:
    """read(first) … read(end - 1), up to `ahead` of them read by a thread while the one before is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="read_ahead") as reader:
        waiting = deque(reader.submit(read, i) for i in range(first, min(first + ahead, end)))
        try:
            for i in range(first, end):
                if i + ahead < end:
                    waiting.append(reader.submit(read, i + ahead))
                yield waiting.popleft().result()
        finally:
            for later in waiting:
                later.cancel()


def window_batch(clips: Clips, chosen: list[int], length: int) -> Batch:
    """The first `length` frames of the given clips, as validation and test take them."""
    return _stack(clips, chosen, [0] * len(chosen), length)


def _stack(clips: Clips, chosen: list[int], starts: list[int], length: int) -> Batch:
    windows = [clips.window(i, start, length) for i, start in zip(chosen, starts)]
    batch = Batch(
        torch.from_numpy(np.stack([frames for frames, _ in windows])),
        torch.from_numpy(np.stack([conditions for _, conditions in windows])),
        [clips.ids[i] for i in chosen],
    )
    clips.release()  # the windows are copied
    return batch
