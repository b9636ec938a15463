"""What a visitor uploads, made into what the explorer reads: a clip in the published layout, or a run folder.

Nothing is taken on trust: limits stand before the reading, and weights are opened as safetensors only.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import imageio_ffmpeg
import numpy as np
from PIL import Image, ImageDraw

from vidpred import runs
from vidpred.config import ACTION_DIM, DANCE_SIZE, IMAGE_SIZE, POSITION_DIM
from vidpred.data import dance, robot_push
from vidpred.data.layout import number_key
from vidpred.data.video import CONTAINERS, FILMS, MOST_FRAMES, PICTURES, Footage, footage, read_film, read_picture
from vidpred.errors import BadInput
from vidpred.explorer.runs.library import SPLIT
from vidpred.explorer.runs.run import Clip
from vidpred.explorer.your_data.archive import Archive, open_archive
from vidpred.simulate.engine import RECORD_FILE

KINDS = (*FILMS, ".zip")
MOST_POSES = 630  # frames of a dance, as many as the published sequences have
MOST_COUNTED = 200_000  # frames of a film: two hours at 30 a second
POSES = re.compile("label|pose", re.IGNORECASE)  # in the name of a folder
MOST_RECORD = 1_000_000  # bytes of a simulated clip's record
CSVS = (robot_push.ACTIONS_CSV, robot_push.POSITIONS_CSV)
PREVIEW_HEIGHT = 192
PREVIEW_WIDTH = 768  # at most: made as high as others, a picture one pixel high would take gigabytes


class UploadedClip(NamedTuple):
    """A clip, its pictures as they came and as a model sees them, and in words what was done to them."""

    clip: Clip
    footage: Footage
    description: str


def holds_run(file: Path) -> bool:
    """Whether a file is a zip with a run in it."""
    if file.suffix.lower() != ".zip":
        return False
    with open_archive(file) as archive:
        return any(path.name == runs.CONFIG for path in archive.files)


def unpack_run(file: Path, folder: Path) -> None:
    """Write a zipped run to a new folder: settings, curves, numbers, and weights as safetensors."""
    with open_archive(file) as archive:
        folders = [path.parent for path in archive.files if path.name == runs.CONFIG]
        if len(folders) != 1:
            raise BadInput(f"{file.name}: one run at a time, {len(folders)} are in it")
        (inside,) = folders
        if inside / runs.WEIGHTS not in archive.files:
            pickled = [p.name for p in archive.files if p.parent == inside and p.suffix.lower() in runs.PICKLED]
            why = f"; {pickled[0]} could run code, so that only safetensors are opened" if pickled else ""
            raise BadInput(f"{file.name}: no {runs.WEIGHTS} beside {runs.CONFIG}{why}")
        folder.mkdir(parents=True)
        for name in runs.MAX_BYTES:
            if inside / name in archive.files:
                with archive.open(inside / name) as source, open(folder / name, "wb") as target:
                    shutil.copyfileobj(source, target)


def convert_clip(file: Path, folder: Path, every: int = 1) -> UploadedClip:
    """Write a film, a GIF or a zip of pictures to a new folder, as the one clip of a split. every: of a film every n-th
    frame is taken."""
    suffix = file.suffix.lower()
    if suffix == ".zip":
        return _convert_pictures(file, folder)
    if suffix not in FILMS:
        raise BadInput(f"{file.name}: expected a film or GIF ({', '.join(FILMS)}) or a zip of pictures or of a run")
    film = read_film(file, (IMAGE_SIZE, IMAGE_SIZE), every)
    return _robot_clip(file.name, folder, film, None, describe_footage(film, every, count_frames(file)))


def count_frames(film: Path) -> int:
    """Frames of a film or GIF, at most MOST_COUNTED; 0 where they cannot be counted. Nothing is decoded: an hour takes
    seconds. The container is told to ffmpeg, as where films are read."""
    container = CONTAINERS.get(film.suffix.lower(), "gif")
    given = ["-nostdin", "-v", "error", "-protocol_whitelist", "file", "-f", container, "-i", str(film)]
    copied = ["-map", "0:v:0", "-c", "copy", "-frames:v", str(MOST_COUNTED), "-f", "null"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), *given, *copied, "-progress", "pipe:1", "-"]
    report = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return max(map(int, re.findall(r"^frame=(\d+)", report, re.MULTILINE)), default=0)


def describe_footage(taken: Footage, every: int = 1, total: int = 0) -> str:
    """How many frames were taken and what was done to them. total: frames of the film, as far as they were counted."""
    (width, height), count = taken.first.size, len(taken.frames)
    across, down = taken.frames.shape[2], taken.frames.shape[1]
    which = "every frame taken" if every == 1 else f"every {_ordinal(every)} frame taken"
    if count < MOST_FRAMES:  # it was read to its end, whatever the container says
        total = min(total, count * every)
    if total > count * every:
        which = f"the first {count:,} taken" if every == 1 else f"{which} of the first {count * every:,}"
    counted = f"{count:,}"
    if total > count:
        counted += f" of {'over ' * (total == MOST_COUNTED)}{total:,}"
    cut = "" if taken.box == (0, 0, width, height) else "the centre cut out, "
    size = "" if (width, height) == (across, down) else f", {cut}made {across} x {down}"
    return f"{counted} frame{'s' * (max(count, total) != 1)} of {width} x {height} pixels ({which}{size})."


def crop_picture(taken: Footage) -> np.ndarray:
    """The first picture, what is cut off darkened, beside what a model sees of it; (H, W, 3) uint8."""
    first = taken.first
    scale = min(PREVIEW_HEIGHT / first.height, PREVIEW_WIDTH / first.width)
    width, height = (max(1, round(side * scale)) for side in first.size)
    smoothing = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BILINEAR  # enlarged, pixels stay pixels
    whole = first.resize((width, height), smoothing)
    left, top = (min(round(edge * scale), side - 1) for edge, side in zip(taken.box, (width, height)))
    right, bottom = (max(round(edge * scale), start + 1) for edge, start in zip(taken.box[2:], (left, top)))
    came = Image.blend(whole, Image.new("RGB", whole.size), 0.7)
    came.paste(whole.crop((left, top, right, bottom)), (left, top))
    ImageDraw.Draw(came).rectangle((left, top, right - 1, bottom - 1), outline=(45, 212, 191), width=2)
    small = Image.fromarray(taken.frames[0])
    factor = PREVIEW_HEIGHT // small.height
    seen = small.resize((small.width * factor, small.height * factor), Image.Resampling.NEAREST)
    picture = Image.new("RGB", (came.width + 16 + seen.width, PREVIEW_HEIGHT), (148, 163, 184))
    picture.paste(came, (0, (PREVIEW_HEIGHT - height) // 2))
    picture.paste(seen, (came.width + 16, 0))
    return np.asarray(picture)


def _convert_pictures(file: Path, folder: Path) -> UploadedClip:
    with open_archive(file) as archive:
        folders: dict[PurePosixPath, list[PurePosixPath]] = {}
        for path in archive.files:
            if path.suffix.lower() in PICTURES:
                folders.setdefault(path.parent, []).append(path)
        poses = [place for place in folders if len(folders) > 1 and POSES.search(place.name)]
        frames = [place for place in folders if place not in poses]
        if len(frames) != 1 or len(poses) > 1:
            raise BadInput(
                f"{file.name}: expected one folder of frames (0.png, 1.png, …), or one of frames and one of poses, "
                f"found {len(frames)} and {len(poses)}"
            )
        if poses:
            _require_same_numbers(file.name, *(folders[place] for place in (frames[0], poses[0])))
            dancing, posing = (
                _pictures(archive, folders[place], DANCE_SIZE, MOST_POSES) for place in (frames[0], poses[0])
            )
            return _dance_clip(file.name, folder, dancing, posing)
        moving = _pictures(archive, folders[frames[0]], (IMAGE_SIZE, IMAGE_SIZE), MOST_FRAMES)
        conditions = _conditions(archive, frames[0], folder / "csv", len(moving.frames))
        if conditions is not None:
            rows = sum(bool(line.strip()) for line in (folder / "csv" / CSVS[0]).read_text().splitlines())
            _require_rows(file.name, folders[frames[0]], rows)
        bounces = _bounces(archive, _beside(archive, frames[0], RECORD_FILE) / RECORD_FILE, len(moving.frames))
    return _robot_clip(file.name, folder, moving, conditions, describe_footage(moving), bounces)


def _numbers(name: str, paths: list[PurePosixPath]) -> dict[int, str]:
    """Names of pictures by the number in which they differ; none where that is not one number. Two names of one number
    are BadInput."""
    named: dict[str, str] = {}
    for path in paths:
        alike = re.sub(r"\d+", lambda digits: str(int(digits[0])), path.stem)
        if (other := named.setdefault(alike, path.name)) != path.name:
            raise BadInput(f"{name}: {' and '.join(sorted((other, path.name)))} have the same number")
    rows = [number_key(path.stem)[0] for path in paths]
    if len(set(map(len, rows))) != 1:
        return {}
    differing = [column for column in zip(*rows) if len(set(column)) > 1 or (len(rows) == 1 and len(rows[0]) == 1)]
    return {number: path.name for number, path in zip(differing[0], paths)} if len(differing) == 1 else {}


def _require_same_numbers(name: str, frames: list[PurePosixPath], poses: list[PurePosixPath]) -> None:
    """BadInput where a frame would be given another's pose. Both may be counted from other numbers."""
    own, posed = _numbers(name, frames), _numbers(name, poses)
    if not own or not posed or len(own) != len(posed):
        return
    moved = min(posed) - min(own)
    if lacking := sorted(number for number in own if number + moved not in posed):
        raise BadInput(f"{name}: no pose picture has the number of {own[lacking[0]]}")


