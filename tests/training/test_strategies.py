"""Training strategies of the reports, on the pose CVAE and where they make sense on SVG."""

import pytest
import safetensors.torch
import torch

from tests.training.trainings import (
    after,
    assert_equal_tensors,
    progress,
    rows_without_time,
    run_training,
    state_tensors,
)
from vidpred import checkpoint, runs
from vidpred.losses import reduce_terms
from vidpred.models import PoseCVAE
from vidpred.training import loop


def test_resume_is_exact_with_every_strategy_on(dance_run, dance_settings, dance, tmp_path):
    """After 1 iteration, at the end of an epoch, in the middle of one."""
    for iterations in (1, 3, 1):
        assert not run_training(tmp_path, dance_settings, dance, stop=after(iterations))
    assert run_training(tmp_path, dance_settings, dance)
    assert_equal_tensors(state_tensors(tmp_path), state_tensors(dance_run))
    assert rows_without_time(tmp_path) == rows_without_time(dance_run)


def test_a_plateau_puts_the_ratio_back_to_one(dance_run):
    """Patience 2, and everything counts as no change: after epochs 1 and 3."""
    assert progress(dance_run)["restarts"] == [2, 4]
    assert [row["tfr"] for row in runs.read_metrics(dance_run)] == pytest.approx([0.9, 0.6, 1.0, 0.7])


def test_one_coin_decides_an_epoch(dance_run, short_pose, dance, tmp_path):
    assert {row["teacher_forced"] for row in runs.read_metrics(dance_run)} <= {0.0, 1.0}
    run_training(tmp_path, short_pose, dance, tfr_coin="batch", tfr=0.5, iterations_per_epoch=8, epochs=2)
    assert any(0 < row["teacher_forced"] < 1 for row in runs.read_metrics(tmp_path))


def test_what_is_fed_back(short_pose, dance, tmp_path, monkeypatch):
    """The mix is used under teacher forcing alone; without it the truth is."""
    seen, original = [], PoseCVAE.forward

    def forward(self, clip, noise, latent, feedback):
        seen.append(feedback)
        return original(self, clip, noise, latent, feedback)

    monkeypatch.setattr(PoseCVAE, "forward", forward)
    settings = {"tfr_decay": "step", "tfr_decay_step": 0.0, "epochs": 2, "iterations_per_epoch": 6, "tfr_coin": "batch"}
    for mix, expected in ((True, {0.6, "prediction"}), (False, {"truth", "prediction"})):
        run_training(tmp_path / str(mix), short_pose, dance, **settings, tfr=0.6, tfr_mix=mix, plateau_patience=0)
        assert set(seen) == expected
        seen.clear()
    run_training(tmp_path / "free", short_pose, dance, **settings, tfr=0.0, plateau_patience=0)
    assert set(seen) == {"prediction"}


def test_fast_start_draws_from_a_part_of_the_data(short_pose, dance, tmp_path, monkeypatch):
    drawn, original = [], loop.training_batch

    def training_batch(clips, config, batch_size, seed, iteration, rows=None, fraction=1.0):
        drawn.append((iteration, fraction))
        return original(clips, config, batch_size, seed, iteration, rows, fraction)

    monkeypatch.setattr(loop, "training_batch", training_batch)
    run_training(tmp_path, short_pose, dance)
    assert sorted(set(drawn)) == [(i, pytest.approx(0.45 if i < 4 else 0.9)) for i in range(8)]


def test_an_epoch_may_be_a_pass_over_the_data(short_pose, dance, tmp_path):
    """40 frames, of which the first tenth counts: 2 windows of 2, two a batch."""
    run_training(tmp_path, short_pose, dance, iterations_per_epoch=0, data_fraction=0.2, epochs=2, kl_anneal="none")
    assert runs.read_config(tmp_path).train.iterations_per_epoch == 2
    assert [row["step"] for row in runs.read_metrics(tmp_path)] == [2, 4]


@pytest.mark.parametrize("bad", [float("nan"), 1e30], ids=["nan", "exploding"])
def test_a_step_that_is_not_finite_leaves_the_weights_unharmed(short_pose, dance, tmp_path, monkeypatch, bad):
    original = loop.training_noise

    def noise(model, clip, batch_size, rows, seed, iteration):
        eps = original(model, clip, batch_size, rows, seed, iteration)
        return eps * bad if iteration == 2 else eps

    monkeypatch.setattr(loop, "training_noise", noise)
    settings = {"interpolate_every": 0, "kl_anneal": "none"}
    assert not run_training(tmp_path, short_pose, dance, stop=after(2), **settings)
    before = state_tensors(tmp_path)
    assert not run_training(tmp_path, short_pose, dance, stop=after(1), **settings)
    assert_equal_tensors(state_tensors(tmp_path), before)
    assert run_training(tmp_path, short_pose, dance, **settings)
    rows = runs.read_metrics(tmp_path)
    assert [row["skipped_steps"] for row in rows] == [0, 1, 1, 1]
    assert all(row["loss"] is not None and row["loss"] == row["loss"] for row in rows)


def test_interpolation_is_part_of_a_training(short_pose, dance, tmp_path):
    settings = {"plateau_patience": 0, "epochs": 3}
    run_training(tmp_path / "on", short_pose, dance, **settings)
    run_training(tmp_path / "off", short_pose, dance, **settings, interpolate_every=0)
    on, off = (runs.read_metrics(tmp_path / name) for name in ("on", "off"))
    for before, after_it in zip(on[:2], off[:2]):  # after epoch 1 for the first time
        assert before["val_psnr"] == after_it["val_psnr"]
    assert on[2]["val_psnr"] != off[2]["val_psnr"]


def test_weights_are_kept_every_n_epochs(dance_run):
    assert [p.name for p in sorted((dance_run / runs.KEPT).iterdir())] == [
        "epoch_0002.safetensors",
        "epoch_0004.safetensors",
    ]
    kept = safetensors.torch.load_file(dance_run / runs.KEPT / "epoch_0004.safetensors")
    assert kept.keys() == safetensors.torch.load_file(dance_run / runs.WEIGHTS).keys()


def test_fine_tuning_starts_from_the_weights_of_a_run(dance_run, short_pose, dance, tmp_path):
    plain = {"interpolate_every": 0, "plateau_patience": 0, "best_by": "last", "optimizer": "sgd", "lr": 1e-12}
    run_training(tmp_path / "tuned", short_pose, dance, **plain, init=str(dance_run))
    tuned, start = (checkpoint.load_trained(run) for run in (tmp_path / "tuned", dance_run))
    for (name, a), b in zip(tuned.named_parameters(), start.parameters()):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-8, msg=name)


def test_the_kl_may_be_divided_by_the_frames_of_a_clip():
    terms = {"mse": torch.ones(3, 4), "kld": torch.full((3, 4), 5.0)}  # 3 clips of 5 frames
    assert reduce_terms(terms)["kld"] == 20
    assert reduce_terms(terms, "length") == {"mse": 4, "kld": 12}


def test_strategies_serve_svg_too(short_svg, robot, tmp_path):
    changes = {"tfr_mix": True, "tfr": 0.5, "tfr_coin": "epoch", "interpolate_every": 1, "optimizer": "adamw"}
    assert run_training(tmp_path, short_svg, robot, **changes, epochs=3, plateau_patience=2, lr_milestones=(2,))
    rows = runs.read_metrics(tmp_path)
    assert all(row["loss"] is not None for row in rows)
    assert rows[2]["lr"] < rows[1]["lr"] / 5
