"""Anyone's pictures: films, GIFs and picture files, their centre cropped and made as small as a model takes them."""

import contextlib
import io
import logging
import struct
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

import imageio_ffmpeg
import numpy as np
from PIL import Image, ImageOps, ImageSequence

from vidpred.data.layout import MOST_PIXELS, MOST_PNG_BYTES, SIGNATURE, require_png
from vidpred.errors import BadInput

# Not read through imageio: it tells a film's size by decoding a frame, or by opening the file once more as whatever
# ffmpeg guesses, and opens a GIF as whatever Pillow guesses (PostScript, which would be run).
# The container is told to ffmpeg: one that it guesses may be a list of other files, here or on other hosts.
CONTAINERS = {".mp4": "mov", ".m4v": "mov", ".mov": "mov", ".webm": "matroska", ".mkv": "matroska"}
FILMS = (*CONTAINERS, ".gif")
PICTURES = (".png", ".jpg", ".jpeg")
MOST_FRAMES = 120
logging.getLogger("imageio_ffmpeg").setLevel(logging.ERROR)  # it warns of every film that ffmpeg turns upright


class Footage(NamedTuple):
    """frames: (T, H, W, 3) uint8, as a model takes them; first: the first picture as it came; box: the part of it that
    is kept, (left, top, right, bottom)."""

    frames: np.ndarray
    first: Image.Image
    box: tuple[float, float, float, float]


def read_film(path: Path, size: tuple[int, int], every: int = 1, most: int = MOST_FRAMES) -> Footage:
    """Every so manieth frame of a film or GIF, at most `most`, as (height, width) = size. What cannot be read is
    BadInput."""
    path = Path(path)
    if path.suffix.lower() not in FILMS:
        raise BadInput(f"{path.name}: expected a film ({', '.join(FILMS)})")
    suffix = path.suffix.lower()
    pictures = _gif(path) if suffix == ".gif" else film_pictures(path, ["-f", CONTAINERS[suffix]])
    return footage(pictures, path.name, size, every, most)


def footage(
    pictures: Iterable[Image.Image], name: str, size: tuple[int, int], every: int = 1, most: int = MOST_FRAMES
) -> Footage:
    """Pictures of one size, centre-cropped and resized as the published loader resizes (bilinear, antialiased)."""
    frames, first, box = [], None, None
    for picture in islice(pictures, 0, every * most, every):
        picture = picture.convert("RGB")
        if first is None:
            first, box = picture, centre_box(picture.size, size)
        elif picture.size != first.size:
            raise BadInput(f"{name}: pictures of different sizes, {_by(first.size)} and {_by(picture.size)}")
        frames.append(fit(picture, size, box))
    if first is None:
        raise BadInput(f"{name}: no picture in it")
    return Footage(np.stack(frames), first, box)


def fit(picture: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float]) -> np.ndarray:
    """A part of a picture as (height, width) = size, uint8 (H, W, 3)."""
    return np.asarray(picture.resize(size[::-1], Image.Resampling.BILINEAR, box))


def centre_box(picture: tuple[int, int], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The largest part about the centre of a (width, height) picture that has the shape of (height, width) = size."""
    width, height = picture
    kept_width, kept_height = min(width, height * size[1] / size[0]), min(height, width * size[0] / size[1])
    left, top = (width - kept_width) / 2, (height - kept_height) / 2
    return left, top, left + kept_width, top + kept_height


def read_picture(file: BinaryIO, name: str) -> Image.Image:
    """A PNG or JPEG file, RGB, upright."""
    with _readable(name, "PNG or JPEG picture"):
        content = file.read(MOST_PNG_BYTES + 1)
        if len(content) > MOST_PNG_BYTES:
            raise BadInput(f"{name}: over {MOST_PNG_BYTES / 1e6:,.0f} MB, at most as much is read")
        if content.startswith(SIGNATURE):
            require_png(name, content)
        picture = Image.open(io.BytesIO(content), formats=["PNG", "JPEG"])
        _require_pixels(picture.size, name)
        picture.load()  # before its EXIF data: its own damage is not theirs
        return _upright(picture).convert("RGB")


def _upright(picture: Image.Image) -> Image.Image:
    """Turned as its EXIF data say; as it is where they are damaged."""
    try:
        return ImageOps.exif_transpose(picture)
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, struct.error):
        return picture


def film_pictures(path: Path, container: list[str]) -> Iterator[Image.Image]:
    """Every frame of a film, RGB, upright and with square pixels. container: the options that tell ffmpeg which it may
    be."""
    options = ["-protocol_whitelist", "file", *container]
    # one frame of the file becomes one picture: by default ffmpeg repeats and drops some to keep the time
    output = ["-map", "0:V:0", "-vf", "scale=iw*sar:ih,setsar=1", "-fps_mode", "passthrough"]
    reader = imageio_ffmpeg.read_frames(f"file:{path}", input_params=options, output_params=output)
    with _readable(path.name, "film"), contextlib.closing(reader):
        size = next(reader)["size"]
        _require_pixels(size, path.name)
        for frame in reader:
            yield Image.frombytes("RGB", size, frame)


def _gif(path: Path) -> Iterator[Image.Image]:
    with _readable(path.name, "GIF"), Image.open(path, formats=["GIF"]) as gif:
        _require_pixels(gif.size, path.name)
        for frame in ImageSequence.Iterator(gif):
            yield frame.convert("RGB")


@contextlib.contextmanager
def _readable(name: str, what: str) -> Iterator[None]:
    """Whatever Pillow or ffmpeg stumbles over is the file's fault."""
    try:
        yield
    except BadInput:
        raise
    except (OSError, SyntaxError, ValueError, LookupError, EOFError, RuntimeError, Image.DecompressionBombError):
        raise BadInput(f"{name}: not a readable {what}") from None


def _require_pixels(size: tuple[int, int], name: str) -> None:
    if not 0 < size[0] * size[1] <= MOST_PIXELS:
        raise BadInput(f"{name}: pictures of {_by(size)} pixels, at most {MOST_PIXELS:,} are taken")


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
