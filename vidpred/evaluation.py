"""The numbers of a model on clips: by named protocol, independent of batch size, of the clips' order and of the number
of processes that share the work (docs/performance.md, "The same result", says to which digit)."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from vidpred import metrics, processes
from vidpred.clip import Clip
from vidpred.config import DanceDataConfig, DataConfig, ModelConfig
from vidpred.data.batches import Clips, require_suitable, window_batch
from vidpred.losses import kl_divergence
from vidpred.models import Model
from vidpred.models.gaussian import Gaussian
from vidpred.perceptual import measure, require_enough
from vidpred.rollout import internal_batch, latent_of, predict, require_finite

CLIPS_AT_ONCE = 8  # whose latents are looked at


class Scores(NamedTuple):
    """Per sample, clip and predicted frame, float64 on the CPU: psnr, ssim, mse, and, where the scene has moved since
    the context, sharpness and psnr_motion (NaN in a frame where nothing has): (N, clips, n_future).

    copy_last_psnr, of the last context frame repeated, and diversity, the RMSE between two samples (0 for one sample):
    (clips, n_future). also: what further metrics, by name, say of the clips: (N, clips, n_future), FVD its features.
    """

    psnr: Tensor
    ssim: Tensor
    mse: Tensor
    sharpness: Tensor
    psnr_motion: Tensor
    copy_last_psnr: Tensor
    diversity: Tensor
    also: dict[str, Tensor]


class Latents(NamedTuple):
    """Of every clip and step t = 1 … T-1, on the CPU: kld (clips, T-1, dimensions or channels of z) in nats, float64;
    the posterior's means and how far they lie from the prior's (clips, T-1, *z_shape); the prior's sigma, the mean over
    all of z (clips, T-1)."""

    kld: Tensor
    mu: Tensor
    mu_difference: Tensor
    prior_sigma: Tensor


def frames_ahead(data: DataConfig | DanceDataConfig, clips: Clips, chosen: list[int], n_past: int | None = None) -> int:
    """Frames after the context that validation and test look at; dance videos may be shorter than was asked for.

    n_past: context frames (none: as trained); a dance may end before as many follow them.
    """
    shortest = int(clips.lengths()[chosen].min())
    ahead = data.scored_length(shortest) - data.n_past
    if n_past and clips.has_poses:
        ahead = min(ahead, shortest - n_past)
    return max(1, ahead)


def require_scorable(clips: Clips, chosen: list[int], model: ModelConfig, *, n_past: int, n_future: int) -> None:
    """BadInput unless a model takes the clips, and each of the chosen ones has n_future true frames after n_past."""
    require_suitable(clips, model)
    shortest = chosen[int(clips.frames_given()[chosen].argmin())]
    clips.window(shortest, 0, n_past + n_future)


def score(futures: Tensor, clip: Clip, protocol: str, also: tuple[str, ...] = ()) -> Scores:
    """Score predicted frames (N, B, n_future, C, H, W) against those that follow a clip's context."""
    n_past = clip.n_past
    truth = clip.frames[:, n_past : n_past + futures.shape[2]]
    last = clip.frames[:, n_past - 1 : n_past]
    copied = last.expand_as(truth)
    every = truth.expand_as(futures)
    several = len(futures) > 1
    return Scores(
        metrics.psnr(futures, every, protocol).cpu(),
        metrics.ssim_finn(futures, every).cpu(),
        (futures - every).square().mean((3, 4, 5)).cpu().double(),
        metrics.sharpness(futures, every, last).cpu(),
        metrics.psnr_motion(futures, every, last).cpu(),
        metrics.psnr(copied, truth, protocol).cpu(),
        (metrics.sample_diversity(futures) if several else torch.zeros(truth.shape[:2])).cpu().double(),
        {name: measure(name).score(futures, every).cpu() for name in also},
    )


