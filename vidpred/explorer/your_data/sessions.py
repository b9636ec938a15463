"""What visitors hand in, kept for a while and for each of them alone."""

import contextlib
import secrets
import shutil
import threading
from collections import OrderedDict
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path
from tempfile import TemporaryDirectory

from vidpred.explorer.runs.library import ClipEntry, Library

MOST_VISITS = 32
MOST_CLIPS, MOST_RUNS = 8, 2  # of one visitor; the oldest make room


class Visit:
    """A visitor's own runs and clips, in a folder that goes when the visit does."""

    def __init__(self):
        self._folder = TemporaryDirectory(prefix="vidpred-visit-", ignore_cleanup_errors=True)
        self.runs: dict[str, Path] = {}
        self.clips: dict[str, ClipEntry] = {}

    @contextlib.contextmanager
    def new_folder(self) -> Iterator[Path]:
        """A path where nothing is yet, and nothing is left if the block goes wrong."""
        folder = Path(self._folder.name) / secrets.token_hex(8)
        try:
            yield folder
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def add_run(self, name: str, folder: Path, others: Library) -> str:
        """Keep a run; the name under which it is found."""
        name = _free_name(name, {*others.runs, *self.runs})
        self.runs[name] = folder
        while len(self.runs) > MOST_RUNS:
            shutil.rmtree(self.runs.pop(next(iter(self.runs))), ignore_errors=True)
        return name

    def add_clip(self, name: str, entry: ClipEntry, others: Library) -> str:
        """Keep a clip; the name under which it is found."""
        name = _free_name(name, {*others.clips, *self.clips})
        self.clips[name] = entry
        while len(self.clips) > MOST_CLIPS:
            shutil.rmtree(self.clips.pop(next(iter(self.clips))).root, ignore_errors=True)
        return name


class Visits:
    """The visits by an id that nobody can guess; the one that was longest idle makes room."""

    def __init__(self, library: Library):
        self.library = library
        self._visits: OrderedDict[str, Visit] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, visit: str) -> tuple[str, Visit]:
        """The visit of an id, or a new one, with its id."""
        with self._lock:
            if not isinstance(visit, str) or visit not in self._visits:
                visit = secrets.token_urlsafe(16)
                self._visits[visit] = Visit()
            self._visits.move_to_end(visit)
            while len(self._visits) > MOST_VISITS:
                self._visits.popitem(last=False)
            return visit, self._visits[visit]

    def library_of(self, visit: str) -> Library:
        """Everything that is open here, and what this visitor handed in."""
        with self._lock:
            own = self._visits.get(visit) if isinstance(visit, str) else None
        return self.library if own is None else self.library.joined(own.runs, own.clips)

    def forget(self, visit: str) -> None:
        """The visitor has gone."""
        with self._lock:
            self._visits.pop(visit, None)


def _free_name(name: str, taken: set[str]) -> str:
    return next(free for free in chain([name], (f"{name} ({i})" for i in count(2))) if free not in taken)
