"""Frames that are no pictures, lie about their size, or look strange and are good."""

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image

from tests.trust.hostile.doors import CLIP, Case, Doors, Said, png
from train.prepare.__main__ import shard

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GOOD = png()


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def bare(width=64, height=64, depth=8, colour=2, rows=b"", extra=b"") -> bytes:
    """A PNG file of a header and whatever rows."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", header) + extra + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def zeros(count: int) -> bytes:
    """So many zeros, compressed a few thousand at a time."""
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(-(-count >> 20))) + packer.flush()


def other(kind: str) -> bytes:
    """A good picture of another kind."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, kind)
    return file.getvalue()


BROKEN = {
    "empty": b"",
    "one byte": b"\x89",
    "signature alone": SIGNATURE,
    "half of it": GOOD[: len(GOOD) // 2],
    "header alone": GOOD[:33],
    "wrong checksum of the header": GOOD[:29] + b"\0\0\0\0" + GOOD[33:],
    "damaged rows": bare(rows=zlib.compress(bytes(64 * 193))[:-30] + b"\xff" * 30),
    "rows of another size": bare(rows=zlib.compress(bytes(100))),
    "no rows": bare(),
    "width 0": bare(width=0, rows=zlib.compress(b"")),
    "height 0": bare(height=0, rows=zlib.compress(b"")),
    "depth 3": bare(depth=3, rows=zlib.compress(bytes(64 * 193))),
    "colour type 5": bare(colour=5, rows=zlib.compress(bytes(64 * 193))),
    "palette without colours": bare(colour=3, rows=zlib.compress(bytes(64 * 65))),
    "100,000 x 100,000 and no rows": bare(10**5, 10**5),
    "2^31 x 1": bare(2**31 - 1, 1),
    "bomb of 16,000 x 16,000 grey": bare(16000, 16000, colour=0, rows=zeros(16001 * 16000)),
    "bomb of 1 x 200,000,000": bare(1, 2 * 10**8, colour=0, rows=zeros(2 * 10**8)),
    "16 bits of grey": png(mode="I;16"),
    "16 bits of colour": bare(depth=16, rows=zlib.compress(bytes(64 * 385))),
    "text": b"no picture at all",
    "web page": b"<html><script>alert(1)</script></html>",
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n(rm) run\n",
    "zip": b"PK\x03\x04" + bytes(60),
    "pickle": b"\x80\x04\x95cos\nsystem\n",
    "zeros": bytes(5000),
    "bitmap": other("BMP"),
    "TIFF": other("TIFF"),
    **(SMALL := {"64 x 63": png((64, 63)), "1 x 1": png((1, 1))}),
}
GOOD_BUT_STRANGE = {
    "palette": png(mode="P"),
    "palette with transparency": png(mode="P", transparency=0),
    "alpha": png(mode="RGBA"),
    "grey with alpha": png(mode="LA"),
    "grey": png(mode="L"),
    "1 bit": png(mode="1"),
    "a text chunk of 300 kB": bare(rows=zlib.compress(bytes(64 * 193)), extra=chunk(b"zTXt", b"a\0\0" + zeros(2**20))),
}


def at(path: Path, content: bytes) -> Callable[[Path], None]:
    """Put bytes in a file's place."""
    return lambda root: (root / path).write_bytes(content)


def in_place(path: Path, put: Callable[[Path], None]) -> Callable[[Path], None]:
    """Put what is no file in a file's place."""

    def change(root: Path) -> None:
        (root / path).unlink(missing_ok=True)
        put(root / path)

    return change


NO_FILES = {
    "folder": lambda path: path.mkdir(),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to nothing": lambda path: path.symlink_to("nowhere"),
    "pipe that nobody writes to": os.mkfifo,
    "device without an end": lambda path: path.symlink_to("/dev/zero"),
}
FRAME = Path("test") / CLIP / "1.png"


def sharded(doors: Doors, folder: Path, data: Path) -> Said:
    """The quickest command that reads every frame and every row."""
    return doors.command(shard, data, folder / "shards")


def both(change: Callable[[Path], None]) -> Callable[[Doors, Path], Iterator[Said]]:
    """The data set on disk, and the clip as an upload."""

    def ask(doors: Doors, folder: Path) -> Iterator[Said]:
        data = doors.copy("data", folder)
        change(data)
        yield sharded(doors, folder, data)
        yield doors.zipped((data / FRAME).parent)

    return ask


def on_disk(change: Callable[[Path], None]) -> Callable[[Doors, Path], Iterator[Said]]:
    """The data set on disk alone: in a zip there are only files; the app is asked to show it."""

    def ask(doors: Doors, folder: Path) -> Iterator[Said]:
        data = doors.copy("data", folder)
        change(data)
        yield sharded(doors, folder, data)

    return ask


def cases() -> Iterator[Case]:
    """A clip's frame in every state."""
    family = "picture"
    for name, content in BROKEN.items():
        yield Case(family, name, both(at(FRAME, content)), "64 x 64" if name in SMALL else "1.png")
    for name, content in GOOD_BUT_STRANGE.items():
        yield Case(family, name, both(at(FRAME, content)), None)
    for name, put in NO_FILES.items():
        yield Case(family, name, on_disk(in_place(FRAME, put)), "1.png")
    yield Case(family, "missing", on_disk(lambda root: (root / FRAME).unlink()), "1.png: missing frame")
    far = FRAME.with_name("99999999999999999999.png")
    yield Case(family, "a number beyond all others", on_disk(at(far, GOOD)), "8.png: missing frame")
    for name in ("-1.png", "٣.png", "1.5.png", "a.png"):
        yield Case(family, f"beside one named {name}", on_disk(at(FRAME.with_name(name), GOOD)), None)
