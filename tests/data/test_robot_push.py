"""The layout on disk and its packed form: what is read is what was written, and every fault is named."""

import json
import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from vidpred.config import DataConfig, SVGConfig
from vidpred.data import batches
from vidpred.data.batches import open_split, require_suitable, training_batch, window_batch
from vidpred.data.packed import PackedClips
from vidpred.data.robot_push import list_clips, read_clip, write_clip
from vidpred.data.shards import write_shards
from vidpred.errors import BadInput
from vidpred.training.loop import train

LENGTH = 14


def make_clip(i, length=LENGTH):
    """Every pixel and number tells its clip and time."""
    frames = np.zeros((length, 64, 64, 3), np.uint8)
    frames[..., 0], frames[..., 1] = i, np.arange(length)[:, None, None]
    actions = np.array([[i, t, 0.1, -0.25] for t in range(length)], np.float32)
    positions = np.array([[i + t / 3, 1 / 3, 1e-7] for t in range(length)], np.float32)
    return frames, actions, positions


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("written")
    for i in range(1, 13):
        write_clip(root / "train" / ("traj_0_to_255" if i < 11 else "traj_256_to_511") / str(i), *make_clip(i))
    for split in ("validate", "test"):
        write_clip(root / split / "traj_0_to_255" / "1", *make_clip(100))
    return root


@pytest.fixture
def root(written, tmp_path):
    return shutil.copytree(written, tmp_path, dirs_exist_ok=True)


@pytest.fixture
def clip(root):
    return root / "train" / "traj_0_to_255" / "2"


def test_clips_and_frames_are_ordered_by_number(root, clip):
    """As text, 10 comes before 2."""
    assert [c.name for c in list_clips(root, "train")] == [str(i) for i in range(1, 13)]
    assert read_clip(clip).frames[:, 0, 0, 1].tolist() == list(range(LENGTH))


def test_numbers_survive_the_csv_exactly(clip):
    _, actions, positions = make_clip(2)
    assert np.array_equal(read_clip(clip).conditions, np.concatenate([actions, positions], 1))


def test_val_is_an_alias_and_other_splits_are_refused(root):
    assert open_split(root, "val").ids == ["validate/traj_0_to_255/1"]
    with pytest.raises(BadInput, match="unknown split 'tset'"):
        open_split(root, "tset")


def shrink(path):
    Image.new("RGB", (32, 64)).save(path)


def deepen(path):
    Image.fromarray(np.full((64, 64), 3000, np.uint16)).save(path)


def edit(row, text):
    def change(path):
        lines = path.read_text().splitlines()
        lines[row] = text
        path.write_text("\n".join(lines))

    return change


@pytest.mark.parametrize(
    ("file", "damage", "said"),
    [
        ("3.png", os.remove, "missing frame"),
        ("3.png", lambda p: p.write_bytes(p.read_bytes()[:40]), "not a readable PNG"),
        ("3.png", lambda p: p.write_text("no picture"), "not a readable PNG"),
        ("3.png", shrink, "32 x 64 pixels, expected 64 x 64"),
        ("3.png", deepen, "16 bits per colour, expected 8"),
        (
            "",
            lambda p: (p / "03.png").write_bytes((p / "4.png").read_bytes()),
            "03.png and 3.png have the same number",
        ),
        ("actions.csv", os.remove, "missing file"),
        ("actions.csv", lambda p: p.write_text("1,2,3,4\n"), "1 row for 14 frames"),
        ("actions.csv", edit(5, "1,2,3"), "row 5 has 3 numbers, expected 4"),
        ("actions.csv", edit(5, "1,2,up,4"), "row 5 is not a row of numbers"),
        ("endeffector_positions.csv", edit(7, "1,nan,3"), "row 7 has a value that is not finite"),
        ("endeffector_positions.csv", edit(7, "1,inf,3"), "row 7 has a value that is not finite"),
        ("endeffector_positions.csv", lambda p: p.write_bytes(b"\xff\xfe\x00"), "not a readable CSV"),
    ],
)
def test_every_fault_is_one_line_with_the_path(root, clip, file, damage, said):
    damage(clip / file)
    with pytest.raises(BadInput) as error:
        open_split(root, "train")
    assert str(clip / file) in str(error.value)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert not list((root / ".packed").glob(".train*"))  # nothing half-packed stays


