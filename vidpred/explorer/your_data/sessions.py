"""What visitors uploaded, kept for a while and for each of them alone."""

import contextlib
import os
import secrets
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import cached_property
from itertools import chain, count
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import numpy as np
from cachetools import TTLCache

from vidpred.errors import BadInput
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.run import Clip
from vidpred.explorer.server.storage import storage
from vidpred.files import require_file

MOST_SESSIONS = 32
MOST_OF_ONE = 16  # from one address
SECONDS_KEPT = 4 * 3600  # of a session after its last use
MOST_CLIPS, MOST_RUNS = 8, 2  # of one session; the oldest make room


class About(NamedTuple):
    """What is said of a clip that was handed in, as Markdown, and the picture of how it was cropped."""

    description: str
    crop: np.ndarray


class Session:
    """A visitor's own runs and clips, by name. Their folder is deleted with the last reference to the session, so that
    it stays while a handler reads from it."""

    def __init__(self):
        self.runs: dict[str, Path] = {}
        self.clips: dict[str, Clip] = {}
        self.about: dict[str, About] = {}  # the clips
        self.shown: str | None = None  # the clip whose description stands on the page
        self.original: Path | None = None  # the file that was handed in last,
        self.made: str | None = None  # the clip that was made of it,
        self.every: int | None = None  # and the step between its frames

    @cached_property
    def folder(self) -> Path:
        """Where everything of this session lies."""
        folder = Path(mkdtemp(prefix="session-", dir=storage().private))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder

    @contextlib.contextmanager
    def new_folder(self) -> Iterator[Path]:
        """A path where nothing is yet, and nothing is left if the block fails."""
        folder = self.folder / secrets.token_hex(8)
        try:
            yield folder
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def take(self, file: Path) -> None:
        """Keep a file that was handed in, in place of the last one: the cache to which it came is cleared soon."""
        try:
            require_file(file)  # a pipe would be waited for
        except (OSError, ValueError):  # a name that none can have; BadInput is one too, and tells the server's path
            raise BadInput(f"{file.name[:80]!r} is no longer here: please hand it in again") from None
        folder = self.folder / "original"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self.original, self.made, self.every = folder / file.name, None, None
        try:
            os.link(file, self.original)
        except OSError:  # on another disk
            shutil.copyfile(file, self.original)

    def library(self, shared: Library) -> Library:
        """Everything that is open here, and what this visitor uploaded."""
        return shared.with_own(self.runs, self.clips) if self.runs or self.clips else shared

    def add_run(self, name: str, folder: Path, others: Collection[str]) -> str:
        """Keep a run; its name, which is not one of the others'."""
        name = _free_name(name, {*others, *self.runs})
        self.runs[name] = folder
        while len(self.runs) > MOST_RUNS:
            shutil.rmtree(self.runs.pop(next(iter(self.runs))), ignore_errors=True)
        return name

    def add_clip(self, clip: Clip, others: Collection[str]) -> Clip:
        """Keep a clip that was made of the original, in place of an earlier one; the same with a name that is not one
        of the others'."""
        if self.made is not None:
            self._drop(self.made)
        clip = replace(clip, name=_free_name(clip.name, {*others, *self.clips}))
        self.clips[clip.name] = clip
        self.made = clip.name
        while len(self.clips) > MOST_CLIPS:
            self._drop(next(iter(self.clips)))
        return clip

    def _drop(self, name: str) -> None:
        self.about.pop(name, None)
        if clip := self.clips.pop(name, None):  # it may have made room for another
            shutil.rmtree(clip.root, ignore_errors=True)


class Sessions:
    """Sessions by an id that nobody can guess, each until it has been idle for too long. Of too many the one that has
    been idle longest makes room."""

    def __init__(
        self,
        most: int = MOST_SESSIONS,
        seconds: float = SECONDS_KEPT,
        timer: Callable[[], float] = time.monotonic,
        most_of_one: int = MOST_OF_ONE,
    ):
        self._most_of_one = most_of_one
        self._addresses: dict[str, str] = {}  # where each session came from, the longest idle first
        self._sessions: TTLCache[str, Session] = TTLCache(most, seconds, timer)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        with self._lock:
            return len(self._sessions)

    def find(self, session_id: Any) -> Session:
        """The session of an id. An unknown id gives an empty one, which is not kept."""
        with self._lock:
            return self._used(session_id) or Session()

    def keep(self, session_id: Any, session: Session, address: str = "") -> str:
        """Keep a session that `find` gave, once there is something in it, and the id by which it is found again. Of too
        many from one address, its own that has been idle longest makes room."""
        with self._lock:
            if self._used(session_id) is session:
                return session_id
            self._addresses = {name: of for name, of in self._addresses.items() if name in self._sessions}
            own = [name for name, of in self._addresses.items() if of == address]
            if len(own) >= self._most_of_one:
                self._sessions.pop(own[0])
            session_id = secrets.token_urlsafe(16)
            self._sessions[session_id], self._addresses[session_id] = session, address
            return session_id

    def close(self, session_id: str) -> None:
        """The visitor has left."""
        with self._lock:
            self._sessions.expire()
            self._sessions.pop(session_id, None)

    def _used(self, session_id: Any) -> Session | None:
        self._sessions.expire()
        session = self._sessions.get(session_id) if isinstance(session_id, str) else None
        if session is not None:
            self._sessions[session_id] = session  # written again: its time starts anew
            self._addresses[session_id] = self._addresses.pop(session_id)
        return session


def _free_name(name: str, taken: set[str]) -> str:
    return next(free for free in chain([name], (f"{name} ({i})" for i in count(2))) if free not in taken)
