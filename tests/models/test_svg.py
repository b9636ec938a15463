"""What SVG must do, whatever its weights: each test fails for a bug that published code has had."""

import copy
import functools
from dataclasses import replace

import pytest
import torch

from vidpred.clip import Clip
from vidpred.config import SVGConfig
from vidpred.losses import kl_divergence, loss_terms, reduce_terms, total_loss
from vidpred.models import build_model, count_parameters
from vidpred.models.batch_norm import (
    EPS,
    StepBatchNorm,
    drop_pending_statistics,
    merge_batch_norm,
    update_running_statistics,
)
from vidpred.models.gaussian import Gaussian

SIZES = SVGConfig(width=4, g_dim=16, z_dim=6, rnn_size=24, condition_at="everywhere", learned_prior=True)
MAPS = replace(SIZES, code="map", stem="unshuffle", composite="mask", norm_stats="group", g_dim=8, z_dim=2, rnn_size=8)
KINDS = {
    "published": SIZES,
    "unshuffle": replace(SIZES, stem="unshuffle", composite="mask"),
    "map": MAPS,
}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
B, T, N_PAST = 3, 7, 3


def make(config=SIZES, seed=0, batch=B, train=False):
    """A model, a clip and noise, which a test may change."""
    return copy.deepcopy(made(config, seed, batch, train))


@functools.cache
def made(config, seed, batch, train):
    torch.manual_seed(seed)
    model = build_model(config).double()
    for p in model.parameters():
        p.data.add_(torch.randn_like(p) * 0.2)
    clip = Clip(
        torch.rand(batch, T, 3, 64, 64, dtype=torch.float64), torch.randn(batch, T, 7, dtype=torch.float64), N_PAST
    )
    noise = torch.randn(batch, T - 1, *model.z_shape, dtype=torch.float64)
    if not train:  # running statistics of these very frames: activations as in a trained network
        model.unroll(clip, noise, "posterior", "truth")
        update_running_statistics(model, 1.0)
        model.eval()
    return model, clip, noise


def changed(clip, t, part):
    tensors = {"frames": clip.frames.clone(), "conditions": clip.conditions.clone()}
    tensors[part][:, t] += 0.3
    return Clip(tensors["frames"], tensors["conditions"], clip.n_past)


def generated(model, clip, noise, latent="prior"):
    """Predicted frames n_past … T-1."""
    with torch.no_grad():
        return model.unroll(clip, noise, latent, "prediction").predictions[:, clip.n_past - 1 :]


# --- sizes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("learned_prior", "expected"), [(False, 23_290_371), (True, 23_882_627)])
def test_parameters_of_the_published_network(learned_prior, expected):
    model = build_model(SVGConfig(learned_prior=learned_prior))
    parts = [model.encoder, model.decoder, model.frame_predictor, model.posterior]
    assert [count_parameters(part) for part in parts] == [8_689_600, 12_873_283, 1_135_232, 592_256]
    assert count_parameters(model) == expected


@each_kind
def test_action_free_has_no_trace_of_a_condition(kind):
    model, clip, noise = make(replace(kind, condition="none"))
    assert not [name for name, _ in model.named_parameters() if "condition" in name or "known" in name]
    without = Clip(clip.frames, None, N_PAST)
    assert torch.equal(generated(model, without, noise), generated(model, clip, noise))


# --- what a prediction depends on ------------------------------------------------------------------------------------


@each_kind
def test_depends_on_every_context_frame_and_on_no_frame_after(kind):
    model, clip, noise = make(kind)
    before = generated(model, clip, noise)
    for t in range(T):
        difference = (generated(model, changed(clip, t, "frames"), noise) - before).abs().max()
        assert (difference > 1e-6) if t < N_PAST else (difference == 0), t


def test_generation_needs_only_the_context():
    model, clip, noise = make()
    given = Clip(clip.frames[:, :N_PAST], clip.conditions[:, : T - 1], N_PAST)
    assert torch.equal(generated(model, given, noise), generated(model, clip, noise))


