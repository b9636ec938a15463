"""How far an answer is, in predicted frames: counted where it is begun, not where each part of it is made."""

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar

SECONDS_BETWEEN = 0.4
SECONDS_KNOWN = 1.0  # of frames, after which the time of the others can be said


class Progress:
    """Frames that one answer takes, and how many of them are there."""

    def __init__(self, frames: int):
        self.frames, self.done = frames, 0
        self._begun: float | None = None  # with the first frame: a model that is loaded says nothing about the others
        self._told = time.monotonic()

    def advance(self, frames: int) -> None:
        """So many more."""
        if self._begun is None:
            self._begun = time.monotonic()
        self.done += frames

    def due(self) -> bool:
        """Whether it is to be said (again): a quick answer says nothing, a long one not every frame of it."""
        now = time.monotonic()
        if now - self._told < SECONDS_BETWEEN:
            return False
        self._told = now
        return True

    @property
    def seconds_left(self) -> float | None:
        """If the others take as long as those that are there; None as long as nobody can say."""
        passed = time.monotonic() - self._begun if self._begun is not None else 0.0
        return passed / self.done * (self.frames - self.done) if passed >= SECONDS_KNOWN else None


_current: ContextVar[Progress | None] = ContextVar("progress", default=None)


@contextlib.contextmanager
def of(frames: int) -> Iterator[Progress]:
    """Within, so many frames are predicted. Inside of another one, this is a part of it: all its frames are there at
    the end, also where they were there before."""
    progress, own = _current.get(), None
    if progress is None:
        progress = Progress(frames)
        own = _current.set(progress)
    begun = progress.done
    try:
        yield progress
        progress.done = begun + frames
    finally:
        if own is not None:
            _current.reset(own)


def advance(frames: int) -> Progress | None:
    """So many more; None where nobody counts."""
    progress = _current.get()
    if progress is not None:
        progress.advance(frames)
    return progress
