"""The dance layout and its packed form: poses stay with their frames, and every fault is named."""

import json
import math
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.commands import fails
from vidpred.config import DanceDataConfig, DataConfig
from vidpred.data.batches import Batch, open_split, passes, training_batch, window_batch
from vidpred.data.dance import is_dance, list_videos, video_folders, write_pair
from vidpred.data.packed import PackedClips
from vidpred.errors import BadInput
from vidpred.frames import to_float
from vidpred.randomness import generator

LENGTHS = {("train", 0): 43, ("validate", 0): 12, **{("test", k): 11 for k in (0, 1, 10)}}
SHORT = DanceDataConfig(clip_length=4)
PUBLISHED = DanceDataConfig(clip_length=4, windows="published")


def picture(kind, video, t, size=(32, 64)):
    """Every pixel tells what it is of: 1 a frame or 2 a pose, the video's number, the time."""
    return np.broadcast_to(np.array([kind, video, t], np.uint8), (*size, 3)).copy()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("written") / "dance"
    for video, ((split, sequence), length) in enumerate(LENGTHS.items()):
        folders = video_folders(root, split, sequence)
        for t in range(length):
            write_pair(folders, t, picture(1, video, t), picture(2, video, t))
    return root


@pytest.fixture
def root(written, tmp_path):
    return shutil.copytree(written, tmp_path / "dance")  # each picture is flushed to disk when it is written


@pytest.fixture
def blind(root):
    """As published: of the test sequences only the first frames are known."""
    shutil.rmtree(root / "test/test_truth")
    return root


def times(pictures):
    return pictures[..., 0, 0, 2].tolist()


def test_the_published_layout(root):
    """The paths, written down once more: everybody's data lies there."""
    assert sorted(p.relative_to(root).as_posix() for p in root.rglob("2.png")) == [
        *(f"test/test_{part}/{k}/2.png" for part in ("label", "truth") for k in (0, 1, 10)),
        *("train/train_img/2.png", "train/train_label/2.png", "val/val_img/2.png", "val/val_label/2.png"),
    ]
    assert [p.name for p in (root / "test/test_img/10").iterdir()] == ["0.png"]


def test_videos_and_pictures_are_ordered_by_number(root):
    """As text, 10 comes before 2."""
    clips = open_split(root, "test")
    assert clips.ids == ["test/0", "test/1", "test/10"]
    frames, poses = clips.window(2, 0, 11)
    assert times(frames) == times(poses) == list(range(11))
    assert frames[0, 0, 0, :2].tolist() == [1, 4] and poses[0, 0, 0, :2].tolist() == [2, 4]


def test_every_split_is_found_and_val_is_an_alias(root):
    assert open_split(root, "train").ids == ["train"]
    for name in ("val", "validate"):
        clips = open_split(root, name)
        assert clips.ids == ["validate"] and clips.lengths().tolist() == [12]
    assert (root / ".packed/validate/frames.npy").exists()
    with pytest.raises(BadInput, match="unknown split 'tset'"):
        open_split(root, "tset")


@pytest.mark.parametrize("kept", ["train", "val", "test"])
def test_the_layout_is_recognised_by_any_of_its_splits(root, kept):
    others = {"train", "val", "test"} - {kept}
    for other in others:
        shutil.rmtree(root / other)
    assert is_dance(root) and open_split(root, kept).has_poses
    for other in others:
        with pytest.raises(BadInput, match=f"{root / other}: no such split"):
            open_split(root, other)


def test_robot_clips_stay_robot_clips(tiny_data, tmp_path):
    clips = open_split(tiny_data, "test", tmp_path)
    assert not clips.has_poses and clips.conditions.dtype == np.float32 and clips.conditions.shape[1:] == (7,)
    assert clips.frames_given().tolist() == clips.lengths().tolist()
    (index,) = tmp_path.glob("*/test/index.json")
    assert "frame_offsets" not in json.loads(index.read_text())


