"""The training step: what the optimizer is given, and what a step that is not finite leaves alone."""

import math

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from vidpred.clip import Clip
from vidpred.config import PoseCVAEConfig, SpeedConfig, SVGConfig, TrainConfig
from vidpred.errors import BadInput
from vidpred.losses import loss_terms, reduce_terms, total_loss
from vidpred.models import build_model
from vidpred.models.batch_norm import update_running_statistics
from vidpred.training.step import build_learner, train_step, with_captured_passes

SVG = SVGConfig(width=3, g_dim=8, z_dim=5, rnn_size=12, learned_prior=True)
POSE = PoseCVAEConfig(frame_dim=8, pose_dim=4, z_channels=4, fusion_dim=8)
BETA = 0.3


def learner(config, t, speed=None, precision="float64"):
    torch.manual_seed(0)
    speed = speed or SpeedConfig()
    return build_learner(build_model(config, speed), t, speed, Accelerator(cpu=True), precision)


def batch(config, clips=2, frames=3, seed=1):
    """A clip and its noise, of float64 numbers."""
    source = torch.Generator().manual_seed(seed)
    height, width = config.frame_size
    known = (7,) if config.condition == "actions" else (3, height, width)
    z_shape = build_model(config).z_shape
    shapes = (clips, frames, 3, height, width), (clips, frames, *known), (clips, frames - 1, *z_shape)
    pixels, conditions, noise = (torch.randn(shape, generator=source, dtype=torch.float64) for shape in shapes)
    return Clip(pixels.sigmoid(), conditions, 1), noise


def state(one):
    """All that a step may move."""
    moments = [v.clone() for p in one.model.parameters() for v in one.optimizer.state.get(p, {}).values()]
    return [v.clone() for v in one.model.state_dict().values()] + moments


@pytest.mark.parametrize("parts", [1, 2])
def test_equals_the_mean_gradient_of_the_parts_clipped_and_stepped(parts):
    """By hand: autograd, the norm of it all, one Adam."""
    t = TrainConfig(batch_size=2 * parts, accumulation=parts, grad_clip=0.01)
    given = [batch(SVG, seed=seed) for seed in range(parts)]
    one = learner(SVG, t)
    by_hand = learner(SVG, t).model
    result = train_step(one, t, iter(given), beta=BETA, feedback="prediction")

    losses = []
    for clip, noise in given:
        terms = reduce_terms(loss_terms(by_hand.unroll(clip, noise, "posterior", "prediction"), clip))
        losses.append(total_loss(terms, BETA))
    loss = sum(losses) / parts
    loss.backward()
    norm = math.sqrt(sum(p.grad.square().sum().item() for p in by_hand.parameters()))
    assert norm > t.grad_clip
    for p in by_hand.parameters():
        p.grad *= t.grad_clip / norm
    torch.optim.Adam(by_hand.parameters(), t.lr).step()
    update_running_statistics(by_hand)
    assert result.moved and result.means["loss"] == pytest.approx(loss.item(), abs=1e-10)
    assert result.means["mse"] + BETA * result.means["kld"] == pytest.approx(loss.item(), abs=1e-10)
    for (name, ours), expected in zip(one.model.state_dict().items(), by_hand.state_dict().values()):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-6, msg=name)  # Adam divides by gradients near 0


@pytest.mark.parametrize("parts", [1, 2])
def test_what_keeps_frames_sharp_is_added_to_the_loss(parts):
    """The errors of both kinds by numpy, summed over the steps and averaged over the clips as the MSE is."""
    t = TrainConfig(batch_size=4, accumulation=parts, l1_weight=0.3, gradient_weight=2.0)
    clip, noise = batch(SVG, clips=4)
    one = learner(SVG, t)
    one.model.eval()
    one.model.train = lambda: None
    with torch.no_grad():
        predictions = one.model.unroll(clip, noise, "posterior", "truth").predictions
    error = (predictions - clip.frames[:, 1:]).numpy()
    right, below = (np.diff(error, axis=axis) ** 2 for axis in (-1, -2))
    expected = 0.3 * np.abs(error).mean((2, 3, 4)) + 2 * (right.mean((2, 3, 4)) + below.mean((2, 3, 4)))
    given = zip(clip.frames.chunk(parts), clip.conditions.chunk(parts), noise.chunk(parts))
    chunks = [(Clip(frames, conditions, 1), eps) for frames, conditions, eps in given]
    means = train_step(one, t, chunks, beta=BETA, feedback="truth").means
    assert means["mse"] == pytest.approx((error**2).mean((2, 3, 4)).sum(1).mean(), rel=1e-9)
    detail = means["loss"] - means["mse"] - BETA * means["kld"]
    assert detail == pytest.approx(expected.sum(1).mean(), rel=1e-9)


