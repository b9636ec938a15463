"""What a visitor hands in, made into what the explorer reads: a clip in the published layout, or a run folder.

Nothing is taken on trust: limits stand before the reading, names in an archive are never paths, and weights are opened
as safetensors only.
"""

import contextlib
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from vidpred import runs
from vidpred.config import ACTION_DIM, DANCE_SIZE, IMAGE_SIZE, POSITION_DIM
from vidpred.data import dance, robot_push
from vidpred.data.layout import number_key
from vidpred.data.video import FILMS, MOST_FRAMES, PICTURES, Footage, footage, read_film, read_picture
from vidpred.errors import BadInput
from vidpred.explorer.runs.library import SPLIT, ClipEntry

KINDS = (*FILMS, ".zip")
MOST_POSES = 630  # frames of a dance, as many as the published sequences have
MOST_FILES = 5000  # in a zip
MOST_BYTES = 200 * 2**20  # of what a zip unpacks to
POSES = re.compile("label|pose", re.IGNORECASE)  # in the name of a folder
CSVS = (robot_push.ACTIONS_CSV, robot_push.POSITIONS_CSV)
PREVIEW_HEIGHT = 192


class Taken(NamedTuple):
    """A clip that was handed in: where it lies now, its pictures as they came and as a model sees them, and what was
    done to them, in words."""

    entry: ClipEntry
    footage: Footage
    told: str


def holds_run(file: Path) -> bool:
    """Whether a file is a zip with a run in it."""
    if file.suffix.lower() != ".zip":
        return False
    with _archive(file) as archive:
        return any(path.name == runs.CONFIG for path in _files(archive))


def take_run(file: Path, folder: Path) -> None:
    """Unpack a zipped run into a folder: its settings and curves, and weights as safetensors."""
    with _archive(file) as archive:
        files = _files(archive)
        folders = [path.parent for path in files if path.name == runs.CONFIG]
        if len(folders) != 1:
            raise BadInput(f"{file.name}: one run at a time, {len(folders)} are in it")
        (inside,) = folders
        if inside / runs.WEIGHTS not in files:
            pickled = [path.name for path in files if path.parent == inside and path.suffix.lower() in runs.PICKLED]
            why = f"; {pickled[0]} could run code, so that only safetensors are opened" if pickled else ""
            raise BadInput(f"{file.name}: no {runs.WEIGHTS} beside {runs.CONFIG}{why}")
        folder.mkdir(parents=True)
        for name in runs.MAX_BYTES:
            if inside / name in files:
                with archive.open(files[inside / name]) as source, open(folder / name, "wb") as target:
                    shutil.copyfileobj(source, target)


def take_clip(file: Path, folder: Path, every: int = 1) -> Taken:
    """A film, a GIF or a zip of pictures as the one clip of a data folder. every: of a film, a frame in so many."""
    suffix = file.suffix.lower()
    if suffix == ".zip":
        return _take_zip(file, folder)
    if suffix not in FILMS:
        raise BadInput(f"{file.name}: expected a film or GIF ({', '.join(FILMS)}) or a zip of pictures or of a run")
    film = read_film(file, (IMAGE_SIZE, IMAGE_SIZE), every)
    return _robot_clip(folder, film, None, _told(film, every))


def crop_picture(taken: Footage) -> np.ndarray:
    """The first picture, what is cut off darkened, beside what a model sees of it; (H, W, 3) uint8."""
    first, scale = taken.first, PREVIEW_HEIGHT / taken.first.height
    smoothing = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BILINEAR  # enlarged, pixels stay pixels
    whole = first.resize((max(1, round(first.width * scale)), PREVIEW_HEIGHT), smoothing)
    box = tuple(round(edge * scale) for edge in taken.box)
    shown = Image.blend(whole, Image.new("RGB", whole.size), 0.7)
    shown.paste(whole.crop(box), box[:2])
    ImageDraw.Draw(shown).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), outline=(45, 212, 191), width=2)
    small = Image.fromarray(taken.frames[0])
    factor = PREVIEW_HEIGHT // small.height
    seen = small.resize((small.width * factor, small.height * factor), Image.Resampling.NEAREST)
    picture = Image.new("RGB", (shown.width + 16 + seen.width, PREVIEW_HEIGHT), (148, 163, 184))
    picture.paste(shown, (0, 0))
    picture.paste(seen, (shown.width + 16, 0))
    return np.asarray(picture)


