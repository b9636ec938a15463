"""Films are cut where a shot ends, without what stands still; a file that is no film is refused in one line."""

import numpy as np
import pytest
from PIL import Image

from tests.films import ffmpeg, make_film
from vidpred.data.films import STILL_FRAMES, Film, ShotCutter, crop_box, film_frames, inspect_film
from vidpred.errors import BadInput

LENGTH, SIZE = 10, (64, 64)


def texture(seed, height=64, width=64):
    """Coarse blobs, as pictures have them."""
    small = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return small.repeat(8, 0).repeat(8, 1)


def moving(seed, count, step=1):
    """A camera that pans by so many pixels a frame."""
    wide = texture(seed, width=64 + 8 * -(-count * step // 8))
    return [wide[:, t * step : t * step + 64] for t in range(count)]


def cut(frames, length=LENGTH):
    cutter = ShotCutter(length)
    return cutter, list(cutter.clips(iter(frames)))


def test_no_clip_goes_across_a_cut():
    first, second = moving(1, 25), moving(2, 31)
    cutter, clips = cut(first + second)
    assert [start for start, _ in clips] == [0, 10, 25, 35, 45]
    for start, clip in clips:
        assert np.array_equal(clip, (first + second)[start : start + LENGTH])
    assert (cutter.shots, cutter.frames, cutter.still, cutter.short) == (2, 56, 0, 6)


@pytest.mark.parametrize("step", [1, 2, 4])
def test_a_pan_of_any_speed_is_one_shot(step):
    """From its first frame on, and also right after a cut."""
    cutter, clips = cut(moving(3, 40, step) + moving(4, 40, step))
    assert (cutter.shots, len(clips)) == (2, 8)


def test_a_flash_is_no_cut():
    frames = moving(3, 40)
    frames[20] = np.full_like(frames[20], 255)
    assert cut(frames)[0].shots == 1


def test_what_stands_still_is_left_out_though_it_is_noisy():
    noise = np.random.default_rng(0)
    pan = moving(4, 25)
    still = [np.clip(pan[0] + noise.integers(-1, 2, (64, 64, 1)), 0, 255).astype(np.uint8) for _ in range(50)]
    cutter, clips = cut(pan[::-1] + still + pan)  # comes to rest, and moves on
    assert cutter.shots == 1
    assert 50 <= cutter.still <= 52  # the last frame before and the first one after look alike
    assert [start for start, _ in clips] == [0, 10, clips[2][0], clips[2][0] + 10]
    assert 74 <= clips[2][0] <= 76


def test_slow_and_small_motion_is_motion():
    """A block that moves by a pixel every third frame, before a wall that does not."""
    frames = [texture(5) for _ in range(60)]
    for t, frame in enumerate(frames):
        frame[20:30, t // 3 : t // 3 + 10] = 255
    cutter, clips = cut(frames)
    assert (cutter.still, len(clips)) == (0, 6)


def test_a_pause_shorter_than_the_limit_stays():
    pan = moving(6, 20)
    for pause, still in ((STILL_FRAMES - 3, 0), (STILL_FRAMES - 2, STILL_FRAMES)):
        cutter, _ = cut(pan[::-1] + pan[:1] * pause + pan)  # which begins and ends with the same frame
        assert cutter.still == still


@pytest.mark.parametrize("seed", range(20))
def test_every_frame_is_in_one_clip_or_counted_as_left_out(seed):
    random, frames = np.random.default_rng(seed), []
    for part in range(6):
        count = int(random.integers(1, 40))
        frames += moving(10 * seed + part, count) if random.integers(2) else [texture(10 * seed + part)] * count
    cutter, clips = cut(frames, int(random.integers(2, 20)))
    covered = [number for start, clip in clips for number in range(start, start + len(clip))]
    assert len(set(covered)) == len(covered)
    assert len(covered) + cutter.still + cutter.short == cutter.frames == len(frames)
    for start, clip in clips:
        assert np.array_equal(clip, frames[start : start + len(clip)])


@pytest.mark.parametrize(
    ("picture", "crop", "box"),
    [
        ((160, 90), "centre", (35, 0, 125, 90)),
        ((160, 90), "left", (0, 0, 90, 90)),
        ((160, 90), "right", (70, 0, 160, 90)),
        ((90, 160), "top", (0, 0, 90, 90)),
        ((90, 160), "bottom", (0, 70, 90, 160)),
        ((90, 160), "left", (0, 35, 90, 125)),
        ((160, 90), "whole", (0, 0, 160, 90)),
        ((160, 90), "40:40:100:50", (100, 50, 140, 90)),
        ((160, 90), "80:40:0:10", (20, 10, 60, 50)),
    ],
)
def test_the_part_that_is_kept(picture, crop, box):
    assert crop_box(picture, SIZE, crop) == box


@pytest.mark.parametrize(
    ("picture", "crop", "said"),
    [
        ((64, 1), "centre", "64 x 1 pixels, at least 16"),
        ((160, 90), "40:41:100:50", "does not fit"),
        ((160, 90), "40:8:0:0", "at least 16 pixels"),
        ((160, 90), "middle", "centre, left, right, top, bottom, whole or WIDTH:HEIGHT:LEFT:TOP"),
    ],
)
def test_a_part_that_is_not_there_is_refused(picture, crop, said):
    with pytest.raises(BadInput, match=said):
        crop_box(picture, SIZE, crop)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_film(tmp_path_factory.mktemp("films") / "a.mp4")


def test_a_film_is_the_same_in_another_container(made, tmp_path):
    ffmpeg("-i", made, "-c", "copy", tmp_path / "a.mkv")
    one, other = inspect_film(made), inspect_film(tmp_path / "a.mkv")
    assert one == Film(made, 40, one.fingerprint, uneven=False, damage="")
    assert other.fingerprint == one.fingerprint
    assert inspect_film(make_film(tmp_path / "b.mp4", start=2)).fingerprint != one.fingerprint


def test_turned_and_stretched_films_are_upright_with_square_pixels(tmp_path):
    """Stored lying, to be turned by 90 degrees; stored half as wide as it is to be seen."""
    plain = make_film(tmp_path / "plain.mp4", "-crf", 1, frames=2, size="128x192")
    ffmpeg("-i", plain, "-vf", "transpose=clock", "-crf", 1, tmp_path / "lying.mp4")
    ffmpeg("-display_rotation", 90, "-i", tmp_path / "lying.mp4", "-c", "copy", tmp_path / "turned.mp4")
    ffmpeg("-i", plain, "-vf", "scale=64:192,setsar=2", "-crf", 1, tmp_path / "narrow.mp4")
    expected, *_ = film_frames(inspect_film(plain), SIZE, 1, "whole")
    for name in ("turned", "narrow"):
        found, *_ = film_frames(inspect_film(tmp_path / f"{name}.mp4"), SIZE, 1, "centre")
        whole, *_ = film_frames(inspect_film(tmp_path / f"{name}.mp4"), SIZE, 1, "whole")
        assert abs(whole.astype(int) - expected).mean() < 12  # it was compressed again
        assert abs(found.astype(int) - expected).mean() > 12  # a square of it is another picture


def test_every_nth_frame(made):
    film = inspect_film(made)
    frames = list(film_frames(film, SIZE, 1, "left"))
    assert np.array_equal(np.stack(list(film_frames(film, SIZE, 3, "left"))), np.stack(frames[::3]))


def test_damage_and_uneven_time_are_said(made, tmp_path):
    fast = tmp_path / "fast.mp4"
    ffmpeg("-i", made, "-c", "copy", "-movflags", "+faststart", fast)
    (tmp_path / "cut.mp4").write_bytes(fast.read_bytes()[: fast.stat().st_size * 2 // 3])
    film = inspect_film(tmp_path / "cut.mp4")
    assert 10 < film.frames < 40 and film.damage
    select = "select='lt(n,20)+not(mod(n,4))'"
    assert inspect_film(make_film(tmp_path / "uneven.mp4", "-vf", select, "-fps_mode", "vfr")).uneven


def test_a_whole_film_is_not_called_damaged(made, tmp_path):
    """Its last picture stands for long, or its sound goes on after the picture."""
    ffmpeg("-i", made, "-f", "lavfi", "-i", "sine=d=9", "-c:v", "copy", "-movflags", "+faststart", tmp_path / "a.mp4")
    first, *rest = [Image.fromarray(frame) for frame in moving(7, 9)]
    first.save(tmp_path / "b.gif", save_all=True, append_images=rest, duration=[100] * 8 + [5000])
    for name in ("a.mp4", "b.gif"):
        assert inspect_film(tmp_path / name).damage == ""
    sounding = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(sounding[: len(sounding) // 2])
    assert "of 9.0 s are there" in inspect_film(tmp_path / "cut.mp4").damage


def test_frames_before_a_cut_that_copied_are_not_counted(made, tmp_path):
    """A film that was cut without compressing it again begins earlier, at a frame that needs no other."""
    ffmpeg("-ss", 0.8, "-i", made, "-c", "copy", tmp_path / "trimmed.mp4")
    film = inspect_film(tmp_path / "trimmed.mp4")
    assert film.frames == len(list(film_frames(film, SIZE, 1, "centre"))) < 30
    assert (film.uneven, film.damage) == (False, "")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("notes.txt", "no film that ffmpeg reads"),
        ("list.m3u8", "no film that ffmpeg reads"),
        ("concat.mp4", "no film that ffmpeg reads"),
        ("picture.png", "no film that ffmpeg reads"),
        ("empty.mp4", "empty file"),
        ("sound.mp4", "no video stream in it"),
        ("headless.mp4", r"the index \(moov\) at its end is missing"),
    ],
)
def test_what_is_no_film_is_one_line_that_names_it(made, tmp_path, name, said):
    path = tmp_path / name
    if name == "sound.mp4":
        ffmpeg("-f", "lavfi", "-i", "sine=d=0.5", path)
    elif name == "picture.png":
        ffmpeg("-i", made, "-frames:v", 1, path)
    else:
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{made}\n"
        texts = {"notes.txt": "no film\n" * 99, "list.m3u8": playlist, "empty.mp4": ""}
        texts["concat.mp4"] = f"ffconcat version 1.0\nfile {made}\n"
        path.write_bytes(made.read_bytes()[:4000] if name == "headless.mp4" else texts[name].encode())
    with pytest.raises(BadInput, match=f"^{name}: .*{said}") as error:
        inspect_film(path)
    assert "\n" not in str(error.value)
