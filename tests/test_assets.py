"""What is shipped holds what is said of it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from train.sweep.table import read_table
from vidpred import checkpoint, runs
from vidpred.data.batches import open_split
from vidpred.evaluation import score_futures
from vidpred.models import count_parameters
from vidpred.schedules import beta_at, tfr_at

ROOT = Path(__file__).parent.parent
ASSETS = ROOT / "assets"
CLIPS = ASSETS / "data" / "robot_push"
VIDEOS = ASSETS / "data" / "dance"
EVERY_RUN = tuple(path.name for path in sorted((ASSETS / "runs").iterdir()))
COLLAPSED = "push-free-learned-collapsed"
RUNS = tuple(name for name in EVERY_RUN if name.startswith("push-") and name != COLLAPSED)
LONG_RUNS = ("long-push-learned-cyclical", "long-push-free-learned-cyclical")
BOUNCE_RUNS = tuple(name for name in EVERY_RUN if name.startswith("bounce-"))
DANCE_RUNS = tuple(name for name in EVERY_RUN if name.startswith("dance-"))
ZOO = {run.name: run.config for run in read_table(ROOT / "train" / "grids" / "zoo.toml")}


def size(folder):
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and ".packed" not in file.parts)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return open_split(CLIPS, "test", tmp_path_factory.mktemp("cache"))


def test_clips_are_of_the_test_split_alone():
    """A clip depends on (seed, split, index): those of the test split are in no training set."""
    scenes = [json.loads(path.read_text())["scene"]["key"] for path in CLIPS.rglob("test/*/*/simulation.json")]
    assert len({tuple(key) for key in scenes}) == len(scenes) >= 24
    assert {key[1] for key in scenes} == {2}
    assert [path.name for path in CLIPS.iterdir() if path.is_dir() and path.name != ".packed"] == ["test"]
    assert size(CLIPS) < 5e6


def test_videos_are_the_validation_split_and_one_test_sequence(tmp_path):
    for split, expected in (("validate", ["validate"]), ("test", ["test/0"])):
        videos = open_split(VIDEOS, split, tmp_path)
        assert videos.ids == expected
        assert videos.lengths().tolist() == videos.frames_given().tolist() == [630]
    assert size(VIDEOS) < 6e6


def test_every_run_belongs_to_a_family():
    assert set(EVERY_RUN) == {*RUNS, COLLAPSED, *LONG_RUNS, *BOUNCE_RUNS, *DANCE_RUNS}
    assert len(RUNS) == 9 and len(DANCE_RUNS) == 4


@pytest.mark.parametrize("name", RUNS)
def test_runs_are_whole_and_small(name):
    folder = ASSETS / "runs" / name
    config, rows = runs.read_config(folder), runs.read_metrics(folder)
    assert config.model.learned_prior == ("learned" in name)
    assert (config.model.condition == "none") == ("free" in name)
    assert config.train.kl_anneal == name.rsplit("-", 1)[1]
    table = ZOO[name].model  # one table: what differs is what the names say
    model = replace(config.model, condition_mean=table.condition_mean, condition_scale=table.condition_scale)
    assert replace(config, model=model) == ZOO[name]
    assert len(rows) >= 36 if "free" in name else len(rows) == 40  # as assets/README.md says
    assert rows[-1]["lr"] < config.train.lr / 40
    assert 1.5e6 < count_parameters(checkpoint.load_model(folder)) < 3e6
    assert list((folder / runs.SAMPLES).glob("*.gif"))
    assert size(folder) < 16e6


@pytest.mark.parametrize("name", EVERY_RUN)
def test_curves_and_numbers_are_those_of_the_settings(name):
    """Stored long ago, they hold what the schedules say today, and say in which precision they were computed."""
    folder = ASSETS / "runs" / name
    config, rows = runs.read_config(folder), runs.read_metrics(folder)
    train = config.train
    if train.kl_anneal == "calibrated":  # behind the error by its running mean
        half = rows[len(rows) // 2 :]
        errors = [row["mse"] / (config.data.length - 1) for row in half]
        pixels = 3 * 64 * 64
        assert [row["beta"] for row in half] == pytest.approx([2 * mse / pixels for mse in errors], rel=0.1)
    else:
        assert [row["beta"] for row in rows] == pytest.approx([beta_at(train, row["step"] - 1) for row in rows])
    assert [row["tfr"] for row in rows] == pytest.approx([tfr_at(train, row["epoch"]) for row in rows])
    assert runs.read_eval(folder)["precision"] == "no"


@pytest.mark.parametrize("name", RUNS)
def test_numbers_reach_what_is_promised(name):
    result = runs.read_eval(ASSETS / "runs" / name)
    assert (result["samples"], result["temperature"], result["clips"], result["split"]) == (100, 1.0, 32, "test")
    if "free" in name:
        assert result["psnr_best_of"][0] == pytest.approx(result["psnr"])
        assert result["psnr_best_of"][19] - result["psnr"] >= 1.8
        assert result["kld_per_step"] > 3 and result["z_from"]["posterior"] > result["z_from"]["zero"] + 5
    else:
        assert result["psnr"] >= 28 and result["psnr"] - result["copy_last_psnr"] >= 10
        assert (result["kld_per_step"] > 2) == ("calibrated" in name)


def test_every_choice_can_be_seen():
    """What README and tour say of the runs without actions."""
    found = {name: runs.read_eval(ASSETS / "runs" / name) for name in RUNS if "free" in name}
    cyclical, constant, calibrated, fixed = (
        found[f"push-free-{name}"]
        for name in ("learned-cyclical", "learned-none", "learned-calibrated", "fixed-cyclical")
    )
    assert cyclical["psnr_best"] > cyclical["psnr"] + 3
    assert cyclical["psnr_best"] > max(constant["psnr_best"], calibrated["psnr_best"]) + 1 > fixed["psnr_best"] + 1
    assert constant["sharpness"] < cyclical["sharpness"] - 0.05 and calibrated["sharpness"] > cyclical["sharpness"]
    assert calibrated["z_from"]["posterior"] > cyclical["z_from"]["posterior"] + 1


def test_the_collapsed_run_says_nothing_through_z():
    """What Learn shows of a beta that is too high."""
    folder = ASSETS / "runs" / COLLAPSED
    result, spoken = runs.read_eval(folder), runs.read_eval(ASSETS / "runs" / "push-free-learned-cyclical")
    assert runs.read_config(folder) == ZOO[COLLAPSED]
    assert len(runs.read_metrics(folder)) == ZOO[COLLAPSED].train.epochs and size(folder) < 16e6
    assert result["kld_per_step"] < 0.01 and result["active_units"] == 0
    assert result["psnr_best"] - result["psnr"] < 0.3
    assert spoken["psnr_best"] - result["psnr_best"] > 2
    assert result["sharpness"] < spoken["sharpness"] - 0.2


@pytest.mark.parametrize("name", LONG_RUNS)
def test_a_long_run_was_trained_on_from_weights_of_its_own_kind(name):
    folder = ASSETS / "runs" / name
    config, rows, result = runs.read_config(folder), runs.read_metrics(folder), runs.read_eval(folder)
    assert len(rows) == config.train.epochs
    assert config.train.init == ("push-free-learned-cyclical" if "free" in name else name)
    assert (result["samples"], result["clips"], result["split"]) == (100, 32, "test")
    assert list((folder / runs.SAMPLES).glob("*.gif")) and size(folder) < 8e6


def test_the_long_run_with_actions_is_sharp():
    result = runs.read_eval(ASSETS / "runs" / "long-push-learned-cyclical")
    assert result["psnr"] > 30 and min(result["per_frame"]["sharpness"]) > 0.85


def test_the_long_run_without_actions_is_better_than_the_one_it_goes_on_from():
    """In all that issue from it: README and the first view say so."""
    folder = ASSETS / "runs" / "long-push-free-learned-cyclical"
    result = runs.read_eval(folder)
    before = runs.read_eval(folder.with_name(runs.read_config(folder).train.init))
    assert result["psnr"] > before["psnr"] and result["psnr_best_of"][19] > before["psnr_best_of"][19]
    assert result["psnr_best_of"][19] > 24 and result["psnr_best"] - result["psnr"] > 3
    assert result["per_frame"]["psnr"][0] > 28.99 and result["per_frame"]["sharpness"][0] > 0.8


def test_walls_are_where_the_learned_prior_is_surprised():
    """What Learn says of the two runs, which differ in the prior alone."""
    learned, fixed = (ASSETS / "runs" / f"bounce-{prior}-monotonic" for prior in ("learned", "fixed"))
    configs = [runs.read_config(folder) for folder in (learned, fixed)]
    assert replace(configs[0], model=replace(configs[0].model, learned_prior=False)) == configs[1]
    assert all(config.train.epochs == len(runs.read_metrics(f)) for f, config in zip((learned, fixed), configs))
    learned, fixed = (runs.read_eval(folder) for folder in (learned, fixed))
    walls = learned["bounces"]
    assert walls["kld_at"] > 2 * walls["kld_between"]
    assert walls["kld_at"] / walls["kld_between"] > 1.5 * fixed["bounces"]["kld_at"] / fixed["bounces"]["kld_between"]
    assert learned["kld_per_step"] < fixed["kld_per_step"] / 2 and learned["psnr"] > fixed["psnr"] + 0.5
    assert 1.5 < walls["diversity_after"] / walls["diversity_before"] < 5  # aimed at: 5
    clips = open_split(ASSETS / "data" / "bounce", "test")
    assert [*clips.ids] == learned["per_clip"]["clip"] == fixed["per_clip"]["clip"] and len(clips) == 16


@pytest.mark.parametrize("name", [*RUNS, COLLAPSED, *LONG_RUNS])
def test_written_numbers_are_those_of_the_shipped_weights(name, clips):
    """The KL of every step and the copied frame are cheap enough to be computed again."""
    from vidpred.evaluation import look_at_latents

    folder = ASSETS / "runs" / name
    result, model = runs.read_eval(folder), checkpoint.load_model(folder)
    latents = look_at_latents(model, clips, list(range(len(clips))), n_past=2, n_future=10)
    assert latents.kld.sum(2).mean().item() == pytest.approx(result["kld_per_step"], rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("name", DANCE_RUNS)
def test_dance_runs_hold_what_is_promised(name):
    folder = ASSETS / "runs" / name
    config, rows, result = runs.read_config(folder), runs.read_metrics(folder), runs.read_eval(folder)
    assert config == ZOO[name] and len(rows) == config.train.epochs
    assert config.train.kl_anneal == name.split("-")[1] and (config.train.tfr > 0) == name.endswith("-forced")
    assert list((folder / runs.SAMPLES).glob("*.gif"))
    assert size(folder) < 8e6
    assert (result["split"], result["protocol"], result["n_future"], result["clips"]) == ("validate", "joint", 629, 1)
    curve = torch.tensor(result["per_frame"]["psnr"])
    assert len(curve) == 629
    assert curve.mean().item() == pytest.approx(result["psnr"])
    assert result["psnr"] >= 30
    assert result["psnr"] - result["copy_last_psnr"] >= 13
    assert abs(curve[-100:].mean() - curve[:100].mean()) < 1


@pytest.mark.parametrize("name", DANCE_RUNS)
def test_written_dance_numbers_are_those_of_the_shipped_weights(name, tmp_path):
    """The first 40 frames: a longer horizon keeps its earlier frames."""
    folder = ASSETS / "runs" / name
    result, videos = runs.read_eval(folder), open_split(VIDEOS, "validate", tmp_path)
    scores = score_futures(
        checkpoint.load_model(folder),
        videos,
        [0],
        n_past=1,
        n_future=40,
        samples=result["samples"],
        seed=result["seed"],
    )
    assert scores.psnr.mean((0, 1)).tolist() == pytest.approx(result["per_frame"]["psnr"][:40], abs=1e-3)


def test_samples_spread_with_the_temperature(clips):
    model = checkpoint.load_model(ASSETS / "runs" / "push-free-learned-cyclical")
    spread = []
    for temperature in (0.0, 0.5, 1.0, 1.5):
        scores = score_futures(model, clips, [0, 5, 10], n_past=2, n_future=10, samples=4, temperature=temperature)
        spread.append(scores.diversity.mean().item())
    assert spread[0] == 0
    assert spread == sorted(set(spread))
    assert torch.tensor(spread).diff().min() > 1e-3


@pytest.mark.parametrize("name", ["push-learned-cyclical", "push-free-learned-cyclical"])
def test_half_precision_hardly_moves_the_psnr(name, clips):
    model, psnr = checkpoint.load_model(ASSETS / "runs" / name), {}
    for precision in ("no", "bf16"):
        scores = score_futures(model, clips, [0, 5, 10, 15], n_past=2, n_future=10, samples=4, precision=precision)
        psnr[precision] = scores.psnr.mean().item()
    assert 0 < abs(psnr["bf16"] - psnr["no"]) < 0.02
