"""The training loop: what it writes, that it can be stopped anywhere, and that nothing is lost."""

import json

import numpy as np
import pytest
import safetensors.torch
import torch

from tests.training.trainings import after, assert_equal_tensors, rows_without_time, run_training, state_tensors
from vidpred import checkpoint, runs, schedules
from vidpred.data.batches import open_split, window_batch
from vidpred.data.robot_push import write_clip
from vidpred.evaluation import evaluate
from vidpred.files import without_infinity, write_json
from vidpred.training import gif, loop
from vidpred.training.validation import validate


def test_stopped_and_resumed_equals_uninterrupted(tiny_run, tiny_settings, robot, tmp_path):
    """Weight for weight, moment for moment, row for row: after 1 iteration, in the middle of an epoch, at its end."""
    for iterations in (1, 4, 1):
        assert not run_training(tmp_path, tiny_settings, robot, stop=after(iterations))
    assert run_training(tmp_path, tiny_settings, robot)
    ours = state_tensors(tmp_path)
    assert any(name.startswith("optimizer.exp_avg_sq.") for name in ours)
    assert_equal_tensors(ours, state_tensors(tiny_run))
    assert rows_without_time(tmp_path) == rows_without_time(tiny_run)
    best, best_expected = (safetensors.torch.load_file(run / runs.WEIGHTS) for run in (tmp_path, tiny_run))
    assert_equal_tensors(best, best_expected)


def test_what_a_run_holds(tiny_run, tiny_settings):
    rows = runs.read_metrics(tiny_run)
    t = tiny_settings.train
    assert [row["epoch"] for row in rows] == list(range(t.epochs))
    assert [row["step"] for row in rows] == [3, 6, 9, 12]
    assert set(rows[0]) == {
        *("epoch", "step", "seconds", "processor_seconds", "loss", "mse", "kld", "beta", "tfr", "teacher_forced", "lr"),
        *("train_psnr", "val_loss", "val_psnr", "val_ssim", "skipped_steps", "active_units"),
    }
    for row in rows:  # beta and tfr by the clock that the loss was made with
        assert row["beta"] == schedules.beta_at(t, row["step"] - 1)
        assert row["tfr"] == schedules.tfr_at(t, row["epoch"])
    assert len(list((tiny_run / runs.SAMPLES).glob("*.gif"))) == 2
    assert runs.read_config(tiny_run).model.condition_scale != ()


def test_the_best_weights_are_those_of_the_best_validation(tiny_run, tiny_data):
    rows = runs.read_metrics(tiny_run)
    model, config = checkpoint.load_model(tiny_run), runs.read_config(tiny_run)
    clips = open_split(tiny_data, "validate")
    again = validate(model, clips, list(range(len(clips))), config)
    assert again["val_psnr"] == pytest.approx(max(row["val_psnr"] for row in rows), abs=1e-5)


def test_calibrated_beta_follows_the_error_and_survives_a_stop(tiny_settings, robot, tmp_path):
    """beta of every step from the MSE of those before it, as logged, bit for bit also where training went on."""
    changes = {"kl_anneal": "calibrated", "iterations_per_epoch": 1, "epochs": 5}
    assert not run_training(tmp_path / "a", tiny_settings, robot, stop=after(3), **changes)
    for name in ("a", "b"):
        assert run_training(tmp_path / name, tiny_settings, robot, **changes)
    rows = rows_without_time(tmp_path / "a")
    assert rows == rows_without_time(tmp_path / "b")
    mse = schedules.FIRST_MSE
    for row in rows:
        assert row["beta"] == pytest.approx(2 * mse / 12288, rel=1e-12)
        assert row["loss"] == pytest.approx(row["mse"] + row["beta"] * row["kld"], rel=1e-5)
        mse += schedules.MSE_MOMENTUM * (row["mse"] / (tiny_settings.data.length - 1) - mse)


def test_the_last_weights_may_be_kept_instead(short_svg, robot, tmp_path):
    run_training(tmp_path, short_svg, robot, best_by="last")
    last = state_tensors(tmp_path)
    for name, value in safetensors.torch.load_file(tmp_path / runs.WEIGHTS).items():
        assert torch.equal(value, last[f"model.{name}"]), name


def test_float64_trains_scores_and_draws(short_svg, robot, tmp_path):
    """A sample GIF was made from float32 frames, which a float64 model refuses."""
    run_training(tmp_path, short_svg, robot, precision="float64", epochs=1, gif_every=1)
    assert list((tmp_path / runs.SAMPLES).glob("*.gif"))


def test_a_gif_shows_clips_that_are_validated_alone(tmp_path, short_svg, robot, monkeypatch):
    """The next one may be too short, and is not looked at beforehand."""
    read = []
    monkeypatch.setattr(
        gif, "window_batch", lambda clips, chosen, n: read.append(chosen) or window_batch(clips, chosen, n)
    )
    run_training(tmp_path, short_svg, robot, precision="float64", epochs=1, gif_every=1)
    assert short_svg.train.validation_clips == 1 and read == [[0]]