@each_kind
@pytest.mark.parametrize("condition_at", ["decoder", "everywhere"])
def test_row_t_of_the_conditions_reaches_frame_t_plus_1_first(condition_at, kind):
    """Row t holds the gripper's position in frame t: used for frame t, it would give the target away."""
    model, clip, noise = make(replace(kind, condition_at=condition_at))
    with torch.no_grad():
        before = model.unroll(clip, noise, "posterior", "truth")
        rows = [model.unroll(changed(clip, row, "conditions"), noise, "posterior", "truth") for row in range(T)]
    for row, after in enumerate(rows):
        reached = [(after.predictions, before.predictions)]
        if condition_at == "everywhere":
            reached.append((after.prior.mu, before.prior.mu))
        for a, b in reached:
            moved = [bool((a - b)[:, t - 1].abs().max() > 1e-9) for t in range(1, T)]  # frames 1 … T-1
            assert (moved.index(True) + 1 if True in moved else None) == (row + 1 if row < T - 1 else None), row


@each_kind
@pytest.mark.parametrize(
    ("options", "frame"), [({}, N_PAST - 1), ({"skip_frame": "published"}, N_PAST - 2)], ids=["default", "published"]
)
def test_skips_come_from_the_last_context_frame(options, frame, kind):
    """Cut every other way from the context to the last frame: only the skips are left."""
    model, clip, noise = make(replace(kind, last_frame_skip=False, **options))
    with torch.no_grad():
        model.decoder.head.weight.zero_()
    before = generated(model, clip, noise)[:, -1]
    for t in range(N_PAST):
        last = generated(model, changed(clip, t, "frames"), noise)[:, -1]
        assert torch.equal(last, before) == (t != frame)


@each_kind
def test_last_frame_skip_takes_the_frame_before(kind):
    model, clip, noise = make(replace(kind, last_frame_skip=True))
    with torch.no_grad():
        model.decoder.head.weight.zero_()
        before = model.unroll(clip, noise, "posterior", "truth").predictions
        for t in range(T - 1):
            other = model.unroll(changed(clip, t, "frames"), noise, "posterior", "truth").predictions
            moved = (other - before).abs().amax((0, 2, 3, 4)) > 0
            assert moved.tolist() == [step == t + 1 for step in range(1, T)]


def test_a_mask_leaves_what_stands_still():
    """A mask of 0 gives the frame of the skips, a mask of 1 what the decoder makes: nothing of that frame."""
    model, clip, noise = make(KINDS["unshuffle"])
    for open_, expected in ((-100.0, clip.frames[:, N_PAST - 1, None]), (100.0, None)):
        with torch.no_grad():
            model.decoder.to_rgb.weight[:, 12:] = 0
            model.decoder.to_rgb.bias[12:] = open_
        frames = generated(model, clip, noise)
        if expected is not None:
            torch.testing.assert_close(frames, expected.expand_as(frames))
        else:
            assert not torch.allclose(frames, clip.frames[:, N_PAST - 1, None].expand_as(frames), atol=0.1)


@each_kind
def test_z_changes_the_prediction_and_the_prior_foretells_it(kind):
    model, clip, noise = make(kind)
    other = noise.clone()
    other[:, N_PAST:] += 1.0
    assert (generated(model, clip, other) - generated(model, clip, noise)).abs().max() > 1e-6
    assert (generated(model, clip, noise, "standard") - generated(model, clip, noise)).abs().max() > 1e-6


def test_z_inside_the_context_is_the_posteriors():
    """The state is warmed up with what the posterior saw, so the learned prior's weights cannot matter there."""
    model, clip, noise = make()
    given = Clip(clip.frames[:, :N_PAST], clip.conditions, N_PAST)
    with torch.no_grad():
        before = model.unroll(given, noise, "prior", "prediction")
        model.prior.mu.bias += 1.0
        after = model.unroll(given, noise, "prior", "prediction")
    assert torch.equal(before.predictions[:, : N_PAST - 1], after.predictions[:, : N_PAST - 1])
    assert not torch.equal(before.predictions[:, N_PAST - 1], after.predictions[:, N_PAST - 1])


def test_free_running_never_replaces_a_given_frame():
    """Only the published quirk feeds predictions back inside the context."""
    for option, same in (("context", True), ("published", False)):
        model, clip, noise = make(replace(SIZES, feedback_from=option))
        with torch.no_grad():
            forced = model.unroll(clip, noise, "posterior", "truth").predictions
            free = model.unroll(clip, noise, "posterior", "prediction").predictions
        assert torch.allclose(forced[:, :N_PAST], free[:, :N_PAST], atol=1e-12) == same
        assert not torch.allclose(forced[:, N_PAST:], free[:, N_PAST:])


# --- batches and state -----------------------------------------------------------------------------------------------


