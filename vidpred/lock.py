"""One writer at a time to a folder, on whatever machine.

The writer's process, the moment it started and its host stand in the folder's `.lock`. On the same host a lock is stale
once its process has gone; of another host nobody can see the processes, so a holder touches its lock every 40 seconds,
and one that nobody has touched for LEASE seconds, by the clock of who waits, is taken over. A holder that finds its
lock taken (its machine had slept) ends instead of writing. Files are made exclusively, which network file systems
can do, where their kernel locks often hold on one machine only.
"""

import contextlib
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vidpred.errors import BadInput
from vidpred.files import LOCK

if TYPE_CHECKING:
    from filelock import SoftFileLease

LEASE = 120.0  # seconds; longer than network file systems remember how old a file was
POLL = 1.0  # seconds between looks at a lock
EMPTY = 3.0  # seconds after which a lock without a word in it is one of a process killed as it made it


@contextlib.contextmanager
def held(folder: Path, patience: float = 0.0) -> Iterator[Callable[[], None]]:
    """Write to a folder alone, made where it is missing; BadInput where another process does so for `patience` seconds.

    Yields a function that is BadInput once another process has taken over.
    """
    from filelock import SoftFileLease  # takes a third of a second to import

    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder}: not a folder")
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    lock = SoftFileLease(folder / LOCK, lease_duration=LEASE, thread_local=False, poll_interval=min(POLL, LEASE / 4))
    _acquire(lock, folder, patience)
    _remove_leftovers(folder)

    def still() -> None:
        if lock.compromise is not None:
            raise BadInput(f"{folder}: another process has taken over ({lock.compromise.reason}): this one was silent")

    try:
        yield still
    finally:
        lock.release()
        if is_new:
            with contextlib.suppress(OSError):
                folder.rmdir()  # refused, and nothing was written


def _acquire(lock: "SoftFileLease", folder: Path, patience: float) -> None:
    """Take the lock, where need be after the time that shows it to be stale."""
    from filelock import Timeout

    path, first, told, began = folder / LOCK, None, False, time.monotonic()
    while True:
        try:
            lock.acquire(timeout=0 if first is None else min(POLL, LEASE / 4))
            return
        except Timeout:
            owner = lock.owner
        seen = _seen(path)
        if seen is None:
            continue  # let go meanwhile
        first = first or seen
        waited = time.monotonic() - began
        if owner is None:
            if seen != first or waited < EMPTY:
                continue
            if seen[-1] == 0:  # a damaged one filelock takes over by itself
                path.unlink(missing_ok=True)
        elif owner.hostname == _host():
            if waited >= patience:
                raise BadInput(f"{folder}: process {owner.pid} of this machine is writing it")
            if not told and waited >= POLL:
                told = True
                print(f"{folder}: waiting for process {owner.pid}, which is writing it", file=sys.stderr, flush=True)
        elif seen != first and waited >= patience:
            raise BadInput(f"{folder}: process {owner.pid} on {owner.hostname} is writing it")
        elif not told:
            told = True
            print(
                f"{folder}: process {owner.pid} on {owner.hostname} was writing it; "
                f"waiting up to {LEASE:.0f} s to see whether it still does",
                file=sys.stderr,
                flush=True,
            )


def _seen(path: Path) -> tuple[int, int, int] | None:
    """Number, time and size: what changes when a lock is touched or replaced; None: there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _host() -> str:
    """This machine as locks name it: with its process namespace, where that is a container's."""
    from filelock import SoftFileLease

    with tempfile.TemporaryDirectory() as folder, SoftFileLease(Path(folder) / LOCK) as lock:
        return lock.owner.hostname if lock.owner else socket.gethostname()


def _remove_leftovers(folder: Path) -> None:
    """Files of takeovers in which a process of this machine was killed; their names end in its number and a token."""
    for file in folder.glob(f"{LOCK}.*"):
        number = file.name.split(".")[-2]
        with contextlib.suppress(OSError):
            if number.isdecimal() and int(number) != os.getpid() and not _runs(int(number)):
                file.unlink()


def _runs(process: int) -> bool:
    """True also where nobody can say."""
    if sys.platform == "win32":  # there a signal 0 is Ctrl-C
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's, or no number of a process
        return True
    return True
