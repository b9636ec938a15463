"""Curves of any set of runs: values, gaps, thinning, smoothing, colours."""

import json
import shutil
from types import SimpleNamespace

import pytest

from vidpred import runs
from vidpred.errors import BadInput
from vidpred.explorer.runs.library import Library
from vidpred.explorer.ui.chart import MOST_POINTS
from vidpred.explorer.ui.run_colors import COLOURS
from vidpred.explorer.ui.training_chart import CURVES, MOST_RUNS, chosen_runs, training_chart

ALL = list(CURVES)


def value(library, names=("tiny",), curves=ALL, **options):
    return training_chart(library, [library.run(name) for name in names], curves, 1, **options)


def panel(drawn, title):
    return next(p for p in drawn["panels"] if p["title"] == title)


def test_curves_are_those_of_the_run(library, tiny_run):
    rows = runs.read_metrics(tiny_run)
    drawn = value(library)
    assert json.loads(json.dumps(drawn, allow_nan=False)) == drawn
    assert [p["title"] for p in drawn["panels"]] == ALL
    for title, series in (("PSNR", ["val_psnr", "train_psnr"]), ("Learning rate", ["lr"])):
        for line, key in zip(panel(drawn, title)["lines"], series):
            assert line["x"] == [row["epoch"] for row in rows]
            assert line["y"] == pytest.approx([row[key] for row in rows], rel=1e-6)
    forcing = panel(drawn, "Teacher forcing")
    assert [line["style"] for line in forcing["lines"]] == ["solid", "dots"]
    assert forcing["lines"][1]["y"] == pytest.approx([row["teacher_forced"] for row in rows], rel=1e-6)


def test_sums_over_a_window_are_drawn_per_step_as_in_validation(library, tiny_run):
    rows = runs.read_metrics(tiny_run)
    validation, trained = panel(value(library), "MSE")["lines"]
    assert validation["y"] == pytest.approx([row["val_loss"] for row in rows], rel=1e-6)
    assert trained["y"] == pytest.approx([row["mse"] / 5 for row in rows], rel=1e-6)  # windows of 2 + 4 frames
    (kl,) = panel(value(library), "KL")["lines"]
    assert kl["y"] == pytest.approx([row["kld"] / 5 for row in rows], rel=1e-6)


