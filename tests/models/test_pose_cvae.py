"""The pose-conditioned CVAE behaves as it is specified."""

import pytest
import torch
from torch.nn import functional as F

from vidpred.clip import Clip
from vidpred.config import PoseCVAEConfig, SpeedConfig
from vidpred.losses import loss_terms, reduce_terms, total_loss
from vidpred.models import PoseCVAE, count_parameters
from vidpred.models.batch_norm import update_running_statistics
from vidpred.presets import preset
from vidpred.rollout import predict

CONFIG = PoseCVAEConfig(frame_dim=8, pose_dim=4, z_channels=4, fusion_dim=8)
B, T = 2, 5


def build(speed=None, **changes):
    torch.manual_seed(0)
    return PoseCVAE(PoseCVAEConfig(**{**vars(CONFIG), **changes}), speed).double()


def a_clip(frames=T, poses=T):
    source = torch.Generator().manual_seed(1)
    draw = [torch.rand(B, n, 3, 32, 64, generator=source, dtype=torch.float64) for n in (T, T)]
    return Clip(draw[0][:, :frames], draw[1][:, :poses], 1)


def noise(model, steps=T - 1):
    return torch.randn(B, steps, *model.z_shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def frame_by_frame(model, clip, eps, feedback, share):
    """The published loop: one step after the other, every frame and pose encoded when its turn comes."""
    loss, x_pred = 0.0, None
    for t in range(1, clip.frames.shape[1]):
        x, before = clip.frames[:, t], clip.frames[:, t - 1]
        pose = model.pose_encoder(clip.conditions[:, t], 1)
        z = model.gaussian_predictor(model.frame_encoder(x), pose)
        if t == 1 or feedback == "truth":
            ref = before
        elif feedback == "prediction":
            ref = x_pred
        else:
            ref = share * before + (1 - share) * x_pred
        code = torch.cat([model.frame_encoder(ref), pose, z.mu + (z.logvar / 2).exp() * eps[:, t - 1]], 1)
        x_pred = torch.sigmoid(model.generator(model.fusion(code)))
        kld = -0.5 * (1 + z.logvar - z.mu.square() - z.logvar.exp()).flatten(1).sum(1).mean()
        loss = loss + F.mse_loss(x_pred, x) + 1e-4 * kld
    loss.backward()
    return loss.item(), x_pred, {name: p.grad.clone() for name, p in model.named_parameters()}


def test_trainable_parameters_of_the_full_preset():
    model = PoseCVAE(preset("pose").model)
    parts = {name: count_parameters(part) for name, part in model.named_children()}
    assert parts == {
        "frame_encoder": 193_568,
        "pose_encoder": 16_832,
        "gaussian_predictor": 8_289,
        "fusion": 617_768,
        "generator": 749_163,
    }
    assert count_parameters(model) == 1_585_620


@pytest.mark.parametrize("steps_per_call", [None, 1, 3])
@pytest.mark.parametrize(("feedback", "share"), [("truth", 1.0), ("prediction", 0.0), ("mix", 0.3)])
def test_equals_the_loop_frame_by_frame(feedback, share, steps_per_call):
    clip, model = a_clip(), build(SpeedConfig(steps_per_call=steps_per_call)).train()
    eps = noise(model)
    loss, last, gradients = frame_by_frame(build().train(), clip, eps, feedback, share)
    unrolled = model(clip, eps, "posterior", share if feedback == "mix" else feedback)
    ours = total_loss(reduce_terms(loss_terms(unrolled, clip)), 1e-4)
    ours.backward()
    assert ours.item() == pytest.approx(loss, abs=1e-10)
    assert torch.allclose(unrolled.predictions[:, -1], last, atol=1e-10, rtol=0)
    for name, p in model.named_parameters():
        assert torch.allclose(p.grad, gradients[name], atol=1e-10, rtol=0), name
        assert p.grad.abs().max() > 0, f"{name} gets no gradient"


def test_detached_feedback_cuts_the_gradient_of_free_running_alone():
    clip, gradients = a_clip(), {}
    for detach in (False, True):
        for feedback in ("prediction", 0.5):
            model = build(detach_feedback=detach).train()
            unrolled = model(clip, noise(model), "posterior", feedback)
            gradients[detach, feedback] = torch.autograd.grad(
                unrolled.predictions[:, -1].sum(), model.generator[-1].weight
            )[0]
    assert not torch.allclose(gradients[True, "prediction"], gradients[False, "prediction"])
    assert torch.equal(gradients[True, 0.5], gradients[False, 0.5])


def test_the_published_slope_is_the_identity():
    published, ours = build(leaky_relu="published").eval(), build().eval()
    x = a_clip().conditions[:, 0]
    expected = published.pose_encoder.block(published.pose_encoder.norm(published.pose_encoder.conv(x)))
    assert torch.equal(published.pose_encoder(x, 1), expected)
    assert not torch.allclose(ours.pose_encoder(x, 1), expected)


def test_without_an_output_activation_frames_may_leave_the_range():
    model = build(output_activation="none").train()
    x = model(a_clip(), 10 * noise(model), "standard", "truth").predictions
    assert x.min() < 0 or x.max() > 1


@pytest.fixture(scope="module")
def trained():
    """In eval mode, with running statistics that fit its poses."""
    model = build().train()
    model(a_clip(), noise(model), "posterior", "truth")
    update_running_statistics(model, 1.0)
    return model.eval()


def imagined(model, clip, **options):
    return predict(model, clip, ["a", "b"], n_future=T - 1, **options)[0]  # B, T - 1, C, H, W


def test_prediction_is_the_unroll_with_z_from_the_standard_normal(trained):
    """Both ways through time, the stepper and the unroll, are one."""
    from vidpred.rollout import rollout_noise

    eps = torch.stack([rollout_noise(trained, 0, 0, name, T - 1) for name in ("a", "b")]).double()
    with torch.no_grad():
        unrolled = trained(a_clip(frames=1), eps, "standard", "prediction")
    assert torch.allclose(imagined(trained, a_clip(frames=1)), unrolled.predictions, atol=1e-12)


def test_the_prediction_follows_the_pose_and_no_later_one(trained):
    clip = a_clip(frames=1)
    plain = imagined(trained, clip)
    for t in range(1, T):
        poses = clip.conditions.clone()
        poses[:, t] = 1 - poses[:, t]
        changed = imagined(trained, clip._replace(conditions=poses))
        assert torch.equal(changed[:, : t - 1], plain[:, : t - 1]), f"frame {t - 1} knows pose {t}"
        assert (changed[:, t - 1] - plain[:, t - 1]).abs().mean() > 1e-3, f"frame {t} does not know its pose"
    poses = clip.conditions.clone()
    poses[:, 0] = 0
    assert torch.equal(imagined(trained, clip._replace(conditions=poses)), plain)  # the given frame is known already


def test_the_prediction_depends_on_the_first_frame_and_no_other(trained):
    clip, plain = a_clip(), imagined(trained, a_clip(frames=1))
    frames = torch.cat([clip.frames[:, :1], torch.zeros_like(clip.frames[:, 1:])], 1)
    assert torch.equal(imagined(trained, clip._replace(frames=frames)), plain)
    other = imagined(trained, clip._replace(frames=1 - clip.frames[:, :1]))
    assert (other[:, 0] - plain[:, 0]).abs().mean() > 1e-5


def test_z_and_temperature(trained):
    clip = a_clip(frames=1)
    cold = [imagined(trained, clip, temperature=0.0, seed=seed) for seed in (0, 1)]
    assert torch.equal(*cold)
    warm = [imagined(trained, clip, seed=seed) for seed in (0, 1, 0)]
    assert torch.equal(warm[0], warm[2])
    assert (warm[0] - warm[1]).abs().max() > 1e-3


def test_a_sample_does_not_depend_on_its_batch_mates(trained):
    clip = a_clip(frames=1)
    alone = predict(trained, Clip(clip.frames[1:], clip.conditions[1:], 1), ["b"], n_future=T - 1, first_sample=2)
    together = predict(trained, clip, ["a", "b"], n_future=T - 1, samples=3)
    torch.testing.assert_close(together[2, 1], alone[0, 0], rtol=0, atol=1e-12)


def test_missing_poses_and_frames_are_said(trained):
    with pytest.raises(ValueError, match="5 poses needed, 4 given"):
        trained(a_clip(poses=4), noise(trained), "posterior", "truth")
    with pytest.raises(ValueError, match="rows of conditions needed"):
        imagined(trained, a_clip(frames=1, poses=4))
    with pytest.raises(ValueError, match="5 frames needed, 3 given"):
        trained(a_clip(frames=3), noise(trained), "posterior", "truth")


def test_it_learns_a_clip():
    """After 120 steps the error of a clip is a third of what it was."""
    torch.manual_seed(0)
    model = PoseCVAE(CONFIG).train()
    still = torch.linspace(0, 1, 64).expand(1, 3, 3, 32, 64).clone()
    still[:, 1, :, 8:24, 8:24] = 1.0
    still[:, 2, :, 8:24, 24:40] = 1.0
    clip = Clip(still, still.flip(-1), 1)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    errors = []
    for _ in range(120):
        optimizer.zero_grad()
        unrolled = model(clip, torch.randn(1, 2, *model.z_shape), "posterior", "prediction")
        loss = total_loss(reduce_terms(loss_terms(unrolled, clip)), 1e-6)
        loss.backward()
        optimizer.step()
        errors.append(reduce_terms(loss_terms(unrolled, clip))["mse"].item())
        if errors[-1] < errors[0] / 3:
            break
    assert min(errors[-5:]) < errors[0] / 3
