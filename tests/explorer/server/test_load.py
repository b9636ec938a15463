"""The benchmark of many visitors: it tells right answers from wrong ones, and counts what is lost."""

import contextlib
import json
import os
import shutil

import pytest

from tests.explorer.serving import served
from train.benchmark import load as load_file
from vidpred import runs
from vidpred.checkpoint import load_tensors, save_tensors
from vidpred.explorer.runs.library import Library


@pytest.fixture
def loaded(tiny_run, tiny_data, tmp_path, monkeypatch, capsys):
    """loaded(change): the result, with the weights changed between the visitors and the one who compares."""
    from vidpred.explorer.page import build_demo

    for name in ("one", "other"):
        shutil.copytree(tiny_run, tmp_path / name)
    clip = "traj_0_to_255/1"
    for name, value in {"ROBOT": "one", "OTHER": "other", "DANCER": "other", "LOOKS": (0.0, 0.1)}.items():
        monkeypatch.setattr(load_file, name, value)
    monkeypatch.setattr(load_file, "CLIPS", {"one": clip, "other": clip})

    def run(change):
        before = iter([lambda: None, change])

        @contextlib.contextmanager
        def serve():
            next(before)()
            with served(build_demo(Library([tmp_path], [tiny_data]))) as url:
                yield url, os.getpid()

        monkeypatch.setattr(load_file, "serve", serve)
        load_file.load(minutes=0.03, clients=3, warm_up=3, json=True)
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    return run


def test_the_same_app_gives_the_same_answers(loaded):
    result = loaded(lambda: None)
    assert (result["errors"], result["differing"]) == (0, 0)
    assert result["answers"] > 3 and result["compared"] > 0 and 0 < result["median_s"] <= result["p95_s"]


def test_other_answers_are_seen(loaded, tmp_path):
    def change():
        for name in ("one", "other"):
            weights = load_tensors(tmp_path / name / runs.WEIGHTS)
            save_tensors(tmp_path / name / runs.WEIGHTS, {k: v * 1.5 if v.is_floating_point() else v
                                                          for k, v in weights.items()})  # fmt: skip

    result = loaded(change)
    assert result["differing"] > 0 and not result["kept"]


def test_memory_that_grows_after_the_warm_up_is_seen(loaded, monkeypatch):
    held = iter(range(100, 10**6, 10))
    monkeypatch.setattr(load_file.harness, "memory_of", lambda pid, name: next(held))
    result = loaded(lambda: None)
    assert result["growth"] >= 0.1 and not result["kept"]
    assert result["memory_gb"] == pytest.approx(100e-9 * (1 + result["growth"]))


def test_visitors_that_all_meet_an_error_end_the_warm_up(loaded, monkeypatch):
    def questions(client):
        raise RuntimeError("no questions")

    monkeypatch.setattr(load_file, "questions", questions)
    with pytest.raises(RuntimeError, match="no questions"):
        loaded(lambda: None)
