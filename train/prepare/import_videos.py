"""Anyone's films into clips without actions; run again to go on after an interruption, or with more films."""

import contextlib
import math
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from train.cli import require_outside
from train.prepare.film_record import BUILDING, ImportedFilm, Record, count, digest_of_place
from vidpred.data import films
from vidpred.data.films import Film, ShotCutter, film_frames, inspect_film
from vidpred.data.layout import SPLITS, by_number
from vidpred.data.robot_push import list_frames, write_clip
from vidpred.errors import BadInput
from vidpred.lock import held
from vidpred.render import save_png

CONTACT_SHEET = "contact.png"
FILES_AND_OUT = tyro.conf.arg(metavar="FILES_OR_FOLDERS... OUT", help_behavior_hint="")
MOST_ROWS = 120  # of the contact sheet
SHOWN_CLIPS, CELL, GAP, LINE = 5, 64, 4, 16


def import_videos(
    paths: Annotated[tyro.conf.Positional[tuple[Path, ...]], FILES_AND_OUT],
    size: int = 64,
    every: int = 1,
    crop: str = "centre",
    frames: int = 30,
    shot_change: float = films.SHOT_CHANGE,
) -> None:
    """Films and GIFs of any kind that ffmpeg reads into clips without actions, for --model.condition none.

    Cuts between shots end a clip, stretches in which nothing moves are left out, and no film is in two splits. What is
    no film is named and the rest goes on. Run again to go on after an interruption, or with more films.

    Args:
        paths: Films, or folders that are searched for them, and last the folder to write: a folder per clip in
            OUT/{train,validate,test}/<film>, contact.png to look at, and films.json.
        size: Width and height of the frames, pixels. Training, evaluation and the app read clips of 64 alone.
        every: Every n-th frame is taken.
        crop: What is kept of a picture: the largest square at its centre, left, right, top or bottom, the whole
            (squeezed), or the centre of WIDTH:HEIGHT:LEFT:TOP in pixels.
        frames: Frames of a clip; what is left of a shot is left out. A GIF may have fewer than 30.
        shot_change: A cut changes the picture by this many per cent more than the frames around it change.
    """
    *given, out = paths or (None,)
    if not given:
        raise BadInput("give films or folders of films, and last the folder to write")
    _require_settings(size, every, crop, frames, shot_change)
    settings = {"size": size, "every": every, "crop": crop, "frames": frames, "shot_change": shot_change}
    files = dict(_files(given, out))
    with held(out):
        _import(files, Record(out, settings))


def _import(files: dict[str, Path], record: Record) -> None:
    """Read what is new, give every film its split, and say what there is now."""
    out, frames = record.out, record.settings["frames"]
    todo, refused = _choose(files, record)
    frames_left = sum(film.frames for _, film in todo)
    with tqdm(total=frames_left, unit="frame", desc="import", disable=not todo) as progress:
        for name, film in todo:
            with _refusals_noted(refused, name, film.path):
                tqdm.write(str(record.add(_read(record, name, film, progress))))
    if not any(film.clips for film in record.films):
        short = f"no clip in them: each has fewer than {frames} frames that move; fewer --frames makes shorter clips"
        nothing = "none of the films was taken" if todo else "none of the files is a film"
        raise BadInput(f"{out}: {short if record.films else nothing}")
    record.place()
    with_clips = [film for film in record.films if film.clips and record.is_there(film)]
    if not with_clips:
        raise BadInput(f"{out}: the folders of all films have been deleted; give another folder, or add films")
    save_png(out / CONTACT_SHEET, contact_sheet(out, with_clips))
    left_out = f", {count(len(refused), 'file')} left out" * bool(refused)
    print(f"{out}: {_summary(with_clips)}{left_out}; look at {out / CONTACT_SHEET}")
    if missing := _missing_splits(with_clips):
        print(missing)


