"""Training: what it writes, that it can be stopped anywhere, and that nothing is lost."""

import itertools
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch

from vidpred import checkpoint, runs, schedules
from vidpred.config import to_dict
from vidpred.data.batches import open_split
from vidpred.data.robot_push import write_clip
from vidpred.errors import BadInput
from vidpred.evaluation import evaluate
from vidpred.files import without_infinity, write_json
from vidpred.models import build_model
from vidpred.training import train


@pytest.fixture(scope="module")
def splits(tiny_data):
    return [open_split(tiny_data, split) for split in ("train", "validate")]


def run_training(run, settings, splits, **options):
    return train(run, settings, *splits, cpu=True, show_progress=False, **options)


def after(iterations):
    """A `stop` that says so once that many iterations have run."""
    count = itertools.count()
    return lambda: next(count) >= iterations


def tensors(run):
    return safetensors.torch.load_file(next((run / runs.LAST).glob("*.safetensors")))


def without_time(rows):
    return [{k: v for k, v in row.items() if "seconds" not in k} for row in rows]


@pytest.mark.parametrize("stops", [[1], [3], [2, 5, 1]], ids=str)
def test_stopped_and_resumed_equals_uninterrupted(tiny_run, tiny_settings, splits, tmp_path, stops):
    """Weight for weight, moment for moment, row for row; in the middle of an epoch and at its end."""
    for iterations in stops:
        assert not run_training(tmp_path, tiny_settings, splits, stop=after(iterations))
    assert run_training(tmp_path, tiny_settings, splits)
    ours, expected = tensors(tmp_path), tensors(tiny_run)
    assert ours.keys() == expected.keys()
    assert any(name.startswith("optimizer.exp_avg_sq.") for name in ours)
    for name in ours:
        assert torch.equal(ours[name], expected[name]), name
    assert without_time(runs.read_metrics(tmp_path)) == without_time(runs.read_metrics(tiny_run))
    best, best_expected = (safetensors.torch.load_file(r / runs.WEIGHTS) for r in (tmp_path, tiny_run))
    assert all(torch.equal(best[name], best_expected[name]) for name in best_expected)


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
    from vidpred.training import validate

    rows = runs.read_metrics(tiny_run)
    model, config = checkpoint.load_model(tiny_run), runs.read_config(tiny_run)
    clips = open_split(tiny_data, "validate")
    again = validate(model, clips, list(range(len(clips))), config)
    assert again["val_psnr"] == pytest.approx(max(row["val_psnr"] for row in rows), abs=1e-5)


def test_calibrated_beta_follows_the_error_and_survives_a_stop(tiny_settings, splits, tmp_path):
    """beta of every step from the MSE of those before it, as logged, bit for bit also where training went on."""
    settings = replace(
        tiny_settings, train=replace(tiny_settings.train, kl_anneal="calibrated", iterations_per_epoch=1, epochs=5)
    )
    assert not run_training(tmp_path / "a", settings, splits, stop=after(3))
    for name in ("a", "b"):
        assert run_training(tmp_path / name, settings, splits)
    rows = runs.read_metrics(tmp_path / "a")
    assert without_time(rows) == without_time(runs.read_metrics(tmp_path / "b"))
    mse = schedules.FIRST_MSE
    for row in rows:
        assert row["beta"] == pytest.approx(2 * mse / 12288, rel=1e-12)
        assert row["loss"] == pytest.approx(row["mse"] + row["beta"] * row["kld"], rel=1e-5)
        mse += schedules.MSE_MOMENTUM * (row["mse"] / (settings.data.length - 1) - mse)


@pytest.mark.parametrize("rule", ["loss", "last"])
def test_other_rules_for_the_best(tiny_settings, splits, tmp_path, rule):
    run_training(tmp_path, replace(tiny_settings, train=replace(tiny_settings.train, best_by=rule)), splits)
    rows = runs.read_metrics(tmp_path)
    expected = min(range(len(rows)), key=lambda i: rows[i]["val_loss"]) if rule == "loss" else len(rows) - 1
    state = json.loads((tmp_path / runs.LAST / "state.json").read_text())
    assert state["progress"]["best_loss"] == min(row["val_loss"] for row in rows)
    best = safetensors.torch.load_file(tmp_path / runs.WEIGHTS)
    last = tensors(tmp_path)
    same = all(torch.equal(value, last[f"model.{name}"]) for name, value in best.items())
    assert same == (expected == len(rows) - 1)