def _require_rows(name: str, frames: list[PurePosixPath], rows: int) -> None:
    """BadInput where frames would be given others' actions: of as many rows as frames each has its own, of more the
    first ones are taken, which are those of frames 0, 1, …"""
    own = _numbers(name, frames)
    missing = [number for number in range(len(own)) if number not in own]
    if missing and rows != len(frames):
        counted = f"{rows} row{'s' * (rows != 1)} for {len(own)} frame{'s' * (len(own) != 1)}"
        raise BadInput(f"{name}: {CSVS[0]} has {counted}, and there is no frame {missing[0]}")


def _pictures(archive: Archive, paths: list[PurePosixPath], size: tuple[int, int], most: int) -> Footage:
    """Pictures of one folder, by their numbers."""
    if len(paths) > most:
        raise BadInput(f"{archive.name}: {len(paths):,} frames, at most {most} are taken")

    def picture(path: PurePosixPath) -> Image.Image:
        with archive.open(path) as file:
            return read_picture(file, path.name)

    numbered = sorted(paths, key=lambda path: number_key(path.name))
    return footage(map(picture, numbered), archive.name, size, most=most)


def _conditions(archive: Archive, inside: PurePosixPath, folder: Path, frames: int) -> np.ndarray | None:
    """Actions and positions (T, 7) that lie beside the frames, or beside their folder, by way of a folder; None where
    there are none."""
    inside = _beside(archive, inside, *CSVS)
    there = [name for name in CSVS if inside / name in archive.files]
    if not there:
        return None
    if len(there) == 1:
        raise BadInput(f"{archive.name}: {there[0]} is in it, but not both of {' and '.join(CSVS)}")
    folder.mkdir(parents=True)
    for name in there:
        with archive.open(inside / name) as source, open(folder / name, "wb") as target:
            shutil.copyfileobj(source, target)
    try:
        return robot_push.read_conditions(folder, frames)
    except BadInput as error:  # a visitor's own name for it, not where it lies here
        raise BadInput(str(error).replace(f"{folder}/", f"{archive.name}: ")) from None


