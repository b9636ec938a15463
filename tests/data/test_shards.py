"""Clips in tar shards: the same clips, each once a pass, few of them in memory."""

import io
import json
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.commands import fails, run, succeeds
from vidpred.config import DataConfig
from vidpred.data.batches import open_split, training_batch, window_batch
from vidpred.data.shards import SHARDS_TOGETHER, ShardedClips, write_shards
from vidpred.errors import BadInput
from vidpred.randomness import generator

SHORT = DataConfig(n_past=2, n_future=4)


@pytest.fixture(scope="module")
def shards(tiny_data, tmp_path_factory):
    """12 clips to train in 6 files of 2, more files than are held in memory."""
    out = tmp_path_factory.mktemp("shards") / "clips"
    assert "12 clips in 6 files" in succeeds("train.prepare", "shard", tiny_data, out, "--clips-per-shard", 2)
    return out


def test_the_same_clips(shards, tiny_data):
    for split in ("train", "val", "test"):
        ours, theirs = open_split(shards, split), open_split(tiny_data, split)
        assert isinstance(ours, ShardedClips)
        assert ours.ids == theirs.ids
        assert np.array(ours.condition_moments()) == pytest.approx(np.array(theirs.condition_moments()))
        for i in range(len(theirs)):
            for one, other in zip(ours.window(i, 3, 6), theirs.window(i, 3, 6)):
                assert np.array_equal(one, other)


def test_a_pass_takes_every_clip_once_and_passes_differ(shards):
    clips = open_split(shards, "train")
    source = generator("unused")
    drawn = [i for iteration in range(6) for i in clips.draw(source, 4, 7, iteration, 12)]
    assert sorted(drawn[:12]) == sorted(drawn[12:]) == list(range(12))
    assert drawn[:12] != drawn[12:] != list(range(12))
    assert clips.draw(source, 4, 8, 0, 12) != drawn[:4]


def test_a_batch_does_not_depend_on_what_was_read_before(shards):
    """So that a resumed training sees what it would have seen."""
    clips = open_split(shards, "train")
    for iteration in range(7):
        expected = training_batch(clips, SHORT, 5, 0, iteration)
    afresh = training_batch(open_split(shards, "train"), SHORT, 5, 0, 6)
    assert afresh.ids == expected.ids and torch.equal(afresh.frames, expected.frames)


def test_few_shards_are_held(shards):
    clips = open_split(shards, "train")
    window_batch(clips, list(range(12)), 6)
    assert len(clips._kept) == SHARDS_TOGETHER + 1


def test_read_through_a_command(shards, tiny_data, tmp_path, monkeypatch):
    """Files that lie elsewhere: the index alone is at hand. It may be anyone's, and is asked for leave to run it."""
    base = f"pipe:cat {shards}/"
    succeeds("train.prepare", "shard", tiny_data, tmp_path / "far", "--clips-per-shard", 2, "--base", base)
    for file in (tmp_path / "far").rglob("*.tar"):
        file.unlink()
    with pytest.raises(BadInput, match="come from a command, 'pipe:cat .*VIDPRED_PIPES=1 allows that"):
        open_split(tmp_path / "far", "validate")
    monkeypatch.setenv("VIDPRED_PIPES", "1")
    ours, theirs = (open_split(folder, "validate") for folder in (tmp_path / "far", shards))
    assert np.array_equal(ours.window(3, 0, 16)[0], theirs.window(3, 0, 16)[0])


@pytest.mark.parametrize("name", ["a b", "a#1", "a?1", "a{0..1}", "clips:v2", "pipe:touch hacked;"])
def test_a_folder_may_have_any_name(tiny_data, tmp_path, monkeypatch, name):
    """Which is no address, let alone a command."""
    monkeypatch.chdir(tmp_path)
    clips = open_split(tiny_data, "test")
    write_shards(clips, Path(name) / "test", 3)
    assert np.array_equal(open_split(Path(name), "test").window(3, 0, 16)[0], clips.window(3, 0, 16)[0])
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_group_may_have_any_name(tiny_data, tmp_path):
    """In a tar file a dot ends the name of a clip."""
    groups = ("a.b", "a_b")
    for number, group in enumerate(groups, start=1):
        copied = tiny_data / "test" / "traj_0_to_255" / str(number)
        shutil.copytree(copied, tmp_path / "clips" / "test" / group / "1")
    clips = open_split(tmp_path / "clips", "test")
    write_shards(clips, tmp_path / "shards" / "test", len(groups))
    shards = open_split(tmp_path / "shards", "test")
    for i in range(len(groups)):
        assert np.array_equal(shards.window(i, 0, 16)[0], clips.window(i, 0, 16)[0])


