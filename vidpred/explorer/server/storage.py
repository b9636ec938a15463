"""The folder of a running app: what it draws, what visitors hand in, and nothing else. It goes with the process."""

import atexit
import contextlib
import functools
import os
import shutil
import signal
import tempfile
import threading
from pathlib import Path
from typing import Any, NamedTuple

try:
    import fcntl
except ImportError:  # where there is none, what a killed app has left stays
    fcntl = None

PREFIX = "vidpred-explorer-"
LOCK = ".running"


class Storage(NamedTuple):
    """served: Gradio's cache, files of which anyone may ask for by their names, which nobody can guess; private: what
    only handlers read."""

    served: Path
    private: Path


@functools.cache
def storage() -> Storage:
    """The folders of this process, inside the system's folder for temporary files (TMPDIR), for its user alone.

    To be called before Gradio makes a component: it takes the folder that GRADIO_TEMP_DIR names then. What apps that
    were killed have left is deleted first; a lock tells them from those that run.
    """
    clear_abandoned(Path(tempfile.gettempdir()))
    root = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
    _hold(root / LOCK)
    atexit.register(_delete, root, os.getpid())
    folders = Storage(root / "served", root / "private")
    for folder in folders:
        folder.mkdir()
    os.environ["GRADIO_TEMP_DIR"] = str(folders.served)
    return folders


def clear_abandoned(parent: Path) -> None:
    """Delete the folders of apps that do not run any more."""
    for root in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if _abandoned(root / LOCK):
                shutil.rmtree(root, ignore_errors=True)


def end_on_sigterm() -> None:
    """Have SIGTERM delete the folder of this process before it ends it.

    Not by sys.exit: threads of C++ libraries that still run would abort the interpreter at its end.
    """

    def end(number: int, frame: Any) -> None:
        _delete(storage().served.parent, os.getpid())
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end)


def _hold(lock: Path) -> None:
    """Keep a file locked for as long as this process lives; under its name it is there only once it is locked."""
    file = open(lock.with_suffix(".new"), "w")  # noqa: SIM115 -- closed by the end of the process
    if fcntl:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.replace(file.name, lock)
    _held.append(file)


_held: list = []


def _abandoned(lock: Path) -> bool:
    if fcntl is None:
        return False
    with open(lock) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _delete(root: Path, owner: int) -> None:
    if os.getpid() == owner:  # not of a process that was forked
        shutil.rmtree(root, ignore_errors=True)
