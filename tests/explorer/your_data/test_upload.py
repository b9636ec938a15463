"""What a visitor uploads becomes the clip or the run that it is, or one friendly line."""

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from PIL import Image

from tests.commands import ROOT
from tests.explorer.your_data.files import files_of, png, zipped
from vidpred import render
from vidpred.data.batches import open_split
from vidpred.data.video import MOST_FRAMES
from vidpred.errors import BadInput
from vidpred.explorer.your_data import upload
from vidpred.explorer.your_data.upload import convert_clip, count_frames, crop_picture, holds_run, unpack_run
from vidpred.simulate.bounce import bounces_of

CLIP = "traj_0_to_255/1"
MOST_ACROSS = 768 + 16 + 192
KNOWN, THREE = (
    {"actions.csv": "\n".join(["0,0,0,0"] * rows), "endeffector_positions.csv": "\n".join(["0,0,0"] * rows)}
    for rows in (2, 3)
)


def clip_of_pictures(tmp_path, files):
    return convert_clip(zipped(tmp_path / "pictures.zip", files), tmp_path / "out")


def test_a_zipped_clip_is_the_clip_it_was(tiny_data, tmp_path):
    folder = tiny_data / "test" / CLIP
    for number, prefix in enumerate(("", "some folder/", "./a.b/")):
        files = files_of(folder, prefix) | {"__MACOSX/a/._0.png": b"junk", "a/.DS_Store": b"junk"}
        clip = convert_clip(zipped(tmp_path / "clip.zip", files), tmp_path / f"out{number}").clip
        packed, source = open_split(clip.root, clip.split), open_split(tiny_data, "test")
        assert packed.ids == [clip.id]
        for mine, theirs in zip(packed.window(0, 0, 16), source.window(0, 0, 16)):
            assert np.array_equal(mine, theirs)
        assert (clip.name, clip.frames, clip.known) == ("clip.zip", 16, 16)
        assert (clip.has_poses, clip.has_actions) == (False, True)


def test_frames_come_in_the_order_of_their_numbers(tmp_path):
    uploaded = clip_of_pictures(tmp_path, {f"frame_{n}.png": png(n) for n in (10, 9, 100, 1)})
    assert uploaded.footage.frames[:, 0, 0, 0].tolist() == [1, 9, 10, 100]
    assert uploaded.clip.has_actions is False


@pytest.mark.parametrize(
    ("frame", "pose"), [("{}", "0{}"), ("a2_{}_64x64", "pose {}"), ("{0}_t{0}", "{0}"), ("1{}", "2{}")]
)
def test_frames_and_poses_may_be_counted_from_other_numbers(tmp_path, frame, pose):
    names = [f"img/{frame}.png", f"label/{pose}.png"]
    files = {name.format(n): png(n, (32, 64)) for name in names for n in (0, 1)}
    assert clip_of_pictures(tmp_path, files).clip.frames == 2


def test_every_tenth_frame_has_its_own_row(tmp_path):
    clip = clip_of_pictures(tmp_path, {f"{n}.png": png(n) for n in (0, 10, 20)} | THREE).clip
    assert (clip.frames, clip.has_actions) == (3, True)


@pytest.mark.parametrize("folder", ["labelled/", "composed/"])
def test_the_only_folder_holds_the_frames_and_what_lies_beside_it_counts(tmp_path, folder):
    clip = clip_of_pictures(tmp_path, {f"{folder}{n}.png": png(n) for n in (1, 2)} | KNOWN).clip
    assert (clip.frames, clip.has_poses, clip.has_actions) == (2, False, True)


def test_a_clip_of_bouncing_shapes_stays_one(tmp_path, bundled):
    source = ROOT / "assets" / "data" / "bounce" / "test"
    folder = next(path.parent for path in source.rglob("simulation.json"))
    uploaded = clip_of_pictures(tmp_path, files_of(folder)).clip
    assert uploaded.has_bounces and bounces_of(uploaded.folder) == bounces_of(folder)
    run = bundled.run("bounce-learned-monotonic")
    assert run.longest_future(uploaded) == uploaded.frames - run.n_past
    for record, expected in ((b'{"bounces": "12"}', None), (b'{"bounces": [[-5, 3, 99, "7", true]]}', [3])):
        other = zipped(tmp_path / "other.zip", files_of(folder) | {"simulation.json": record})
        clip = convert_clip(other, tmp_path / f"other{expected}").clip
        assert clip.has_bounces == (expected is not None) and bounces_of(clip.folder) == expected