def test_float64_trains_scores_and_draws(tiny_settings, splits, tmp_path):
    """A sample GIF was made from float32 frames, which a float64 model refuses."""
    settings = replace(tiny_settings, train=replace(tiny_settings.train, precision="float64", gif_every=2))
    run_training(tmp_path, settings, splits)
    assert list((tmp_path / runs.SAMPLES).glob("*.gif"))


def test_a_batch_of_nan_is_skipped_and_counted(tiny_settings, splits, tmp_path, monkeypatch):
    from vidpred import training

    original = training.training_noise

    def noise(model, clip, batch_size, rows, seed, iteration):
        eps = original(model, clip, batch_size, rows, seed, iteration)
        return eps * float("nan") if iteration == 4 else eps

    monkeypatch.setattr(training, "training_noise", noise)
    run_training(tmp_path, tiny_settings, splits)
    rows = runs.read_metrics(tmp_path)
    assert [row["skipped_steps"] for row in rows] == [0, 1, 1, 1]
    assert all(torch.isfinite(v).all() for v in tensors(tmp_path).values())
    assert all(row["loss"] == row["loss"] for row in rows)


def test_finished_training_is_left_alone(tiny_run, tiny_settings, splits):
    before = {p: p.stat().st_mtime_ns for p in tiny_run.rglob("*") if p.is_file()}
    assert run_training(tiny_run, tiny_settings, splits)
    assert before == {p: p.stat().st_mtime_ns for p in tiny_run.rglob("*") if p.is_file()}


def test_other_settings_do_not_go_on_with_a_run(tiny_run, tiny_settings, splits):
    other = replace(tiny_settings, train=replace(tiny_settings.train, lr=0.5))
    with pytest.raises(BadInput, match=r"train.lr is 0.002, asked for 0.5"):
        run_training(tiny_run, other, splits)


def test_fresh_starts_over(tiny_settings, splits, tmp_path):
    other = replace(tiny_settings, train=replace(tiny_settings.train, lr=0.5))
    run_training(tmp_path, other, splits, stop=after(1))
    (tmp_path / "notes.txt").write_text("mine")
    assert run_training(tmp_path, tiny_settings, splits, fresh=True)
    assert runs.read_config(tmp_path).train.lr == 0.002
    assert (tmp_path / "notes.txt").exists()  # only what training wrote is deleted


def test_a_refused_fresh_start_deletes_nothing(tiny_run, tiny_settings, splits):
    before = {p: p.stat().st_mtime_ns for p in tiny_run.rglob("*")}
    for bad in (
        replace(tiny_settings, data=replace(tiny_settings.data, n_future=40)),
        replace(tiny_settings, train=replace(tiny_settings.train, kl_anneal_cycles=50)),
    ):
        with pytest.raises(BadInput):
            run_training(tiny_run, bad, splits, fresh=True)
    assert before == {p: p.stat().st_mtime_ns for p in tiny_run.rglob("*")}


def test_killed_at_the_end_of_an_epoch_no_row_is_lost(tiny_run, tiny_settings, splits, tmp_path, monkeypatch):
    from vidpred import training

    original = training._save_state

    def killed(last, model, optimizer, kind, progress):
        if progress.iteration == 6:
            raise SystemExit
        original(last, model, optimizer, kind, progress)

    monkeypatch.setattr(training, "_save_state", killed)
    with pytest.raises(SystemExit):
        run_training(tmp_path, tiny_settings, splits)
    monkeypatch.undo()
    run_training(tmp_path, tiny_settings, splits)
    assert without_time(runs.read_metrics(tmp_path)) == without_time(runs.read_metrics(tiny_run))


