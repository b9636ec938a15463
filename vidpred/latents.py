"""Looking at z: what posterior and prior say of one clip, and what the predicted frames owe to z and to the conditions.

Pictures here are made a few at a time, not in the fixed internal batch of `rollout.predict`: they explain, and are not
scored in any table.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from vidpred import metrics, processes
from vidpred.clip import Clip
from vidpred.data.batches import Clips, window_batch
from vidpred.losses import kl_divergence
from vidpred.models import Model
from vidpred.models.gaussian import Gaussian
from vidpred.randomness import generator
from vidpred.rollout import Stepper, require_wanted, rollout_noise

SOURCES = ("posterior", "prior", "zero", "shuffled")
CONDITIONS = ("true", "shuffled", "reversed", "zeroed")
OWED_FRAMES = 60  # of a long video, that are predicted to see what they owe to z and conditions


class ClipLatents(NamedTuple):
    """Of every step t = 1 … T-1 of one clip and every dimension (or channel) of z, float64 on the CPU, (T-1, z).

    kld in nats, summed over the pixels of a map; means and standard deviations, averaged over them.
    """

    kld: Tensor
    posterior_mu: Tensor
    posterior_sigma: Tensor
    prior_mu: Tensor
    prior_sigma: Tensor


@torch.no_grad()
def clip_latents(model: Model, clip: Clip) -> ClipLatents:
    """What posterior and prior say of one clip (B = 1) when all its true frames are shown."""
    posterior, prior = (Gaussian(*(v[0].cpu().double() for v in side)) for side in model.gaussians(clip))
    kld = kl_divergence(posterior, prior)
    maps = [v for side in (posterior, prior) for v in (side.mu, (side.logvar / 2).exp())]
    if kld.dim() == 2:
        return ClipLatents(kld, *maps)
    return ClipLatents(kld.flatten(2).sum(2), *(v.flatten(2).mean(2) for v in maps))


def psnr_by_source(
    model: Model, clip: Clip, clip_id: str, protocol: str, **sampling: float | str | None
) -> dict[str, Tensor]:
    """PSNR (n_future,) of the frames of `futures_by_source`, which takes `sampling`."""
    frames = futures_by_source(model, clip, clip_id, **sampling)
    truth = clip.frames[:, clip.n_past :].expand_as(frames)
    return dict(zip(SOURCES, metrics.psnr(frames, truth, protocol).cpu()))


def futures_by_source(
    model: Model, clip: Clip, clip_id: str, seed: int = 0, temperature: float = 1.0, latent: str | None = None
) -> Tensor:
    """A clip's (B = 1) free-running frames (SOURCES, n_future, C, H, W) with z from each of SOURCES.

    posterior: the means it gives when it is shown the true frames; prior: sample 0 that `rollout.predict` draws with
    this seed, temperature and latent; zero: z = 0; shuffled: the posterior's means in another order of the steps.
    """
    steps = clip.frames.shape[1] - 1
    with torch.no_grad():
        mu = model.gaussians(clip)[0].mu[0]  # steps, *z
    order = generator("shuffled z", seed, clip_id).permutation(steps)
    given = torch.stack([mu, torch.zeros_like(mu), mu[order]])
    eps = rollout_noise(model, seed, 0, clip_id, steps).to(mu) * temperature
    prior, others = (
        _imagine(model, clip, eps[None], latent=latent),
        _imagine(model, clip, torch.zeros_like(given), given),
    )
    return torch.cat([others[:1], prior, others[1:]])


def psnr_by_conditions(
    model: Model,
    clip: Clip,
    clip_id: str,
    protocol: str,
    seed: int = 0,
    temperature: float = 1.0,
    latent: str | None = None,
) -> dict[str, Tensor]:
    """PSNR (n_future,) of a clip's (B = 1) predicted frames, sample 0, given each of CONDITIONS from the context on.

    seed, temperature and latent as in `rollout.predict`.
    shuffled: those of the clip in another order of the steps; reversed: the last one first; zeroed: the training mean
    of each number, or black poses.
    """
    steps, start = clip.frames.shape[1] - 1, clip.n_past - model.condition_lag
    true = clip.conditions
    ahead = true[:, start : steps + 1 - model.condition_lag]
    order = generator("shuffled conditions", seed, clip_id).permutation(ahead.shape[1])
    nothing = model.condition_mean.expand_as(ahead) if ahead.dim() == 3 else torch.zeros_like(ahead)
    given = [torch.cat([true[:, :start], other], 1) for other in (ahead, ahead[:, order], ahead.flip(1), nothing)]
    eps = rollout_noise(model, seed, 0, clip_id, steps).to(clip.frames) * temperature
    frames = _imagine(model, clip, eps.expand(len(given), *eps.shape), conditions=torch.cat(given), latent=latent)
    truth = clip.frames[:, clip.n_past :].expand_as(frames)
    return dict(zip(CONDITIONS, metrics.psnr(frames, truth, protocol).cpu()))


def owed(
    model: Model, clips: Clips, chosen: list[int], *, n_past: int, n_future: int, **sampling: float | str | None
) -> dict[str, dict[str, float] | None]:
    """What train.evaluate writes of it: mean PSNR of the chosen clips by where z comes from (`z_from`) and by what is
    known of the steps (`conditions`; None where nothing is), of at most OWED_FRAMES predicted frames.

    sampling: seed, temperature and latent, as `rollout.predict` takes them.
    """
    weight = next(model.parameters())
    parts = []
    for i in processes.own(chosen):
        batch = window_batch(clips, [i], n_past + min(n_future, OWED_FRAMES))
        given = batch.to_clip(n_past, weight.device, weight.dtype), batch.ids[0], model.config.psnr_protocol
        by_conditions = psnr_by_conditions(model, *given, **sampling) if model.conditioned else None
        parts.append((psnr_by_source(model, *given, **sampling), by_conditions))
    z, conditions = zip(*processes.gathered(parts))
    return {"z_from": _means(z), "conditions": _means(conditions) if model.conditioned else None}


def _means(of_clips: tuple[dict[str, Tensor], ...]) -> dict[str, float]:
    return {name: torch.stack([psnr[name] for psnr in of_clips]).mean().item() for name in of_clips[0]}


def traverse(model: Model, clip: Clip, n_future: int, dimension: int, values: list[float]) -> Tensor:
    """Futures (values, n_future, C, H, W) of a clip (B = 1) with one dimension (or channel) of z pushed by so many
    standard deviations of the prior at every step, and all others at the prior's means."""
    steps = clip.n_past - 1 + n_future
    weight = next(model.parameters())
    eps = torch.zeros(len(values), steps, *model.z_shape, device=weight.device, dtype=weight.dtype)
    for row, value in enumerate(values):
        eps[row, :, dimension] = value
    return _imagine(model, clip, eps)


@torch.no_grad()
def _imagine(
    model: Model,
    clip: Clip,
    eps: Tensor,
    z: Tensor | None = None,
    conditions: Tensor | None = None,
    latent: str | None = None,
) -> Tensor:
    """Futures (K, n_future, C, H, W) of one clip, for eps and z (K, steps, *z_shape) and conditions (K, T, …; none:
    the clip's own). latent: as `Stepper` takes it."""
    n_past, rows = clip.n_past, torch.zeros(len(eps), dtype=torch.long, device=clip.frames.device)
    if conditions is None and model.conditioned:
        conditions = clip.conditions.expand(len(eps), *clip.conditions.shape[1:])
    stepper = Stepper(model, model.look(clip).rows(rows), eps[:, : n_past - 1], latent)
    frames = []
    for t in range(n_past, eps.shape[1] + 1):
        require_wanted(len(eps))
        known = conditions[:, t - model.condition_lag] if model.conditioned else None
        frames.append(stepper.next(known, eps[:, t - 1], None if z is None else z[:, t - 1]))
    return torch.stack(frames, 1)
