"""Which films were imported into a folder, with which settings, and into which split each of them went."""

import hashlib
import json
import os
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from vidpred.data.layout import SPLITS
from vidpred.errors import BadInput
from vidpred.files import is_vacant, write_json

RECORD = "films.json"  # at the data set's root
BUILDING = ".films"  # where films wait, until all are read and every one has its split
SHARES = {"train": 0.8, "validate": 0.1, "test": 0.1}  # of the clips


@dataclass
class ImportedFilm:
    """A film that was read to its end. name: as it was given, below the folder; group: the folder of its clips; split:
    None while other films are still to be read; frames: those taken, of which `still` moved too little and `short` were
    too few for a clip; note: what was wrong with it; source: digest of where the file lay (in earlier records '' or the
    path itself)."""

    name: str
    bytes: int
    changed: int  # ns
    fingerprint: str
    group: str
    split: str | None
    clips: int
    shots: int
    frames: int
    still: int
    short: int
    note: str = ""
    source: str = ""

    def __str__(self) -> str:
        clips = count(self.clips, "clip") if self.clips else "no clip"
        left = {"standing still": self.still, "too few for a clip": self.short}
        reasons = ", ".join(f"{frames:,} {why}" for why, frames in left.items() if frames)
        made = f"{clips} from {count(self.frames, 'frame')} in {count(self.shots, 'shot')}"
        return f"{self.name}: {made}" + f" (left out: {reasons})" * bool(reasons) + f"; {self.note}" * bool(self.note)


class Record:
    """OUT/films.json, read and written. A folder of anything else, or one with clips made with other settings, is
    BadInput."""

    def __init__(self, out: Path, settings: dict):
        self.out, self.settings, self.films = out, settings, []
        path = out / RECORD
        if path.is_file():
            try:
                found = json.loads(path.read_text())
                films = [ImportedFilm(**film) for film in found.pop("films")]
                for film in films:
                    if Path(film.source).is_absolute():  # as records were
                        film.source = digest_of_place(Path(film.source))
            except (ValueError, KeyError, TypeError, AttributeError):
                raise BadInput(f"{path}: not an import's record; give another folder") from None
            if not any(film.clips for film in films):
                return  # they are read again: with other settings they may have clips
            self.films = films
            for name, value in settings.items():
                if found.get(name) != value:
                    option = name.replace("_", "-")
                    raise BadInput(
                        f"{out} was made with --{option} {found.get(name)}, not {value}; give another folder"
                    )
        elif not is_vacant(out):
            raise BadInput(f"{out} is not empty and has no {RECORD}; give another folder")

    def add(self, film: ImportedFilm) -> ImportedFilm:
        """Keep a film whose clips are written."""
        self.films.append(film)
        self._write()
        return film

    def is_there(self, film: ImportedFilm) -> bool:
        """Whether a film has no split yet, or its clips have not been deleted."""
        places = (self.out / BUILDING, self.out / (film.split or ""))
        return film.split is None or any((place / film.group).is_dir() for place in places)

    def free_group(self, name: str) -> str:
        """A folder's name for a film, that no other has."""
        stem = re.sub(r"[^\w-]+", "_", Path(name).stem).strip("_") or "film"
        stem = stem.encode()[:120].decode(errors="ignore").rstrip("_")  # names of what is made of a clip hold more
        taken = {film.group for film in self.films}
        return next(group for group in (stem, *(f"{stem}_{n}" for n in range(2, 10**6))) if group not in taken)

    def place(self) -> None:
        """Give every film its split and put its clips there."""
        there = [film for film in self.films if self.is_there(film)]  # what was deleted fills no split
        for film, split in zip(there, choose_splits(there)):
            film.split = split
        self._write()  # before anything moves: an interrupted move goes on to the same places
        for film in self.films:
            waiting = self.out / BUILDING / film.group
            if film.split and waiting.is_dir():
                (self.out / film.split).mkdir(exist_ok=True)
                os.replace(waiting, self.out / film.split / film.group)
        shutil.rmtree(self.out / BUILDING, ignore_errors=True)

    def _write(self) -> None:
        write_json(self.out / RECORD, {**self.settings, "films": [asdict(film) for film in self.films]})


def choose_splits(imported: list[ImportedFilm]) -> list[str | None]:
    """Whole films to splits, those with most clips first, each to the split that lacks most of its share; a film that
    has a split keeps it, one without clips gets none. As long as films suffice no split stays empty: one film is for
    training, a second one for validation, a third one for the test."""
    chosen = [film.split for film in imported]
    total, clips = sum(film.clips for film in imported), dict.fromkeys(SPLITS, 0)
    for film in imported:
        if film.split:
            clips[film.split] += film.clips
    new = [i for i, film in enumerate(imported) if film.clips and not film.split]
    new.sort(key=lambda i: (-imported[i].clips, imported[i].name))
    for position, i in enumerate(new):
        empty = [split for split in SPLITS if not clips[split]]
        among = empty if len(new) - position <= len(empty) else SPLITS
        chosen[i] = max(among, key=lambda split: SHARES[split] * total - clips[split])
        clips[chosen[i]] += imported[i].clips
    return chosen


def digest_of_place(film: Path) -> str:
    """By which a file is known again where it lies: the record goes where the clips go, and tells no paths of here."""
    return hashlib.blake2b(os.fsencode(film.resolve()), digest_size=16).hexdigest()


def count(number: int, noun: str) -> str:
    """`1 clip`, `1,200 clips`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