@each_kind
def test_a_sample_does_not_depend_on_its_batch_mates(kind):
    model, clip, noise = make(kind)
    together = generated(model, clip, noise)
    for b in range(B):
        alone = Clip(clip.frames[b : b + 1], clip.conditions[b : b + 1], N_PAST)
        torch.testing.assert_close(generated(model, alone, noise[b : b + 1])[0], together[b], rtol=0, atol=1e-12)


@each_kind
def test_nothing_of_a_call_stays_on_the_model(kind):
    model, clip, noise = make(kind)
    first = generated(model, clip, noise)
    generated(model, Clip(clip.frames[:1] * 0.5, clip.conditions[:1], 2), noise[:1])  # another batch size and context
    assert torch.equal(generated(model, clip, noise), first)


@each_kind
def test_more_steps_keep_the_earlier_frames(kind):
    model, clip, noise = make(kind)
    torch.testing.assert_close(
        generated(model, clip, noise[:, :-2]), generated(model, clip, noise)[:, :-2], rtol=0, atol=1e-12
    )


def test_too_few_frames_or_conditions_are_refused():
    model, clip, noise = make()
    with pytest.raises(ValueError, match="frames needed"):
        model.unroll(Clip(clip.frames[:, :-1], clip.conditions, N_PAST), noise, "posterior", "truth")
    with pytest.raises(ValueError, match="rows of conditions"):
        model.unroll(Clip(clip.frames, clip.conditions[:, : T - 2], N_PAST), noise, "prior", "prediction")
    with pytest.raises(ValueError, match="rows of conditions"):
        model.unroll(Clip(clip.frames, None, N_PAST), noise, "prior", "prediction")


# --- learning --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("feedback", ["truth", "prediction"])
@pytest.mark.parametrize("learned_prior", [False, True])
@pytest.mark.parametrize("condition", ["actions", "none"])
@each_kind
def test_every_parameter_gets_a_gradient(feedback, learned_prior, condition, kind):
    model, clip, noise = make(replace(kind, learned_prior=learned_prior, condition=condition), train=True)
    unroll = model.unroll(clip, noise, "posterior", feedback)
    total_loss(reduce_terms(loss_terms(unroll, clip)), 0.1).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or p.grad.abs().max() == 0]
    # a bias before a normalisation, and a constant that the normalisation takes away, have none by their nature
    normalised = ("conv.bias", "encoder.head.bias", "decoder.head.bias", "frame_predictor.out.bias")
    assert not [name for name in without if not name.endswith(normalised)]


def test_gradient_flows_through_fed_back_predictions_unless_detached():
    gradients = []
    for detach in (False, True):
        model, clip, noise = make(replace(SIZES, detach_feedback=detach), train=True)
        last = model.unroll(clip, noise, "posterior", "prediction").predictions[:, -1]
        last.sum().backward()
        gradients.append(model.decoder.to_rgb.weight.grad.clone())
    assert not torch.allclose(*gradients)


def test_conditions_are_normalised_inside_the_model():
    mean, scale = tuple(range(1, 8)), tuple(0.5 * i for i in range(1, 8))
    plain, clip, noise = make()
    normalising = build_model(replace(SIZES, condition_mean=mean, condition_scale=scale)).double().eval()
    normalising.load_state_dict(plain.state_dict())
    raw = clip.conditions * torch.tensor(scale).double() + torch.tensor(mean).double()
    torch.testing.assert_close(
        generated(normalising, Clip(clip.frames, raw, N_PAST), noise), generated(plain, clip, noise)
    )


