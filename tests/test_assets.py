"""What is shipped holds what is said of it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vidpred import checkpoint, runs
from vidpred.data.batches import open_split
from vidpred.evaluation import score_futures
from vidpred.models import count_parameters
from vidpred.schedules import beta_at, tfr_at

ASSETS = Path(__file__).parent.parent / "assets"
CLIPS = ASSETS / "data" / "robot_push"
VIDEOS = ASSETS / "data" / "dance"
EVERY_RUN = tuple(path.name for path in sorted((ASSETS / "runs").iterdir()))
RUNS = tuple(name for name in EVERY_RUN if name.startswith("push-"))
LONG_RUNS = tuple(name for name in EVERY_RUN if name.startswith("long-"))
BOUNCE_RUNS = tuple(name for name in EVERY_RUN if name.startswith("bounce-"))
DANCE_RUNS = tuple(name for name in EVERY_RUN if name.startswith("dance-"))


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
    assert set(EVERY_RUN) == {*RUNS, *LONG_RUNS, *BOUNCE_RUNS, *DANCE_RUNS}
    assert len(RUNS) == 7
    assert "dance-cyclical" in DANCE_RUNS


@pytest.mark.parametrize("name", RUNS)
def test_runs_are_whole_and_small(name):
    folder = ASSETS / "runs" / name
    config, rows = runs.read_config(folder), runs.read_metrics(folder)
    assert len(rows) == config.train.epochs
    assert config.model.learned_prior == ("learned" in name)
    assert (config.model.condition == "none") == ("free" in name)
    assert config.train.kl_anneal == name.rsplit("-", 1)[1]
    assert config.train.epochs * config.train.iterations_per_epoch == 1200  # one budget: the runs can be compared
    assert 1.5e6 < count_parameters(checkpoint.load_model(folder)) < 3e6
    assert list((folder / runs.SAMPLES).glob("*.gif"))
    assert size(folder) < 16e6


@pytest.mark.parametrize("name", EVERY_RUN)
def test_curves_and_numbers_are_those_of_the_settings(name):
    """Stored long ago, they hold what the schedules say today, and say in which precision they were computed."""
    folder = ASSETS / "runs" / name
    train, rows = runs.read_config(folder).train, runs.read_metrics(folder)
    assert [row["beta"] for row in rows] == pytest.approx([beta_at(train, row["step"] - 1) for row in rows])
    assert [row["tfr"] for row in rows] == pytest.approx([tfr_at(train, row["epoch"]) for row in rows])
    assert runs.read_eval(folder)["precision"] == "no"


@pytest.mark.parametrize("name", RUNS)
def test_numbers_reach_what_is_promised(name):
    result = runs.read_eval(ASSETS / "runs" / name)
    assert (result["samples"], result["temperature"], result["clips"], result["split"]) == (20, 1.0, 32, "test")
    if "free" in name:
        assert result["psnr_best"] - result["psnr"] >= 1.4
        assert result["kld_per_step"] > 0.5
    else:
        assert result["psnr"] - result["copy_last_psnr"] >= 7


@pytest.mark.parametrize("name", LONG_RUNS)
def test_long_runs_are_sharp(name):
    folder = ASSETS / "runs" / name
    config, rows, result = runs.read_config(folder), runs.read_metrics(folder), runs.read_eval(folder)
    assert len(rows) == config.train.epochs
    assert config.train.epochs * config.train.iterations_per_epoch >= 6000
    assert (result["samples"], result["clips"], result["split"]) == (20, 32, "test")
    assert list((folder / runs.SAMPLES).glob("*.gif")) and size(folder) < 8e6
    per_frame = result["per_frame"]
    if "free" in name:
        assert result["psnr_best"] - result["psnr"] > 2.5 and per_frame["psnr"][0] > 28
        assert min(per_frame["sharpness"]) > 0.7
    else:
        assert result["psnr"] > 29 and min(per_frame["sharpness"]) > 0.8


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


@pytest.mark.parametrize("name", RUNS + LONG_RUNS)
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
    assert len(rows) == config.train.epochs
    assert (config.train.kl_anneal, config.train.tfr) == (name.rsplit("-", 1)[1], 0.0)
    assert config.train.beta_max >= 1e-5
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
        scores = score_futures(model, clips, [0, 5, 10, 15], n_past=2, n_future=10, precision=precision)
        psnr[precision] = scores.psnr.mean().item()
    assert 0 < abs(psnr["bf16"] - psnr["no"]) < 0.02
