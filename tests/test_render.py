"""Frames out, read back: pixels, frame counts, sizes, and what is left behind when writing fails."""

import os

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from vidpred import files, render


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def smooth_clip(steps=6, height=48, width=66):
    """Moving gradients with a small bright shaded square: more than 256 colours a frame."""
    y, x = np.mgrid[:height, :width]
    frames = [np.stack([60 + 2 * x, 60 + 3 * y, 90 + x + y + t], axis=-1).clip(0, 255) for t in range(steps)]
    clip = np.stack(frames).astype(np.uint8)
    shade = 1 - np.add.outer(np.arange(8), np.arange(8))[..., None] / 30
    for t in range(steps):
        clip[t, 10:18, 4 * t : 4 * t + 8] = shade * (250, 20, 20)
    return clip


# --- frames to frames -------------------------------------------------------------------------------------------------


def test_border_lies_outside_and_changes_colour_after_the_context():
    frames = noise(5, 6, 8, 3)
    framed = render.frame_border(frames, n_past=2, width=3)
    assert framed.shape == (5, 12, 14, 3)
    assert np.array_equal(framed[:, 3:-3, 3:-3], frames)
    for t in range(5):
        colour = render.CONTEXT_COLOUR if t < 2 else render.PREDICTED_COLOUR
        ring = np.ones((12, 14), bool)
        ring[3:-3, 3:-3] = False
        assert (framed[t][ring] == colour).all()


def test_border_with_other_contexts_and_grey_frames():
    frames = noise(3, 4, 4, 1)
    assert (render.frame_border(frames, 0)[:, 0, 0] == render.PREDICTED_COLOUR).all()
    assert (render.frame_border(frames, 9)[:, 0, 0] == render.CONTEXT_COLOUR).all()
    assert np.array_equal(render.frame_border(frames, 1, width=0), frames.repeat(3, axis=-1))


def test_upscale_repeats_pixels():
    frames = noise(2, 3, 4, 3)
    large = render.upscale(frames, 3)
    assert large.shape == (2, 9, 12, 3)
    for i in range(3):
        for j in range(3):
            assert np.array_equal(large[:, i::3, j::3], frames)
    assert np.array_equal(render.upscale(frames[0], 1), frames[0])


def test_side_by_side():
    a, b = noise(2, 4, 5, 3), noise(2, 4, 7, 3, seed=1)
    both = render.side_by_side([a, b], gap=2)
    assert both.shape == (2, 4, 14, 3)
    assert np.array_equal(both[:, :, :5], a)
    assert np.array_equal(both[:, :, 7:], b)
    assert (both[:, :, 5:7] == render.BACKGROUND).all()
    with pytest.raises(ValueError, match="frames and height"):
        render.side_by_side([a, b[:1]])


def test_grid_is_row_by_row():
    clips = [noise(2, 4, 5, 3, seed=i) for i in range(5)]
    picture = render.grid(clips, columns=3, gap=1)
    assert picture.shape == (2, 9, 17, 3)
    assert np.array_equal(picture[:, :4, 6:11], clips[1])
    assert np.array_equal(picture[:, 5:, :5], clips[3])
    assert (picture[:, 5:, 12:] == render.BACKGROUND).all()  # the missing sixth
    assert render.grid(clips[:2], columns=4).shape == (2, 4, 12, 3)  # no empty columns


def test_strip_takes_every_nth_frame():
    frames = noise(7, 4, 5, 3)
    picture = render.strip(frames, every=3, gap=1)
    assert picture.shape == (4, 17, 3)
    for i, t in enumerate((0, 3, 6)):
        assert np.array_equal(picture[:, 6 * i : 6 * i + 5], frames[t])


