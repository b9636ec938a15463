"""Claims about what a choice does: intervals that hold what they promise, statistics, verdicts, and the command."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.commands import ROOT, fails, succeeds
from train.findings import statistics
from train.findings.claims import CLAIMS, SEEDS, TABLES, Claim
from train.findings.intervals import Interval, crossed_interval
from train.findings.results import CURVES, FILE, Result, read_results, write_results
from train.findings.verdicts import findings, line, measured, report, verdict
from train.sweep.table import read_table
from vidpred import runs

STORED = ROOT / "assets" / "findings"
GRIDS = ("findings-robot.toml", "findings-dance.toml")


def result(name, psnr=(20.0, 21.0), frames=(20.0, 21.0), best=None, **curves):
    """A result with these PSNRs of its clips and frames."""
    scores = {"protocol": "finn", "split": "test", "samples": 20, "temperature": 1.0, "n_past": 2, "n_future": 2}
    scores["per_clip"] = {"clip": [str(i) for i in range(len(psnr))], "psnr": list(psnr), "psnr_best": best or [0.0]}
    scores |= {"per_frame": {"psnr": list(frames)}, "copy_last_psnr": 17.0}
    return Result(name, {}, curves, scores)


def share_of_intervals_with_the_truth(seeds, of_seeds, of_clips, noise, draws=1500):
    """Of intervals from data with these spreads around a mean of 0.7, 24 clips."""
    random = np.random.default_rng(0)
    held = 0
    for _ in range(draws):
        values = 0.7 + of_seeds * random.normal(size=(seeds, 1)) + of_clips * random.normal(size=(1, 24))
        interval = crossed_interval(values + noise * random.normal(size=(seeds, 24)))
        held += interval.low <= 0.7 <= interval.high
    return held / draws


@pytest.mark.parametrize(
    ("seeds", "of_seeds", "of_clips", "noise"),
    [(3, 1, 1, 1), (3, 0.1, 1, 1), (3, 1, 0.3, 0.3), (3, 0.3, 1, 0.5), (6, 0.5, 1, 1), (3, 0, 1, 1)],
)
def test_intervals_hold_the_truth_as_often_as_they_say(seeds, of_seeds, of_clips, noise):
    """Resampling three seeds would give 0.75 to 0.81 where seeds differ; clips alone far less."""
    assert 0.90 <= share_of_intervals_with_the_truth(seeds, of_seeds, of_clips, noise) <= 0.985


def test_an_interval_of_whole_runs_is_students():
    """Of 1, 2, 3 with t = 4.303 of two degrees of freedom."""
    interval = crossed_interval(np.array([[1.0], [2.0], [3.0]]))
    assert interval[:1] + interval[3:] == (2.0, 3, 1)
    assert interval.high - interval.mean == pytest.approx(4.3027 / np.sqrt(3), abs=1e-4)
    assert crossed_interval(np.full((3, 4), 2.5))[:3] == (2.5, 2.5, 2.5)


@pytest.mark.parametrize(
    ("test", "low", "high", "said"),
    [
        ("more", 1.01, 2.0, "holds"),
        ("more", 0.9, 2.0, "cannot tell"),
        ("more", -3.0, 1.09, "does not hold"),
        ("more", -3.0, 1.2, "cannot tell"),
        ("little", 0.95, 1.05, "holds"),
        ("little", 0.95, 1.2, "cannot tell"),
        ("little", 1.2, 1.4, "does not hold"),
        ("little", 0.2, 0.8, "does not hold"),
    ],
)
def test_verdicts(test, low, high, said):
    claim = Claim("a", "Topic", "A.", "report", statistics.PSNR, {}, test=test, least=1.0, margin=0.1)
    assert verdict(claim, Interval((low + high) / 2, low, high, 3, 2)) == said
    assert verdict(claim, None) == "cannot tell"


def test_seeds_and_clips_are_paired():
    """Seeds and clips differ by decibels, the two kinds of runs by 0.3 dB everywhere: that is all that is left."""
    random = np.random.default_rng(1)
    results = {}
    for seed in SEEDS:
        common = 20 + 3 * random.normal() + 3 * random.normal(size=12)
        for name, more in (("one", 0.3), ("other", 0.0)):
            results[f"{name}-s{seed}"] = result(f"{name}-s{seed}", common + more + 0.01 * random.normal(size=12))
    interval = measured(statistics.PSNR, [("one", "other")], results)
    assert (interval.pairs, interval.clips) == (3, 12)
    assert interval.low < 0.3 < interval.high and interval.high - interval.low < 0.05
    del results["other-s2"]
    assert measured(statistics.PSNR, [("one", "other")], results).pairs == 2
    del results["one-s1"]
    assert measured(statistics.PSNR, [("one", "other")], results) is None  # one pair has no interval


@pytest.mark.parametrize(("key", "value"), [("samples", 5), ("other_prior", "standard"), ("copy_last_psnr", 17.1)])
def test_runs_that_were_scored_differently_are_no_pair(key, value):
    one, other = (result(f"{name}-s{seed}") for name, seed in (("one", 0), ("other", 0)))
    other.scores[key] = value
    with pytest.raises(ValueError, match="one-s0 and other-s0 were not evaluated alike"):
        measured(statistics.PSNR, [("one", "other")], {"one-s0": one, "other-s0": other})


def test_an_epoch_without_a_step_leaves_out_what_needs_it():
    """Its loss, MSE and KL are null in metrics.jsonl: all of its steps were skipped."""
    curves = {name: [None, 2.0, 3.0, 4.0] for name in CURVES} | {"epoch": [0, 1, 2, 3]}
    for statistic in (statistics.FIRST_LOSS, statistics.EARLY_PSNR, statistics.FORCED_TRAINING):
        assert np.isnan(statistic.of(result("a", **curves))).all()
    assert statistics.GAP.of(result("a", **curves)) == [0.0]  # of the last epochs
    fine = {f"{name}-s{seed}": result(f"{name}-s{seed}", loss=[2.0]) for name in "ab" for seed in SEEDS}
    fine["a-s1"].curves["loss"] = [None]
    assert measured(statistics.FIRST_LOSS, [("a", "b")], fine).pairs == 2


def test_a_run_with_an_epoch_without_a_step_is_read(tmp_path, tiny_run, tiny_data):
    run = shutil.copytree(tiny_run, tmp_path / "runs" / "run")
    succeeds("train.evaluate", run, "--data", tiny_data, "--samples", 1, "--clips", 1, "--cpu")
    rows = runs.read_metrics(run)
    rows[1] |= dict.fromkeys(("loss", "mse", "kld", "train_psnr", "teacher_forced"))
    runs.write_metrics(run, rows)
    curves = read_results([tmp_path / "runs"])["run"].curves
    assert curves["kld"][1] is None and curves["kld"][0] == pytest.approx(rows[0]["kld"] / 5, rel=1e-4)


def test_copying_is_no_number_where_a_clip_stands_still():
    """PSNR is infinite there, null in eval.json."""
    published = next(line for lines in TABLES.values() for line in lines)
    one, other = (result(f"{published.run}-s{seed}") for seed in (0, 1))
    one.scores["copy_last_psnr"] = None
    assert line(published, {one.name: one})["copied"] is None
    assert line(published, {one.name: one, other.name: other})["copied"] == 17.0


def test_seeds_that_were_scored_on_other_clips_are_one_line():
    results = {f"one-s{seed}": result(f"one-s{seed}", [20.0] * (3 + seed)) for seed in SEEDS}
    with pytest.raises(ValueError, match="one-s0 and one-s1 were scored on other numbers of clips or frames: 3 and 4"):
        measured(statistics.PSNR, [("one", None)], results)


def test_statistics_of_curves():
    epochs = np.arange(20)
    kld = np.where(epochs % 5 == 0, 8.0, 2.0)  # four times as much after each return
    cyclical = result("a", beta=list(epochs % 5 / 4.0), kld=list(kld))
    assert statistics.KL_JUMP.of(cyclical) == pytest.approx([2.0])
    assert statistics.FIRST_LOSS.difference(result("a", loss=[8.0, 1]), result("b", loss=[2.0, 9])) == [2.0]
    gap = result("a", train_psnr=[30.0] * 6 + [33, 35], val_psnr=[30.0] * 6 + [28, 26])
    assert statistics.GAP.of(gap) == [7.0]
    restless = result("a", val_psnr=[20.0, 22, 21, 25, 22, 25, 22, 25])
    assert statistics.EARLY_PSNR.of(restless) == [22.0]
    assert statistics.UNREST.of(restless) == [3.0]


def test_what_forcing_does_to_an_epoch_is_told_from_the_way_that_all_epochs_go():
    """Forced epochs lie early, where every loss is high."""
    epochs = np.arange(20)
    forced = (epochs < 8) | (epochs == 13)
    loss = 2.0 ** (3 - 0.1 * epochs - np.log(epochs + 1) - 0.5 * forced)
    run = result("a", epoch=list(epochs), teacher_forced=list(forced * 1.0), mse=list(loss), val_loss=list(1 / loss))
    assert statistics.FORCED_TRAINING.of(run) == pytest.approx([-0.5])
    assert statistics.UNFORCED_VALIDATION.of(run) == pytest.approx([-0.5])


@pytest.mark.parametrize("forced", [0.0, 1.0, 0.5])
def test_nothing_is_said_of_forcing_where_all_epochs_were_forced_alike(forced):
    run = result("a", epoch=[*range(9)], teacher_forced=[forced] * 9, mse=[2.0 ** (3 - 0.1 * e) for e in range(9)])
    assert np.isnan(statistics.FORCED_TRAINING.of(run)).all()


def test_statistics_of_a_video():
    """Of its frames, in blocks; two videos that fall at the same frames, and two that do not."""
    frames = np.arange(340)
    waves = 30 + np.sin(frames)
    one, same, other = (result(name, [0.0], list(v)) for name, v in
                        (("a", waves), ("b", 5 - frames / 50 + 3 * waves), ("c", np.cos(frames * 1.3))))  # fmt: skip
    assert len(statistics.PSNR.of(one)) == 20
    assert statistics.PSNR.of(one).mean() == pytest.approx(waves.mean())
    assert statistics.ROUGHNESS.of(one).mean() == pytest.approx(np.abs(np.diff(waves)).mean(), abs=0.01)
    assert statistics.SAME_DROPS.difference(one, same) > 0.99
    assert abs(statistics.SAME_DROPS.difference(one, other)) < 0.2


def test_every_claim_has_its_runs_in_the_grids_three_seeds_of_each():
    grid = {run.name: run for file in GRIDS for run in read_table(ROOT / "train" / "grids" / file)}
    pairs = [pair for claim in CLAIMS for pairs in claim.settings.values() for pair in pairs]
    used = {name for pair in pairs for name in pair if name} | {line.run for lines in TABLES.values() for line in lines}
    assert {f"{name}-s{seed}" for name in used for seed in SEEDS} <= set(grid)
    assert all(run.evaluation for run in grid.values())
    for one, other in pairs:
        if other:  # the same clips and the same way to score them
            assert grid[f"{one}-s0"].clips == grid[f"{other}-s0"].clips
            assert grid[f"{one}-s0"].evaluation == grid[f"{other}-s0"].evaluation
    assert len(CLAIMS) >= 11 and len({claim.id for claim in CLAIMS}) == len(CLAIMS)


def test_what_is_stored_gives_the_same_findings(tmp_path):
    claim = next(claim for claim in CLAIMS if claim.id == "interpolation")
    results = {}
    for seed in SEEDS:
        for name, more in (("dance-1e-5-interpolated", 0.2), ("dance-1e-5-cyclical", 0.0)):
            frames = 30 + more + np.random.default_rng(seed).normal(size=119)
            results[f"{name}-s{seed}"] = result(f"{name}-s{seed}", [30.0], [float(v) for v in frames])
    write_results(tmp_path / FILE, dict(sorted(results.items())))
    said = succeeds("train.findings", tmp_path / FILE, "--out", tmp_path / "again", "--json")
    assert (tmp_path / "again" / FILE).read_bytes() == (tmp_path / FILE).read_bytes()
    found = json.loads((tmp_path / "again" / "findings.json").read_text())
    assert (
        json.loads(said.splitlines()[-1]) == found == json.loads(json.dumps(findings(read_results([tmp_path / FILE]))))
    )
    mine = next(each for each in found["claims"] if each["id"] == claim.id)
    assert mine["verdict"] == "holds" and mine["settings"][0]["mean"] == pytest.approx(0.2, abs=0.001)
    assert "| dance | +0.20 dB | " in said and "| **holds** |" in said
    first = next(each for each in found["claims"] if each["id"] == "cyclical-monotonic")
    assert first["verdict"] == "cannot tell" and first["settings"][0]["mean"] is None  # there is no such run


def test_what_is_written_in_the_docs_is_what_is_stored():
    found = json.loads((STORED / "findings.json").read_text())
    assert json.loads(json.dumps(findings(read_results([STORED / FILE])))) == found
    docs = (ROOT / "docs" / "findings.md").read_text().splitlines()
    assert set(report(found).splitlines()) <= set(docs)


def test_runs_of_a_sweep_are_read_when_they_are_finished(tmp_path, tiny_run, tiny_data):
    """And with their numbers rounded: the same line from the run and from what was stored."""
    folder = tmp_path / "runs"
    folder.mkdir()
    for name in ("robot-fixed-cyclical-s0", "robot-fixed-cyclical-s1"):
        (folder / name).symlink_to(tiny_run)
    assert "no run in it that is finished" in fails("train.findings", folder, "--out", tmp_path / "out")
    scored = tmp_path / "scored"
    succeeds("train.sweep", _table(tmp_path), "--data", tiny_data, "--out", scored)
    found = read_results([scored])
    assert list(found) == ["a-s0", "a-s1"]
    assert len(found["a-s0"].curves["mse"]) == 2 and found["a-s0"].scores["samples"] == 2
    write_results(tmp_path / FILE, found)
    assert read_results([tmp_path / FILE]) == found
    assert read_results([tmp_path / FILE, scored]) == found


def _table(folder: Path) -> Path:
    file = folder / "table.toml"
    file.write_text(
        '[runs.a]\npreset = "debug"\nseeds = [0, 1]\nevaluate.samples = 2\nevaluate.clips = 2\ndata.n-future = 2\n'
        'train = {epochs = 2, iterations-per-epoch = 2, batch-size = 2, kl-anneal = "none", validation-clips = 1}\n'
    )
    return file


@pytest.mark.parametrize(("text", "said"), [(None, "No such file"), ("[1]\n", "not a file of results"), ("", "no run")])
def test_bad_input_is_one_line(tmp_path, text, said):
    file = tmp_path / FILE
    if text is not None:
        file.write_text(text)
    assert said in fails("train.findings", file, "--out", tmp_path / "out")
