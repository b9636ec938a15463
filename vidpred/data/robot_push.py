"""The robot-push layout on disk: ROOT/{train,validate,test}/<group>/<clip>/ with 0.png …, and two CSVs; action-free
clips have none."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
from PIL import Image

from vidpred.config import ACTION_DIM, CONDITION_DIM, IMAGE_SIZE, POSITION_DIM
from vidpred.data.layout import by_number, numbered_pictures, read_png, split_folder, split_name
from vidpred.errors import BadInput, require_utf8
from vidpred.files import replaced_folder, require_file

ACTIONS_CSV = "actions.csv"
POSITIONS_CSV = "endeffector_positions.csv"
LONGEST_ROW = 1000  # characters


class RobotClip(NamedTuple):
    """frames: (T, H, W, 3) uint8; conditions: (T, 7) float32, row t = action_t and position_t, zeros where none are
    known."""

    frames: np.ndarray
    conditions: np.ndarray


def list_clips(root: Path, split: str) -> list[Path]:
    """Clip folders of a split in the order of their numbers."""
    folder = split_folder(root, split_name(split))
    clips = [c for g in by_number(folder) if g.is_dir() for c in by_number(g) if c.is_dir()]
    if not clips:
        raise BadInput(f"{folder}: no clips in this split (expected <group>/<clip>/0.png)")
    for clip in clips:
        require_utf8(str(clip.relative_to(folder)), f"{folder} holds")
    return clips


def list_frames(clip: Path) -> list[Path]:
    """PNG files of a clip, 0.png … in the order of their numbers, none missing."""
    frames = numbered_pictures(clip)
    if not frames:
        raise BadInput(f"{clip}: no frames (expected 0.png, 1.png, …)")
    for t in range(max(frames) + 1):
        if t not in frames:
            raise BadInput(f"{clip / f'{t}.png'}: missing frame")
    return [frames[t] for t in range(len(frames))]


def read_clip(clip: Path) -> RobotClip:
    """All frames and conditions of a clip folder. Whatever is wrong is BadInput with the file's path."""
    paths = list_frames(clip)
    frames = np.stack([_read_frame(path) for path in paths])
    rows = read_conditions(clip, len(paths)) if has_actions(clip) else np.zeros((len(paths), CONDITION_DIM), np.float32)
    return RobotClip(frames, rows)


def has_actions(clip: Path) -> bool:
    """Whether a clip folder has its CSVs; of an action-free one both are missing."""
    return any((clip / name).exists() for name in (ACTIONS_CSV, POSITIONS_CSV))


def read_conditions(clip: Path, frames: int) -> np.ndarray:
    """Actions and positions of a clip folder's first frames, (frames, 7) float32. Row t is of frame t: further rows,
    as of a clip of which the last frames were taken away, are of none."""
    actions = _read_csv(clip / ACTIONS_CSV, frames, ACTION_DIM)
    return np.concatenate([actions, _read_csv(clip / POSITIONS_CSV, frames, POSITION_DIM)], 1)


def write_clip(
    clip: Path,
    frames: np.ndarray,
    actions: np.ndarray | None = None,
    positions: np.ndarray | None = None,
    extra_json: dict[str, dict] | None = None,
) -> None:
    """Write a clip folder at once: it is there whole or not at all.

    frames (T, H, W, 3) uint8, actions (T, 4) and positions (T, 3) as float32 without loss, both None for an action-free
    clip; extra_json: file -> content.
    """
    with replaced_folder(clip) as building:
        for t, frame in enumerate(frames):
            Image.fromarray(frame).save(building / f"{t}.png", optimize=True)
        for name, rows in ((ACTIONS_CSV, actions), (POSITIONS_CSV, positions)):
            if rows is not None:
                np.savetxt(building / name, np.asarray(rows, np.float32), fmt="%.9g", delimiter=",")
        for name, content in (extra_json or {}).items():
            (building / name).write_text(json.dumps(content, indent=1) + "\n")


def is_whole(clip: Path, frames: int, *beside: str) -> bool:
    """Whether a clip folder holds so many frames and these files beside them, whatever else lies there."""
    wanted = {*beside, *(f"{t}.png" for t in range(frames))}
    return clip.is_dir() and wanted <= {path.name for path in clip.iterdir()}


def _read_frame(path: Path) -> np.ndarray:
    frame = read_png(path)
    height, width = frame.shape[:2]
    if (height, width) != (IMAGE_SIZE, IMAGE_SIZE):
        raise BadInput(f"{path}: {width} x {height} pixels, expected {IMAGE_SIZE} x {IMAGE_SIZE}")
    return frame


def _read_csv(path: Path, rows: int, columns: int) -> np.ndarray:
    """The first `rows` rows as float32, and not a byte more of the file than they take."""
    try:
        require_file(path)
        with open(path, encoding="utf-8") as file, np.errstate(over="ignore"):
            values = [_read_row(path, i, line, columns) for i, line in enumerate(_first_lines(file, rows))]
    except FileNotFoundError:
        raise BadInput(f"{path}: missing file") from None
    except (OSError, UnicodeDecodeError):
        raise BadInput(f"{path}: not a readable CSV file") from None
    if len(values) < rows:
        raise BadInput(f"{path}: {len(values)} row{'s' * (len(values) != 1)} for {rows} frame{'s' * (rows != 1)}")
    return np.stack(values)


def _first_lines(file: TextIO, count: int) -> Iterator[str]:
    """Lines that are not blank, each at most one character longer than a row may be."""
    while count and (line := file.readline(LONGEST_ROW + 1)):
        if line.strip():
            count -= 1
            yield line


def _read_row(path: Path, number: int, line: str, columns: int) -> np.ndarray:
    if len(line) > LONGEST_ROW:
        raise BadInput(f"{path}: row {number} has over {LONGEST_ROW:,} characters, expected {columns} numbers")
    cells = line.split(",")
    if len(cells) != columns:
        raise BadInput(f"{path}: row {number} has {len(cells)} number{'s' * (len(cells) != 1)}, expected {columns}")
    line = line.strip()
    try:
        if "_" in line:  # which Python takes for part of a number
            raise ValueError
        values = np.array([float(cell) for cell in cells]).astype(np.float32)
    except ValueError:
        raise BadInput(f"{path}: row {number} is not a row of numbers: {line[:60]!r}") from None
    if not np.isfinite(values).all():
        raise BadInput(f"{path}: row {number} has a value that is not finite: {line[:60]!r}")
    return values