def _beside(archive: Archive, inside: PurePosixPath, *names: str) -> PurePosixPath:
    """Where files that belong to a folder of frames lie: in it, or beside it."""
    return inside if any(inside / name in archive.files for name in names) else inside.parent


def _bounces(archive: Archive, record: PurePosixPath, frames: int) -> list[list[int]] | None:
    """What the record of a simulated clip says of shapes that left walls; None for other clips."""
    if record not in archive.files:
        return None
    with archive.open(record) as source:
        content = source.read(MOST_RECORD + 1)
    try:
        found = json.loads(content)["bounces"] if len(content) <= MOST_RECORD else None
        known = [[frame for frame in shape if type(frame) is int and 0 < frame < frames] for shape in found]
        return known if all(isinstance(shape, list) for shape in found) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _robot_clip(
    name: str,
    folder: Path,
    taken: Footage,
    conditions: np.ndarray | None,
    description: str,
    bounces: list[list[int]] | None = None,
) -> UploadedClip:
    """Written in the robot layout; where no actions are known, as zeros that no run is given."""
    count, known = len(taken.frames), conditions is not None
    rows = conditions if known else np.zeros((count, ACTION_DIM + POSITION_DIM))
    inside = Path(SPLIT) / "yours" / "0"
    record = {} if bounces is None else {RECORD_FILE: {"bounces": bounces}}
    robot_push.write_clip(folder / inside, taken.frames, rows[:, :ACTION_DIM], rows[:, ACTION_DIM:], record)
    actions = "Its actions and positions are known." if known else "Its actions are not known: action-free runs alone."
    clip = Clip(name, folder, SPLIT, inside.as_posix(), count, count, False, known, bounces is not None)
    return UploadedClip(clip, taken, f"{description} {actions}")


def _dance_clip(name: str, folder: Path, dancing: Footage, posing: Footage) -> UploadedClip:
    count, poses = len(dancing.frames), len(posing.frames)
    if count != poses:
        raise BadInput(
            f"{name}: {count} frame{'s' * (count != 1)} and {poses} pose picture{'s' * (poses != 1)}: every frame "
            "needs its pose"
        )
    folders = dance.video_folders(folder, "validate")
    for number in range(count):
        dance.write_pair(folders, number, dancing.frames[number], posing.frames[number])
    clip = Clip(name, folder, "validate", "validate", count, count, has_poses=True)
    return UploadedClip(clip, dancing, f"{describe_footage(dancing)} Every frame has its pose.")


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in (11, 12, 13) else ending}"
