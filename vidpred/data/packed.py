"""Clips packed once into memory-mapped arrays, so that nothing is ever decoded twice."""

import contextlib
import hashlib
import json
import mmap
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from vidpred.config import CONDITION_DIM, IMAGE_SIZE
from vidpred.data import robot_push
from vidpred.errors import BadInput

CACHE_FOLDER = ".packed"  # beside the splits, unless another folder is given
VERSION = 1  # of the packed files
CLIPS_AT_ONCE = 256


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

    frames: (all frames, H, W, 3) uint8; conditions: (all frames, 7) float32; ids: `split/group/clip`, the name by which
    a clip's noise is drawn; clip i takes rows offsets[i] … offsets[i + 1].
    """

    def __init__(self, folder: Path):
        index = json.loads((folder / "index.json").read_text())
        self.ids: list[str] = index["ids"]
        self.offsets = np.asarray(index["offsets"], np.int64)
        # plain arrays over the mapped files: a window of a memmap costs five times as much
        self.frames = np.load(folder / "frames.npy", mmap_mode="r").view(np.ndarray)
        self.conditions = np.load(folder / "conditions.npy", mmap_mode="r").view(np.ndarray)

    def __len__(self) -> int:
        return len(self.ids)

    def lengths(self) -> np.ndarray:
        """Frames of every clip."""
        return np.diff(self.offsets)

    def window(self, clip: int, start: int, length: int) -> tuple[np.ndarray, np.ndarray]:
        """`length` frames of a clip from `start` on: views of frames (length, H, W, 3) and conditions (length, 7)."""
        first = self.offsets[clip] + start
        if start < 0 or first + length > self.offsets[clip + 1]:
            raise BadInput(
                f"clip {self.ids[clip]} has {self.lengths()[clip]} frames, {start + length} are needed: "
                "take fewer past or future frames"
            )
        return self.frames[first : first + length], self.conditions[first : first + length]

    def draw(self, source: torch.Generator, batch_size: int, seed: int, iteration: int) -> list[int]:
        """The clips of a training batch: any, without replacement where there are enough."""
        if len(self) >= batch_size:
            return torch.randperm(len(self), generator=source)[:batch_size].tolist()
        return torch.randint(len(self), (batch_size,), generator=source).tolist()

    def condition_moments(self) -> Moments:
        """Of the conditions over all frames."""
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
            self.frames.base._mmap.madvise(mmap.MADV_DONTNEED)


def pack_split(
    root: Path, split: str, cache: Path | None = None, size: int = IMAGE_SIZE, progress: bool = False
) -> PackedClips:
    """The clips of ROOT/split, packed on the first call and again whenever a source file has changed.

    cache: folder for the packed files; by default `.packed` beside the splits, or, where nothing can be written there,
    one in the system's temporary folder.
    """
    root, split = Path(root), robot_push.split_name(split)
    clips = robot_push.list_clips(root, split)
    fingerprint = _fingerprint(clips, size)
    folder = _cache_folder(root, cache) / split
    if not _is_current(folder, fingerprint):
        _pack(root, clips, folder, fingerprint, size, progress)
    return PackedClips(folder)


def _cache_folder(root: Path, cache: Path | None) -> Path:
    if cache is not None:
        return Path(cache)
    if os.access(root, os.W_OK):
        return root / CACHE_FOLDER
    name = hashlib.blake2b(str(root.resolve()).encode(), digest_size=8).hexdigest()
    return Path(tempfile.gettempdir()) / f"vidpred-packed-{name}"


def _fingerprint(clips: list[Path], size: int) -> str:
    """Hash of every source file's name, size and time of change."""
    digest = hashlib.blake2b(f"{VERSION} {size}".encode(), digest_size=16)
    for clip in clips:
        with os.scandir(clip) as entries:
            rows = sorted((e.name, e.stat().st_size, e.stat().st_mtime_ns) for e in entries)
        digest.update(f"{clip.parent.name}/{clip.name} {rows}".encode())
    return digest.hexdigest()


def _is_current(folder: Path, fingerprint: str) -> bool:
    try:
        index = json.loads((folder / "index.json").read_text())
        clips = PackedClips(folder)
    except (OSError, EOFError, ValueError, LookupError, TypeError):  # not there, or damaged: packed again
        return False
    frames = int(clips.offsets[-1])
    return index["fingerprint"] == fingerprint and len(clips.frames) == len(clips.conditions) == frames


def _pack(root: Path, clips: list[Path], folder: Path, fingerprint: str, size: int, progress: bool) -> None:
    """Write the packed folder under another name and swap it in: a reader never sees half of it."""
    offsets = np.cumsum([0, *(len(robot_push.list_frames(clip)) for clip in clips)])
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise BadInput(f"{folder.parent}: packed clips cannot be written there ({error.strerror})") from None
    total = int(offsets[-1])
    try:
        with (
            _array_file(building / "frames.npy", np.uint8, (total, size, size, 3)) as frames,
            _array_file(building / "conditions.npy", np.float32, (total, CONDITION_DIM)) as conditions,
            ThreadPoolExecutor(os.cpu_count()) as pool,
            tqdm(total=len(clips), desc=f"packing {folder.name}", unit="clip", disable=not progress) as bar,
        ):
            try:
                for start in range(0, len(clips), CLIPS_AT_ONCE):  # in their order, and few at a time in memory
                    some = clips[start : start + CLIPS_AT_ONCE]
                    for clip in pool.map(lambda path: robot_push.read_clip(path, size), some):
                        frames.write(clip.frames.tobytes())
                        conditions.write(clip.conditions.tobytes())
                        bar.update()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        ids = [clip.relative_to(root).as_posix() for clip in clips]
        index = {"fingerprint": fingerprint, "ids": ids, "offsets": offsets.tolist()}
        (building / "index.json").write_text(json.dumps(index))
        building.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            os.replace(building, folder)
        except OSError:
            if not _is_current(folder, fingerprint):  # else another process has packed the same clips meanwhile
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


@contextlib.contextmanager
def _array_file(path: Path, dtype: type, shape: tuple[int, ...]) -> Iterator[BinaryIO]:
    """A .npy file to append an array's bytes to: written through, it takes no memory (a mapped one would)."""
    with open(path, "wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        yield file