def test_a_zipped_dance_is_the_dance_it_was(tiny_dance, tmp_path):
    uploaded = convert_clip(zipped(tmp_path / "dance.zip", files_of(tiny_dance / "val")), tmp_path / "out")
    for mine, theirs in zip(
        open_split(uploaded.clip.root, uploaded.clip.split).window(0, 0, 12),
        open_split(tiny_dance, "validate").window(0, 0, 12),
    ):
        assert np.array_equal(mine, theirs)
    assert uploaded.clip.has_poses
    assert "12 frames of 64 x 32 pixels (every frame taken). Every frame has its pose." in uploaded.description


def test_a_long_dance_is_taken_whole(tmp_path):
    count = MOST_FRAMES + 9
    files = {f"{part}/{n}.png": png(n, (32, 64)) for part in ("img", "label") for n in range(count)}
    uploaded = clip_of_pictures(tmp_path, files)
    assert uploaded.description.startswith(f"{count} frames of 64 x 32 pixels (every frame taken).")
    frames, poses = (list((tmp_path / "out" / "val" / f"val_{part}").iterdir()) for part in ("img", "label"))
    assert len(frames) == len(poses) == uploaded.clip.frames == count


def test_a_film_is_cropped_and_says_so(film, tmp_path):
    uploaded = convert_clip(film, tmp_path / "out", every=5)
    assert uploaded.footage.frames[:, 30, 30, 0].tolist() == [0, 100, 200]
    words = "3 of 12 frames of 100 x 80 pixels (every 5th frame taken, the centre cut out, made 64 x 64). "
    assert uploaded.description == words + "Its actions are not known: action-free runs alone."
    picture = crop_picture(uploaded.footage)
    assert picture.shape == (192, 240 + 16 + 192, 3)
    assert picture[100, 5].max() < picture[100, 120].max() or picture[100, 120].max() == 0


@pytest.mark.parametrize("size", [(60_000, 1), (1, 60_000), (3, 1000), (500, 3), (1, 1)])
def test_the_picture_of_the_cut_is_small_whatever_its_shape(tmp_path, size):
    """Made 192 pixels high, a row of 9,000 took 7 GB and two minutes; a column had nothing to frame."""
    Image.new("RGB", size, (200, 200, 200)).save(tmp_path / "film.gif")
    height, width, _ = (picture := crop_picture(convert_clip(tmp_path / "film.gif", tmp_path / "out").footage)).shape
    assert height == 192 and width <= MOST_ACROSS
    assert (picture == (45, 212, 191)).all(2).any()  # what is kept has its frame


@pytest.mark.parametrize(
    ("every", "words"),
    [
        (1, "12 frames of 100 x 80 pixels (every frame taken, "),
        (2, "6 of 12 frames of 100 x 80 pixels (every 2nd frame taken, "),
        (3, "4 of 12 frames of 100 x 80 pixels (every 3rd frame taken, "),
        (4, "3 of 12 frames of 100 x 80 pixels (every 4th frame taken, "),
        (21, "1 of 12 frames of 100 x 80 pixels (every 21st frame taken, "),
        (11, "2 of 12 frames of 100 x 80 pixels (every 11th frame taken, "),
    ],
)
def test_what_was_taken_of_a_film_in_words(film, tmp_path, every, words):
    assert convert_clip(film, tmp_path / "out", every).description.startswith(words)


def test_one_picture_is_one_frame(tmp_path):
    description = clip_of_pictures(tmp_path, {"0.png": png()}).description
    assert description.startswith("1 frame of 64 x 64 pixels (every frame taken).")


@pytest.fixture(scope="module")
def long_film(tmp_path_factory):
    """A film of 300 frames, most of which are computed from the ones before."""
    path = tmp_path_factory.mktemp("films") / "long.mp4"
    source = ["-f", "lavfi", "-i", "testsrc=size=64x64:rate=25", "-frames:v", "300", "-pix_fmt", "yuv420p", path]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *source], check=True)
    return path


@pytest.mark.parametrize(
    ("every", "words"),
    [
        (1, "120 of 300 frames of 64 x 64 pixels (the first 120 taken)."),
        (2, "120 of 300 frames of 64 x 64 pixels (every 2nd frame taken of the first 240)."),
        (9, "34 of 300 frames of 64 x 64 pixels (every 9th frame taken)."),
    ],
)
def test_a_film_that_is_cut_off_says_how_much_of_it_was_taken(long_film, tmp_path, every, words):
    assert convert_clip(long_film, tmp_path / "out", every).description.startswith(words)


