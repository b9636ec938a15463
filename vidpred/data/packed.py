"""Clips packed once into memory-mapped arrays, so that nothing is ever decoded twice."""

import contextlib
import functools
import hashlib
import json
import math
import mmap
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from tqdm import tqdm

from vidpred.config import CHANNELS, CONDITION_DIM, DANCE_SIZE, IMAGE_SIZE
from vidpred.data import dance, robot_push
from vidpred.data.layout import split_name
from vidpred.errors import BadInput
from vidpred.files import remove_unfinished, replaced_folder
from vidpred.lock import held
from vidpred.randomness import Generator

CACHE_FOLDER = ".packed"  # beside the splits, unless another folder is given
VERSION = 1  # of the packed files
INDEX, FRAMES, CONDITIONS = "index.json", "frames.npy", "conditions.npy"
PIECES_AT_ONCE = 256  # clips, or parts of a video
POSES_AT_ONCE = 30  # of a video: about as much as a robot clip holds


class Moments(NamedTuple):
    """Mean and standard deviation of each of the conditions."""

    mean: tuple[float, ...]
    scale: tuple[float, ...]


def moments(mean: np.ndarray, variance: np.ndarray) -> Moments:
    """From mean and variance; a number that never changes has scale 1."""
    scale = np.sqrt(variance)
    return Moments(tuple(mean.tolist()), tuple(np.where(scale > 1e-6, scale, 1.0).tolist()))


