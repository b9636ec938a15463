"""What the layouts on disk share: splits, and PNG files in the order of their numbers."""

import io
import shutil
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from vidpred.errors import BadInput
from vidpred.files import read_bytes

MOST_PIXELS = 4096 * 2304  # of a picture
MOST_PNG_BYTES = 64_000_000
SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_START = SIGNATURE + b"\0\0\0\rIHDR"
PALETTE = 3  # a PNG's colour type
SPLITS = ("train", "validate", "test")
SHARD_INDEX = "index.json"  # in a split's folder, where its clips are in tar files


def split_name(split: str) -> str:
    """One of SPLITS; `val` is an alias."""
    split = "validate" if split == "val" else split
    if split not in SPLITS:
        raise BadInput(f"unknown split {split!r}: {', '.join(SPLITS)}")
    return split


def split_folder(root: Path, name: str) -> Path:
    """ROOT/name, which must be there."""
    folder = Path(root) / name
    if not Path(root).is_dir():
        raise BadInput(f"{root}: no such folder of clips")
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such split in this data set")
    return folder


def by_number(folder: Path) -> list[Path]:
    """Entries by the numbers in their names, hidden ones left out."""
    return sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=lambda path: number_key(path.name))


def number_key(name: str) -> tuple[list[int], str]:
    """What sorts names by the numbers in them: 2 before 10."""
    digits = "".join(c if c.isdecimal() else " " for c in name).split()
    return [int(d) for d in digits], name


def numbered_pictures(folder: Path) -> dict[int, Path]:
    """The files <n>.png of a folder, by n. Two of one number, 1.png and 01.png, are BadInput."""
    found: dict[int, Path] = {}
    for path in folder.glob("*.png"):
        if not (path.stem.isascii() and path.stem.isdecimal()):
            continue
        if (other := found.setdefault(int(path.stem), path)) != path:
            raise BadInput(f"{folder}: {' and '.join(sorted((other.name, path.name)))} have the same number")
    return found


def remove_hidden(folders: Iterable[Path]) -> None:
    """What a killed process had begun in these folders: clips and pictures are written under hidden names."""
    for folder in folders:
        for begun in folder.glob(".*"):
            shutil.rmtree(begun) if begun.is_dir() else begun.unlink()


def read_png(path: Path) -> np.ndarray:
    """uint8 (H, W, 3); grey and transparent pictures become RGB. What is no PNG, is damaged, or is larger than any
    frame is BadInput, before it takes memory."""
    try:
        content = read_bytes(path, MOST_PNG_BYTES)
    except FileNotFoundError:
        raise BadInput(f"{path}: missing file") from None
    require_png(path, content)
    try:  # by Pillow: on damaged rows torchvision's decoder ends the process
        return np.array(Image.open(io.BytesIO(content), formats=["PNG"]).convert("RGB"))
    except (OSError, SyntaxError, ValueError, LookupError, EOFError, struct.error, Image.DecompressionBombError):
        raise BadInput(f"{path}: not a readable PNG") from None


def require_png(name: object, content: bytes) -> None:
    """BadInput unless its chunks are whole, as their checksums say, and size and depth are those of a frame: a decoder
    makes room for whatever size is claimed. name: of the file, for what is said about it."""
    if not content.startswith(PNG_START) or len(content) < 33:
        raise BadInput(f"{name}: not a readable PNG")
    width, height, depth, colour = struct.unpack(">IIBB", content[16:26])
    if not 0 < width * height <= MOST_PIXELS:
        raise BadInput(f"{name}: {width:,} x {height:,} pixels, at most {MOST_PIXELS:,} are read")
    if depth == 16:
        raise BadInput(f"{name}: 16 bits per colour, expected 8")
    at, kinds = len(SIGNATURE), set()
    while at + 12 <= len(content) and b"IEND" not in kinds:
        (length,) = struct.unpack_from(">I", content, at)
        end = at + 12 + length
        if zlib.crc32(content[at + 4 : end - 4]).to_bytes(4) != content[end - 4 : end]:
            raise BadInput(f"{name}: not a readable PNG (cut off or damaged: a checksum is wrong)")
        kinds.add(content[at + 4 : at + 8])
        at = end
    if not kinds >= ({b"IDAT", b"IEND", b"PLTE"} if colour == PALETTE else {b"IDAT", b"IEND"}):
        raise BadInput(f"{name}: not a readable PNG (cut off)")