def test_a_long_gif_says_so_too(tmp_path):
    shades = np.arange(MOST_FRAMES + 7, dtype=np.uint8)
    render.save_gif(tmp_path / "a.gif", np.repeat(shades, 64 * 64 * 3).reshape(-1, 64, 64, 3))
    description = convert_clip(tmp_path / "a.gif", tmp_path / "out").description
    assert description.startswith("120 of 127 frames of 64 x 64 pixels (the first 120 taken).")


def test_counting_ends_somewhere(long_film, tmp_path, monkeypatch):
    monkeypatch.setattr(upload, "MOST_COUNTED", 200)
    assert count_frames(long_film) == 200
    assert "120 of over 200 frames" in convert_clip(long_film, tmp_path / "out").description


def test_counting_opens_nothing_but_the_film(long_film, tmp_path):
    playlist = long_film.with_name("list.mp4")  # left alone, ffmpeg would take it for a list of other films
    playlist.write_text(f"ffconcat version 1.0\nfile {long_film.name}\n")
    assert count_frames(playlist) == 0
    with pytest.raises(BadInput, match="list.mp4: not a readable film"):
        convert_clip(playlist, tmp_path / "out")


@pytest.mark.parametrize(
    ("files", "line"),
    [
        ({}, "expected one folder of frames"),
        ({"readme.txt": b"x"}, "found 0 and 0"),
        ({"a/0.png": png(), "b/0.png": png()}, "found 2 and 0"),
        ({"img/0.png": png(), "label/0.png": png(), "pose/0.png": png()}, "found 1 and 2"),
        ({"img/0.png": png(), "img/1.png": png(), "label/0.png": png()}, "2 frames and 1 pose picture:"),
        (
            {f"{part}/{n}.png": png() for part, left_out in (("img", 1), ("label", 2)) for n in {0, 1, 2} - {left_out}},
            "no pose picture has the number of 2.png",
        ),
        ({"0.png": png(), "2.png": png(), **THREE}, "actions.csv has 3 rows for 2 frames, and there is no frame 1"),
        ({"1.png": png(), "2.png": png(), **THREE}, "actions.csv has 3 rows for 2 frames, and there is no frame 0"),
        ({"0.png": png(), "00.png": png(), "1.png": png(), **THREE}, "0.png and 00.png have the same number"),
        (
            {"img/0.png": png(), "img/0.jpg": png(), **{f"label/{n}.png": png() for n in (0, 1)}},
            "0.jpg and 0.png have the same number",
        ),
        ({"0.png": b"GIF89a"}, "0.png: not a readable PNG or JPEG"),
        ({"0.png": png(), "1.png": png(size=(32, 64))}, "pictures of different sizes"),
        ({f"{n}.png": png() for n in range(121)}, "121 frames, at most 120"),
        ({"0.png": png(), "actions.csv": "0,0,0,0"}, "not both of actions.csv and endeffector_positions.csv"),
        ({"0.png": png(), "actions.csv": "1,2", "endeffector_positions.csv": "0,0,0"}, "row 0 has 2 numbers"),
        ({"0.png": png(), "actions.csv": "1", "endeffector_positions.csv": "0,0,0"}, "row 0 has 1 number,"),
        ({"0.png": png(), "actions.csv": "", "endeffector_positions.csv": "0,0,0"}, "0 rows for 1 frame"),
        ({"0.png": png(), "actions.csv": "nan,0,0,0", "endeffector_positions.csv": "0,0,0"}, "not finite"),
    ],
)
def test_what_is_no_clip_is_one_line(tmp_path, files, line):
    path = zipped(tmp_path / "mine.zip", files)
    with pytest.raises(BadInput, match="mine.zip|0.png") as error:
        convert_clip(path, tmp_path / "out")
    assert line in str(error.value)
    assert "\n" not in str(error.value)
    assert str(tmp_path) not in str(error.value)


def test_a_zipped_run_is_the_run_it_was(free_run, tmp_path):
    files = files_of(free_run, "my run/") | {"my run/last/state.pth": b"never", "my run/samples/0.gif": b"no"}
    path = zipped(tmp_path / "run.zip", files)
    assert holds_run(path)
    unpack_run(path, tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} <= {"config.json", "model.safetensors", "metrics.jsonl"}
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "out" / name).read_bytes() == (free_run / name).read_bytes()


def test_pickled_weights_are_never_opened(free_run, tmp_path):
    class Opened:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "opened",))

    torch.save(Opened(), tmp_path / "model.pth")
    path = zipped(tmp_path / "run.zip", {"config.json": free_run / "config.json", "model.pth": tmp_path / "model.pth"})
    with pytest.raises(BadInput, match=r"no model\.safetensors beside config\.json; model\.pth could run code"):
        unpack_run(path, tmp_path / "out")
    assert not (tmp_path / "opened").exists()
