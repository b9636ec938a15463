"""Data sets in tar files whose index or content lies, and tables of runs that are none."""

import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.trust.hostile.doors import FRAMES, Case, Doors, Said
from tests.trust.hostile.pictures import NO_FILES, in_place, sharded
from train.generate import generate
from train.sweep.table import read_table

INDEX, TAR = Path("test/index.json"), Path("test/000000.tar")
FIELDS: dict[str, tuple[Any, ...]] = {
    "ids": (None, [], ["a", "b"], 3, [3]),
    "lengths": (None, [], [-1], ["8"], [8.5], [10**30], [[8]], [9]),
    "shards": (None, [], [{}], [{"name": 3, "clips": 1}], [{"name": "../../x.tar", "clips": 1}],
               [{"name": "/etc/passwd", "clips": 1}], [{"name": "000000.tar", "clips": -1}],
               [{"name": "000000.tar", "clips": 10**30}]),
    "mean": (None, "x", [1.0], [[0.0]]),
    "variance": (None, [-1.0] * 7, ["x"] * 7),
    "base": (None, 3, "pipe:touch hacked; echo ", "http://127.0.0.1:9/"),
    "version": (None, 99, "1"),
}  # fmt: skip


def npy(array: np.ndarray) -> bytes:
    """An array's file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def lying(shape: tuple[int, ...], dtype: str = "|u1") -> bytes:
    """The header of an array that is not there."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue()


def tar(**files: bytes) -> bytes:
    """A shard of one clip."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"clip.{name}.npy")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


FILM, ROWS = npy(np.zeros((FRAMES, 64, 64, 3), np.uint8)), npy(np.zeros((FRAMES, 7), np.float32))
TARS = {
    "empty": b"",
    "text": b"not a tar",
    "cut off": tar(frames=FILM, conditions=ROWS)[:5000],
    "no clip": tar(),
    "no conditions": tar(frames=FILM),
    "frames that are no array": tar(frames=b"x", conditions=ROWS),
    "a pickled array": tar(frames=npy(np.zeros((FRAMES, 64, 64, 3), np.uint8))[:-5], conditions=lying((8, 7), "|O")),
    "a header of 10^15 frames": tar(frames=lying((10**9, 10**6)), conditions=ROWS),
    "frames of floats": tar(frames=npy(np.zeros((FRAMES, 64, 64, 3), np.float32)), conditions=ROWS),
    "frames of one dimension": tar(frames=npy(np.zeros(FRAMES, np.uint8)), conditions=ROWS),
    "frames of another size": tar(frames=npy(np.zeros((FRAMES, 32, 64, 3), np.uint8)), conditions=ROWS),
    "six conditions": tar(frames=FILM, conditions=npy(np.zeros((FRAMES, 6), np.float32))),
    "fewer conditions than frames": tar(frames=FILM, conditions=npy(np.zeros((2, 7), np.float32))),
    "conditions of text": tar(frames=FILM, conditions=npy(np.full((FRAMES, 7), "x"))),
    "conditions that are NaN": tar(frames=FILM, conditions=npy(np.full((FRAMES, 7), np.nan, np.float32))),
}


def read(change: Callable[[Path], None]) -> Callable[[Doors, Path], Iterator[Said]]:
    """Shards that a command reads."""

    def ask(doors: Doors, folder: Path) -> Iterator[Said]:
        if not (doors.root / "shards").exists():
            sharded(doors, doors.root, doors.data)
        shutil.copytree(doors.root / "shards", folder / "shards")
        change(folder / "shards")
        yield doors.command(generate, doors.run, folder / "shards", folder / "out", samples=1)
        assert not Path("hacked").exists()

    return ask


def indexed(**values: Any) -> Callable[[Path], None]:
    """Other values in the index."""

    def change(root: Path) -> None:
        (root / INDEX).write_text(json.dumps({**json.loads((root / INDEX).read_text()), **values}))

    return change


GRIDS = {
    "empty": b"",
    "binary": bytes(range(256)),
    "no TOML": b"[runs",
    "runs that are a list": b"runs = [1]",
    "a run that is a number": b"[runs]\na = 1",
    "a name with ../": b'[runs."../a"]\npreset = "debug"',
    "a name with a line break": b'[runs."a\\nb"]\npreset = "debug"',
    "an unknown preset": b'[runs.a]\npreset = "../debug"',
    "an unknown key": b'[runs.a]\npreset = "debug"\ncommand = "rm"',
    "settings of another type": b'[runs.a]\npreset = "debug"\ntrain.epochs = "ten"',
    "a date": b'[runs.a]\npreset = "debug"\ntrain.lr = 1979-05-27',
    "NaN": b'[runs.a]\npreset = "debug"\ntrain.lr = nan',
    "seeds of text": b'[runs.a]\npreset = "debug"\nseeds = ["x"]',
    "seeds below 0": b'[runs.a]\npreset = "debug"\nseeds = [-1]',
    "1,000 nested lists": b"[runs.a]\nseeds = " + b"[" * 1000 + b"]" * 1000,
    "a number of 5,000 digits": b'[runs.a]\npreset = "debug"\nseeds = [1' + b"0" * 5000 + b"]",
}


def tabled(put: Callable[[Path], None]) -> Callable[[Doors, Path], Iterator[Said]]:
    """A table that a sweep reads."""

    def ask(doors: Doors, folder: Path) -> Iterator[Said]:
        put(folder / "grid.toml")
        yield doors.command(read_table, folder / "grid.toml")

    return ask


def cases() -> Iterator[Case]:
    """Index, tar files and tables."""
    for field, values in FIELDS.items():
        for value in values:
            yield Case("shards", f"{field} {repr(value)[:50]}", read(indexed(**{field: value})), "")
    for what, content in TARS.items():
        yield Case("shards", f"a tar: {what}", read(lambda root, c=content: (root / TAR).write_bytes(c)), "000000.tar")
    for what, put in NO_FILES.items():
        yield Case("shards", f"index: {what}", read(in_place(INDEX, put)), "test")
        yield Case("shards", f"a tar: {what}", read(in_place(TAR, put)), "000000.tar")
    for what, content in GRIDS.items():
        yield Case("grid", what, tabled(lambda path, c=content: path.write_bytes(c)), "grid.toml")
    for what, put in NO_FILES.items():
        yield Case("grid", what, tabled(put), "grid.toml")
