"""Training strategies of the reports, on the pose CVAE and where they make sense on SVG."""

import itertools
import json
from dataclasses import replace

import pytest
import safetensors.torch
import torch

from vidpred import checkpoint, runs, training
from vidpred.config import PoseCVAEConfig
from vidpred.data.batches import open_split
from vidpred.errors import BadInput
from vidpred.losses import reduce_terms
from vidpred.models import PoseCVAE
from vidpred.training import interpolate_weights, train


@pytest.fixture(scope="module")
def splits(tiny_dance):
    return [open_split(tiny_dance, split) for split in ("train", "validate")]


def run_training(run, settings, splits, **changes):
    stop = changes.pop("stop", lambda: False)
    config = replace(settings, train=replace(settings.train, **changes))
    return train(run, config, *splits, cpu=True, show_progress=False, stop=stop)


def after(iterations):
    count = itertools.count()
    return lambda: next(count) >= iterations


def state_tensors(run):
    return safetensors.torch.load_file(next((run / runs.LAST).glob("step-*.safetensors")))


def progress(run):
    return json.loads((run / runs.LAST / "state.json").read_text())["progress"]


def without_time(rows):
    return [{k: v for k, v in row.items() if "seconds" not in k} for row in rows]


def assert_equal_tensors(ours, expected):
    assert ours.keys() == expected.keys()
    for name in ours:
        assert torch.equal(ours[name], expected[name]), name


@pytest.mark.parametrize("stops", [[1], [4], [3, 2]], ids=str)
def test_resume_is_exact_with_every_strategy_on(dance_run, dance_settings, splits, tmp_path, stops):
    for iterations in stops:
        assert not run_training(tmp_path, dance_settings, splits, stop=after(iterations))
    assert run_training(tmp_path, dance_settings, splits)
    assert_equal_tensors(state_tensors(tmp_path), state_tensors(dance_run))
    assert without_time(runs.read_metrics(tmp_path)) == without_time(runs.read_metrics(dance_run))


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd"])
def test_every_optimizer_learns_and_resumes(dance_settings, splits, tmp_path, optimizer):
    settings = {"optimizer": optimizer, "epochs": 2, "lr_milestones": (), "kl_anneal": "none"}
    assert run_training(tmp_path / "whole", dance_settings, splits, **settings)
    assert not run_training(tmp_path / "parts", dance_settings, splits, stop=after(3), **settings)
    assert run_training(tmp_path / "parts", dance_settings, splits, **settings)
    tensors = state_tensors(tmp_path / "whole")
    assert_equal_tensors(state_tensors(tmp_path / "parts"), tensors)
    moments = [v for k, v in tensors.items() if k.startswith("optimizer.") and v.dim() > 0]
    assert moments and all(v.abs().max() > 0 for v in moments)


def test_a_plateau_puts_the_ratio_back_to_one(dance_run):
    """Patience 2, and everything counts as no change: after epochs 1 and 3."""
    assert progress(dance_run)["restarts"] == [2, 4]
    assert [row["tfr"] for row in runs.read_metrics(dance_run)] == pytest.approx([0.9, 0.6, 1.0, 0.7])


def test_one_coin_decides_an_epoch(dance_run, dance_settings, splits, tmp_path):
    assert {row["teacher_forced"] for row in runs.read_metrics(dance_run)} <= {0.0, 1.0}
    run_training(tmp_path, dance_settings, splits, tfr_coin="batch", tfr=0.5, iterations_per_epoch=8, epochs=2)
    assert any(0 < row["teacher_forced"] < 1 for row in runs.read_metrics(tmp_path))