def score_futures(
    model: Model,
    clips: Clips,
    chosen: list[int],
    *,
    n_past: int,
    n_future: int,
    samples: int = 1,
    also: tuple[str, ...] = (),
    progress: Callable[[int], None] = lambda done: None,
    **sampling: float | str | None,
) -> Scores:
    """Predict the chosen clips from their first n_past frames and score the n_future frames after them.

    sampling: temperature, seed, latent and precision, as `rollout.predict` takes them.
    """
    weight = next(model.parameters())
    parts = []
    for group in processes.own(_groups(chosen, max(1, 2 * internal_batch(model) // samples))):
        batch = window_batch(clips, group, n_past + n_future)
        clip = batch.to_clip(n_past, weight.device, weight.dtype)
        futures = predict(model, clip, batch.ids, n_future=n_future, samples=samples, **sampling)
        parts.append(score(futures, clip, model.config.psnr_protocol, also))
        progress(len(group))
    *tensors, further = zip(*processes.gathered(parts))
    return Scores(
        *(torch.cat(part, -2) for part in tensors),
        {name: torch.cat([part[name] for part in further], -2) for name in also},
    )


@torch.no_grad()
def look_at_latents(model: Model, clips: Clips, chosen: list[int], *, n_past: int, n_future: int) -> Latents:
    """What posterior and prior say about the chosen clips when all true frames are shown."""
    weight = next(model.parameters())
    parts = []
    for group in processes.own(_groups(chosen, CLIPS_AT_ONCE)):
        clip = window_batch(clips, group, n_past + n_future).to_clip(n_past, weight.device, weight.dtype)
        posterior, prior = (Gaussian(*(v.cpu() for v in side)) for side in model.gaussians(clip))
        kld = torch.stack([_per_channel(q, p) for q, p in zip(_clips(posterior), _clips(prior))])
        sigma = (prior.logvar / 2).exp().flatten(2).mean(2)
        parts.append(Latents(kld, posterior.mu, posterior.mu - prior.mu, sigma))
    return Latents(*(torch.cat(part) for part in zip(*processes.gathered(parts))))


def evaluate(
    model: Model,
    clips: Clips,
    chosen: list[int],
    *,
    n_past: int,
    n_future: int,
    samples: int,
    temperature: float,
    seed: int,
    latent: str | None = None,
    precision: str = "no",
    also: tuple[str, ...] = (),
    bounces: list[list[int]] | None = None,
    name: str = "this model",
    progress: Callable[[int], None] = lambda done: None,
) -> dict:
    """The chosen clips of a split: what train.evaluate writes. bounces: of each clip, the frames that were not to be
    known. name: of the run, for what is said about one that has diverged."""
    frames = {"n_past": n_past, "n_future": n_future}
    sampling = {"samples": samples, "temperature": temperature, "seed": seed}
    for metric in also:
        require_enough(metric, len(chosen), n_future)
    scores = score_futures(
        model, clips, chosen, **frames, **sampling, latent=latent, precision=precision, also=also, progress=progress
    )
    require_finite(scores.mse, name)
    latents = look_at_latents(model, clips, chosen, **frames)
    best_psnr, best_ssim = metrics.best_of_n(scores.psnr), metrics.best_of_n(scores.ssim)
    best_curves = scores.psnr[best_psnr.index, torch.arange(len(chosen))]
    of_clips = {name: getattr(scores, name).nanmean(2) for name in ("psnr", "ssim", "sharpness", "psnr_motion")}
    sampled = latent_of(model, latent)
    kld_map = latents.kld.mean(0)  # step, dimension or channel of z
    return {
        "psnr": scores.psnr.mean().item(),
        "ssim": scores.ssim.mean().item(),
        "psnr_best": best_psnr.mean,
        "psnr_best_ci95": best_psnr.ci95,
        "ssim_best": best_ssim.mean,
        "ssim_best_ci95": best_ssim.ci95,
        "psnr_best_of": metrics.best_of_each_n(scores.psnr).tolist(),
        "copy_last_psnr": scores.copy_last_psnr.mean().item(),
        "sharpness": of_clips["sharpness"].nanmean().item(),
        "psnr_motion": of_clips["psnr_motion"].nanmean().item(),
        "per_frame": {
            "psnr": scores.psnr.mean((0, 1)).tolist(),
            "ssim": scores.ssim.mean((0, 1)).tolist(),
            "psnr_best": best_curves.mean(0).tolist(),
            "copy_last_psnr": scores.copy_last_psnr.mean(0).tolist(),
            "sharpness": scores.sharpness.nanmean((0, 1)).tolist(),
            "psnr_motion": scores.psnr_motion.nanmean((0, 1)).tolist(),
        },
        "per_clip": {
            "clip": [clips.ids[i] for i in chosen],
            **{name: values.nanmean(0).tolist() for name, values in of_clips.items()},
            **{f"{name}_best": of_clips[name].amax(0).tolist() for name in ("psnr", "ssim")},
        },
        "also": {
            name: _further_metric(name, values, {"clips": len(chosen), "samples": samples, "frames": n_future})
            for name, values in scores.also.items()
        },
        **({} if bounces is None else {"bounces": at_bounces(bounces, latents, scores.diversity, n_past)}),
        "diversity": scores.diversity.mean().item(),
        "kld_per_step": kld_map.sum(1).mean().item(),
        "kld_map": kld_map.tolist(),
        "active_units": metrics.active_units(latents.mu),
        "active_units_per_step": metrics.active_units_per_step(latents.mu_difference).tolist(),
        "clips": len(chosen),
        **sampling,
        **frames,
        "prior_at_test": "learned" if model.config.learned_prior and sampled == "prior" else "standard",
        "precision": precision,
        "protocol": model.config.psnr_protocol,
    }


def at_bounces(bounces: list[list[int]], latents: Latents, diversity: Tensor, n_past: int) -> dict[str, float | None]:
    """Whether a model is unsure where nobody can be sure, of the predicted frames.

    KL in nats and the prior's sigma of the steps that lead to a bounce and of all others; the spread of samples
    (diversity, (clips, n_future)) before a clip's first bounce after the context, and from then on. None: of no frame.
    """
    frames = torch.arange(n_past, n_past + diversity.shape[1])
    at = torch.stack([torch.isin(frames, torch.tensor(found, dtype=torch.long)) for found in bounces])
    after = at.cumsum(1) > 0
    kld, sigma = latents.kld.sum(2)[:, n_past - 1 :], latents.prior_sigma[:, n_past - 1 :]
    chosen = {
        **{"kld_at": kld[at], "kld_between": kld[~at], "prior_sigma_at": sigma[at], "prior_sigma_between": sigma[~at]},
        **{"diversity_before": diversity[~after], "diversity_after": diversity[after]},
    }
    return {name: values.mean().item() if len(values) else None for name, values in chosen.items()}


def _further_metric(name: str, values: Tensor, of: dict[str, int]) -> dict:
    """A further metric's numbers, and the protocol where the name does not say it all."""
    found = measure(name)
    protocol = {"protocol": {**found.protocol, **of, "context": "not counted"}} if found.protocol else {}
    return found.summary(values) | protocol


def _clips(gaussian: Gaussian) -> list[Gaussian]:
    """The Gaussian of each clip."""
    return [Gaussian(*pair) for pair in zip(*gaussian)]


def _per_channel(posterior: Gaussian, prior: Gaussian) -> Tensor:
    """KL (T-1, dimensions or channels of z) in float64 of one clip's (T-1, *z_shape), a map summed over its pixels."""
    kld = kl_divergence(*(Gaussian(*(v.double() for v in side)) for side in (posterior, prior)))
    return kld.flatten(2).sum(2) if kld.dim() > 2 else kld


def _groups(chosen: list[int], size: int) -> list[list[int]]:
    return [chosen[i : i + size] for i in range(0, len(chosen), size)]
