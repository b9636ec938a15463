"""Disks that fill up, and folders that cannot be written: one line, and what was there is as it was."""

import os
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.commands import ROOT, lines_said
from tests.training.trainings import assert_equal_tensors, rows_without_time, state_tensors
from tests.trust.faults import BeforeOperation, SmallFiles, contents, in_process, powerless, read_only, small_disk
from tests.trust.work import evaluated, found, generated, onnx_written, prepared, site_written, training
from train.prepare.simulate import MANIFEST
from vidpred import runs
from vidpred.explorer.export.site import INDEX
from vidpred.files import UNFINISHED
from vidpred.onnx_export import DESCRIPTION, FILES

pytestmark = pytest.mark.trust

FINDINGS = ROOT / "assets" / "findings" / "results.jsonl"


@pytest.fixture
def half(whole, small_debug, tiny_data, tmp_path):
    """A run that was killed after its first epochs, and the folder that it lies in."""
    run = tmp_path / "run"
    killed = BeforeOperation(run, int(whole[1] * 0.6))
    assert in_process(tmp_path, training, run, small_debug, tiny_data, fault=killed).status < 0
    assert runs.read_metrics(run)
    return run


def assert_goes_on(run, whole, small_debug, tiny_data, tmp_path):
    ended = in_process(tmp_path, training, run, small_debug, tiny_data)
    assert ended.status == 0, ended.said
    assert_equal_tensors(state_tensors(run), state_tensors(whole[0]))
    assert rows_without_time(run) == rows_without_time(whole[0])
    assert contents(run).keys() == contents(whole[0]).keys()


def test_weights_that_cannot_be_written_are_one_line(half, whole, small_debug, tiny_data, tmp_path, survived):
    """Of a SafetensorError that was a traceback. Where nothing can be mounted, a limit on files acts as a full disk."""
    state = contents(half / runs.LAST)
    for limit in (1000, 20_000):
        status, said = in_process(tmp_path, training, half, small_debug, tiny_data, fault=SmallFiles(limit))
        assert status == 2, said
        assert len(said.splitlines()) == 1 and said.endswith(": File too large\n"), said
        assert ".unfinished" not in said
        assert {name: content for name, content in contents(half / runs.LAST).items() if name in state} == state
    assert_goes_on(half, whole, small_debug, tiny_data, tmp_path)
    survived("training: a file cannot grow", 2)


def test_a_full_disk_is_one_line(whole, small_debug, tiny_data, tmp_path, survived):
    size = sum(map(len, contents(whole[0]).values()))
    try:
        for share in (0.5, 0.95):
            with small_disk(tmp_path / "disk", int(share * size / 1000)):
                run = tmp_path / "disk" / "run"
                status, said = in_process(tmp_path, training, run, small_debug, tiny_data)
                assert status == 2, said
                assert len(said.splitlines()) == 1 and said.endswith(": No space left on device\n"), said
                shutil.copytree(run, tmp_path / f"larger-{share}")
            assert_goes_on(tmp_path / f"larger-{share}", whole, small_debug, tiny_data, tmp_path)
    except PermissionError:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("nothing can be mounted here: root can")
    survived("training: the disk is full", 2)


def test_a_folder_that_cannot_be_written_is_one_line(half, small_debug, tiny_data, tmp_path, survived):
    before = contents(half)
    with read_only(half):
        status, said = in_process(tmp_path, training, half, small_debug, tiny_data, fault=powerless)
    assert status == 2
    assert len(said.splitlines()) == 1 and said.endswith(": Permission denied\n"), said
    assert contents(half) == before
    survived("training: the folder cannot be written")


def test_an_evaluation_that_cannot_be_written_is_said_first(whole, tiny_data, tmp_path, survived):
    words = (whole[0], "--data", tiny_data, "--samples", "1", "--clips", "1", "--cpu")
    with read_only(whole[0]):
        status, said = in_process(tmp_path, evaluated, *words, fault=powerless)
    assert status == 2
    assert "PSNR  " in said and "PSNR by where z comes from" in said
    assert said.splitlines()[-1] == f"train.evaluate: {whole[0] / runs.EVAL}: Permission denied"
    survived("train.evaluate: the folder cannot be written")


class Made(NamedTuple):
    """What a command works with; number: another one each time, where that makes other files."""

    out: Path
    run: Path
    data: Path
    number: int


CLIP = "test_traj_0_to_255_1"
FEW = ("--samples", 1, "--clips", 1, "--cpu")
CLIPS = ("--validate", 0, "--test", 0, "--seed", 3, "--workers", 1)
LIMITED = {  # command, its words, how many bytes of a file are too many, and one of its files
    "train.evaluate": (evaluated, lambda m: (m.run, "--data", m.data, *FEW, "--out", m.out / "e.json"), 300, "e.json"),
    "train.generate": (generated, lambda m: (m.run, "--data", m.data, *FEW, "--out", m.out), 300, f"{CLIP}.gif"),
    "train.export": (
        onnx_written,
        lambda m: (m.out, dict.fromkeys(FILES[m.number :], bytes(1000 * m.number)), {}),
        1500,
        DESCRIPTION,
    ),
    "train.findings": (found, lambda m: (FINDINGS, "--out", m.out), 100_000, "results.jsonl"),
    "simulate-bounce": (prepared, lambda m: ("simulate-bounce", m.out, "--train", m.number, *CLIPS), 300, MANIFEST),
    "bundle": (prepared, lambda m: ("bundle", m.run, m.out), 20_000, runs.CONFIG),
    "shard": (
        prepared,
        lambda m: ("shard", m.data, m.out, "--clips-per-shard", m.number),
        100_000,
        "train/index.json",
    ),
    "vidpred.explorer.export": (site_written, lambda m: (m.out, m.run, m.data), 3000, INDEX),
}


@pytest.mark.parametrize("name", LIMITED)
def test_a_file_that_cannot_grow_leaves_what_was_there(name, tiny_run, tiny_data, tmp_path, capfd, survived):
    """As on a full disk, which has another number: one line, and then the same command goes through."""
    function, words, most, file = LIMITED[name]
    out = tmp_path / "out"
    function(*words(Made(out, tiny_run, tiny_data, 1)))
    before, again = contents(out), words(Made(out, tiny_run, tiny_data, 2))
    capfd.readouterr()
    with SmallFiles(most)(), pytest.raises(SystemExit) as stop:
        function(*again)
    said = capfd.readouterr()
    assert stop.value.code == 2
    assert [line for line in lines_said(said.err) if "File too large" in line] == lines_said(said.err)[-1:]
    assert "Traceback" not in said.err and UNFINISHED not in said.err
    assert "PSNR  " in said.out or name != "train.evaluate"
    after = contents(out)
    if name == "simulate-bounce":  # its record says how many clips there are to be
        assert after.pop(MANIFEST) != before.pop(MANIFEST)
    assert after == before
    left = (out / file).parent / f"{UNFINISHED}abcdefgh-{Path(file).name}"  # by one who was killed
    left.mkdir()
    function(*again)
    assert not any(UNFINISHED in path.name for path in out.rglob("*"))
    assert before.items() <= contents(out).items() or name in ("shard", "train.export")
    survived(f"{name}: a file cannot grow")
