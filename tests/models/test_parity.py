"""Weight for weight, vidpred's batched unroll equals the published frame-by-frame loop, in float64."""

import functools
from dataclasses import replace

import pytest
import torch

from train.benchmark.yardstick import PublishedSVG, copy_weights
from vidpred.clip import Clip
from vidpred.config import SpeedConfig, SVGConfig
from vidpred.losses import loss_terms, reduce_terms, total_loss
from vidpred.models import batch_norm, build_model, winograd
from vidpred.models.batch_norm import update_running_statistics
from vidpred.rollout import Stepper

SIZES = SVGConfig(
    width=3,
    g_dim=8,
    z_dim=5,
    rnn_size=12,
    skip_frame="published",
    feedback_from="published",
    prior_at_test="standard",
)
B, T, N_PAST, BETA = 3, 7, 2, 0.3


def make(config, seed=0, n_past=N_PAST, speed=None):
    torch.manual_seed(seed)
    model = build_model(config, speed).double()
    for p in model.parameters():  # away from the start, where biases are 0 and nothing saturates
        p.data.add_(torch.randn_like(p) * 0.1)
    published = PublishedSVG(config).double()
    pairs = copy_weights(model, published)
    frames = torch.rand(B, T, 3, 64, 64, dtype=torch.float64)
    conditions = torch.randn(B, T, 7, dtype=torch.float64)
    noise = torch.randn(B, T - 1, config.z_dim, dtype=torch.float64)
    return model, published, pairs, Clip(frames, conditions, n_past), noise


def assert_gradients_equal(model, published, pairs):
    """Within 1e-10 of the largest of them: another order of summation moves the last digits."""
    ours = dict(model.named_parameters())
    near = 1e-10 * max(1.0, *(p.grad.abs().max().item() for p in published.parameters()))
    for name, parameter in published.named_parameters():
        torch.testing.assert_close(ours[pairs[name]].grad, parameter.grad, rtol=0, atol=near, msg=name)


def loss_of(model, clip, noise, feedback):
    terms = reduce_terms(loss_terms(model.unroll(clip, noise, "posterior", feedback), clip))
    return total_loss(terms, BETA), terms


@pytest.mark.parametrize("learned_prior", [False, True])
@pytest.mark.parametrize(
    ("feedback", "options"),
    [
        ("truth", {}),
        ("prediction", {}),
        ("truth", {"condition": "none"}),
        ("prediction", {"condition": "none"}),
        ("prediction", {"condition": "none", "predictor_norm": "none"}),  # the original SVG
        ("truth", {"last_frame_skip": True}),  # free running, the published one leaks the true frames' skips
    ],
)
def test_loss_and_gradients_equal_the_published_loop(learned_prior, feedback, options):
    config = replace(SIZES, learned_prior=learned_prior, **options)
    model, published, pairs, clip, noise = make(config)
    loss, terms = loss_of(model, clip, noise, feedback)
    loss.backward()
    expected, mse, kld = published.loss(
        clip.frames.unbind(1), clip.conditions.unbind(1), noise.unbind(1), N_PAST, BETA, feedback == "truth"
    )
    expected.backward()
    assert abs(loss - expected) < 1e-10
    assert abs(terms["mse"] - mse) < 1e-10 and abs(terms["kld"] - kld) < 1e-10
    assert_gradients_equal(model, published, pairs)


def step(n_past, feedback, speed):
    """Of five frames: each frame that is fed back multiplies the rounding of the gradients by about ten."""
    model, published, pairs, clip, noise = make(replace(SIZES, learned_prior=True), n_past=n_past, speed=speed)
    clip, noise = Clip(clip.frames[:, :5], clip.conditions[:, :5], n_past), noise[:, :4]
    model.to(memory_format=torch.channels_last if speed.channels_last else torch.contiguous_format)
    loss, _ = loss_of(model, clip, noise, feedback)
    loss.backward()
    update_running_statistics(model)
    statistics = {name: b for name, b in model.named_buffers() if "running" in name}
    return model, published, pairs, clip, noise, loss, statistics


