"""Films, GIFs and picture files of any size become frames as a model takes them, or one line that names the file."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image

from vidpred import render
from vidpred.data import video
from vidpred.data.video import centre_box, footage, read_film, read_picture
from vidpred.errors import BadInput

FRAMES = 12


@pytest.fixture(scope="module")
def frames():
    """Frame t has the brightness 20 t; its left third is blue, so that a crop that is off shows."""
    clip = np.repeat(np.arange(FRAMES, dtype=np.uint8) * 20, 90 * 160 * 3).reshape(FRAMES, 90, 160, 3).copy()
    clip[:, :, :35] = 0, 0, 255
    return clip


@pytest.fixture(scope="module")
def films(frames, tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    render.save_mp4(folder / "a.mp4", frames, fps=30)
    render.save_gif(folder / "a.gif", frames, fps=10)
    return folder


@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
@pytest.mark.parametrize(("every", "most"), [(1, 120), (3, 120), (2, 4)])
def test_every_nth_frame_of_a_film(films, frames, name, every, most):
    taken = read_film(films / name, (64, 64), every, most)
    expected = frames[::every][:most, 40, 80]
    assert taken.frames.shape == (len(expected), 64, 64, 3)
    assert np.abs(taken.frames[:, 32, 32].astype(int) - expected).max() <= 3  # H.264 is near lossless
    assert taken.first.size == (160, 90)
    assert taken.box == (35, 0, 125, 90)
    assert taken.frames[0, 32, 2].max() < 40  # the blue third is cut off


@pytest.mark.parametrize(
    ("picture", "size", "box"),
    [
        ((160, 90), (64, 64), (35, 0, 125, 90)),
        ((90, 160), (64, 64), (0, 35, 90, 125)),
        ((64, 64), (64, 64), (0, 0, 64, 64)),
        ((128, 64), (32, 64), (0, 0, 128, 64)),
        ((100, 100), (32, 64), (0, 25, 100, 75)),
    ],
)
def test_the_centre_is_kept(picture, size, box):
    assert centre_box(picture, size) == box


def test_frames_of_the_model_s_size_stay_as_they_are(frames):
    pictures = [Image.fromarray(frame[:64, :64]) for frame in frames]
    assert np.array_equal(footage(pictures, "a", (64, 64)).frames, frames[:, :64, :64])


def test_pictures_in_any_mode_become_rgb(frames):
    for mode, kind in (("RGBA", "PNG"), ("L", "PNG"), ("P", "PNG"), ("CMYK", "JPEG")):
        file = io.BytesIO()
        Image.fromarray(frames[3]).convert(mode).save(file, kind)
        file.seek(0)
        assert read_picture(file, "a").mode == "RGB"


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_photo_that_lies_on_its_side_is_turned_upright(frames, kind):
    file, exif = io.BytesIO(), Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # to be turned clockwise
    Image.fromarray(frames[3]).save(file, kind, exif=exif)
    file.seek(0)
    upright = np.asarray(read_picture(file, "a")).astype(int)
    assert np.abs(upright - np.rot90(frames[3], -1)).mean() < 2


def test_damaged_exif_data_turn_nothing(frames):
    file, exif = io.BytesIO(), Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "film"
    Image.fromarray(frames[3]).save(file, "JPEG", exif=exif)
    damaged = file.getvalue().replace(b"\x01\x0f\x00\x02", b"\x01\x11\x00\x07")  # now an offset, of bytes
    assert read_picture(io.BytesIO(damaged), "a").size == (160, 90)


def test_no_more_of_a_film_is_decoded_than_is_taken(frames):
    decoded = []

    def endless():
        while True:
            decoded.append(1)
            yield Image.fromarray(frames[0])

    assert len(footage(endless(), "a", (64, 64), every=3, most=5).frames) == 5
    assert len(decoded) <= 15


def hostile(kind, films):
    """A film's bytes, made unreadable or more than it says."""
    mp4, gif = (films / "a.mp4").read_bytes(), (films / "a.gif").read_bytes()
    return {
        "empty.mp4": b"",
        "text.mp4": b"no film at all\n" * 50,
        "gif.mp4": gif,
        "playlist.mp4": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n" + str(films / "a.mp4").encode() + b"\n",
        "concat.mp4": f"ffconcat version 1.0\nfile {films / 'a.mp4'}\n".encode(),
        "half.mp4": mp4[: len(mp4) // 3],
        "text.gif": b"no film at all\n" * 50,
        "postscript.gif": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n",
        "half.gif": gif[: len(gif) - 200],
        "film.avi": mp4,
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        *("empty.mp4", "text.mp4", "gif.mp4", "playlist.mp4", "concat.mp4", "half.mp4"),
        *("text.gif", "postscript.gif", "half.gif", "film.avi"),
    ],
)
def test_what_is_no_film_is_one_line_that_names_it(films, tmp_path, kind):
    path = tmp_path / kind
    path.write_bytes(hostile(kind, films))
    with pytest.raises(BadInput, match=kind) as error:
        read_film(path, (64, 64))
    assert "\n" not in str(error.value)
    assert str(tmp_path) not in str(error.value)


@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_huge_pictures_are_refused_before_they_are_decoded(films, monkeypatch, name):
    monkeypatch.setattr(video, "MOST_PIXELS", 160 * 90 - 1)
    with pytest.raises(BadInput, match="160 x 90 pixels, at most 14,399"):
        read_film(films / name, (64, 64))


def test_pictures_of_different_sizes_are_refused(frames):
    pictures = [Image.fromarray(frames[0]), Image.fromarray(frames[1][:80])]
    with pytest.raises(BadInput, match="zip: pictures of different sizes, 160 x 90 and 160 x 80"):
        footage(pictures, "a.zip", (64, 64))
    with pytest.raises(BadInput, match=r"a\.zip: no picture in it"):
        footage([], "a.zip", (64, 64))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_damaged_picture_is_named(frames, kind):
    Image.fromarray(frames[3]).save(file := io.BytesIO(), kind)
    torn = bytearray(file.getvalue()[: len(file.getvalue()) // 2] if kind == "JPEG" else file.getvalue())
    if kind == "PNG":  # rows that cannot be unpacked, though their checksum is right
        start = torn.index(b"IDAT")
        (length,) = struct.unpack(">I", torn[start - 4 : start])
        torn[start + 24 : start + 44] = b"\xff" * 20
        torn[start + 4 + length : start + 8 + length] = struct.pack(">I", zlib.crc32(torn[start : start + 4 + length]))
    with pytest.raises(BadInput, match=r"3\.png: not a readable PNG or JPEG"):
        read_picture(io.BytesIO(torn), "3.png")
    with pytest.raises(BadInput, match=r"3\.png: not a readable PNG or JPEG"):
        read_picture(io.BytesIO(b"GIF89a"), "3.png")