def test_training_and_evaluation_read_shards(shards, tmp_path):
    command = ("--data", shards, "--cpu", "--json")
    options = "--preset debug --data.n-future 4 --train.kl-anneal none --train.epochs 2 --train.iterations-per-epoch 2"
    succeeds("train.svg", *command, "--out", tmp_path / "run", *options.split())
    result = json.loads(succeeds("train.evaluate", tmp_path / "run", *command, "--samples", 1).splitlines()[-1])
    assert result["clips"] == 4


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "000001.tar").unlink(), "not a readable shard"),
        (lambda folder: (folder / "000001.tar").write_bytes(b"no tar file at all"), "not a readable shard"),
        (lambda folder: drop_member(folder / "000001.tar"), "2 clips expected, 1 found"),
        (lambda folder: (folder / "000000.tar").replace(folder / "000001.tar"), "000000.tar: not a readable shard"),
        (lambda folder: (folder / "index.json").write_text("{}"), "not an index of shards"),
        (lambda folder: (folder / "index.json").write_text("{"), "not an index of shards"),
        (lambda folder: put(folder / "index.json", bounces=[[1]]), "not an index of shards"),
        (lambda folder: put(folder / "index.json", bounces=["far"] * 4), "not an index of shards"),
        (lambda folder: put(folder / "index.json", bounces=[[10**30]] * 4), "not an index of shards"),
        (lambda folder: put(folder / "index.json", bounces=[["3"]] * 4), "not an index of shards"),
    ],
)
def test_damage_is_named(tiny_data, tmp_path, damage, said):
    succeeds("train.prepare", "shard", tiny_data, tmp_path / "clips", "--clips-per-shard", 2)
    damage(tmp_path / "clips" / "validate")
    with pytest.raises(BadInput, match=said):
        window_batch(open_split(tmp_path / "clips", "validate"), [0, 1, 2, 3], 6)


def put(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def drop_member(path):
    with tarfile.open(path) as tar:
        members = [(member, tar.extractfile(member).read()) for member in tar.getmembers()]
    with tarfile.open(path, "w") as tar:
        for member, content in members[:2]:
            tar.addfile(member, io.BytesIO(content))


def test_too_long_a_window_is_named(shards):
    with pytest.raises(BadInput, match="has 16 frames, 30 are needed"):
        training_batch(open_split(shards, "train"), replace(SHORT, n_future=28), 2, 0, 0)


def test_bad_options_are_one_line(tiny_data, tmp_path):
    out = tmp_path / "out"
    assert "at least 1, got 0" in fails("train.prepare", "shard", tiny_data, out, "--clips-per-shard", 0)
    base = ("--base", "http://host/a b/")
    assert "--base http://host/a b/: no address" in fails("train.prepare", "shard", tiny_data, out, *base)
    (tmp_path / "no").mkdir()
    assert "no train, validate or test" in fails("train.prepare", "shard", tmp_path / "no", out)
    assert "lies inside" in fails("train.prepare", "shard", tiny_data, tiny_data / "shards")
    assert run("train.prepare", "shard", "--help").returncode == 0


@pytest.mark.parametrize(("fraction", "clips_used"), [(0.25, 3), (0.5, 6), (0.01, 1)])
def test_a_fraction_takes_the_first_clips_each_once_a_pass(shards, fraction, clips_used):
    """Also where it ends in the middle of a file."""
    clips = open_split(shards, "train")
    drawn = [i for n in range(2 * clips_used) for i in training_batch(clips, SHORT, 1, 0, n, fraction=fraction).ids]
    assert sorted(drawn[:clips_used]) == sorted(drawn[clips_used:]) == sorted(clips.ids[:clips_used])


def test_context_alone(shards):
    clips = open_split(shards, "train")
    frames, conditions = clips.window(5, 3, 6, shown=2)
    assert len(frames) == 2 and len(conditions) == 6
    assert np.array_equal(frames, clips.window(5, 3, 6)[0][:2])


def test_shards_hide_no_clips(tiny_data, tmp_path):
    out = shutil.copytree(tiny_data, tmp_path / "out", ignore=shutil.ignore_patterns(".packed"))
    assert "holds clips of its own" in fails("train.prepare", "shard", tiny_data, out)
    assert open_split(out, "train", tmp_path / "cache").ids == open_split(tiny_data, "train").ids