def test_a_loss_of_more_terms_is_not_called_mse_and_kl_alone(tiny_run, tiny_data, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    config = json.loads((run / runs.CONFIG).read_text())
    config["train"]["l1_weight"] = 0.15
    (run / runs.CONFIG).write_text(json.dumps(config))
    library = Library([tiny_run, run], [tiny_data])
    assert "detail terms" not in panel(value(library), "Loss")["unit"]
    assert "detail terms" in panel(value(library, ["tiny", "run"]), "Loss")["unit"]


@pytest.mark.parametrize("parts", [1, 2])
def test_a_kl_that_was_divided_by_frames_is_drawn_in_nats_per_step_too(tiny_run, tiny_data, tmp_path, parts):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    config = json.loads((run / runs.CONFIG).read_text())
    config["train"] |= {"kld_reduction": "length", "accumulation": parts}
    (run / runs.CONFIG).write_text(json.dumps(config))
    (kl,) = panel(value(Library([run], [tiny_data]), ["run"]), "KL")["lines"]
    rows = runs.read_metrics(run)  # sums over a batch of 4 clips, over 6 frames
    assert kl["y"] == pytest.approx([row["kld"] * 6 / 4 / 5 for row in rows], rel=1e-6)


@pytest.mark.parametrize(("axis", "key", "unit"), [("iterations", "step", 1), ("hours", "seconds", 3600)])
def test_other_x_axes(library, tiny_run, axis, key, unit):
    rows = runs.read_metrics(tiny_run)
    assert panel(value(library, axis=axis), "KL")["lines"][0]["x"] == pytest.approx([row[key] / unit for row in rows])


def test_only_curves_that_can_have_a_logarithm_get_one(library):
    drawn = value(library, log=True)
    assert {p["title"] for p in drawn["panels"] if p["log"]} == {"KL", "beta", "Loss", "MSE", "Learning rate"}


def test_missing_keys_leave_gaps(two_runs):
    drawn = value(two_runs, ["old", "tiny"])
    assert [line["name"] for line in panel(drawn, "Active units")["lines"]] == ["tiny"]
    assert [line["name"] for line in panel(drawn, "PSNR")["lines"]] == ["tiny", "tiny"]
    assert value(two_runs, ["old"], axis="hours")["panels"][0]["lines"] == []
    near = panel(value(two_runs, ["old"], window=(5, 15)), "KL")["lines"][0]
    assert [near["y"][near["x"].index(i)] for i in (9, 10, 11, 12)] == [3 / 5, None, None, 6 / 5]  # of 5 steps


def test_nothing_chosen_and_nothing_written(two_runs):
    assert value(two_runs, [])["message"] == value(two_runs, ["tiny"], [])["message"] != ""
    runs.write_metrics(two_runs.run("old").folder, [])
    assert all(p["lines"] == [] for p in value(two_runs, ["old"])["panels"])


def test_long_curves_are_thinned_and_a_zoom_brings_the_points_back(two_runs):
    line = panel(value(two_runs, ["old"]), "KL")["lines"][0]
    assert value(two_runs, ["old"])["thinned"]
    assert not value(two_runs, ["tiny"])["thinned"]
    assert len(line["x"]) <= MOST_POINTS + 2
    assert {min(y for y in line["y"] if y), max(y for y in line["y"] if y)} == {1 / 5, 7 / 5}
    assert (line["x"][0], line["x"][-1]) == (0, 4999)
    near = panel(value(two_runs, ["old"], window=[1000, 1100]), "KL")["lines"][0]
    assert [x for x in near["x"] if 1000 <= x <= 1100] == list(range(1000, 1101))
    assert (near["x"][0], near["x"][-1]) == (0, 4999)
    assert near["x"] == sorted(set(near["x"]))


def test_the_raw_curve_stays_behind_the_smooth_one(library):
    lines = panel(value(library, smoothing=0.8), "PSNR")["lines"]
    assert [line["style"] for line in lines] == ["faint", "solid", "faint", "dashed"]
    assert lines[0]["y"] == panel(value(library), "PSNR")["lines"][0]["y"]
    assert [line["style"] for line in panel(value(library, smoothing=0.8), "beta")["lines"]] == ["solid"]


def test_colours_belong_to_runs(two_runs):
    assert value(two_runs, ["tiny"])["legend"] == [{"name": "tiny", "colour": 1}]
    assert value(two_runs, ["tiny", "old"])["legend"] == [{"name": "tiny", "colour": 1}, {"name": "old", "colour": 0}]


def write_seed(folder, seed):
    config = json.loads((folder / runs.CONFIG).read_text())
    config["train"]["seed"] = seed
    (folder / runs.CONFIG).write_text(json.dumps(config))


def test_no_more_kinds_than_colours(tiny_run, tiny_data, tmp_path):
    for i in range(COLOURS + 1):
        write_seed(shutil.copytree(tiny_run, tmp_path / f"run{i}"), i)
    library = Library([tmp_path], [tiny_data])
    drawn = value(library, list(library.runs)[1:])
    assert len({entry["colour"] for entry in drawn["legend"]}) == COLOURS
    with pytest.raises(BadInput, match="At most 8 kinds"):
        value(library, list(library.runs))
    assert len(value(library, list(library.runs), seeds_as_one=True)["legend"]) == 1
    many = [f"r{i}" for i in range(MOST_RUNS + 1)]
    with pytest.raises(BadInput, match="At most 64 runs"):
        chosen_runs(SimpleNamespace(runs=dict.fromkeys(many)), many)


def test_seeds_of_a_kind_are_one_mean_and_a_band(tiny_run, tiny_data, tmp_path):
    """Also where one of them has not got as far as the others."""
    for seed, epochs in ((0, 3), (1, 3), (2, 2)):
        folder = shutil.copytree(tiny_run, tmp_path / f"kind-s{seed}")
        write_seed(folder, seed)
        runs.write_metrics(folder, [{"epoch": t, "step": t, "val_ssim": seed + t} for t in range(epochs)])
    shutil.copytree(tiny_run, tmp_path / "other")
    other = json.loads((tmp_path / "other" / runs.CONFIG).read_text())
    other["train"]["lr"] = 0.5
    (tmp_path / "other" / runs.CONFIG).write_text(json.dumps(other))
    drawn = value(Library([tmp_path], [tiny_data]), ["kind-s0", "kind-s1", "kind-s2", "other"], seeds_as_one=True)
    assert [entry["name"] for entry in drawn["legend"]] == ["kind (3 seeds)", "other"]
    band, mean, *_ = panel(drawn, "SSIM")["lines"]
    assert (band["style"], mean["style"]) == ("band", "solid")
    assert (band["y"], mean["y"], band["top"]) == ([0, 1, 2], [1, 2, 2.5], [2, 3, 3])
    assert "band from the lowest" in drawn["hint"]


def test_a_mean_over_hours_goes_on_where_the_slower_seed_ends(tiny_run, tiny_data, tmp_path):
    """And an epoch is that of all seeds, whatever lines are missing in one of them."""
    for seed, hours, epochs in ((0, 1, [*range(6)]), (1, 3, [0, 1, 3])):
        folder = shutil.copytree(tiny_run, tmp_path / f"kind-s{seed}")
        write_seed(folder, seed)
        runs.write_metrics(folder, [{"epoch": t, "seconds": 3600 * hours * (t + 1), "val_ssim": t} for t in epochs])
    library = Library([tmp_path], [tiny_data])
    _, mean, *_ = panel(value(library, ["kind-s0", "kind-s1"], seeds_as_one=True, axis="hours"), "SSIM")["lines"]
    assert mean["x"] == [2, 4, 5, 6, 7, 8]
    band, mean, *_ = panel(value(library, ["kind-s0", "kind-s1"], seeds_as_one=True), "SSIM")["lines"]
    assert mean["x"] == mean["y"] == band["y"] == band["top"] == [0, 1, 2, 3, 4, 5]