@pytest.mark.parametrize(("kind", "lr", "steps"), [(SIZES, 0.01, 120), (MAPS, 0.003, 160)], ids=["published", "map"])
def test_overfits_a_batch(kind, lr, steps):
    """Seconds of training on two clips of a moving bar: the loss must fall to a twentieth of what it was. More is left
    by one prediction for both clips (an eighth), or for both steps (a sixteenth)."""
    torch.manual_seed(0)
    model = build_model(replace(kind, width=8))
    frames = torch.full((2, 3, 3, 64, 64), 0.1)
    for b in range(2):
        for t in range(3):
            frames[b, t, b % 3, :, 8 * b + 6 * t : 8 * b + 6 * t + 12] = 0.9
    clip = Clip(frames, torch.zeros(2, 3, 7), 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    losses = []
    for _ in range(steps):
        noise = torch.randn(2, 2, *model.z_shape)
        loss = reduce_terms(loss_terms(model.unroll(clip, noise, "posterior", "truth"), clip))["mse"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if losses[-1] < losses[0] / 20:
            break
    assert losses[-1] < losses[0] / 20


# --- losses and statistics -------------------------------------------------------------------------------------------


def test_kl_is_averaged_over_the_real_batch():
    """Divided by a configured batch size, a last, smaller batch would weigh less."""
    model, clip, noise = make(batch=4)
    half = Clip(clip.frames[:2], clip.conditions[:2], N_PAST)
    rest = Clip(clip.frames[2:], clip.conditions[2:], N_PAST)
    with torch.no_grad():
        whole, first, second = (
            reduce_terms(loss_terms(model.unroll(c, n, "posterior", "truth"), c))
            for c, n in ((clip, noise), (half, noise[:2]), (rest, noise[2:]))
        )
    for name in ("mse", "kld"):
        torch.testing.assert_close(whole[name], (first[name] + second[name]) / 2)


def test_kl_equals_torch_distributions_and_survives_extreme_variances():
    torch.manual_seed(0)
    q, p = (Gaussian(torch.randn(5, 4).double(), torch.randn(5, 4).double()) for _ in range(2))
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(q.mu, (q.logvar / 2).exp()), normal(p.mu, (p.logvar / 2).exp()))
    torch.testing.assert_close(kl_divergence(q, p), expected)
    narrow = Gaussian(torch.zeros(1), torch.full((1,), -230.0))  # sigma underflows in float32, its logarithm does not
    assert torch.isfinite(kl_divergence(narrow, Gaussian(torch.zeros(1), torch.zeros(1)))).all()


@each_kind
def test_latents_alone_are_those_of_the_unroll(kind):
    model, clip, noise = make(kind)
    with torch.no_grad():
        unrolled = model.unroll(clip, noise, "posterior", "truth")
        posterior, prior = model.gaussians(clip)
    for one, other in ((posterior, unrolled.posterior), (prior, unrolled.prior)):
        torch.testing.assert_close(one.mu, other.mu)
        torch.testing.assert_close(one.logvar, other.logvar)


@pytest.mark.parametrize("kind", [SIZES, KINDS["unshuffle"], replace(MAPS, norm_stats="per_step", stem="conv")])
def test_merged_batch_norm_predicts_the_same_and_cannot_be_trained(kind):
    model, clip, noise = make(kind)
    expected = generated(model, clip, noise)
    merge_batch_norm(model)
    torch.testing.assert_close(generated(model, clip, noise), expected)
    with pytest.raises(RuntimeError, match="cannot be trained"):
        generated(model.train(), clip, noise)


def test_group_norm_has_no_statistics_and_is_the_same_in_training():
    model, clip, noise = make(MAPS)
    assert not [name for name in model.state_dict() if "running" in name]
    before = generated(model, clip, noise)
    assert torch.equal(generated(model.train(), clip, noise), before)


def test_pooled_statistics_are_those_of_all_steps_together():
    """One normalisation over T x B: the outputs of a layer have mean 0 over all steps, not in each."""
    model, clip, noise = make(replace(SIZES, norm_stats="pooled"), train=True)
    brightness = torch.linspace(0.2, 1, T).double()[None, :, None, None, None]
    clip = clip._replace(frames=clip.frames * brightness)
    norm = model.encoder.blocks[0][0].norm
    model.train().unroll(clip, noise, "posterior", "truth")
    assert [len(mean) for mean, _ in norm.pending] == [1]
    x = model.encoder.blocks[0][0].conv(clip.frames.transpose(0, 1).flatten(0, 1))
    torch.testing.assert_close(norm.pending[0][0][0], x.mean((0, 2, 3)))


def test_statistics_of_a_skipped_step_are_forgotten():
    model, clip, noise = make(train=True)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.unroll(Clip(clip.frames * float("nan"), clip.conditions, N_PAST), noise, "posterior", "truth")
    drop_pending_statistics(model)
    update_running_statistics(model)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_what_never_changes_has_no_variance_below_0(monkeypatch):
    """A kernel's 1 / sqrt(variance + eps) is rounded, and weights with a variance below 0 are not opened again."""

    def kernel(x, *_):
        scale = torch.rsqrt(x.var(0, correction=0) + EPS)
        return x, x.mean(0), torch.nextafter(scale, torch.full_like(scale, torch.inf))

    monkeypatch.setattr(torch, "native_batch_norm", kernel)
    norm = StepBatchNorm(2)
    for _ in range(300):
        norm(torch.zeros(4, 2))
        update_running_statistics(norm)
    assert (norm.running_var >= 0).all()