class PackedClips:
    """All clips of a split, one after the other, in memory-mapped arrays: memory does not grow with their number.

    frames: (all frames, H, W, 3) uint8; conditions: (all frames, 7) float32 of robot clips, pose pictures
    (all poses, H, W, 3) uint8 of dance videos; ids: the names by which a clip's noise is drawn, `split/group/clip`, or
    `split` and `split/sequence`. Clip i's conditions are rows offsets[i] … offsets[i + 1]. Where the true frames of a
    test sequence are unknown, it has fewer frames than conditions: rows frame_offsets[i] … frame_offsets[i + 1].
    has_actions: False for robot clips without CSVs, whose conditions are zeros that no conditioned model may be given.
    """

    def __init__(self, folder: Path):
        index = json.loads((folder / INDEX).read_text())
        self.ids: list[str] = index["ids"]
        self.offsets = np.asarray(index["offsets"], np.int64)
        self.frame_offsets = np.asarray(index.get("frame_offsets", index["offsets"]), np.int64)
        self.has_actions: bool = index.get("has_actions", True)
        # plain arrays over the mapped files: a window of a memmap costs five times as much
        self.frames = np.load(folder / FRAMES, mmap_mode="r").view(np.ndarray)
        self.conditions = np.load(folder / CONDITIONS, mmap_mode="r").view(np.ndarray)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def has_poses(self) -> bool:
        """Whether these are dance videos: their conditions are pictures."""
        return self.conditions.ndim == 4

    def lengths(self) -> np.ndarray:
        """How far every clip reaches: its conditions, and its frames where they are known."""
        return np.diff(self.offsets)

    def frames_given(self) -> np.ndarray:
        """Frames of every clip that are there; fewer than `lengths` where true frames are missing."""
        return np.diff(self.frame_offsets)

    def window(self, clip: int, start: int, length: int, shown: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """From `start` on: views of the first `shown` frames (all by default) and of `length` conditions of a clip."""
        shown = length if shown is None else shown
        if start < 0 or start + length > self.lengths()[clip]:
            raise too_short(self.ids[clip], int(self.lengths()[clip]), start + length)
        if start + shown > self.frames_given()[clip]:
            raise BadInput(
                f"clip {self.ids[clip]} has {self.frames_given()[clip]} of the {start + shown} frames that are needed: "
                "the true frames (test_truth) are missing"
            )
        frame, row = self.frame_offsets[clip] + start, self.offsets[clip] + start
        return self.frames[frame : frame + shown], self.conditions[row : row + length]

    def draw(self, source: Generator, batch_size: int, seed: int, iteration: int, among: int) -> list[int]:
        """The clips of a training batch: any of the first `among`, without replacement where there are enough."""
        if among >= batch_size:
            return source.permutation(among, batch_size)
        return source.below([among] * batch_size)

    def condition_moments(self) -> Moments:
        """Of a robot's conditions over all frames."""
        pieces = max(1, len(self.conditions) // 100_000)  # memory independent of the clips
        total = sum(rows.sum(0, dtype=np.float64) for rows in np.array_split(self.conditions, pieces))
        mean = total / len(self.conditions)
        square = sum(((rows - mean) ** 2).sum(0) for rows in np.array_split(self.conditions, pieces))
        return moments(mean, square / len(self.conditions))

    def release(self) -> None:
        """Take the pages that were read out of this process; the kernel keeps them in its cache as long as it likes.

        Otherwise the process would grow to the size of the data over an epoch.
        """
        if hasattr(mmap, "MADV_DONTNEED"):
            for pictures in (self.frames, self.conditions) if self.has_poses else (self.frames,):
                pictures.base._mmap.madvise(mmap.MADV_DONTNEED)


def too_short(clip: str, frames: int, needed: int) -> BadInput:
    """The error for a window that reaches beyond a clip."""
    return BadInput(f"clip {clip} has {frames} frames, {needed} are needed: take fewer past or future frames")


def pack_split(root: Path, split: str, cache: Path | None = None, progress: bool = False) -> PackedClips:
    """The clips of ROOT/split, of either layout, packed on the first call and again whenever a source file has changed.

    cache: folder for the packed files; by default `.packed` beside the splits, or, where nothing can be written there,
    one in the system's temporary folder.
    """
    root, split = Path(root), split_name(split)
    if dance.is_dance(root):
        videos = dance.list_videos(root, split)
        folders = {path.parent for video in videos for path in [*video.frames, *video.poses, video.given] if path}
        fingerprint = _fingerprint({folder.relative_to(root).as_posix(): folder for folder in sorted(folders)}, "dance")
        source = functools.partial(_dance_source, videos)
    else:
        clips = robot_push.list_clips(root, split)
        fingerprint = _fingerprint({f"{clip.parent.name}/{clip.name}": clip for clip in clips}, str(IMAGE_SIZE))
        source = functools.partial(_robot_source, root, clips)
    folder = _cache_folder(root, cache) / split
    if not _is_current(folder, fingerprint):
        with _held(folder.parent):
            if not _is_current(folder, fingerprint):  # another process has packed them meanwhile
                remove_unfinished(folder.parent)
                _require_replaceable(folder)
                try:
                    _pack(source(), folder, fingerprint, progress)
                except OSError:  # one that has taken over, where this process was silent for too long, was quicker
                    if not _is_current(folder, fingerprint):
                        raise
    return PackedClips(folder)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """The cache for this process alone, after whatever others pack there."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(held(folder, patience=math.inf))
        except OSError as error:
            raise BadInput(f"{folder}: packed clips cannot be written there ({error.strerror})") from None
        yield


class Source(NamedTuple):
    """What is packed: of every clip its id and how many frames and conditions it has; the pieces that they are read in,
    each (frames, conditions); the shape of one frame and of one condition, and the conditions' dtype."""

    ids: list[str]
    frames: list[int]
    conditions: list[int]
    pieces: list[Callable[[], tuple[np.ndarray, np.ndarray]]]
    frame_shape: tuple[int, ...]
    condition_shape: tuple[int, ...]
    dtype: type
    has_actions: bool = True


def _robot_source(root: Path, clips: list[Path]) -> Source:
    lengths = [len(robot_push.list_frames(clip)) for clip in clips]
    known = [robot_push.has_actions(clip) for clip in clips]
    if any(known) and not all(known):
        raise BadInput(f"{clips[known.index(False)]}: no {robot_push.ACTIONS_CSV}, which other clips of the split have")
    return Source(
        ids=[clip.relative_to(root).as_posix() for clip in clips],
        frames=lengths,
        conditions=lengths,
        pieces=[functools.partial(robot_push.read_clip, clip) for clip in clips],
        frame_shape=(IMAGE_SIZE, IMAGE_SIZE, CHANNELS),
        condition_shape=(CONDITION_DIM,),
        dtype=np.float32,
        has_actions=all(known),
    )


def _dance_source(videos: list[dance.Video]) -> Source:
    return Source(
        ids=[video.id for video in videos],
        frames=[len(video.frames) for video in videos],
        conditions=[len(video.poses) for video in videos],
        pieces=[
            functools.partial(dance.read_pictures, video, start, start + POSES_AT_ONCE)
            for video in videos
            for start in range(0, len(video.poses), POSES_AT_ONCE)
        ],
        frame_shape=(*DANCE_SIZE, CHANNELS),
        condition_shape=(*DANCE_SIZE, CHANNELS),
        dtype=np.uint8,
    )


def _cache_folder(root: Path, cache: Path | None) -> Path:
    if cache is None and os.access(root, os.W_OK):
        return root / CACHE_FOLDER
    name = hashlib.blake2b(str(root.resolve()).encode(), digest_size=8).hexdigest()  # each data set its own
    return Path(cache or tempfile.gettempdir()) / f"vidpred-packed-{name}"


def _fingerprint(folders: dict[str, Path], kind: str) -> str:
    """Hash of every source file's name, size and time of change."""
    digest = hashlib.blake2b(f"{VERSION} {kind}".encode(), digest_size=16)
    for name, folder in folders.items():
        with os.scandir(folder) as entries:
            rows = sorted(_identity(entry) for entry in entries)
        digest.update(f"{name} {rows}".encode())
    return digest.hexdigest()


def _identity(entry: os.DirEntry) -> tuple[str, int, int]:
    try:
        found = entry.stat()
    except OSError:  # a link to nothing or to itself
        return entry.name, 0, 0
    return entry.name, found.st_size, found.st_mtime_ns


def _require_replaceable(folder: Path) -> None:
    """BadInput for a folder of anything but packed clips, which packing would delete."""
    others = {path.name for path in folder.iterdir()} - {INDEX, FRAMES, CONDITIONS} if folder.is_dir() else set()
    if others:
        raise BadInput(f"{folder}: holds {min(others)}, which packing would delete; give another folder")


def _is_current(folder: Path, fingerprint: str) -> bool:
    try:
        index = json.loads((folder / INDEX).read_text())
        clips = PackedClips(folder)
    except (OSError, EOFError, ValueError, LookupError, TypeError):  # not there, or damaged: packed again
        return False
    rows = len(clips.frames), len(clips.conditions)
    return index["fingerprint"] == fingerprint and rows == (clips.frame_offsets[-1], clips.offsets[-1])


def _pack(source: Source, folder: Path, fingerprint: str, progress: bool) -> None:
    """Write the packed folder under another name and swap it in: a reader never sees half of it."""
    with replaced_folder(folder) as building:
        frames_shape = (sum(source.frames), *source.frame_shape)
        conditions_shape = (sum(source.conditions), *source.condition_shape)
        with (
            _array_file(building / FRAMES, np.uint8, frames_shape) as frames,
            _array_file(building / CONDITIONS, source.dtype, conditions_shape) as conditions,
            ThreadPoolExecutor(os.cpu_count()) as pool,
            tqdm(total=len(source.pieces), desc=f"packing {folder.name}", unit="clip", disable=not progress) as bar,
        ):
            try:
                for start in range(
                    0, len(source.pieces), PIECES_AT_ONCE
                ):  # in their order, and few at a time in memory
                    some = source.pieces[start : start + PIECES_AT_ONCE]
                    for piece in pool.map(lambda read: read(), some):
                        frames.write(piece[0].tobytes())
                        conditions.write(piece[1].tobytes())
                        bar.update()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        offsets, frame_offsets = ([0, *accumulate(counts)] for counts in (source.conditions, source.frames))
        index = {"fingerprint": fingerprint, "ids": source.ids, "offsets": offsets}
        if frame_offsets != offsets:
            index["frame_offsets"] = frame_offsets
        if not source.has_actions:
            index["has_actions"] = False
        (building / INDEX).write_text(json.dumps(index))


@contextlib.contextmanager
def _array_file(path: Path, dtype: type, shape: tuple[int, ...]) -> Iterator[BinaryIO]:
    """A .npy file to append an array's bytes to: written through, it takes no memory (a mapped one would)."""
    with open(path, "wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        yield file