@pytest.mark.parametrize("reduction", ["batch", "length"])
def test_the_kl_weighs_the_same_in_parts(reduction):
    """Loss and terms of a batch are the means over its parts, where each is normalised as the whole batch is."""
    clip, noise = batch(POSE, clips=4)
    means = []
    for parts in (1, 2, 4):
        t = TrainConfig(batch_size=4, accumulation=parts, kld_reduction=reduction)
        given = zip(clip.frames.chunk(parts), clip.conditions.chunk(parts), noise.chunk(parts))
        one = learner(POSE, t)
        one.model.eval()
        one.model.train = lambda: None  # it stays with its running statistics
        parts = [(Clip(frames, conditions, 1), eps) for frames, conditions, eps in given]
        means.append(train_step(one, t, parts, beta=BETA, feedback="truth").means)
    assert means[0]["kld"] > 0
    assert means[1] == pytest.approx(means[0], rel=1e-9) and means[2] == pytest.approx(means[0], rel=1e-9)


@pytest.mark.parametrize("what", ["loss", "gradient"])
@pytest.mark.parametrize("config", [SVG, POSE], ids=["svg", "pose"])
def test_what_is_not_finite_moves_nothing(config, what):
    """Weights, moments and running statistics stay, and the step after it is taken as if it had not been."""
    t = TrainConfig(batch_size=2)
    one, other = learner(config, t), learner(config, t)
    clip, noise = batch(config)
    for each in (one, other):
        assert train_step(each, t, [(clip, noise)], beta=BETA, feedback="prediction").moved
    before = state(one)
    bad, beta = (noise * float("nan"), BETA) if what == "loss" else (noise, 1e300)
    result = train_step(one, t, [(clip, bad)], beta=beta, feedback="prediction")
    assert not result.moved and math.isfinite(result.means["loss"]) == (what == "gradient")
    assert all(torch.equal(a, b) for a, b in zip(state(one), before))
    for each in (one, other):
        assert train_step(each, t, [(clip, noise)], beta=BETA, feedback="truth").moved
    assert all(torch.equal(a, b) for a, b in zip(state(one), state(other)))


@pytest.mark.parametrize("config", [SVG, POSE], ids=["svg", "pose"])
@pytest.mark.parametrize("parts", [1, 2])
def test_captured_passes_change_no_result(config, parts):
    """Weights, running statistics and what is logged, over steps of every feedback. Where there is a GPU its graphs are
    captured; elsewhere each replay runs the recorded function over the memory that it was recorded with."""
    gpu = torch.cuda.is_available()
    device, record = ("cuda", None) if gpu else ("cpu", lambda function: function)
    t = TrainConfig(batch_size=2 * parts, accumulation=parts, grad_clip=0.01)
    torch.manual_seed(0)
    start = build_model(config).state_dict()
    results = []
    for captured in (False, True):
        model = build_model(config)
        model.load_state_dict(start)
        one = build_learner(model, t, SpeedConfig(cuda_graphs=False), Accelerator(cpu=not gpu), "float64")
        if captured:
            one = with_captured_passes(one, t, record)
        steps = []
        for i, feedback in enumerate(["truth", "prediction", 0.5, "truth", 0.25, "prediction"]):
            given = [batch(config, seed=10 * i + part) for part in range(parts)]
            moved = [(Clip(c.frames.to(device), c.conditions.to(device), 1), eps.to(device)) for c, eps in given]
            steps.append(train_step(one, t, moved, beta=BETA * i, feedback=feedback))
        results.append((steps, state(one)))
    (plain, expected), (replayed, found) = results
    for one, other in zip(plain, replayed):
        assert other.means == pytest.approx(one.means, abs=1e-8)
    for a, b in zip(found, expected):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)  # Adam divides by gradients near 0


def test_graphs_without_a_gpu_are_refused():
    with pytest.raises(BadInput, match="one GPU"):
        learner(SVG, TrainConfig(batch_size=2), SpeedConfig(cuda_graphs=True))