def test_what_is_fed_back(dance_settings, splits, tmp_path, monkeypatch):
    """The mix is used under teacher forcing alone; without it the truth is."""
    seen, original = [], PoseCVAE.forward

    def forward(self, clip, noise, latent, feedback):
        seen.append(feedback)
        return original(self, clip, noise, latent, feedback)

    monkeypatch.setattr(PoseCVAE, "forward", forward)
    settings = {"tfr_decay": "step", "tfr_decay_step": 0.0, "epochs": 2, "iterations_per_epoch": 6, "tfr_coin": "batch"}
    for mix, expected in ((True, {0.6, "prediction"}), (False, {"truth", "prediction"})):
        run_training(tmp_path / str(mix), dance_settings, splits, **settings, tfr=0.6, tfr_mix=mix, plateau_patience=0)
        assert set(seen) == expected
        seen.clear()
    run_training(tmp_path / "free", dance_settings, splits, **settings, tfr=0.0, plateau_patience=0)
    assert set(seen) == {"prediction"}


def test_fast_start_draws_from_a_part_of_the_data(dance_settings, splits, tmp_path, monkeypatch):
    drawn, original = [], training.training_batch

    def training_batch(clips, config, batch_size, seed, iteration, rows=None, fraction=1.0):
        drawn.append((iteration, fraction))
        return original(clips, config, batch_size, seed, iteration, rows, fraction)

    monkeypatch.setattr(training, "training_batch", training_batch)
    run_training(tmp_path, dance_settings, splits)
    assert sorted(set(drawn)) == [(i, pytest.approx(0.45 if i < 4 else 0.9)) for i in range(8)]


def test_an_epoch_may_be_a_pass_over_the_data(dance_settings, splits, tmp_path):
    """40 frames, of which the first half counts: 4 windows of 5, two a batch."""
    run_training(
        tmp_path, dance_settings, splits, iterations_per_epoch=0, data_fraction=0.5, epochs=2, kl_anneal="none"
    )
    assert runs.read_config(tmp_path).train.iterations_per_epoch == 2
    assert [row["step"] for row in runs.read_metrics(tmp_path)] == [2, 4]


@pytest.mark.parametrize("bad", [float("nan"), 1e30], ids=["nan", "exploding"])
def test_a_step_that_is_not_finite_leaves_the_weights_unharmed(dance_settings, splits, tmp_path, monkeypatch, bad):
    original = training.training_noise

    def noise(model, clip, batch_size, rows, seed, iteration):
        eps = original(model, clip, batch_size, rows, seed, iteration)
        return eps * bad if iteration == 2 else eps

    monkeypatch.setattr(training, "training_noise", noise)
    settings = {"interpolate_every": 0, "kl_anneal": "none"}
    assert not run_training(tmp_path, dance_settings, splits, stop=after(2), **settings)
    before = state_tensors(tmp_path)
    assert not run_training(tmp_path, dance_settings, splits, stop=after(1), **settings)
    assert_equal_tensors(state_tensors(tmp_path), before)
    assert run_training(tmp_path, dance_settings, splits, **settings)
    rows = runs.read_metrics(tmp_path)
    assert [row["skipped_steps"] for row in rows] == [0, 1, 1, 1]
    assert all(row["loss"] is not None for row in rows)


def test_weights_are_interpolated_by_the_formula():
    torch.manual_seed(0)
    model, initial = (PoseCVAE(PoseCVAEConfig(8, 4, 4, 8)) for _ in range(2))
    with torch.no_grad():
        for w, w_init in zip(model.parameters(), initial.parameters()):
            w.copy_(w_init + 0.5 * w_init.norm() / len(w_init) * torch.randn_like(w))
        model.fusion[5].weight.copy_(-initial.fusion[5].weight)  # points away
        model.fusion[5].bias.zero_()  # points nowhere
    before = {name: w.detach().double().clone() for name, w in model.named_parameters()}
    interpolate_weights(model, initial.state_dict())
    moved = 0
    for name, w in model.named_parameters():
        old, w_init = before[name], initial.get_parameter(name).detach().double()
        cos = torch.nn.functional.cosine_similarity(old.flatten(), w_init.flatten(), dim=0, eps=1e-12)
        alpha = 2 * cos / (1 + cos) if cos > 0 else torch.tensor(1.0)
        torch.testing.assert_close(w.double(), alpha * old + (1 - alpha) * w_init, rtol=1e-5, atol=1e-7, msg=name)
        moved += bool(0 < cos < 1)
    assert moved > 20


