"""Files that are written whole or not at all, and read only where they are files and not too large."""

import contextlib
import json
import math
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vidpred.errors import BadInput


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
    """Path of a temporary file that takes the place of `path` when the block ends well: all or nothing."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
