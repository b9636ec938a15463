"""A visitor's zip: its size is checked before anything is read, and no name in it is used as a path on disk."""

import contextlib
import re
import zipfile
import zlib
from collections.abc import Iterator, KeysView
from pathlib import Path, PurePosixPath
from typing import IO

from vidpred.errors import BadInput

MOST_FILES = 5000
MOST_BYTES = 200 * 2**20  # unpacked
LEFT_OUT = re.compile(r"(^|/)(\.[^./]|__MACOSX/)|/$")  # folders, and hidden files that some systems add


class Archive:
    """An open zip. name: of its file."""

    def __init__(self, name: str, content: zipfile.ZipFile):
        self.name, self._content = name, content
        self._entries = {PurePosixPath(entry): entry for entry in content.namelist() if not LEFT_OUT.search(entry)}

    @property
    def files(self) -> KeysView[PurePosixPath]:
        """What is in it."""
        return self._entries.keys()

    def open(self, path: PurePosixPath) -> IO[bytes]:
        """One of its files, to be read."""
        return self._content.open(self._entries[path])


@contextlib.contextmanager
def open_archive(file: Path) -> Iterator[Archive]:
    """A zip of bounded size; zipfile holds every file to the size that was declared for it. What cannot be read, also
    while it is open, is BadInput."""
    try:
        with zipfile.ZipFile(file) as content:
            entries = content.infolist()
            size = sum(entry.file_size for entry in entries)
            if len(entries) > MOST_FILES or size > MOST_BYTES:
                found = f"{len(entries):,} file{'s' * (len(entries) != 1)} of {size / 2**20:,.0f} MB"
                most = f"{MOST_FILES:,} and {MOST_BYTES // 2**20} MB"
                raise BadInput(f"{file.name}: {found}, at most {most} are taken")
            yield Archive(file.name, content)
    except BadInput:
        raise
    except (zipfile.BadZipFile, zlib.error, RuntimeError, OSError, EOFError):  # RuntimeError: encrypted
        raise BadInput(f"{file.name}: not a readable zip file") from None