def test_without_true_frames_the_poses_reach_further(blind):
    clips = open_split(blind, "test")
    assert clips.lengths().tolist() == [11, 11, 11] and clips.frames_given().tolist() == [1, 1, 1]
    for clip, video in enumerate((2, 3, 4)):
        frames, poses = clips.window(clip, 0, 11, shown=1)
        assert frames.shape == (1, 32, 64, 3) and frames[0, 0, 0].tolist() == [1, video, 0]
        assert times(poses) == list(range(11)) and poses[:, 0, 0, 1].tolist() == [video] * 11


def test_true_frames_that_are_asked_for_and_missing_are_named(blind):
    clips = open_split(blind, "test")
    for start, length, shown in ((0, 11, None), (0, 2, 2), (1, 1, 1)):
        with pytest.raises(BadInput, match=r"clip test/0 has 1 of the \d+ frames .* \(test_truth\) are missing"):
            clips.window(0, start, length, shown)
    with pytest.raises(BadInput, match="clip test/1 has 11 frames, 12 are needed"):
        clips.window(1, 0, 12, shown=1)
    with pytest.raises(BadInput, match="clip test/0 has 1 frames, 4 are needed for training"):
        training_batch(clips, SHORT, 2, 0, 0)


def shrink(path):
    Image.new("RGB", (48, 32)).save(path)


def deepen(path):
    Image.fromarray(np.full((32, 64), 3000, np.uint16)).save(path)


def add(number):
    return lambda path: shutil.copy(path, path.with_name(f"{number}.png"))


@pytest.mark.parametrize(
    ("split", "file", "damage", "said"),
    [
        ("train", "train/train_img/5.png", os.remove, "{}: missing frame"),
        ("train", "train/train_img/42.png", os.remove, "{}: missing frame"),
        ("train", "train/train_label/5.png", os.remove, "{}: missing pose picture"),
        ("train", "train/train_label/42.png", os.remove, "{}: missing pose picture"),
        ("train", "train/train_img/42.png", add(43), "train_label/43.png: missing pose picture"),
        ("train", "train/train_img/40.png", shrink, "{}: 48 x 32 pixels (width x height), the video's first"),
        ("train", "train/train_label/0.png", shrink, "{}: 48 x 32 pixels"),
        ("train", "train/train_img/0.png", shrink, "train_img/1.png: 64 x 32 pixels (width x height)"),
        ("train", "train/train_img/40.png", deepen, "{}: 16 bits per colour, expected 8"),
        ("train", "train/train_label/9.png", lambda p: p.write_bytes(p.read_bytes()[:40]), "{}: not a readable PNG"),
        ("train", "train/train_img/9.png", lambda p: p.write_text("no picture"), "{}: not a readable PNG"),
        ("train", "train/train_img", shutil.rmtree, "{}: no frames (expected 0.png"),
        ("train", "train/train_label", shutil.rmtree, "{}: no pose pictures (expected 0.png"),
        ("val", "val/val_img/3.png", os.remove, "{}: missing frame"),
        ("val", "val", shutil.rmtree, "{}: no such split"),
        ("test", "test", lambda p: [shutil.rmtree(part) for part in p.iterdir()], "{}: no sequences in this split"),
        ("test", "test/test_img/1/0.png", os.remove, "{}: missing frame"),
        ("test", "test/test_img/1", shutil.rmtree, "{}/0.png: missing frame"),
        ("test", "test/test_label/1", shutil.rmtree, "{}: no pose pictures"),
        ("test", "test/test_label/1/10.png", os.remove, "{}: missing pose picture"),
        ("test", "test/test_truth/1", shutil.rmtree, "{}: no frames"),
        ("test", "test/test_truth/1/10.png", os.remove, "{}: missing frame"),
        ("test", "test/test_truth/1/0.png", os.remove, "{}: missing frame"),
        ("test", "test/test_truth/1/10.png", add(11), "test_label/1/11.png: missing pose picture"),
        ("test", "test/test_truth/1/3.png", shrink, "{}: 48 x 32 pixels"),
        ("test", "test/test_img/1/0.png", shrink, "{}: 48 x 32 pixels"),
        ("test", "test/test_truth/10/0.png", lambda p: shutil.copy(p.with_name("1.png"), p), "{}: another picture"),
    ],
)  # fmt: skip
def test_every_fault_is_one_line_with_the_path(root, split, file, damage, said):
    damage(root / file)
    with pytest.raises(BadInput) as error:
        open_split(root, split)
    assert said.format(root / file) in str(error.value)
    assert str(root) in str(error.value) and "\n" not in str(error.value)
    assert not list((root / ".packed").glob(".*"))  # nothing half-packed stays