def _take_zip(file: Path, folder: Path) -> Taken:
    with _archive(file) as archive:
        files = _files(archive)
        folders: dict[PurePosixPath, list[PurePosixPath]] = {}
        for path in files:
            if path.suffix.lower() in PICTURES:
                folders.setdefault(path.parent, []).append(path)
        poses = [place for place in folders if POSES.search(place.name)]
        frames = [place for place in folders if place not in poses]
        if len(frames) != 1 or len(poses) > 1:
            raise BadInput(
                f"{file.name}: expected one folder of frames (0.png, 1.png, …), or one of frames and one of poses, "
                f"found {len(frames)} and {len(poses)}"
            )

        def pictures(place: PurePosixPath, size: tuple[int, int], most: int) -> Footage:
            paths = sorted(folders[place], key=lambda path: number_key(path.name))
            if len(paths) > most:
                raise BadInput(f"{file.name}: {len(paths):,} frames, at most {most} are taken")
            return footage((_picture(archive, files[path]) for path in paths), file.name, size)

        if poses:
            dancing, posing = (pictures(place, DANCE_SIZE, MOST_POSES) for place in (frames[0], poses[0]))
            return _dance_clip(file.name, folder, dancing, posing)
        moving = pictures(frames[0], (IMAGE_SIZE, IMAGE_SIZE), MOST_FRAMES)
        there = [name for name in CSVS if frames[0] / name in files]
        if len(there) == 1:
            raise BadInput(f"{file.name}: {there[0]} is in it, but not both of {' and '.join(CSVS)}")
        conditions = None
        if there:
            (folder / "csv").mkdir(parents=True)
            for name in there:
                (folder / "csv" / name).write_bytes(archive.read(files[frames[0] / name]))
            try:
                conditions = robot_push.read_conditions(folder / "csv", len(moving.frames))
            except BadInput as error:  # a visitor's own name for it, not where it lies here
                raise BadInput(str(error).replace(f"{folder / 'csv'}/", f"{file.name}: ")) from None
    return _robot_clip(folder, moving, conditions, _told(moving, 1))


def _robot_clip(folder: Path, taken: Footage, conditions: np.ndarray | None, told: str) -> Taken:
    """Written in the robot layout; where no actions are known, as zeros that no run is given."""
    count = len(taken.frames)
    rows = np.zeros((count, ACTION_DIM + POSITION_DIM)) if conditions is None else conditions
    clip = Path(SPLIT) / "yours" / "0"
    robot_push.write_clip(folder / clip, taken.frames, rows[:, :ACTION_DIM], rows[:, ACTION_DIM:])
    known = conditions is not None
    told += " Its actions and positions are known." if known else " Its actions are not known: action-free runs alone."
    return Taken(ClipEntry(folder, SPLIT, clip.as_posix(), count, count, False, known), taken, told)


def _dance_clip(name: str, folder: Path, dancing: Footage, posing: Footage) -> Taken:
    count, poses = len(dancing.frames), len(posing.frames)
    if count != poses:
        raise BadInput(f"{name}: {count} frames and {poses} pose pictures: every frame needs its pose")
    folders = dance.video_folders(folder, "validate")
    for number in range(count):
        dance.write_pair(folders, number, dancing.frames[number], posing.frames[number])
    told = f"{_told(dancing, 1)} Every frame has its pose."
    return Taken(ClipEntry(folder, "validate", "validate", count, count, True), dancing, told)


def _told(taken: Footage, every: int) -> str:
    (width, height), count = taken.first.size, len(taken.frames)
    across, down = taken.frames.shape[2], taken.frames.shape[1]
    each = f"every {every}th frame taken" if every > 1 else "every frame taken"
    cut = "" if taken.box == (0, 0, width, height) else "the centre cut out, "
    size = "" if (width, height) == (across, down) else f", {cut}made {across} x {down}"
    return f"{count} frames of {width} x {height} pixels ({each}{size})."


def _picture(archive: zipfile.ZipFile, name: str) -> Image.Image:
    with archive.open(name) as file:
        return read_picture(file, PurePosixPath(name).name)


def _files(archive: zipfile.ZipFile) -> dict[PurePosixPath, str]:
    """What is in a zip: path -> name, without the folders and hidden files that some systems add."""
    names = [name for name in archive.namelist() if not re.search(r"(^|/)(\.[^./]|__MACOSX/)|/$", name)]
    return {PurePosixPath(name): name for name in names}


@contextlib.contextmanager
def _archive(file: Path) -> Iterator[zipfile.ZipFile]:
    """An opened zip whose size is bounded; zipfile holds every file to the size that was declared for it."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            size = sum(entry.file_size for entry in entries)
            if len(entries) > MOST_FILES or size > MOST_BYTES:
                raise BadInput(
                    f"{file.name}: {len(entries):,} files of {size / 2**20:,.0f} MB, at most {MOST_FILES:,} and "
                    f"{MOST_BYTES // 2**20} MB are taken"
                )
            yield archive
    except BadInput:
        raise
    except (zipfile.BadZipFile, zlib.error, RuntimeError, OSError, EOFError):  # RuntimeError: encrypted
        raise BadInput(f"{file.name}: not a readable zip file") from None