def test_frames_that_never_change_are_no_crash(tiny_settings, tmp_path):
    """Their copied frame has an infinite PSNR, which JSON cannot hold."""
    frames = np.full((8, 64, 64, 3), 90, np.uint8)
    for split in ("train", "validate"):
        for i in range(4):
            write_clip(tmp_path / "clips" / split / "a" / str(i), frames, np.zeros((8, 4)), np.zeros((8, 3)))
    still = [open_split(tmp_path / "clips", split) for split in ("train", "validate")]
    run_training(tmp_path / "run", tiny_settings, still)
    result = evaluate(
        checkpoint.load_model(tmp_path / "run"), still[1], n_past=2, n_future=4, samples=2, temperature=1.0, seed=0
    )
    assert result["copy_last_psnr"] == float("inf")
    write_json(tmp_path / "eval.json", without_infinity(result))
    assert json.loads((tmp_path / "eval.json").read_text())["copy_last_psnr"] is None
    assert json.loads((tmp_path / "eval.json").read_text())["sharpness"] is None  # nothing moves


def test_a_damaged_state_is_named(tiny_settings, splits, tmp_path):
    run_training(tmp_path, tiny_settings, splits, stop=after(2))
    state = tmp_path / runs.LAST / "state.json"
    whole = state.read_text()
    for text in ("{", "{}", '{"progress": {"iteraton": 1}, "tensors": "x"}'):
        state.write_text(text)
        with pytest.raises(BadInput, match="state.json: not readable; use --fresh"):
            run_training(tmp_path, tiny_settings, splits)
    state.write_text(whole)
    saved = tensors(tmp_path)
    name = "optimizer.exp_avg.prior.mu.weight"
    safetensors.torch.save_file({k: v for k, v in saved.items() if k != name}, next(state.parent.glob("*.safetensors")))
    with pytest.raises(BadInput, match="not the state of this model"):
        run_training(tmp_path, tiny_settings, splits)
    next(state.parent.glob("*.safetensors")).unlink()
    with pytest.raises(BadInput, match=r"safetensors: missing"):
        run_training(tmp_path, tiny_settings, splits)


def test_a_file_is_no_run_folder(tiny_settings, splits, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadInput, match="file: not a folder"):
        run_training(tmp_path / "file", tiny_settings, splits, fresh=True)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("fresh", [False, True])
def test_a_folder_that_is_no_run_is_left_alone(tiny_settings, splits, tmp_path, fresh):
    (tmp_path / runs.SAMPLES).mkdir()
    (tmp_path / runs.SAMPLES / "mine.txt").write_text("notes")
    with pytest.raises(BadInput, match="not empty and no run"):
        run_training(tmp_path, tiny_settings, splits, fresh=fresh)
    assert [p.name for p in tmp_path.rglob("*")] == [runs.SAMPLES, "mine.txt"]


def test_a_bundled_run_is_not_trained_over(tiny_run, tiny_settings, splits, tmp_path):
    bundled = tmp_path / "bundled"
    shutil.copytree(tiny_run, bundled, ignore=shutil.ignore_patterns(runs.LAST))
    before = (bundled / runs.WEIGHTS).read_bytes()
    with pytest.raises(BadInput, match="nothing to resume"):
        run_training(bundled, tiny_settings, splits)
    assert (bundled / runs.WEIGHTS).read_bytes() == before


def test_a_senseless_schedule_is_refused_before_anything_is_written(tiny_settings, splits, tmp_path):
    with pytest.raises(BadInput, match="rise of beta"):
        run_training(tmp_path, replace(tiny_settings, train=replace(tiny_settings.train, kl_anneal_cycles=50)), splits)
    assert not list(tmp_path.iterdir())


# --- weights on disk -------------------------------------------------------------------------------------------------