def test_pictures_of_another_size_are_averaged_down(root):
    """As the published loader does; a picture that is only sampled would keep its black and white."""
    checks = np.where(np.indices((96, 192)).sum(0)[..., None] % 2, 255, 0).astype(np.uint8).repeat(3, 2)
    bars = np.zeros((96, 192, 3), np.uint8)
    bars[:, :96] = 255  # left half white: rows and columns are not exchanged
    for t in range(12):
        write_pair(video_folders(root, "validate"), t, checks if t else bars, bars)
    frames, poses = open_split(root, "val").window(0, 0, 12)
    assert frames.shape == poses.shape == (12, 32, 64, 3)
    assert np.abs(frames[1:].astype(int) - 127).max() < 50
    assert (poses[:, :, :31] == 255).all() and (poses[:, :, 33:] == 0).all()
    assert np.array_equal(frames[0], poses[0])


def test_pictures_of_the_right_size_keep_every_byte(root):
    noise = np.random.default_rng(0).integers(0, 256, (2, 32, 64, 3)).astype(np.uint8)
    write_pair(video_folders(root, "validate"), 7, *noise)
    frames, poses = open_split(root, "val").window(0, 7, 1)
    assert np.array_equal([frames[0], poses[0]], noise)


def test_grey_and_transparent_pictures_are_read(root):
    Image.new("L", (64, 32), 99).save(root / "val/val_label/2.png")
    Image.new("RGBA", (64, 32), (1, 2, 3, 50)).save(root / "val/val_img/2.png")
    frames, poses = open_split(root, "val").window(0, 2, 1)
    assert frames[0, 0, 0].tolist() == [1, 2, 3] and poses[0, 0, 0].tolist() == [99, 99, 99]


@pytest.mark.parametrize(
    "file", ["test/test_label/1/4.png", "test/test_img/1/0.png", "test/test_truth/1/4.png", "test/test_truth/1/0.png"]
)
def test_packed_once_and_again_when_a_source_changes(root, file, monkeypatch):
    open_split(root, "test")
    monkeypatch.setattr("vidpred.data.packed._pack", lambda *a: pytest.fail("packed again without need"))
    open_split(root, "test")
    monkeypatch.undo()
    Image.new("RGB", (64, 32), (9, 9, 9)).save(root / file)
    if file.endswith("0.png"):  # both pictures of the first frame, or neither
        with pytest.raises(BadInput, match="another picture than"):
            open_split(root, "test")
    else:
        assert (np.stack(open_split(root, "test").window(1, 4, 1))[..., 0] == 9).any()


def test_true_frames_that_appear_or_go_are_noticed(root):
    assert open_split(root, "test").frames_given().tolist() == [11, 11, 11]
    shutil.move(root / "test/test_truth", root / "elsewhere")
    assert open_split(root, "test").frames_given().tolist() == [1, 1, 1]
    shutil.move(root / "elsewhere", root / "test/test_truth")
    assert open_split(root, "test").frames_given().tolist() == [11, 11, 11]


@pytest.mark.parametrize("file", ["frames.npy", "conditions.npy", "index.json"])
def test_a_damaged_cache_is_made_again(blind, file):
    expected = np.array(open_split(blind, "test").conditions)
    path = blind / ".packed/test" / file
    for left in (50, 0):
        path.write_bytes(path.read_bytes()[:left])
        assert np.array_equal(open_split(blind, "test").conditions, expected)


def test_unfinished_and_foreign_files_are_no_pictures(root):
    for name in (".4.begun.png", "notes.txt", "cover.png"):
        (root / "val/val_img" / name).write_text("")
    (root / "test/test_label/readme").mkdir()
    assert open_split(root, "val").lengths().tolist() == [12]
    assert [video.id for video in list_videos(root, "test")] == ["test/0", "test/1", "test/10"]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's account of the process")
