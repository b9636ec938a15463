"""Files and folders that are written whole or not at all, also by a process that is killed; and files of strangers."""

import contextlib
import json
import math
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from vidpred.errors import BadInput

UNFINISHED = ".unfinished-"  # begins the names of what is being written; one who is killed leaves it
LOCK = ".lock"  # of a folder that is being written to: vidpred.lock


def require_file(path: Path) -> int:
    """Size in bytes of an ordinary file; BadInput for what is none (a pipe is waited for, a device never ends) or leads
    nowhere. FileNotFoundError where there is nothing at all."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        if not os.path.islink(path):
            raise
        raise BadInput(f"{path}: a link to nothing, expected a file") from None
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}, expected a file") from None
    if not stat.S_ISREG(found.st_mode):
        raise BadInput(f"{path}: {'a folder' if stat.S_ISDIR(found.st_mode) else 'no ordinary file'}, expected a file")
    return found.st_size


def read_bytes(path: Path, most: int) -> bytes:
    """Content of an ordinary file of at most `most` bytes; else as require_file."""
    if (size := require_file(path)) > most:
        raise BadInput(f"{path}: {size / 1e6:,.0f} MB, at most {most / 1e6:,.0f} MB are read")
    with open(path, "rb") as file:
        return file.read(most)


def stamp(path: Path) -> tuple[int, int] | None:
    """When a file was written, ns, and its size; None where there is none, or a link that leads nowhere."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def write_json(path: Path, values: Any) -> None:
    """Indented JSON, atomically. NaN has no place in JSON and is refused."""
    with replaced(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1, allow_nan=False) + "\n")


def without_infinity(values: Any) -> Any:
    """The same JSON values with null for every number that is not finite (the PSNR of equal frames is infinite)."""
    if isinstance(values, dict):
        return {key: without_infinity(value) for key, value in values.items()}
    if isinstance(values, list):
        return [without_infinity(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Path of a temporary file that takes the place of `path` when the block ends well: all or nothing. It lies in a
    folder of its own: libraries put files of theirs beside it. An OSError about it names `path`."""
    path = Path(path)
    with _unfinished(path) as building:
        temporary = building / path.name
        yield temporary
        _sync(temporary)
        temporary.chmod(_mode(building) & 0o666)  # libraries keep theirs from all others
        os.replace(temporary, path)


@contextlib.contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """The same for a folder, which need not be on the disk yet: what was there is deleted once the new one is whole."""
    folder = Path(folder)
    with _unfinished(folder) as building:
        yield building
        building.chmod(_mode(building))
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(building, folder)


@contextlib.contextmanager
def replaced_together(folder: Path, mark: str, old: Iterable[str] = ()) -> Iterator[Path]:
    """A new folder whose entries come into `folder` when the block ends well, in the places of those of the same names
    and of the `old` ones. `mark` is the entry by which others know that all are there: it goes first and comes last,
    so that who finds it finds them whole. Nobody else may be writing there."""
    folder = Path(folder)
    with _unfinished(folder / mark) as building:
        new, gone = building / "new", building / "gone"
        for part in (new, gone):
            part.mkdir()
        yield new
        for file in new.rglob("*"):
            if file.is_file():
                _sync(file)
        names = [path.name for path in new.iterdir() if path.name != mark]
        try:
            for name in dict.fromkeys((mark, *names, *old)):
                if (folder / name).exists():
                    os.replace(folder / name, gone / name)
            sync_folder(folder)
            for name in names:
                os.replace(new / name, folder / name)
            sync_folder(folder)
            os.replace(new / mark, folder / mark)
        except BaseException:  # all that was there before, and nothing else
            for name in names:
                if not (new / name).exists():
                    os.replace(folder / name, new / name)
            for path in sorted(gone.iterdir(), key=lambda path: path.name == mark):
                os.replace(path, folder / path.name)
            raise
        sync_folder(folder)


def was_begun(folder: Path, mark: str) -> bool:
    """Whether a process was killed as it replaced entries together."""
    return any(Path(folder).glob(f"{UNFINISHED}*-{mark}"))


def remove_unfinished(folder: Path, *names: str) -> None:
    """Delete what killed processes were writing into a folder, of these names (none: of any). Nobody may be writing
    them now."""
    for begun in Path(folder).glob(f"{UNFINISHED}*"):
        random_and_name = begun.name.removeprefix(UNFINISHED)
        if not names or random_and_name.partition("-")[2] in names:
            shutil.rmtree(begun) if begun.is_dir() else begun.unlink()


def is_vacant(folder: Path, *but: str) -> bool:
    """Whether there is no folder, or nothing in it but what a killed process leaves, and these names."""
    if not Path(folder).exists():
        return True
    return all(path.name.startswith((UNFINISHED, LOCK)) or path.name in but for path in Path(folder).iterdir())


def require_vacant(folder: Path) -> None:
    """BadInput for a folder that is not."""
    if not is_vacant(folder):
        raise BadInput(f"{folder} is not empty; give another folder")


def _mode(building: Path) -> int:
    """What the umask leaves to a new folder."""
    (building / ".mode").mkdir()
    mode = (building / ".mode").stat().st_mode & 0o777
    (building / ".mode").rmdir()
    return mode


def _sync(file: Path) -> None:
    with open(file, "rb+") as written:  # Windows flushes only what may be written
        os.fsync(written.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the disk holds the names in a folder as they are now, where the system can say so."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def _unfinished(path: Path) -> Iterator[Path]:
    """A new folder beside `path`, gone after the block. An OSError without a file's name (a write's has none) or about
    what lies in there is one about `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    building = None
    try:
        building = Path(tempfile.mkdtemp(prefix=UNFINISHED, suffix=f"-{path.name}", dir=path.parent))
        yield building
    except OSError as error:
        file = error.filename2 or error.filename or ""  # a copy's target
        parts = Path(os.fsdecode(file)).parts if not isinstance(file, int) else ()
        if error.errno is None or (parts and not any(part.startswith(UNFINISHED) for part in parts)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        if building is not None:
            shutil.rmtree(building, ignore_errors=True)
