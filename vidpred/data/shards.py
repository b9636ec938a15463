"""Clips in WebDataset tar files: read one after the other, for data larger than a disk."""

import io
import json
import math
import os
import re
import tarfile
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import webdataset
from tqdm import tqdm
from webdataset.tariterators import group_by_keys, tar_file_expander

from vidpred.config import CHANNELS, CONDITION_DIM, IMAGE_SIZE, shown
from vidpred.data.layout import SHARD_INDEX
from vidpred.data.packed import Moments, PackedClips, moments, too_short
from vidpred.errors import BadInput
from vidpred.files import read_bytes, replaced_together, require_file, write_json
from vidpred.randomness import Generator, generator

VERSION = 1  # of the index
MOST_INDEX_BYTES = 500_000_000
NAME = re.compile(r"[\w.-]+", re.ASCII)  # of a file; addresses reach a shell, by way of webdataset
BASE = re.compile(r"[\w.:/%~@=+,-]*", re.ASCII)
PIPE = "pipe:"  # begins a base that is a command
PIPES = "VIDPRED_PIPES"  # environment variable: 1 lets an index name a command to run
SHARDS_TOGETHER = 4
"""Shards whose clips are mixed in training; as many, and one more, are held in memory."""


class ShardedClips:
    """The clips of a split in tar files, with the interface of PackedClips; whole shards are read, and few are kept.

    A training pass takes the shards in an order of its own, some at a time, and the clips of these in any order. Both
    are functions of (seed, iteration), so that a resumed training goes on where it stopped.
    """

    def __init__(self, folder: Path):
        path = folder / SHARD_INDEX
        try:
            index = json.loads(read_bytes(path, MOST_INDEX_BYTES))
            self.ids: list[str] = index["ids"]
            self._lengths = np.asarray(index["lengths"], np.int64)
            self._names: list[str] = [shard["name"] for shard in index["shards"]]
            self._sizes: list[int] = [shard["clips"] for shard in index["shards"]]
            mean, variance = (np.asarray(index[name], np.float64) for name in ("mean", "variance"))
            self._base: str = index["base"]
            self.has_actions: bool = index.get("has_actions", True)
            self.bounces: list[list[int] | None] = index.get("bounces") or [None] * len(self.ids)
            sound = (
                index["version"] == VERSION
                and all(isinstance(name, str) for name in [*self.ids, self._base])
                and all(type(count) is int and count > 0 for count in [*index["lengths"], *self._sizes])
                and all(NAME.fullmatch(name) for name in self._names)
                and mean.shape == variance.shape == (CONDITION_DIM,)
                and bool(np.isfinite([mean, variance]).all() and (variance >= 0).all())
                and sum(self._sizes) == len(self.ids) == len(self._lengths) == len(self.bounces) > 0
                and isinstance(self.bounces, list)
                and all(isinstance(frames, list) for frames in self.bounces if frames is not None)
                and all(type(t) is int and 0 <= t < 2**31 for frames in self.bounces for t in frames or ())
            )
        except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
            sound = False
        if not sound:
            raise BadInput(f"{path}: not an index of shards; write them again with train.prepare shard")
        self._moments = moments(mean, variance)
        if self._base.startswith(PIPE) and os.environ.get(PIPES) != "1":
            raise BadInput(f"{path}: its files come from a command, {shown(self._base)}; {PIPES}=1 allows that")
        if not is_address(self._base):
            raise BadInput(f"{path}: no address to read files from: {shown(self._base)}")
        self.folder = folder
        self._firsts = np.cumsum([0, *self._sizes])  # number of each shard's first clip
        self._kept: OrderedDict[int, list[tuple[np.ndarray, np.ndarray]]] = OrderedDict()
        self._order: tuple[tuple[int, int, int], list[list[int]], np.ndarray] | None = None  # of a pass: its shards
        self._mixed: tuple[tuple[int, int, int, int], np.ndarray] | None = None  # of a pass: clips of shards together

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def has_poses(self) -> bool:
        """Shards hold robot clips only."""
        return False

    def lengths(self) -> np.ndarray:
        """Frames of every clip."""
        return self._lengths

    def frames_given(self) -> np.ndarray:
        """Frames of every clip that are there: all."""
        return self._lengths

    def condition_moments(self) -> Moments:
        """Of the conditions over all frames, as they were when the shards were written."""
        return self._moments

    def window(self, clip: int, start: int, length: int, shown: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """From `start` on: views of the first `shown` frames (all by default) and of `length` conditions of a clip."""
        if start < 0 or start + length > self._lengths[clip]:
            raise too_short(self.ids[clip], int(self._lengths[clip]), start + length)
        shard = int(np.searchsorted(self._firsts, clip, "right")) - 1
        frames, conditions = self._shard(shard)[clip - self._firsts[shard]]
        shown = length if shown is None else shown
        return frames[start : start + shown], conditions[start : start + length]

    def draw(self, source: Generator, batch_size: int, seed: int, iteration: int, among: int) -> list[int]:
        """The clips of a training batch: the next ones of the pass, or passes, over the first `among` clips that the
        iteration lies in."""
        first = iteration * batch_size
        return [self._nth(seed, among, *divmod(position, among)) for position in range(first, first + batch_size)]

    def release(self) -> None:
        """Nothing to give back: what is read stays until other shards take its place."""

    def _nth(self, seed: int, among: int, number: int, position: int) -> int:
        """Clip at a position of a pass over the first `among` clips."""
        ends_at = np.minimum(self._firsts[1:], among)
        if self._order is None or self._order[0] != (seed, among, number):
            used = int(np.searchsorted(self._firsts, among))  # shards that hold any of these clips
            shards = generator("shards", seed, number).permutation(used)
            together = [shards[i : i + SHARDS_TOGETHER] for i in range(0, len(shards), SHARDS_TOGETHER)]
            ends = np.cumsum([sum(int(ends_at[s] - self._firsts[s]) for s in group) for group in together])
            self._order = (seed, among, number), together, ends
        _, together, ends = self._order
        i = int(np.searchsorted(ends, position, "right"))
        if self._mixed is None or self._mixed[0] != (seed, among, number, i):
            clips = np.concatenate([np.arange(self._firsts[s], ends_at[s]) for s in together[i]])
            order = generator("mix", seed, number, i).permutation(len(clips))
            self._mixed = (seed, among, number, i), clips[order]
        clips = self._mixed[1]
        return int(clips[position - (ends[i] - len(clips))])

    def _shard(self, number: int) -> list[tuple[np.ndarray, np.ndarray]]:
        if number not in self._kept:
            while len(self._kept) > SHARDS_TOGETHER:
                self._kept.popitem(last=False)
            self._kept[number] = list(self._read(number))
        self._kept.move_to_end(number)
        return self._kept[number]

    def _read(self, number: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        name = self._names[number]
        where = f"{self._base}{name}" if self._base else str(self.folder / name)
        first, size = self._firsts[number], self._sizes[number]
        found = 0
        try:
            if not self._base:
                require_file(Path(where))
            with webdataset.gopen(where) if self._base else open(where, "rb") as stream:
                for sample in group_by_keys(tar_file_expander([{"url": where, "stream": stream}])):
                    if found == size:
                        raise ValueError("clips of another data set")
                    length = int(self._lengths[first + found])
                    frames = _array(sample["frames.npy"], np.uint8, (length, IMAGE_SIZE, IMAGE_SIZE, CHANNELS))
                    conditions = _array(sample["conditions.npy"], np.float32, (length, CONDITION_DIM))
                    if not np.isfinite(conditions).all():
                        raise ValueError("conditions that are not finite")
                    yield frames, conditions
                    found += 1
            if found < size:
                raise ValueError(f"{size} clips expected, {found} found")
        except (OSError, ValueError, KeyError, EOFError, tarfile.TarError) as error:
            raise BadInput(f"{where}: not a readable shard ({' '.join(str(error).split())[:200]})") from None


def is_address(base: str) -> bool:
    """Whether files can be read from there: the start of an address that needs no quoting, or a command."""
    return base.startswith(PIPE) or bool(BASE.fullmatch(base))


def write_shards(
    clips: PackedClips,
    folder: Path,
    clips_per_shard: int,
    base: str = "",
    progress: bool = False,
    bounces: Sequence[list[int] | None] = (),
) -> int:
    """Write clips as tar files and their index, all of them or none; the number of files. Earlier ones stay until
    then. base: where they will be read, if not there. bounces: of each clip, the frames in which a shape has left a
    wall; None for other clips."""
    earlier = [path.name for path in folder.glob(f"{6 * '[0-9]'}.tar")]
    with replaced_together(folder, SHARD_INDEX, earlier) as building:
        shards = []
        with tqdm(total=len(clips), desc=f"sharding {folder.name}", unit="clip", disable=not progress) as bar:
            for first in range(0, len(clips), clips_per_shard):
                some = range(first, min(first + clips_per_shard, len(clips)))
                name = f"{len(shards):06d}.tar"
                with open(building / name, "wb") as file, webdataset.TarWriter(file, mtime=0) as tar:
                    for i in some:
                        frames, conditions = clips.window(i, 0, int(clips.lengths()[i]))
                        arrays = {"frames.npy": _npy(frames), "conditions.npy": _npy(conditions)}
                        tar.write({"__key__": f"{i:06d}", **arrays})  # ids without their dots may be alike
                        clips.release()
                        bar.update()
                shards.append({"name": name, "clips": len(some)})
        mean, scale = clips.condition_moments()
        index = {
            "version": VERSION,
            "base": base,
            "ids": clips.ids,
            "lengths": clips.lengths().tolist(),
            "shards": shards,
            "mean": list(mean),
            "variance": [s**2 for s in scale],
            "has_actions": clips.has_actions,
        }
        if any(frames is not None for frames in bounces):
            index["bounces"] = list(bounces)
        write_json(building / SHARD_INDEX, index)
    return len(shards)


def _array(content: bytes, dtype: type, shape: tuple[int, ...]) -> np.ndarray:
    """The array of a .npy file, once its header says what was expected: no room is made for what it claims."""
    file = io.BytesIO(content)
    np.lib.format.read_magic(file)
    found, by_columns, kind = np.lib.format.read_array_header_1_0(file)
    if found != shape or kind != np.dtype(dtype) or by_columns:
        raise ValueError(f"an array of {kind} and shape {found}, expected {np.dtype(dtype)} and {shape}")
    return np.frombuffer(content, dtype, math.prod(shape), file.tell()).reshape(shape)


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()