@functools.cache
def published_step(n_past, feedback):
    """The published model with its gradients, its loss, and the running statistics of ours without a switch."""
    _, published, _, clip, noise, _, statistics = step(n_past, feedback, SpeedConfig())
    loss, _, _ = published.loss(
        clip.frames.unbind(1), clip.conditions.unbind(1), noise.unbind(1), n_past, BETA, feedback == "truth"
    )
    loss.backward()
    return published, loss.detach(), statistics


@pytest.mark.parametrize("feedback", ["truth", "prediction"])
@pytest.mark.parametrize("n_past", [2, 4])
@pytest.mark.parametrize(
    "switches",
    [
        {"hoist_skips": False},
        {"fold_upsampling": False},
        {"winograd": False},
        {"hoist_skips": False, "fold_upsampling": False, "steps_per_call": 1, "channels_last": False},
        {"steps_per_call": 2},
        {"checkpoint_activations": True},
    ],
)
def test_no_switch_changes_a_result(switches, n_past, feedback, monkeypatch):
    """Loss, every gradient and the running statistics; with a context of 4, a call holds kept skips and others."""
    monkeypatch.setattr(winograd, "LEAST_CHANNELS", 1)  # this network has few
    monkeypatch.setattr(winograd, "LEAST_TILES", 1)
    published, expected, plain = published_step(n_past, feedback)
    model, _, pairs, _, _, loss, statistics = step(n_past, feedback, SpeedConfig(**switches))
    assert abs(loss - expected) < 1e-10
    assert_gradients_equal(model, published, pairs)
    torch.testing.assert_close(statistics, plain, rtol=0, atol=1e-10)


def test_fused_normalisation_changes_no_result(monkeypatch):
    """In every layer, as the compiler traces it; the whole pass compiled is a test of the training step."""
    traced = torch.compile(batch_norm.by_formula, backend="eager")
    monkeypatch.setattr(batch_norm, "compiled_formula", lambda: traced)
    model, published, pairs, clip, noise = make(replace(SIZES, learned_prior=True), speed=SpeedConfig(compile="layers"))
    clip = Clip(clip.frames[:, :3], clip.conditions[:, :3], N_PAST)
    unrolled = model(clip, noise[:, :2], "posterior", "truth")
    loss = total_loss(reduce_terms(loss_terms(unrolled, clip)), BETA)
    loss.backward()
    expected, _, _ = published.loss(
        clip.frames.unbind(1), clip.conditions.unbind(1), noise[:, :2].unbind(1), N_PAST, BETA, True
    )
    expected.backward()
    assert abs(loss - expected) < 1e-10
    assert_gradients_equal(model, published, pairs)


def test_the_compiler_fuses_a_normalisation():
    """One layer through the real compiler: output, moments and every gradient."""
    source = torch.Generator().manual_seed(0)
    x = torch.randn(6, 4, 8, 8, generator=source, dtype=torch.float64)
    weight, bias = torch.randn(2, 4, generator=source, dtype=torch.float64)
    results = []
    for normalise in (batch_norm.compiled_formula(), batch_norm.by_kernel):
        given = [v.clone().requires_grad_() for v in (x, weight, bias)]
        y, mean, variance = normalise(*given, 2, 0.2)
        (y * x.flip(0)).sum().backward()
        results.append([y.detach(), mean.detach(), variance.detach(), *(v.grad for v in given)])
    torch.testing.assert_close(*results, rtol=0, atol=1e-10)