def contact_sheet(out: Path, imported: list[ImportedFilm]) -> np.ndarray:
    """A row per film: its name and split, and the first, middle and last frame of some of its clips; (H, W, 3)."""
    shown = sorted(imported, key=lambda film: (SPLITS.index(film.split), film.name))
    shown = [shown[i] for i in _spread(len(shown), MOST_ROWS)]
    width, height = SHOWN_CLIPS * (3 * CELL + GAP) - GAP, CELL + LINE + GAP
    sheet = Image.new("RGB", (width, height * len(shown)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for row, film in enumerate(shown):
        clips = by_number(out / film.split / film.group)
        draw.text((2, row * height), f"{film.split}: {film.name}, {count(film.clips, 'clip')}", "black", font)
        for column, clip in enumerate(_spread(len(clips), SHOWN_CLIPS)):
            pictures = list_frames(clips[clip])
            for part, number in enumerate(_spread(len(pictures), 3)):
                with Image.open(pictures[number]) as picture:
                    place = column * (3 * CELL + GAP) + part * CELL, row * height + LINE
                    sheet.paste(picture.resize((CELL, CELL), Image.Resampling.BILINEAR), place)
    return np.asarray(sheet)


def _read(record: Record, name: str, film: Film, progress: tqdm) -> ImportedFilm:
    """Write a film's clips where films wait; what an interrupted reading left there is replaced."""
    frames, size, every = (record.settings[key] for key in ("frames", "size", "every"))
    group, cutter, clips = record.free_group(name), ShotCutter(frames, record.settings["shot_change"]), 0
    waiting = record.out / BUILDING / group
    shutil.rmtree(waiting, ignore_errors=True)
    came = _counted(film_frames(film, (size, size), every, record.settings["crop"]), progress, every)
    try:
        for clips, (first, clip) in enumerate(cutter.clips(came), start=1):
            write_clip(waiting / str(clips), clip, extra_json={"film.json": {"film": name, "frame": first * every}})
    except BaseException:
        shutil.rmtree(waiting, ignore_errors=True)
        raise
    uneven = "variable frame rate: the time between frames differs" * film.uneven
    note, file = "; ".join(filter(None, (film.damage, uneven))), film.path.stat()
    counts = {"clips": clips, "shots": cutter.shots, "frames": cutter.frames, "still": cutter.still}
    place = {"source": digest_of_place(film.path), "fingerprint": film.fingerprint, "group": group, "split": None}
    return ImportedFilm(name, file.st_size, file.st_mtime_ns, **place, **counts, short=cutter.short, note=note)


def _counted(frames: Iterator[np.ndarray], progress: tqdm, every: int) -> Iterator[np.ndarray]:
    for frame in frames:
        yield frame
        progress.update(every)


def _choose(files: dict[str, Path], record: Record) -> tuple[list[tuple[str, Film]], list[str]]:
    """The films that are still to be read, and a line, which is said, for every file that is none."""
    known = {film.name: film for film in record.films}
    read = {film.source: film for film in record.films}
    seen = {film.fingerprint: film.name for film in record.films}
    todo, refused = [], []
    for name, path in tqdm(files.items(), unit="film", desc="look at films", leave=False, disable=not files):
        file, source = path.stat(), digest_of_place(path)
        found = read.get(source) or known.get(name)
        if found and (found.bytes, found.changed) == (file.st_size, file.st_mtime_ns):
            continue
        with _refusals_noted(refused, name, path):
            film = inspect_film(path)
            if found and found.fingerprint != film.fingerprint:
                if found.source in (source, ""):
                    raise BadInput("another film than the one that was imported from it, which stays")
                found, name = None, _name_apart(path, {*known, *files})
            name = found.name if found else name
            if seen.setdefault(film.fingerprint, name) != name:
                raise BadInput(f"the same film as {seen[film.fingerprint]}, left out")
            if not found:
                todo.append((name, film))
    return todo, refused


@contextlib.contextmanager
def _refusals_noted(refused: list[str], name: str, path: Path) -> Iterator[None]:
    """What is wrong with a file is said under its name below the folder, and kept."""
    try:
        yield
    except BadInput as error:
        refused.append(f"{name}: {str(error).removeprefix(f'{path.name}: ')}")
        tqdm.write(refused[-1], file=sys.stderr)


def _files(given: list[Path], out: Path) -> Iterator[tuple[str, Path]]:
    """Files by name: those of folders below them, hidden ones left out, in the order of their numbers."""
    names: set[str] = set()
    for place in given:
        if not place.exists():
            raise BadInput(f"{place}: no such file or folder")
        if place.is_dir():
            require_outside(place, out)
        below = _walk(place) if place.is_dir() else [place]
        for path in below:
            name = _name(path.relative_to(place)) if place.is_dir() else _name(Path(path.name))
            if name in names:
                name = _name_apart(path, names)
            names.add(name)
            yield name, path


def _name(path: Path) -> str:
    """A path that can be printed, whatever bytes the file system takes."""
    return os.fsencode(path.as_posix()).decode(errors="backslashreplace")


def _name_apart(path: Path, taken: set[str]) -> str:
    """A file's name below as many of its folders as it takes to be none of those that are taken."""
    parts = path.resolve().parts
    names = [_name(Path(*parts[i:])) for i in reversed(range(len(parts)))]
    return next((name for name in names if name not in taken), names[-1])


def _walk(folder: Path) -> Iterator[Path]:
    for path in by_number(folder):
        if path.is_dir() and not path.is_symlink():  # which may lead back to where it lies
            yield from _walk(path)
        elif path.is_file():
            yield path


def _require_settings(size: int, every: int, crop: str, frames: int, shot_change: float) -> None:
    if not 16 <= size <= 512 or size % films.BLOCKS:
        raise BadInput(f"--size {size}: a multiple of {films.BLOCKS} from 16 to 512 pixels")
    if every < 1 or frames < 2:
        raise BadInput(f"--every {every}, --frames {frames}: at least 1 and 2")
    if not 0 < shot_change < math.inf:
        raise BadInput(f"--shot-change {shot_change}: per cent, above 0 and finite")
    if crop not in films.SIDES:
        films.rectangle(crop)


def _summary(imported: list[ImportedFilm]) -> str:
    parts = []
    for split in SPLITS:
        inside = [film for film in imported if film.split == split]
        if inside:
            clips = count(sum(film.clips for film in inside), "clip")
            parts.append(f"{split} {clips} of {count(len(inside), 'film')}")
    return ", ".join(parts)


def _missing_splits(imported: list[ImportedFilm]) -> str:
    """What one or two films are not enough for, or what has been deleted leaves without a film."""
    if [film.split for film in imported] == ["train"]:
        return (
            "One film is all training: no film is in two splits, and training needs a second one to validate, the test "
            "a third. Run again with more films, or with this one cut into three files."
        )
    empty = [split for split in SPLITS if split not in {film.split for film in imported}]
    if (len(imported) > 2 and empty) or "train" in empty or "validate" in empty:
        return f"No film is left in {' and '.join(empty)}: what is added next goes there."
    if len(imported) == 2:
        return (
            "Two films, one to train and one to validate: no film is in two splits, so there is no test split. "
            "The app shows the one to validate, train.evaluate and train.generate take --split validate. A third film "
            "makes it whole: run again."
        )
    return ""


def _spread(count: int, most: int) -> list[int]:
    """At most so many of `count` numbers from 0, evenly spread, the first and the last among them."""
    return sorted(set(np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()))
