"""The dance layout on disk: videos of a person, and for every frame a picture of the pose (a drawn skeleton).

ROOT/train/train_img/<n>.png and train_label/<n>.png: one long video; ROOT/val/val_img and val_label: another.
ROOT/test/test_img/<k>/0.png: a sequence's first frame, test_label/<k>/<n>.png its poses, and, where they are known,
test_truth/<k>/<n>.png all of its frames.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from vidpred.config import DANCE_SIZE
from vidpred.data.layout import by_number, numbered_pictures, read_png, split_folder, split_name
from vidpred.errors import BadInput
from vidpred.files import replaced

FOLDERS = {"train": "train", "validate": "val", "test": "test"}  # a split's name in the paths


class Folders(NamedTuple):
    """Where a video's pictures lie. given: a test sequence's first frame, a file; elsewhere None."""

    frames: Path
    poses: Path
    given: Path | None


class Video(NamedTuple):
    """The files of a video in their order; of a test sequence without true frames the first frame alone.

    id: `train`, `validate` or `test/<k>`, the name by which its noise is drawn; given: as in Folders.
    """

    id: str
    frames: list[Path]
    poses: list[Path]
    given: Path | None


def is_dance(root: Path) -> bool:
    """Whether a folder holds the dance layout."""
    parts = [(name, part) for name in FOLDERS.values() for part in ("img", "label")]
    return any((Path(root) / name / f"{name}_{part}").is_dir() for name, part in parts)


def video_folders(root: Path, split: str, sequence: int = 0) -> Folders:
    """Of `train`, `validate` (one video each) or a `test` sequence; the frames of a sequence are the true ones."""
    name = FOLDERS[split]
    frames, poses, given = (Path(root) / name / f"{name}_{part}" for part in ("img", "label", "truth"))
    if split != "test":
        return Folders(frames, poses, None)
    return Folders(given / str(sequence), poses / str(sequence), frames / str(sequence) / "0.png")


def list_videos(root: Path, split: str) -> list[Video]:
    """The videos of a split, sequences in the order of their numbers, with every picture's file. What is missing is
    BadInput with its path."""
    split = split_name(split)
    folder = split_folder(root, FOLDERS[split])
    if split != "test":
        folders = video_folders(root, split)
        frames, poses = _numbered(folders.frames, "frame"), _numbered(folders.poses, "pose picture")
        return [_video(split, folders, frames, poses)]
    numbers = sorted({number for part in ("img", "label", "truth") for number in _sequences(folder / f"test_{part}")})
    if not numbers:
        raise BadInput(f"{folder}: no sequences in this split (expected test_img/0/0.png and test_label/0/0.png, …)")
    truth_known = bool(_sequences(folder / "test_truth"))
    videos = []
    for number in numbers:
        folders = video_folders(root, split, number)
        poses = _numbered(folders.poses, "pose picture")
        if not folders.given.is_file():
            raise BadInput(f"{folders.given}: missing frame")
        frames = _numbered(folders.frames, "frame") if truth_known else {0: folders.given}
        videos.append(_video(f"{split}/{number}", folders, frames, poses))
    return videos


def read_pictures(video: Video, first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames first … end - 1, as far as they are there, and their poses, uint8 (n, 32, 64, 3)."""
    height, width = read_png(video.frames[0]).shape[:2]
    frames, poses = ([_read(path, height, width) for path in paths[first:end]] for paths in (video.frames, video.poses))
    if first == 0 and video.given is not None and not np.array_equal(frames[0], _read(video.given, height, width)):
        raise BadInput(f"{video.frames[0]}: another picture than {video.given}, the same frame")
    return _resized(frames), _resized(poses)


def write_pair(folders: Folders, number: int, frame: np.ndarray, pose: np.ndarray) -> None:
    """A frame and its pose picture, uint8 (H, W, 3); each file is there whole or not at all, the frame's last."""
    if number == 0 and folders.given is not None:
        _write_png(folders.given, frame)
    _write_png(folders.poses / f"{number}.png", pose)
    _write_png(folders.frames / f"{number}.png", frame)


def _write_png(path: Path, picture: np.ndarray) -> None:
    with replaced(path) as temporary:
        Image.fromarray(picture).save(temporary, optimize=True)


def _sequences(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    return [int(p.name) for p in by_number(folder) if p.is_dir() and p.name.isascii() and p.name.isdecimal()]


def _numbered(folder: Path, what: str) -> dict[int, Path]:
    found = numbered_pictures(folder)
    if not found:
        raise BadInput(f"{folder}: no {what}s (expected 0.png, 1.png, …)")
    return found


def _video(name: str, folders: Folders, frames: dict[int, Path], poses: dict[int, Path]) -> Video:
    """Frames and poses must be numbered alike, except where only the first frame is known."""
    only_given = list(frames.values()) == [folders.given]
    length = max(*frames, *poses) + 1
    for number in range(length):
        if number not in poses:
            raise BadInput(f"{folders.poses / f'{number}.png'}: missing pose picture")
        if number not in frames and not only_given:
            raise BadInput(f"{folders.frames / f'{number}.png'}: missing frame")
    return Video(name, [frames[n] for n in range(len(frames))], [poses[n] for n in range(length)], folders.given)


def _read(path: Path, height: int, width: int) -> np.ndarray:
    picture = read_png(path)
    if picture.shape[:2] != (height, width):
        found = f"{picture.shape[1]} x {picture.shape[0]}"
        raise BadInput(f"{path}: {found} pixels (width x height), the video's first frame has {width} x {height}")
    return picture


def _resized(pictures: list[np.ndarray]) -> np.ndarray:
    """As the published loader does, where they have another size."""
    if not pictures:
        return np.empty((0, *DANCE_SIZE, 3), np.uint8)
    stack = np.stack(pictures)
    if stack.shape[1:3] == DANCE_SIZE:
        return stack
    import torch  # here: only packing needs it, and these imports take seconds
    from torchvision.transforms.v2 import functional

    resized = functional.resize(torch.from_numpy(stack).movedim(-1, -3), list(DANCE_SIZE), antialias=True)
    return np.ascontiguousarray(resized.movedim(-3, -1).numpy())
