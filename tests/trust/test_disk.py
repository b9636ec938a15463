"""Disks that fill up, and folders that cannot be written: one line, and what was there is as it was."""

import os
import shutil

import pytest

from tests.training.trainings import assert_equal_tensors, rows_without_time, state_tensors
from tests.trust.faults import BeforeOperation, SmallFiles, contents, in_process, powerless, read_only, small_disk
from tests.trust.work import evaluated, training
from vidpred import runs

pytestmark = pytest.mark.trust


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
