"""Looks at z agree with the model's own pass, and tell a z that matters from one that does not."""

import pytest
import torch

from tests.commands import ROOT
from tests.promise import same_picture
from vidpred import checkpoint, metrics
from vidpred.data.batches import open_split, window_batch
from vidpred.latents import CONDITIONS, SOURCES, clip_latents, owed, psnr_by_conditions, psnr_by_source, traverse
from vidpred.losses import kl_divergence
from vidpred.rollout import predict


@pytest.fixture(scope="module")
def clips():
    return open_split(ROOT / "assets" / "data" / "robot_push", "test")


@pytest.fixture(scope="module", params=["push-free-learned-cyclical", "push-learned-cyclical"])
def model(request):
    return checkpoint.load_model(ROOT / "assets" / "runs" / request.param)


def one(clips, i=0, length=12):
    batch = window_batch(clips, [i], length)
    return batch.to_clip(2), batch.ids[0]


def test_latents_are_those_of_the_model(model, clips):
    clip, _ = one(clips)
    latents = clip_latents(model, clip)
    posterior, prior = model.gaussians(clip)
    kld, sigma, mu = kl_divergence(posterior, prior)[0], (posterior.logvar[0] / 2).exp(), prior.mu[0]
    if kld.dim() > 2:  # maps: the KL summed over a channel's pixels, the others averaged
        kld, sigma, mu = kld.sum((2, 3)), sigma.mean((2, 3)), mu.mean((2, 3))
    assert torch.allclose(latents.kld, kld.double(), atol=1e-4)
    assert torch.allclose(latents.posterior_sigma, sigma.double(), atol=1e-6)
    assert torch.allclose(latents.prior_mu, mu.double(), atol=1e-5)
    assert latents.kld.shape == (11, model.config.z_dim)


def test_maps_are_told_by_channel(dance_run, tiny_dance):
    model = checkpoint.load_model(dance_run)
    clip = window_batch(open_split(tiny_dance, "validate"), [0], 6).to_clip(1)
    latents = clip_latents(model, clip)
    assert {tuple(v.shape) for v in latents} == {(5, 4)}
    posterior, prior = model.gaussians(clip)
    assert torch.allclose(latents.kld, kl_divergence(posterior, prior)[0].double().sum((2, 3)), rtol=1e-4)
    psnr = psnr_by_source(model, clip, "a", "joint")
    assert [len(psnr[name]) for name in SOURCES] == [5] * 4
    assert traverse(model, clip, 3, 1, [-1.0, 1.0]).shape == (2, 3, 3, 32, 64)


def test_z_from_the_posterior_tells_the_future_where_z_carries_something(clips):
    free, informed = (
        checkpoint.load_model(ROOT / "assets" / "runs" / name)
        for name in ("push-free-learned-cyclical", "push-learned-cyclical")
    )
    gains = {}
    for name, model in (("free", free), ("informed", informed)):
        rows = [psnr_by_source(model, *one(clips, i), "finn") for i in range(6)]
        mean = {source: torch.stack([row[source] for row in rows]).mean().item() for source in SOURCES}
        gains[name] = {source: mean["posterior"] - mean[source] for source in SOURCES}
    assert gains["free"]["prior"] > 1  # dB
    assert gains["free"]["shuffled"] > 1
    assert abs(gains["informed"]["prior"]) < 0.2  # the posterior has collapsed: z says nothing


def test_the_prior_s_sample_is_the_prediction(model, clips):
    clip, name = one(clips)
    ours = psnr_by_source(model, clip, name, "finn", seed=5)["prior"]
    future = predict(model, clip, [name], n_future=10, seed=5)[0]
    assert torch.allclose(ours, metrics.psnr(future, clip.frames[:, 2:]), atol=1e-3)


def test_frames_owe_to_actions_what_is_lost_without_them(clips):
    """The context keeps its own conditions, so that only the predicted steps are told something else."""
    model = checkpoint.load_model(ROOT / "assets" / "runs" / "push-learned-cyclical")
    clip, name = one(clips)
    psnr = psnr_by_conditions(model, clip, name, "finn", seed=5)
    future = predict(model, clip, [name], n_future=10, seed=5)[0]
    assert torch.allclose(psnr["true"], metrics.psnr(future, clip.frames[:, 2:]), atol=1e-3)
    turned = clip.conditions.clone()
    turned[:, 1:11] = turned[:, 1:11].flip(1)
    future = predict(model, clip._replace(conditions=turned), [name], n_future=10, seed=5)[0]
    assert torch.allclose(psnr["reversed"], metrics.psnr(future, clip.frames[:, 2:]), atol=1e-3)
    assert all(psnr[other].mean() < psnr["true"].mean() - 3 for other in ("shuffled", "reversed", "zeroed"))


def test_what_frames_owe_is_the_mean_over_the_clips(clips, dance_run, tiny_dance):
    frames = {"n_past": 2, "n_future": 10, "seed": 1}
    free, informed = (
        checkpoint.load_model(ROOT / "assets" / "runs" / f"push-{n}learned-cyclical") for n in ("free-", "")
    )
    found = owed(free, clips, [1, 3], **frames)
    alone = [psnr_by_source(free, *one(clips, i), "finn", seed=1) for i in (1, 3)]
    assert found["z_from"] == {name: pytest.approx(sum(p[name].mean().item() for p in alone) / 2) for name in SOURCES}
    assert found["conditions"] is None
    assert list(owed(informed, clips, [0], **frames)["conditions"]) == list(CONDITIONS)
    dancer = checkpoint.load_model(dance_run)
    found = owed(dancer, open_split(tiny_dance, "validate"), [0], n_past=1, n_future=5)
    assert list(found["conditions"]) == list(CONDITIONS) and list(found["z_from"]) == list(SOURCES)


def test_a_traversal_moves_one_dimension_by_the_prior_s_sigma(model, clips):
    clip, name = one(clips)
    still = predict(model, clip, [name], n_future=4, temperature=0.0)[0, 0]
    moved = traverse(model, clip, 4, 0, [0.0, 2.0])
    assert same_picture(moved[0], still)
    assert not torch.equal(moved[1], moved[0])
    other = traverse(model, clip, 4, 1, [2.0])
    assert not torch.equal(moved[1], other[0])