def test_bf16_stays_near():
    """Mixed precision keeps 8 bits of a number: the loss within 1 %, the gradient within 15 degrees."""
    model, _, _, clip, noise = make(replace(SIZES, width=16, learned_prior=True))
    expected, _ = loss_of(model, clip, noise, "truth")
    gradient = torch.autograd.grad(expected, list(model.parameters()))
    model.float()
    clip = Clip(clip.frames.float(), clip.conditions.float(), N_PAST)
    with torch.autocast("cpu", torch.bfloat16):
        unrolled = model(clip, noise.float(), "posterior", "truth")
    loss = total_loss(reduce_terms(loss_terms(unrolled, clip)), BETA)
    assert loss.dtype == torch.float32
    assert abs(loss / expected - 1) < 0.01
    near = torch.autograd.grad(loss, list(model.parameters()))
    pair = [torch.cat([g.flatten().double() for g in side]) for side in (near, gradient)]
    assert torch.nn.functional.cosine_similarity(*pair, dim=0) > 0.966


def test_checkpointing_keeps_fewer_activations():
    kept = []
    for switch in (False, True):
        model, _, _, clip, noise = make(SIZES, speed=SpeedConfig(checkpoint_activations=switch, steps_per_call=1))
        kept.append(0)

        def keep(x):
            kept[-1] += x.nbytes
            return x

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            model.unroll(clip, noise, "posterior", "truth")
    assert kept[1] < kept[0] / 4


@pytest.mark.parametrize("learned_prior", [False, True])
@pytest.mark.parametrize("n_past", [1, 2, 3])
def test_rollout_equals_the_published_generation(learned_prior, n_past):
    config = replace(SIZES, learned_prior=learned_prior, skip_frame="published" if n_past > 1 else "last_context")
    model, published, _, clip, noise = make(config, n_past=n_past)
    for _ in range(3):  # running statistics that are not those of a new network
        model.unroll(clip, noise, "posterior", "truth")
        update_running_statistics(model)
    copy_weights(model, published)
    model.eval(), published.eval()
    given = Clip(clip.frames[:, :n_past], clip.conditions, n_past)
    with torch.no_grad():
        predictions = model.unroll(given, noise, "standard", "prediction").predictions[:, n_past - 1 :]
    if n_past == 1:  # the published loop has no skip at all then: ours keeps the only frame there is
        published.config = replace(config, last_frame_skip=False)
        expected = reference_with_one_frame(published, clip, noise)
    else:
        expected = published.generate(clip.frames.unbind(1), clip.conditions.unbind(1), noise.unbind(1), n_past, T - 1)
    torch.testing.assert_close(predictions, torch.stack(expected[n_past:], 1), rtol=0, atol=1e-10)
    stepper = Stepper(model, model.look(given), noise[:, : n_past - 1], "standard")  # what predict and the app use
    stepped = [stepper.next(clip.conditions[:, t], noise[:, t]) for t in range(n_past - 1, T - 1)]
    torch.testing.assert_close(torch.stack(stepped, 1), predictions, rtol=0, atol=1e-10)


def reference_with_one_frame(published, clip, noise):
    published.init_hidden(B)
    x, generated = clip.frames[:, 0], [clip.frames[:, 0]]
    skip = published.encoder(x)[1]
    with torch.no_grad():
        for i in range(1, T):
            g = published.frame_predictor(torch.cat([published.encoder(x)[0], noise[:, i - 1]], 1))
            x = published.decoder(g, skip, clip.conditions[:, i - 1])
            generated.append(x)
    return generated


def test_running_statistics_move_once_towards_the_pool_of_the_steps():
    """What 0.9 of the old and 0.1 of the moments over all T frames together give."""
    model, _, _, clip, noise = make(SIZES)
    brightness = torch.linspace(0.2, 1, T).double()[None, :, None, None, None]  # the steps' means lie apart
    clip = clip._replace(frames=clip.frames * brightness)
    norm = model.encoder.blocks[0][0].norm
    x = model.encoder.blocks[0][0].conv(clip.frames.transpose(0, 1).flatten(0, 1))
    variance, mean = torch.var_mean(x, (0, 2, 3), correction=0)
    model.unroll(clip, noise, "posterior", "truth")
    update_running_statistics(model)
    torch.testing.assert_close(norm.running_mean, 0.1 * mean)
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * variance)
