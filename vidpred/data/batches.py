"""The way in: batches of windows, uint8 until they are on the device."""

import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vidpred.clip import Clip
from vidpred.config import DanceDataConfig, DataConfig, ModelConfig
from vidpred.data.layout import SHARD_INDEX, split_name
from vidpred.data.packed import PackedClips, pack_split
from vidpred.data.shards import ShardedClips
from vidpred.errors import BadInput
from vidpred.frames import to_float
from vidpred.randomness import generator

Clips = PackedClips | ShardedClips
WindowConfig = DataConfig | DanceDataConfig


def open_split(root: Path, split: str, cache: Path | None = None, progress: bool = False) -> Clips:
    """The clips of ROOT/split: tar shards where there are some, else folders of pictures (robot clips or dance videos),
    packed on the first call.

    cache: folder for the packed files; by default `.packed` beside the splits, or, where nothing can be written there,
    one in the system's temporary folder.
    """
    folder = Path(root) / split_name(split)
    if (folder / SHARD_INDEX).exists():
        return ShardedClips(folder)
    return pack_split(root, split, cache, progress=progress)


class Batch(NamedTuple):
    """frames: (B, T, H, W, 3) uint8, fewer T than conditions where only the context was asked for; conditions:
    (B, T, 7) float32, or pose pictures (B, T, H, W, 3) uint8; ids: of the clips."""

    frames: Tensor
    conditions: Tensor
    ids: list[str]

    def to_clip(self, n_past: int, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Clip:
        """On the device and across the border: frames, and poses, (B, T, C, H, W) in [0, 1]."""
        frames, conditions = (x.to(device, non_blocking=True) for x in (self.frames, self.conditions))
        if conditions.dtype == torch.uint8:
            conditions = to_float(conditions)
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
    config: WindowConfig,
    batch_size: int,
    seed: int,
    iteration: int,
    rows: list[int] | None = None,
    fraction: float = 1.0,
) -> Batch:
    """The batch of an iteration, or only the given rows of it, from the first `fraction` (0, 1] of the data.

    A pure function of (seed, iteration), so that a resumed training sees the batches it would have seen.
    """
    lengths, length = _part(clips, config.length, fraction), config.length
    if config.windows == "published" and clips.has_poses:
        # Consecutive windows that do not overlap, in their order, as the published loader takes them; a pass that does
        # not end with a batch goes on in the next one.
        ends = np.cumsum(lengths // length)
        windows = [(iteration * batch_size + row) % int(ends[-1]) for row in range(batch_size)]
        chosen = [int(np.searchsorted(ends, window, "right")) for window in windows]
        starts = [(window - int(ends[i - 1] if i else 0)) * length for i, window in zip(chosen, windows)]
    else:
        source = generator("batch", seed, iteration)
        chosen = clips.draw(source, batch_size, seed, iteration, len(lengths))
        starts = [0] * batch_size
        if config.windows == "random":
            starts = source.below([int(lengths[i]) - length + 1 for i in chosen])
    rows = range(batch_size) if rows is None else rows
    return _stack(clips, [chosen[row] for row in rows], [starts[row] for row in rows], length)


def passes(clips: Clips, config: WindowConfig, batch_size: int, fraction: float = 1.0) -> int:
    """Iterations that one pass over the first `fraction` of the data takes, at least 1.

    A pass takes a window of every robot clip, and all of a dance video's windows that do not overlap and fill batches.
    """
    lengths = _part(clips, config.length, fraction)
    if clips.has_poses:
        return max(1, int((lengths // config.length).sum()) // batch_size)
    return -(-len(lengths) // batch_size)


def _part(clips: Clips, length: int, fraction: float) -> np.ndarray:
    """Frames of the clips that are drawn from: the first ones of several, the first frames of one."""
    if not 0 < fraction <= 1:
        raise BadInput(f"the fraction of the data must lie above 0 and not above 1, got {fraction}")
    given = clips.frames_given()
    if given.min() < length:
        short = int(given.argmin())
        raise BadInput(f"clip {clips.ids[short]} has {given[short]} frames, {length} are needed for training")
    # rounded first: 0.07 * 100 is a little more than 7
    if len(given) == 1:
        return np.maximum(length, np.floor(np.round(fraction * given, 6)).astype(np.int64))
    return given[: max(1, math.ceil(round(fraction * len(given), 6)))]


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


def window_batch(clips: Clips, chosen: list[int], length: int, shown: int | None = None) -> Batch:
    """The first `length` frames and conditions of the given clips, as validation and test take them.

    shown: how many of the frames are read, where the context is enough; all by default.
    """
    return _stack(clips, chosen, [0] * len(chosen), length, shown)


def require_suitable(clips: Clips, model: ModelConfig) -> None:
    """BadInput unless the clips have the height, the width and the conditions that a model takes."""
    (height, width), (own_height, own_width) = clips.window(0, 0, 1)[0].shape[1:3], model.frame_size
    if (height, width) != (own_height, own_width):
        raise BadInput(
            f"{clips.ids[0]}: frames of {width} x {height} pixels, this model takes {own_width} x {own_height}: "
            "robot clips are for SVG, dance videos for the pose CVAE"
        )
    if not clips.has_actions and model.condition == "actions":
        raise BadInput(
            f"{clips.ids[0]}: no actions.csv and endeffector_positions.csv, which this model is told; clips without "
            "actions are for --model.condition none"
        )


def _stack(clips: Clips, chosen: list[int], starts: list[int], length: int, shown: int | None = None) -> Batch:
    windows = [clips.window(i, start, length, shown) for i, start in zip(chosen, starts)]
    batch = Batch(
        torch.from_numpy(np.stack([frames for frames, _ in windows])),
        torch.from_numpy(np.stack([conditions for _, conditions in windows])),
        [clips.ids[i] for i in chosen],
    )
    clips.release()  # the windows are copied
    return batch
