"""Files that were handed in: for a few minutes and within a quota, until a visit takes a copy."""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

SECONDS_KEPT = 600.0  # of an upload; a visit that has read it holds a copy of its own
MOST_BYTES = 2**30  # of all uploads within that time
MOST_OF_ONE = 2**29  # of those from one address


class Uploads:
    """Bytes that were taken in, by address, until they are deleted. later(seconds, function) calls it then."""

    def __init__(self, later: Callable):
        self._later = later
        self._bytes: dict[str, int] = {}

    def admit(self, address: str, size: int) -> bool:
        """Count an upload that is about to come; False where there is no room for it."""
        mine = self._bytes.get(address, 0)
        if mine + size > MOST_OF_ONE or sum(self._bytes.values()) + size > MOST_BYTES:
            return False
        self._bytes[address] = mine + size
        return True

    def ended(self, address: str, size: int, files: Iterable[Path], folder: Path) -> None:
        """It has come, or been broken off: its files in the folder of uploads are deleted in a while."""
        self._later(SECONDS_KEPT, self._delete, address, size, list(files), folder)

    def _delete(self, address: str, size: int, files: list[Path], folder: Path) -> None:
        for file in files:
            if folder in file.parents:
                shutil.rmtree(file.parent, ignore_errors=True)  # it lies in a folder named by what it holds
        for part in folder.glob("tmp*"):  # of uploads that were broken off
            with contextlib.suppress(OSError):
                if part.is_file() and time.time() - part.stat().st_mtime > SECONDS_KEPT:
                    part.unlink()
        self._bytes[address] -= size
        if not self._bytes[address]:
            del self._bytes[address]