def test_memory_does_not_grow_with_the_pictures_that_were_read(tmp_path):
    """37 MB of frames and as many of poses are read; the process may not hold on to either."""
    for name in ("frames", "conditions"):
        array = np.lib.format.open_memmap(tmp_path / f"{name}.npy", "w+", np.uint8, (6000, 32, 64, 3))
        array[:] = 7
        array.flush()
        del array
    (tmp_path / "index.json").write_text(json.dumps({"ids": ["train"], "offsets": [0, 6000]}))
    clips = PackedClips(tmp_path)

    def mapped():
        return int(re.search(r"RssFile:\s+(\d+)", Path("/proc/self/status").read_text()).group(1))

    before = mapped()
    for i in range(94):
        batch = training_batch(clips, DanceDataConfig(windows="published"), 4, 0, i)
        assert batch.frames.min() == batch.conditions.min() == 7
    assert mapped() - before < 10_000  # kB


def test_pose_pictures_cross_the_border_as_frames_do(root):
    batch = window_batch(open_split(root, "test"), [0, 2], 5)
    clip = batch.to_clip(1)
    assert clip.frames.shape == clip.conditions.shape == (2, 5, 3, 32, 64)
    assert torch.equal(clip.conditions, to_float(batch.conditions)) and clip.conditions.dtype == torch.float32
    assert torch.equal(clip.conditions[1, :, 2, 0, 0], torch.arange(5) / 255)  # and not divided twice
    assert batch.to_clip(1, dtype=torch.float64).conditions.dtype == torch.float64
    numbers = Batch(batch.frames, torch.full((2, 5, 7), 30.0), batch.ids).to_clip(1).conditions
    assert numbers.shape == (2, 5, 7) and (numbers == 30).all()


def test_a_batch_may_show_the_context_alone(blind):
    batch = window_batch(open_split(blind, "test"), [1, 0], 11, shown=1)
    assert batch.ids == ["test/1", "test/0"]
    assert batch.frames.shape[:2] == (2, 1) and batch.conditions.shape[:2] == (2, 11)
    first, second = batch.parts(2)
    assert first.frames.shape[:2] == (1, 1) and second.conditions.shape[:2] == (1, 11) and second.ids == ["test/0"]
    assert batch.to_clip(1).conditions.shape == (2, 11, 3, 32, 64)


def test_poses_stay_with_their_frames(root):
    clips = open_split(root, "train")
    for config in (SHORT, PUBLISHED):
        batch = training_batch(clips, config, 8, 0, 3)
        assert batch.frames.shape == batch.conditions.shape == (8, 4, 32, 64, 3)
        assert times(batch.frames) == times(batch.conditions)
        assert (batch.frames[..., 0] == 1).all() and (batch.conditions[..., 0] == 2).all()
        assert all(row == list(range(row[0], row[0] + 4)) for row in times(batch.frames))


def starts(clips, config, batch_size, iterations, **more):
    """First frames of the windows, batch by batch."""
    batches = (training_batch(clips, config, batch_size, 0, i, **more) for i in iterations)
    return [[row[0] for row in times(batch.frames)] for batch in batches]


def test_random_windows_start_anywhere_and_reach_the_last_frame(root):
    clips = open_split(root, "train")
    drawn = starts(clips, SHORT, 8, range(80))
    assert {start for batch in drawn for start in batch} == set(range(40))
    assert drawn[0] != drawn[1] and len(set(drawn[0])) > 1
    assert drawn[5] == starts(clips, SHORT, 8, [5])[0]
    assert drawn[5] != [row[0] for row in times(training_batch(clips, SHORT, 8, 1, 5).frames)]


def test_published_windows_follow_each_other_and_begin_again(root):
    """43 frames hold ten windows of four; the last three frames are never seen."""
    clips = open_split(root, "train")
    assert starts(clips, PUBLISHED, 4, range(3)) == [[0, 4, 8, 12], [16, 20, 24, 28], [32, 36, 0, 4]]
    assert starts(clips, PUBLISHED, 1, [9, 10, 12]) == [[36], [0], [8]]


