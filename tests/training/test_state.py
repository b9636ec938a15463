"""RUN/last: what a training goes on from."""

import math

import pytest
import safetensors.torch
import torch

from tests.training.trainings import after, progress, run_training, state_tensors
from vidpred import runs
from vidpred.errors import BadInput
from vidpred.training import loop


def test_a_damaged_state_is_named(short_svg, robot, tmp_path):
    run_training(tmp_path, short_svg, robot, stop=after(1))
    state = tmp_path / runs.LAST / "state.json"
    whole = state.read_text()
    for text in ("{", "{}", '{"progress": {"iteraton": 1}, "tensors": "x"}'):
        state.write_text(text)
        with pytest.raises(BadInput, match="state.json: not readable; use --fresh"):
            run_training(tmp_path, short_svg, robot)
    state.write_text(whole)
    saved = state_tensors(tmp_path)
    name = "optimizer.exp_avg.prior.mu.weight"
    safetensors.torch.save_file({k: v for k, v in saved.items() if k != name}, next(state.parent.glob("*.safetensors")))
    with pytest.raises(BadInput, match="not the state of this model"):
        run_training(tmp_path, short_svg, robot)
    next(state.parent.glob("*.safetensors")).unlink()
    with pytest.raises(BadInput, match=r"safetensors: missing"):
        run_training(tmp_path, short_svg, robot)


def test_it_holds_weights_and_the_optimizer_s_own(tiny_run):
    """A published checkpoint's "optimizer" held the model's weights."""
    state = state_tensors(tiny_run)
    weight = state["model.decoder.to_rgb.weight"]
    moment = state["optimizer.exp_avg.decoder.to_rgb.weight"]
    assert weight.shape == moment.shape
    assert not torch.equal(weight, moment)


def test_a_batch_that_is_predicted_to_the_bit_is_saved_in_the_midst_of_an_epoch(
    short_svg, robot, tmp_path, monkeypatch
):
    """Its PSNR is infinite, which JSON cannot hold; so is the epoch's mean, as of any frames: null in its row."""
    original = loop.train_step

    def exact(*args, **options):
        step = original(*args, **options)
        return step._replace(means={**step.means, "train_psnr": math.inf})

    with monkeypatch.context() as patched:
        patched.setattr(loop, "train_step", exact)
        assert not run_training(tmp_path, short_svg, robot, stop=after(1))
    assert progress(tmp_path)["iteration"] == 1
    assert run_training(tmp_path, short_svg, robot)
    first, second = (row["train_psnr"] for row in runs.read_metrics(tmp_path))
    assert first is None and second > 0
