"""Files that are written whole or not at all."""

import contextlib
import json
import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


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