def test_rows_of_a_batch_are_those_of_the_whole(root):
    """Every process of several reads its own."""
    clips = open_split(root, "train")
    for config in (SHORT, PUBLISHED):
        whole, part = training_batch(clips, config, 6, 0, 2), training_batch(clips, config, 6, 0, 2, [4, 1])
        assert torch.equal(part.frames, whole.frames[[4, 1]]) and torch.equal(part.conditions, whole.conditions[[4, 1]])


def test_a_fraction_of_a_video_is_its_first_frames(root):
    clips = open_split(root, "train")
    assert {s for batch in starts(clips, SHORT, 8, range(40), fraction=0.3) for s in batch} == set(
        range(9)
    )  # 12 frames
    assert {s for batch in starts(clips, SHORT, 8, range(3), fraction=0.01) for s in batch} == {0}
    assert starts(clips, PUBLISHED, 4, range(2), fraction=0.3) == [[0, 4, 8, 0], [4, 8, 0, 4]]
    assert starts(clips, SHORT, 8, range(3), fraction=1.0) == starts(clips, SHORT, 8, range(3))


def test_a_fraction_of_robot_clips_are_the_first_ones(tiny_data, tmp_path):
    clips, config = open_split(tiny_data, "train", tmp_path), DataConfig(n_past=2, n_future=4)
    for fraction, batch_size, expected in ((0.25, 2, 3), (0.26, 3, 4), (0.001, 4, 1), (1.0, 12, 12)):
        drawn = {i for n in range(30) for i in training_batch(clips, config, batch_size, 0, n, fraction=fraction).ids}
        assert drawn == set(clips.ids[:expected])


@pytest.mark.parametrize("fraction", [0, -0.5, 1.01, math.nan])
def test_other_fractions_are_refused(root, fraction):
    clips = open_split(root, "train")
    with pytest.raises(BadInput, match="fraction"):
        training_batch(clips, SHORT, 2, 0, 0, fraction=fraction)
    with pytest.raises(BadInput, match="fraction"):
        passes(clips, SHORT, 2, fraction)


def test_iterations_of_a_pass(root, tiny_data, tmp_path):
    video = open_split(root, "train")
    assert [passes(video, SHORT, size) for size in (1, 2, 3, 10, 11, 50)] == [10, 5, 3, 1, 1, 1]
    assert passes(video, PUBLISHED, 2) == 5
    assert passes(video, SHORT, 1, 0.3) == 3 and passes(video, SHORT, 2, 0.01) == 1
    robots, config = open_split(tiny_data, "train", tmp_path), DataConfig(n_past=2, n_future=4)
    assert [passes(robots, config, size) for size in (1, 5, 12, 13)] == [12, 3, 1, 1]
    assert passes(robots, config, 2, 0.25) == 2


@pytest.mark.parametrize("batch_size", [5, 20])
def test_robot_clips_are_drawn_as_ever(tiny_data, tmp_path, batch_size):
    """Written down once more: another order of the draws would change every training."""
    clips, config = open_split(tiny_data, "train", tmp_path), DataConfig(n_past=2, n_future=4)
    for iteration in range(4):
        source = generator("batch", 7, iteration)
        chosen = source.permutation(12)[:batch_size] if batch_size <= 12 else source.below([12] * batch_size)
        first = source.below([11] * batch_size)
        batch = training_batch(clips, config, batch_size, 7, iteration)
        assert batch.ids == [clips.ids[i] for i in chosen]
        expected = [clips.window(i, start, 6) for i, start in zip(chosen, first)]
        assert np.array_equal(batch.frames, [frames for frames, _ in expected])
        assert np.array_equal(batch.conditions, [conditions for _, conditions in expected])


def test_shards_are_for_robot_clips(root, tmp_path):
    said = fails("train.prepare", "shard", root, tmp_path / "shards")
    assert "shards are for robot clips" in said and not (tmp_path / "shards").exists()