def test_a_name_that_is_not_utf8_is_named(root, clip):
    """As an archive of another system may leave it: clips are known by their names, in files and pages."""
    os.rename(clip, os.fsencode(clip.parent) + b"/clip_\xe4")
    with pytest.raises(
        BadInput, match=r"train holds 'traj_0_to_255/clip_\\udce4', a name that is not UTF-8: rename it"
    ):
        open_split(root, "train")


@pytest.mark.parametrize("empty", ["train", "train/traj_0_to_255/2", ""])
def test_an_empty_folder_is_named(root, empty):
    for path in (root / empty).iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(BadInput, match="no clips|no frames|no such split"):
        open_split(root, "train")


def test_packed_once_and_again_when_the_source_changes(root, clip, monkeypatch):
    first = open_split(root, "train")
    monkeypatch.setattr("vidpred.data.packed._pack", lambda *a: pytest.fail("packed again without need"))
    again = open_split(root, "train")
    assert np.array_equal(first.frames, again.frames)
    monkeypatch.undo()
    Image.new("RGB", (64, 64), (9, 9, 9)).save(clip / "0.png")
    assert open_split(root, "train").window(1, 0, 1)[0].tolist() == np.full((1, 64, 64, 3), 9).tolist()


@pytest.mark.parametrize("file", ["frames.npy", "conditions.npy", "index.json"])
def test_a_damaged_cache_is_made_again(root, file):
    expected = np.array(open_split(root, "train").frames)
    path = root / ".packed" / "train" / file
    for left in (50, 0):
        path.write_bytes(path.read_bytes()[:left])
        assert np.array_equal(open_split(root, "train").frames, expected)


def test_packed_arrays_are_mapped_not_read(root):
    clips = open_split(root, "train")
    frames, conditions = clips.window(3, 2, 5)
    assert isinstance(clips.frames.base, np.memmap)
    assert np.shares_memory(frames, clips.frames)
    assert np.array_equal(frames, make_clip(4)[0][2:7])
    assert conditions[:, 1].tolist() == [2, 3, 4, 5, 6]


def test_two_processes_may_pack_the_same_clips(root, monkeypatch):
    """The slower one finds the other's folder in its place, and takes it."""
    from vidpred.data import packed

    original = os.replace

    def late(source, target):
        if Path(target).name == "train" and not Path(target).exists():
            shutil.copytree(source, target)
        original(source, target)

    monkeypatch.setattr(packed.os, "replace", late)
    assert len(open_split(root, "train")) == 12
    assert [p.name for p in (root / ".packed").iterdir()] == ["train"]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's account of the process")
def test_memory_does_not_grow_with_the_clips_that_were_read(tmp_path):
    """All of 74 MB are read in batches; the process may not hold on to them."""
    frames = np.lib.format.open_memmap(tmp_path / "frames.npy", "w+", np.uint8, (6000, 64, 64, 3))
    frames[:] = 7
    frames.flush()
    np.save(tmp_path / "conditions.npy", np.zeros((6000, 7), np.float32))
    index = {"ids": [str(i) for i in range(300)], "offsets": list(range(0, 6001, 20))}
    (tmp_path / "index.json").write_text(json.dumps(index))
    del frames
    clips = PackedClips(tmp_path)

    def mapped():
        status = Path("/proc/self/status").read_text()
        return int(re.search(r"RssFile:\s+(\d+)", status).group(1))

    before = mapped()
    for start in range(0, 300, 10):
        assert window_batch(clips, list(range(start, start + 10)), 20).frames.min() == 7
    assert mapped() - before < 10_000  # kB


def test_cache_in_another_folder(root, tmp_path):
    cache = tmp_path / "elsewhere"
    assert len(open_split(root, "train", cache)) == 12
    assert not (root / ".packed").exists()
    assert len(list(cache.glob("*/train/frames.npy"))) == 1


def test_data_sets_share_a_cache(root, written, tmp_path):
    """Each stays packed when the other is opened: in one place they would delete each other's clips."""
    other, cache = shutil.copytree(written, tmp_path / "other"), tmp_path / "cache"
    first = open_split(root, "train", cache)
    packed = {file: file.stat() for file in cache.rglob("*.npy")}
    assert open_split(other, "train", cache).ids == first.ids
    assert len(list(cache.rglob("frames.npy"))) == 2
    assert {file: file.stat() for file in packed} == packed


