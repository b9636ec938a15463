"""Processes that are killed, disks that fill, folders that cannot be written: real ones, each in a process of its own.

The processes are forked from one that has everything imported and has never trained: a forked autograd must be unused.
"""

import contextlib
import ctypes
import itertools
import multiprocessing
import os
import resource
import signal
import struct
import sys
import threading
from multiprocessing import forkserver
from pathlib import Path
from typing import NamedTuple

import torch

from vidpred.files import UNFINISHED

OPERATIONS = {"tempfile.mkstemp", "tempfile.mkdtemp", "os.mkdir", "os.chmod", "os.rename", "os.remove", "os.rmdir"}
IMPORTED = ["tests.trust.warm"]

_processes = multiprocessing.get_context("forkserver")


class Ended(NamedTuple):
    """A process that has ended: its exit status, below 0 where a signal ended it, and what it said."""

    status: int
    said: str


def in_process(folder, function, *arguments, fault=None):
    """Run a function, of a module, in a process with a fault; it says things to a file in the folder."""
    if forkserver._forkserver._preload_modules != IMPORTED:
        forkserver._forkserver._stop()  # another test's may be running; it would import all of this in every process
        _processes.set_forkserver_preload(IMPORTED)
    said = folder / "said.txt"
    process = _processes.Process(target=_run, args=(said, fault, function, arguments))
    process.start()
    process.join()
    return Ended(process.exitcode, said.read_text(errors="replace"))


def _run(said, fault, function, arguments):
    log = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    torch.set_num_threads(1)
    with fault() if fault else contextlib.nullcontext():
        function(*arguments)


class BeforeOperation(NamedTuple):
    """SIGKILL, or another signal, before the n-th operation on files in a folder, from 1 on; 0: none, and the number
    is written down."""

    folder: Path
    number: int
    counted: Path | None = None
    signal: int = signal.SIGKILL

    @contextlib.contextmanager
    def __call__(self):
        numbers = itertools.count(1)
        here = str(self.folder)

        def watch(event, arguments):
            if event == "open":
                path, _, flags = arguments
                written = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
                if not isinstance(path, str | bytes | os.PathLike) or not (written or UNFINISHED in os.fsdecode(path)):
                    return
            elif event not in OPERATIONS:
                return
            path = os.fsdecode(arguments[0])
            if (path.startswith(here) or not os.path.isabs(path)) and next(numbers) == self.number:
                os.kill(os.getpid(), self.signal)

        sys.addaudithook(watch)
        yield
        if self.counted:
            self.counted.write_text(str(next(numbers) - 1))


class BeforeRename(NamedTuple):
    """SIGKILL before something takes its place under this name."""

    target: Path

    @contextlib.contextmanager
    def __call__(self):
        def watch(event, arguments):
            if event == "os.rename" and os.fsdecode(arguments[1]) == str(self.target):
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        yield


class OnceThere(NamedTuple):
    """SIGKILL as soon as a file is there, which another process may make."""

    file: Path

    @contextlib.contextmanager
    def __call__(self):
        threading.Thread(target=self._watch, daemon=True).start()
        yield

    def _watch(self):
        while not self.file.exists():
            threading.Event().wait(0.002)
        os.kill(os.getpid(), signal.SIGKILL)


class AfterProcessorTime(NamedTuple):
    """The kernel ends the process, as SIGKILL does, wherever it is after so many seconds of its processor time."""

    seconds: float

    @contextlib.contextmanager
    def __call__(self):
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, self.seconds)
        yield
        signal.setitimer(signal.ITIMER_PROF, 0)


class InsideWrite(NamedTuple):
    """The kernel ends the process inside the first write that makes a file larger than so many bytes."""

    size: int

    @contextlib.contextmanager
    def __call__(self):
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with limited(self.size):
            yield


class SmallFiles(NamedTuple):
    """No file can become larger than so many bytes: writing fails as on a full disk, with another number."""

    size: int

    @contextlib.contextmanager
    def __call__(self):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with limited(self.size):
            yield


@contextlib.contextmanager
def limited(size):
    """RLIMIT_FSIZE in a block."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def powerless():
    """Root without the power to write where the permissions say no."""
    libc = ctypes.CDLL(None, use_errno=True)
    version, nothing = 0x20080522, 6 * [0]  # _LINUX_CAPABILITY_VERSION_3, of linux/capability.h
    if libc.capset(struct.pack("Ii", version, 0), struct.pack("6I", *nothing)) != 0:
        raise OSError(ctypes.get_errno(), "capset")
    yield


@contextlib.contextmanager
def read_only(*folders):
    """Folders, and all in them, that nobody without special powers can write to."""
    paths = [path for folder in folders for path in (folder, *folder.rglob("*"))]
    modes = {path: path.stat().st_mode for path in paths}
    for path, mode in modes.items():
        path.chmod(mode & 0o555)
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


@contextlib.contextmanager
def small_disk(folder, kilobytes):
    """A file system of that size at a folder; PermissionError where none may be mounted."""
    libc = ctypes.CDLL(None, use_errno=True)
    folder.mkdir(exist_ok=True)
    if libc.mount(b"none", os.fsencode(folder), b"tmpfs", 0, f"size={kilobytes}k".encode()) != 0:
        raise PermissionError(ctypes.get_errno(), "mount")
    try:
        yield
    finally:
        if libc.umount2(os.fsencode(folder), 0) != 0:
            raise OSError(ctypes.get_errno(), "umount2")


def contents(folder):
    """Every file of a folder, hidden ones too, by its path in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