def test_one_process_trains_in_several_precisions(short_svg, robot, tmp_path):
    """The library that places the model refused a second precision in one process."""
    losses = {}
    for precision in ("no", "bf16", "float64"):
        run_training(tmp_path / precision, short_svg, robot, precision=precision, epochs=1, iterations_per_epoch=1)
        losses[precision] = runs.read_metrics(tmp_path / precision)[0]["loss"]
    assert losses["no"] == pytest.approx(losses["float64"], rel=1e-5)
    assert losses["bf16"] == pytest.approx(losses["float64"], rel=0.02) and losses["bf16"] != losses["no"]


def test_finished_training_is_left_alone(tiny_run, tiny_settings, robot):
    before = {p: p.stat().st_mtime_ns for p in tiny_run.rglob("*") if p.is_file()}
    assert run_training(tiny_run, tiny_settings, robot)
    assert before == {p: p.stat().st_mtime_ns for p in tiny_run.rglob("*") if p.is_file()}


def test_fresh_starts_over(short_svg, robot, tmp_path):
    run_training(tmp_path, short_svg, robot, lr=0.5, stop=after(1))
    (tmp_path / "notes.txt").write_text("mine")
    assert run_training(tmp_path, short_svg, robot, fresh=True)
    assert runs.read_config(tmp_path).train.lr == 0.002
    assert [row["epoch"] for row in runs.read_metrics(tmp_path)] == [0, 1]
    assert (tmp_path / "notes.txt").exists()  # only what training wrote is deleted


def test_an_evaluation_stays_as_long_as_the_weights_that_it_is_of(short_svg, robot, tmp_path, monkeypatch):
    """A sweep called a run finished whose scores were those of earlier weights. The file goes first: killed in between,
    there is no score of other weights."""
    changes = {"epochs": 3, "best_by": "last"}
    run_training(tmp_path, short_svg, robot, **changes, stop=after(2))
    (tmp_path / runs.EVAL).write_text("{}")
    monkeypatch.setattr(loop, "is_better", lambda *_: False)
    run_training(tmp_path, short_svg, robot, **changes, stop=after(2))
    assert (tmp_path / runs.EVAL).exists()
    monkeypatch.undo()

    def killed(path, model):
        raise SystemExit

    monkeypatch.setattr(checkpoint, "save_weights", killed)
    with pytest.raises(SystemExit):
        run_training(tmp_path, short_svg, robot, **changes)
    assert not (tmp_path / runs.EVAL).exists()


def test_killed_at_the_end_of_an_epoch_no_row_is_lost(short_svg, robot, tmp_path, monkeypatch):
    """The first one's best weights are there before its state is: that was taken for a bundled run, and refused."""
    run_training(tmp_path / "whole", short_svg, robot)
    original = loop.save_state

    def killed(last, model, optimizer, kind, progress):
        if progress.iteration == 2:
            raise SystemExit
        original(last, model, optimizer, kind, progress)

    monkeypatch.setattr(loop, "save_state", killed)
    with pytest.raises(SystemExit):
        run_training(tmp_path / "killed", short_svg, robot)
    monkeypatch.undo()
    run_training(tmp_path / "killed", short_svg, robot)
    assert rows_without_time(tmp_path / "killed") == rows_without_time(tmp_path / "whole")


def test_frames_that_never_change_are_no_crash(short_svg, tmp_path):
    """Their copied frame has an infinite PSNR, which JSON cannot hold."""
    frames = np.full((8, 64, 64, 3), 90, np.uint8)
    for split in ("train", "validate"):
        for i in range(4):
            write_clip(tmp_path / "clips" / split / "a" / str(i), frames, np.zeros((8, 4)), np.zeros((8, 3)))
    still = [open_split(tmp_path / "clips", split) for split in ("train", "validate")]
    run_training(tmp_path / "run", short_svg, still)
    model, settings = checkpoint.load_model(tmp_path / "run"), {"samples": 2, "temperature": 1.0, "seed": 0}
    result = evaluate(model, still[1], [0, 1, 2, 3], n_past=2, n_future=4, **settings)
    assert result["copy_last_psnr"] == float("inf")
    write_json(tmp_path / "eval.json", without_infinity(result))
    written = json.loads((tmp_path / "eval.json").read_text())
    assert written["copy_last_psnr"] is None and written["sharpness"] is None  # nothing moves


def test_weights_are_drawn_without_a_look_at_any_gpu(short_svg, robot, tmp_path, monkeypatch):
    """Each would be initialised, with a warning where there are several, also for a training that stays on the CPU."""
    looked_at = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_rng_state", looked_at.append)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda *_: None)
    run_training(tmp_path, short_svg, robot, stop=after(0))
    assert not looked_at