def test_interpolation_is_part_of_a_training(dance_settings, splits, tmp_path):
    settings = {"plateau_patience": 0, "epochs": 3}
    run_training(tmp_path / "on", dance_settings, splits, **settings)
    run_training(tmp_path / "off", dance_settings, splits, **settings, interpolate_every=0)
    on, off = (runs.read_metrics(tmp_path / name) for name in ("on", "off"))
    assert [row["val_psnr"] for row in on[:2]] == [
        row["val_psnr"] for row in off[:2]
    ]  # after epoch 1 for the first time
    assert on[2]["val_psnr"] != off[2]["val_psnr"]


def test_weights_are_kept_every_n_epochs(dance_run):
    assert [p.name for p in sorted((dance_run / runs.KEPT).iterdir())] == [
        "epoch_0002.safetensors",
        "epoch_0004.safetensors",
    ]
    kept = safetensors.torch.load_file(dance_run / runs.KEPT / "epoch_0004.safetensors")
    assert kept.keys() == safetensors.torch.load_file(dance_run / runs.WEIGHTS).keys()


def test_fine_tuning_starts_from_the_weights_of_a_run(dance_run, dance_settings, splits, tmp_path):
    plain = {"interpolate_every": 0, "plateau_patience": 0, "best_by": "last", "optimizer": "sgd", "lr": 1e-12}
    run_training(tmp_path / "tuned", dance_settings, splits, **plain, init=str(dance_run))
    tuned, start = (checkpoint.load_trained(run) for run in (tmp_path / "tuned", dance_run))
    for (name, a), b in zip(tuned.named_parameters(), start.parameters()):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-8, msg=name)


def test_fine_tuning_refuses_what_does_not_fit(dance_run, tiny_run, dance_settings, splits, tmp_path):
    with pytest.raises(BadInput, match="another family"):
        run_training(tmp_path / "a", dance_settings, splits, init=str(tiny_run))
    with pytest.raises(BadInput, match="is the run folder itself"):
        run_training(tmp_path / "a", dance_settings, splits, init=str(tmp_path / "a"))
    wider = replace(dance_settings, model=replace(dance_settings.model, pose_dim=6))
    with pytest.raises(BadInput, match="the config asks for"):
        run_training(tmp_path / "a", wider, splits, init=str(dance_run))
    assert not (tmp_path / "a").exists()


def test_the_kl_may_be_divided_by_the_frames_of_a_clip():
    terms = {"mse": torch.ones(3, 4), "kld": torch.full((3, 4), 5.0)}  # 3 clips of 5 frames
    assert reduce_terms(terms)["kld"] == 20
    assert reduce_terms(terms, "length") == {"mse": 4, "kld": 12}


def test_strategies_serve_svg_too(tiny_data, tiny_settings, tmp_path):
    splits = [open_split(tiny_data, split) for split in ("train", "validate")]
    changes = {"tfr_mix": True, "tfr": 0.5, "tfr_coin": "epoch", "interpolate_every": 1, "optimizer": "adamw"}
    assert run_training(tmp_path, tiny_settings, splits, **changes, plateau_patience=2, lr_milestones=(2,))
    rows = runs.read_metrics(tmp_path)
    assert all(row["loss"] is not None for row in rows)
    assert rows[2]["lr"] < rows[1]["lr"] / 5


def test_clips_of_the_other_family_are_refused(tiny_settings, dance_settings, tiny_data, splits, tmp_path):
    robot = [open_split(tiny_data, split) for split in ("train", "validate")]
    with pytest.raises(BadInput, match="frames of 64 x 64 pixels, this model takes 64 x 32"):
        run_training(tmp_path / "a", dance_settings, robot)
    with pytest.raises(BadInput, match="frames of 64 x 32 pixels, this model takes 64 x 64"):
        run_training(tmp_path / "a", replace(tiny_settings, data=replace(tiny_settings.data, n_future=3)), splits)
    assert not (tmp_path / "a").exists()