def test_packing_deletes_nothing_but_packed_clips(root, written):
    folder = shutil.copytree(written / "train", root / ".packed" / "train")
    before = sorted(folder.rglob("*"))
    with pytest.raises(BadInput, match="train: holds traj_0_to_255, which packing would delete"):
        open_split(root, "train")
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("count", [50, 100, 1600])
def test_a_share_of_the_clips_is_as_many_as_it_says(count):
    """0.07 * 100 is a little more than 7 in floating point."""
    clips = SimpleNamespace(frames_given=lambda: np.full(count, 30))
    for percent in range(1, 101):
        assert len(batches._part(clips, 12, percent / 100)) == -(-percent * count // 100)
    film = SimpleNamespace(frames_given=lambda: np.array([20 * count]))
    assert batches._part(film, 12, 0.29) == [29 * count // 5]


def test_training_batches_are_a_function_of_seed_and_iteration(root):
    clips = open_split(root, "train")
    config = DataConfig(n_past=2, n_future=4)
    batch = training_batch(clips, config, 8, 0, 5)
    again = training_batch(clips, config, 8, 0, 5)
    assert batch.ids == again.ids
    assert batch.frames.equal(again.frames)
    assert training_batch(clips, config, 8, 0, 6).ids != batch.ids
    assert training_batch(clips, config, 8, 1, 5).ids != batch.ids
    assert len(set(batch.ids)) == 8  # drawn without replacement


def test_windows_start_anywhere_and_reach_the_last_frame(root):
    """The published loader always takes the first frames: most of the data is never seen."""
    clips = open_split(root, "train")

    def starts(windows):
        config = DataConfig(n_past=2, n_future=4, windows=windows)
        return {int(f[0, 0, 0, 1]) for i in range(40) for f in training_batch(clips, config, 4, 0, i).frames}

    assert starts("random") == set(range(LENGTH - 5))
    assert starts("published") == {0}


def test_conditions_stay_with_their_frames(root):
    clips = open_split(root, "train")
    batch = training_batch(clips, DataConfig(n_past=2, n_future=4), 8, 0, 0)
    assert (batch.conditions[..., 0] == batch.frames[:, :, 0, 0, 0]).all()
    assert (batch.conditions[..., 1] == batch.frames[:, :, 0, 0, 1]).all()


def test_a_window_longer_than_a_clip_names_the_clip(root):
    clips = open_split(root, "train")
    with pytest.raises(BadInput, match=r"train/traj_0_to_255/1 has 14 frames, 15 are needed"):
        window_batch(clips, [0], 15)
    with pytest.raises(BadInput, match="14 frames, 20 are needed"):
        training_batch(clips, DataConfig(n_past=10, n_future=10), 4, 0, 0)


def test_moments_of_the_conditions(root):
    clips = open_split(root, "train")
    mean, scale = clips.condition_moments()
    rows = np.asarray(clips.conditions, np.float64)
    assert mean == pytest.approx(rows.mean(0))
    varying = rows.std(0) > 1e-6
    assert np.array(scale)[varying] == pytest.approx(rows.std(0)[varying])
    assert np.array(scale)[~varying].tolist() == [1.0] * int((~varying).sum())


@pytest.fixture
def action_free(tmp_path):
    for split, clips in (("train", 4), ("validate", 1)):
        for i in range(1, clips + 1):
            write_clip(tmp_path / split / "traj_0_to_255" / str(i), make_clip(i)[0])
    return tmp_path


def test_clips_without_actions_are_read_and_no_conditioned_model_is_given_them(action_free):
    clips = open_split(action_free, "train")
    assert not clips.has_actions
    assert not clips.window(1, 0, 3)[1].any()
    assert np.array_equal(clips.window(1, 0, 3)[0], make_clip(2)[0][:3])
    require_suitable(clips, SVGConfig(condition="none"))
    with pytest.raises(BadInput, match=r"train/traj_0_to_255/1: no actions.csv .*--model.condition none"):
        require_suitable(clips, SVGConfig())
    write_shards(clips, action_free / "shards" / "train", 2)
    assert not open_split(action_free / "shards", "train").has_actions


def test_a_clip_that_lacks_what_the_others_have_is_named(root, clip):
    for name in ("actions.csv", "endeffector_positions.csv"):
        (clip / name).unlink()
    with pytest.raises(BadInput, match=r"train/traj_0_to_255/2: no actions.csv"):
        open_split(root, "train")


def test_training_refuses_clips_whose_actions_are_missing(action_free, tiny_settings, tmp_path):
    splits = [open_split(action_free, split) for split in ("train", "validate")]
    with pytest.raises(BadInput, match="no actions.csv"):
        train(tmp_path / "run", tiny_settings, *splits, cpu=True, show_progress=False)
    assert not (tmp_path / "run").exists()