def test_weights_fit_their_config_or_say_why_not(tiny_run, tmp_path):
    config = runs.read_config(tiny_run)
    weights = safetensors.torch.load_file(tiny_run / runs.WEIGHTS)
    runs.write_config(tmp_path, config, {})

    def refused(changed, said):
        safetensors.torch.save_file(changed, tmp_path / runs.WEIGHTS)
        with pytest.raises(BadInput, match=said) as error:
            checkpoint.load_model(tmp_path)
        assert "\n" not in str(error.value)

    name = "prior.mu.weight"
    refused({k: v for k, v in weights.items() if k != name}, f"{name} is missing")
    refused({**weights, "extra": torch.zeros(1)}, "extra is unknown")
    refused({**weights, name: torch.zeros(2, 2)}, r"is \(2, 2\), the config asks for")
    refused({**weights, name: weights[name] * float("nan")}, "not finite")
    (tmp_path / runs.WEIGHTS).write_bytes(b"not weights")
    with pytest.raises(BadInput, match="not a safetensors file"):
        checkpoint.load_model(tmp_path)
    (tmp_path / runs.WEIGHTS).unlink()
    with pytest.raises(BadInput, match="missing"):
        checkpoint.load_model(tmp_path)


def test_the_checkpoint_holds_weights_and_the_optimizer_its_own(tiny_run):
    """A published checkpoint's "optimizer" held the model's weights."""
    state = tensors(tiny_run)
    weight = state["model.decoder.to_rgb.weight"]
    moment = state["optimizer.exp_avg.decoder.to_rgb.weight"]
    assert weight.shape == moment.shape
    assert not torch.equal(weight, moment)


def test_half_precision_weights_give_the_same_model(tiny_run, tmp_path):
    model = checkpoint.load_trained(tiny_run)
    runs.write_config(tmp_path, runs.read_config(tiny_run), {})
    checkpoint.save_weights(tmp_path / runs.WEIGHTS, model, torch.float16)
    halved = checkpoint.load_trained(tmp_path)
    for (name, a), b in zip(model.named_parameters(), halved.parameters()):
        assert b.dtype == torch.float32
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6, msg=name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not readable as JSON"),
        ("[]", "expected an object"),
        ("{}", "no 'model' in it"),
        ('{"model": {"kind": "gan"}, "data": {}, "train": {}}', "unknown kind 'gan'"),
        ('{"model": {"kind": "svg", "wdith": 3}, "data": {}, "train": {}}', "unknown key 'wdith'"),
        ('{"model": {"kind": "svg"}, "data": {"n_past": "2"}, "train": {}}', "n_past: expected int"),
    ],
)
def test_a_broken_config_is_named(tmp_path, text, said):
    (tmp_path / runs.CONFIG).write_text(text)
    with pytest.raises(BadInput, match=said):
        runs.read_config(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"epoch": "1"}'])
def test_damaged_curves_and_numbers_are_named(tmp_path, text):
    (tmp_path / runs.METRICS).write_text(f'{{"epoch": 0}}\n{text}\n')
    with pytest.raises(BadInput, match="line 2 is not an epoch's JSON object"):
        runs.read_metrics(tmp_path)
    (tmp_path / runs.METRICS).write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="not readable as text"):
        runs.read_metrics(tmp_path)
    (tmp_path / runs.EVAL).write_text("[]")
    with pytest.raises(BadInput, match="expected an object"):
        runs.read_eval(tmp_path)


def test_runs_are_found_by_name(tiny_run, tmp_path):
    for folder in ("a/tiny", "b/tiny", "b/other"):
        runs.write_config(tmp_path / folder, runs.read_config(tiny_run), {})
    assert set(runs.list_runs([tmp_path / "a", tmp_path / "b"])) == {"a/tiny", "b/tiny", "other"}
    assert runs.list_runs([tiny_run]) == {"tiny": tiny_run}
    with pytest.raises(BadInput, match="no run in it"):
        runs.list_runs([tmp_path])
    with pytest.raises(BadInput, match="no such folder"):
        runs.list_runs([tmp_path / "nowhere"])


def test_a_model_config_is_rebuilt_alone(tiny_run):
    config = json.loads((tiny_run / runs.CONFIG).read_text())
    assert config["model"] == to_dict(runs.read_config(tiny_run).model)
    assert torch.__version__.startswith(config["versions"]["torch"].split("+")[0])
    assert build_model(runs.read_config(tiny_run).model).config.learned_prior
