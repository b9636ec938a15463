"""What was recorded of trainings: read as it is on disk now, whatever one line of it looks like."""

import json
import shutil

import numpy as np
import pytest

from vidpred import runs
from vidpred.errors import BadInput
from vidpred.explorer.runs import curves
from vidpred.explorer.runs.summary import describe_run
from vidpred.files import without_infinity


def test_rows_are_plain_json(two_runs, tiny_run):
    rows = {name: without_infinity(curves.metrics_rows(two_runs.run(name))) for name in ("old", "tiny")}
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    assert rows["tiny"] == runs.read_metrics(tiny_run)
    assert [epoch for epoch, row in enumerate(rows["old"]) if row["kld"] is None] == [10, 11, 4000]


def test_only_keys_that_hold_numbers_are_columns(two_runs):
    run = two_runs.run("tiny")
    runs.write_metrics(run.folder, [{"epoch": 0, "kld": "high", "loss": 1.5}, {"epoch": 1, "kld": None, "lr": True}])
    assert curves.columns(run) == {"epoch": [0, 1], "loss": [1.5, None]}


@pytest.mark.parametrize(
    "damage", [b'{"epoch": 1, "kl', b"{", b"[]", b'{"epoch": -1}', b'{"epoch": 1.5}', b"\xff\xfe", b""]
)
def test_a_damaged_line_costs_itself_alone(two_runs, damage):
    run = two_runs.run("tiny")
    path = run.folder / runs.METRICS
    first, _, *others = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([first, damage, *others]) + b"\n")
    assert curves.columns(run)["epoch"] == [0, 2, 3]
    assert len(curves.metrics_rows(two_runs.run("old"))) == 5000
    assert "4 epochs" not in describe_run(run)
    with pytest.raises(BadInput, match="line 2 is not an epoch's JSON object|not readable as text"):
        runs.read_metrics(run.folder)  # training goes on from whole records alone


def test_what_is_no_file_of_metrics_is_none(two_runs):
    path = two_runs.run("tiny").folder / runs.METRICS
    path.unlink()
    assert curves.metrics_rows(two_runs.run("tiny")) == []
    path.mkdir()
    assert curves.metrics_rows(two_runs.run("tiny")) == []


def test_smoothing_keeps_a_constant_and_gaps_and_calms_the_rest():
    assert curves.smooth([2, 2, None, 2], 0.9) == pytest.approx([2, 2, None, 2])
    noise = np.random.default_rng(0).normal(size=500).tolist()
    assert np.std(curves.smooth(noise, 0.9)[50:]) < 0.4 * np.std(noise)
    assert curves.smooth(noise, 0) == noise


def test_progress_of_what_is_not_finished(two_runs):
    tiny, old = map(two_runs.run, ("tiny", "old"))
    assert curves.progress([tiny, old]) == ""  # the old one is longer than its settings say
    runs.write_metrics(tiny.folder, runs.read_metrics(tiny.folder)[:2])
    assert curves.progress([old, tiny]) == "**tiny**: 2 of 4 epochs, about 1 min to go"
    assert curves.progress([tiny], now=1e10) == "**tiny**: 2 of 4 epochs, stopped or finished elsewhere"
    assert curves.training_now([old, tiny]) == [tiny]
    later = curves.metrics_stamp(tiny)[0] / 1e9 + curves.ALIVE + 300
    assert curves.training_now([tiny], later) == []
    rows = runs.read_metrics(tiny.folder)
    runs.write_metrics(tiny.folder, [row | {"seconds": 3000.0 * (row["epoch"] + 1)} for row in rows])
    later = curves.metrics_stamp(tiny)[0] / 1e9 + curves.ALIVE + 300  # its next epoch takes as long as each before
    assert curves.progress([tiny], later) == "**tiny**: 2 of 4 epochs, about 1.7 h to go"
    assert curves.training_now([tiny], later) == [tiny]
    runs.write_metrics(tiny.folder, [])
    assert curves.progress([tiny]) == "**tiny**: 0 of 4 epochs"
    shutil.rmtree(tiny.folder / runs.LAST)  # bundled, or handed in: its files are new, its training is not
    assert curves.progress([tiny]) == ""  # imported
    runs.write_metrics(tiny.folder, rows)
    assert curves.progress([tiny]) == "**tiny**: 2 of 4 epochs, ended there"
    assert curves.training_now([old, tiny]) == []


@pytest.mark.parametrize("kind", curves.FIGURES)
def test_the_reports_figures(two_runs, kind):
    picture = curves.figure([two_runs.run("tiny"), two_runs.run("old")], kind)
    assert picture.shape[1:] == (900, 3) and picture.dtype == np.uint8
    assert picture.std() > 10


def test_a_dashboard_for_every_run_that_has_ended_an_epoch(two_runs):
    tiny, old = map(two_runs.run, ("tiny", "old"))
    one, both = curves.figure([tiny], "Dashboard"), curves.figure([tiny, old], "Dashboard")
    assert both.shape[0] == 2 * one.shape[0]
    runs.write_metrics(old.folder, [])
    assert curves.figure([tiny, old], "Dashboard").shape == one.shape
    with pytest.raises(BadInput, match="ended an epoch"):
        curves.figure([old], "Dashboard")
    with pytest.raises(BadInput, match="figure"):
        curves.figure([tiny], "rm")


def test_an_epoch_that_ended_since_is_read(two_runs):
    run = two_runs.run("tiny")
    before, stamp = curves.metrics_rows(run), curves.metrics_stamp(run)
    assert curves.metrics_rows(run) is before
    runs.write_metrics(run.folder, before[:3])
    assert curves.metrics_stamp(run) != stamp
    assert curves.metrics_rows(run) == before[:3]


def test_curves_of_many_runs_are_read_once(two_runs, monkeypatch):
    """Every menu walks through all of them."""
    folder = two_runs.run("tiny").folder
    for i in range(70):
        shutil.copytree(folder, folder.with_name(f"run{i}"))
    two_runs.rescan()
    before = [curves.metrics_rows(run) for run in two_runs.all_runs()]
    monkeypatch.setattr(runs, "read_metrics", None)
    again = [curves.metrics_rows(run) for run in two_runs.all_runs()]
    assert all(one is other for one, other in zip(before, again, strict=True))