@pytest.mark.parametrize(("tiles", "steps", "max_side"), [(3, 5, 16_382), (3, 5, 39), (2, 9, 36)])
def test_sprite_sheet_gives_back_every_frame(tiles, steps, max_side, monkeypatch):
    monkeypatch.setattr(render, "MAX_SIDE", max_side)
    clips = [noise(steps, 6, 8, 3, seed=i) for i in range(tiles)]
    sheet, columns = render.sprite_sheet(clips)
    assert max(sheet.shape[:2]) <= max_side
    assert sheet.shape == (6 * -(-tiles * steps // columns), 8 * columns, 3)
    assert type(columns) is int  # numpy integers are no JSON
    for i in range(tiles):
        for t in range(steps):  # as the browser's player does it
            row, column = divmod(i * steps + t, columns)
            y, x = row * 6, column * 8
            assert np.array_equal(sheet[y : y + 6, x : x + 8], clips[i][t])


def test_sprite_sheet_wraps_long_videos_and_refuses_what_does_not_fit():
    sheet, columns = render.sprite_sheet([np.zeros((629, 32, 64, 3), np.uint8)] * 2)
    assert max(sheet.shape[:2]) < 16_383  # 629 frames in a row would be 40,256 wide
    assert sheet.shape[1] == 64 * columns
    assert columns * (sheet.shape[0] // 32) >= 2 * 629
    with pytest.raises(ValueError, match="do not fit"):
        render.sprite_sheet([np.zeros((1, 9000, 9000, 3), np.uint8)] * 2)
    with pytest.raises(ValueError, match="one shape"):
        render.sprite_sheet([noise(2, 4, 4, 3), noise(3, 4, 4, 3)])


# --- frames to files --------------------------------------------------------------------------------------------------


def read_gif(path):
    with Image.open(path) as gif:
        frames, durations = [], []
        for i in range(gif.n_frames):
            gif.seek(i)
            frames.append(np.asarray(gif.convert("RGB")))
            durations.append(gif.info["duration"])
        return np.stack(frames), durations, gif.info.get("loop")


def read_mp4(path):
    reader = imageio_ffmpeg.read_frames(str(path))
    meta = next(reader)
    width, height = meta["size"]
    frames = np.stack([np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader])
    return frames, meta


def test_png_is_lossless(tmp_path):
    picture = noise(5, 7, 3)
    render.save_png(tmp_path / "a.png", picture)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), picture)


def test_gif_keeps_frames_colours_and_time(tmp_path):
    clip = smooth_clip()
    clip[2] = clip[1]  # equal neighbours stay two frames
    render.save_gif(tmp_path / "a.gif", clip, fps=7)
    frames, durations, loop = read_gif(tmp_path / "a.gif")
    assert frames.shape == clip.shape
    error = np.abs(frames.astype(int) - clip)
    assert error.mean() < 3  # a fixed web palette: above 10; with dithering: noise of this size everywhere
    assert error.max() <= 12  # the small red square is not averaged into the background
    assert sum(durations) == pytest.approx(1000 * len(clip) / 7, abs=10)  # rounding each frame alone drifts
    assert loop == 0  # endless


def test_gif_of_few_colours_is_exact_and_each_frame_has_its_own(tmp_path):
    clip = noise(4, 12, 16, 3)  # 192 colours a frame, 768 in the clip: one palette for all could not hold them
    render.save_gif(tmp_path / "a.gif", clip)
    assert np.array_equal(read_gif(tmp_path / "a.gif")[0], clip)


def test_gif_is_understood_by_a_second_decoder(tmp_path):
    clip = noise(4, 12, 16, 3)
    render.save_gif(tmp_path / "a.gif", clip, fps=5)
    frames, _ = read_mp4(tmp_path / "a.gif")
    assert np.array_equal(frames, clip)


def test_gif_too_fast_for_browsers_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="50"):
        render.save_gif(tmp_path / "a.gif", noise(2, 4, 4, 3), fps=60)


def test_mp4_size_frames_rate_and_colours(tmp_path):
    clip = render.upscale(smooth_clip(), 2)
    render.save_mp4(tmp_path / "a.mp4", clip, fps=4)
    frames, meta = read_mp4(tmp_path / "a.mp4")
    assert frames.shape == clip.shape  # not rescaled to multiples of 16
    assert meta["codec"] == "h264"
    assert meta["fps"] == 4
    assert "yuv420p" in meta["pix_fmt"]
    assert np.abs(frames.astype(int) - clip).mean() < 3


def test_mp4_colours_are_those_of_the_frames(tmp_path):
    """A player that guesses another colour matrix or range is off by 15 and more on saturated colours."""
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (30, 144, 200)]
    clip = np.repeat(np.array(colours, np.uint8)[None, None, :], 2, axis=0)  # 2, 1, 6, 3
    clip = render.upscale(clip, 32)
    render.save_mp4(tmp_path / "a.mp4", clip)
    frames, meta = read_mp4(tmp_path / "a.mp4")
    assert "bt709" in meta["pix_fmt"]
    centres = frames[:, 16, 16::32].astype(int)
    assert np.abs(centres - clip[:, 16, 16::32]).max() <= 6


def test_mp4_of_odd_sides_is_padded_not_rescaled(tmp_path):
    clip = smooth_clip(height=31, width=45)
    render.save_mp4(tmp_path / "a.mp4", clip)
    frames, _ = read_mp4(tmp_path / "a.mp4")
    assert frames.shape == (6, 32, 46, 3)
    assert np.abs(frames[:, :31, :45].astype(int) - clip).mean() < 6
    assert np.abs(frames[:, 31, :45].astype(int) - clip[:, 30]).mean() < 12  # the last row again, not a black line


@pytest.mark.parametrize(("save", "name"), [("save_gif", "a.gif"), ("save_mp4", "a.mp4"), ("save_png", "a.png")])
def test_a_failed_write_leaves_the_old_file_and_no_rest(save, name, tmp_path, monkeypatch):
    content = noise(4, 4, 3) if save == "save_png" else noise(2, 4, 4, 3)
    path = tmp_path / name
    path.write_bytes(b"old")

    def fail(*_):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", fail)
        with pytest.raises(OSError, match="no space"):
            getattr(render, save)(path, content)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == [name]
    getattr(render, save)(str(path), content)
    assert path.read_bytes() != b"old"
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_file_is_flushed_as_one_that_may_be_written(tmp_path, monkeypatch):
    """Windows flushes no other."""
    fcntl = pytest.importorskip("fcntl")
    modes = []
    monkeypatch.setattr(files.os, "fsync", lambda file: modes.append(fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE))
    render.save_png(tmp_path / "a.png", noise(4, 4, 3))
    assert modes == [os.O_RDWR]


def test_mp4_that_ffmpeg_did_not_finish_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(render.imageio_ffmpeg, "count_frames_and_secs", lambda path: (1, 0.2))
    with pytest.raises(OSError, match="could not write"):
        render.save_mp4(tmp_path / "a.mp4", noise(2, 4, 4, 3))
    assert list(tmp_path.iterdir()) == []


def test_wrong_frames_are_errors(tmp_path):
    with pytest.raises(ValueError, match="uint8"):
        render.save_gif(tmp_path / "a.gif", np.zeros((2, 4, 4, 3)))
    with pytest.raises(ValueError, match="T, H, W"):
        render.frame_border(noise(4, 4, 3), 1)
    with pytest.raises(ValueError, match="T, H, W"):
        render.strip(noise(2, 3, 4, 4))  # channels first
