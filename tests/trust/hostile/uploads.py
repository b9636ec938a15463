"""Zips, films and GIFs that a visitor hands in."""

import io
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image

from tests.trust.hostile.doors import Case, Doors, Said, png
from tests.trust.hostile.pictures import NO_FILES, zeros

PICTURES = {f"{i}.png": png() for i in range(3)}


def zipped(files: dict[str, bytes], **options) -> bytes:
    """A zip of name -> bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def changed(content: bytes, mark: bytes, offset: int, value: bytes) -> bytes:
    """A zip with other bytes behind each of its marks."""
    content, at = bytearray(content), 0
    while (at := content.find(mark, at)) >= 0:
        content[at + offset : at + offset + len(value)] = value
        at += 4
    return bytes(content)


def gif(frames: int = 3, size: tuple[int, int] = (64, 64)) -> bytes:
    """Frames of a GIF, each another."""
    file = io.BytesIO()
    pictures = [Image.new("P", size, i) for i in range(frames)]
    pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:])
    return file.getvalue()


GOOD = zipped(PICTURES)
DEFLATED = zipped({"0.png": bytes(10**6)}, compression=zipfile.ZIP_DEFLATED)
WIDE_GIF = gif()[:6] + struct.pack("<HH", 65535, 65535) + gif()[10:]
REFUSED = {
    "a.zip": {
        "empty": b"",
        "text": b"not a zip",
        "cut off": GOOD[:-30],
        "the end alone": GOOD[-22:],
        "the start alone": GOOD[:30],
        "no files": zipped({}),
        "no pictures": zipped({"a.txt": b"a"}),
        "a zip in a zip": zipped({"b.zip": GOOD}),
        "encrypted": changed(changed(GOOD, b"PK\3\4", 6, b"\1"), b"PK\1\2", 8, b"\1"),
        "an unknown compression": changed(changed(GOOD, b"PK\3\4", 8, b"\x63\0"), b"PK\1\2", 10, b"\x63\0"),
        "a size that lies": changed(DEFLATED, b"PK\1\2", 24, (100).to_bytes(4, "little")),
        "a size of 4 GB": changed(GOOD, b"PK\1\2", 24, b"\xfe\xff\xff\xff"),
        "a wrong checksum": changed(GOOD, b"PK\1\2", 16, b"\0\0\0\0"),
        "an offset beyond the end": changed(GOOD, b"PK\1\2", 42, b"\xff\xff\xff\x7f"),
        "300 MB of zeros": zipped({"0.png": bytes(300 * 2**20)}, compression=zipfile.ZIP_DEFLATED),
        "6,000 files": zipped({f"{i}.png": b"" for i in range(6000)}),
        "121 frames": zipped({f"{i}.png": png() for i in range(121)}),
        "a picture that is none": zipped({**PICTURES, "1.png": b"<svg/>"}),
        "a wide picture": zipped({**PICTURES, "1.png": png((5000, 2))}),
        "two runs": zipped({"a/config.json": b"{}", "b/config.json": b"{}"}),
        "a pickled run": zipped({"config.json": b"{}", "model.pth": b"\x80\x04"}),
        "settings alone": zipped({"config.json": b"{}"}),
        "settings of 6 MB": zipped({"config.json": b" " * 6_000_000, "model.safetensors": b""}),
        "actions of 150 MB": zipped(
            {**PICTURES, "actions.csv": bytes(150_000_000), "endeffector_positions.csv": b"0,0,0\n" * 3},
            compression=zipfile.ZIP_DEFLATED,
        ),
    },
    "a.gif": {
        "empty": b"",
        "text": b"GIF89a",
        "cut off": gif()[:40],
        "65,535 x 65,535": WIDE_GIF,
        "a PNG": png(),
        "a bomb of 4 GB": WIDE_GIF[:13] + zeros(2**20),
    },
    "a.mp4": {
        "empty": b"",
        "text": b"no film",
        "a playlist": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "an HLS list": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        "a box of 2^63 bytes": struct.pack(">I4sQ", 1, b"ftyp", 2**63),
        "boxes in boxes": (struct.pack(">I4s", 8, b"moov") * 1000),
        "a GIF": gif(),
    },
    "a.webm": {"empty": b"", "zeros": bytes(1000)},
    "a.svg": {"a picture of another kind": b"<svg xmlns='http://www.w3.org/2000/svg'/>"},
    "a.exe": {"a program": b"MZ"},
    "a": {"no kind at all": GOOD},
}  # fmt: skip
TAKEN = {
    "names with ../": zipped({f"../../{i}.png": png() for i in range(3)}),
    "absolute names": zipped({f"/etc/{i}.png": png() for i in range(3)}),
    "names of other letters": zipped({f"кадр 帧 {i}.png": png() for i in range(3)}),
    "names with line breaks": zipped({f"a\nb{i}.png": png() for i in range(3)}),
    "a name of 60,000 characters": zipped({"a" * 60_000 + ".png": png()}),
}
STRIPS = {"pixels in a row": gif(size=(9000, 1)), "pixels in a column": gif(size=(1, 9000))}


def uploaded(name: str, content: bytes) -> Callable[[Doors, Path], Iterator[Said]]:
    """A file of this name in the tab."""

    def ask(doors: Doors, folder: Path) -> Iterator[Said]:
        (folder / name).write_bytes(content)
        before = {path for path in doors.root.rglob("*") if path.is_file()}
        yield doors.upload(folder / name)
        stray = {path for path in doors.root.rglob("*") if path.is_file()} - before
        assert not stray, stray

    return ask


def what_is_no_file(put: Callable[[Path], None]) -> Callable[[Doors, Path], Iterator[Said]]:
    """Something else where the uploaded file should lie."""

    def ask(doors: Doors, folder: Path) -> Iterator[Said]:
        for kind in ("zip", "gif", "mp4"):
            (folder / kind).mkdir()
            put(folder / kind / f"a.{kind}")
            yield doors.upload(folder / kind / f"a.{kind}")

    return ask


def sent(value: object) -> Callable[[Doors, Path], Iterator[Said]]:
    """A value of the API in the file's place."""

    def ask(doors: Doors, folder: Path) -> Iterator[Said]:
        yield doors.described(doors.handlers.upload("", value, 1, [], "")[1])

    return ask


def cases() -> Iterator[Case]:
    """What is uploaded."""
    for name, contents in REFUSED.items():
        for what, content in contents.items():
            yield Case(
                "upload",
                f"{name}: {what}",
                uploaded(name, content),
                "1.png" if what == "a picture that is none" else "a",
            )
    for what, content in TAKEN.items():
        yield Case("upload", what, uploaded("a.zip", content), None)
    for what, content in STRIPS.items():
        yield Case("upload", what, uploaded("a.gif", content), None)
    for what, put in NO_FILES.items():
        yield Case("upload", what, what_is_no_file(put), "no longer here")
    for value in (None, "a.zip", [], {}, {"path": None}, {"path": 3}, {"path": ["a.zip"]}, {"path": ""},
                  {"path": "nowhere.zip"}, {"path": "a\0.zip"}, {"path": "a" * 10**5 + ".zip"}):  # fmt: skip
        yield Case("upload", f"the value {repr(value)[:40]}", sent(value), "")
