"""Futures from a context: seeds, temperature, samples. One function serves training, tables and the app."""

import torch
from torch import Tensor

from vidpred.clip import Clip
from vidpred.models.svg import SVG
from vidpred.randomness import draw_steps, generator

INTERNAL_BATCH = 8
"""Rows in every call of the model: another size changes the last bits of float32, and with them the picture."""


def rollout_noise(model: SVG, seed: int, sample: int, clip_id: str, steps: int) -> Tensor:
    """eps of one sample of one clip, (steps, *z_shape): the same alone, in a batch, in the app and in a table."""
    return draw_steps(generator(seed, sample, clip_id), steps, model.z_shape)


@torch.no_grad()
def predict(
    model: SVG,
    clip: Clip,
    ids: list[str],
    *,
    n_future: int,
    seed: int = 0,
    samples: int = 1,
    temperature: float = 1.0,
    first_sample: int = 0,
    latent: str | None = None,
) -> Tensor:
    """Predicted frames (samples, B, n_future, C, H, W) in [0, 1] after the first n_past frames of each clip.

    The model sees the n_past context frames and the conditions, nothing else. temperature scales the sigma of every z,
    those of the context too; 0 takes the means. latent: "prior" or "standard" (default: the model's prior_at_test).
    """
    if model.training:
        raise ValueError("predict needs a model in eval mode: in training mode a sample depends on its batch mates")
    if latent is None:
        latent = "standard" if model.config.prior_at_test == "standard" else "prior"
    n_past, clips = clip.n_past, len(ids)
    steps = n_past + n_future - 1
    if clip.frames.shape[1] < n_past:
        raise ValueError(f"{n_past} context frames needed, {clip.frames.shape[1]} given")
    device = clip.frames.device
    jobs = [(k, b) for k in range(samples) for b in range(clips)]
    futures = []
    for start in range(0, len(jobs), INTERNAL_BATCH):
        group = jobs[start : start + INTERNAL_BATCH]
        rows = [b for _, b in group] + [group[-1][1]] * (INTERNAL_BATCH - len(group))
        noise = [rollout_noise(model, seed, first_sample + k, ids[b], steps) for k, b in group]
        noise += [noise[-1]] * (INTERNAL_BATCH - len(group))
        given = Clip(
            clip.frames[rows, :n_past], None if clip.conditions is None else clip.conditions[rows, :steps], n_past
        )
        eps = torch.stack(noise).to(device, clip.frames.dtype) * temperature
        unrolled = model.unroll(given, eps, latent, "prediction")
        futures.append(unrolled.predictions[: len(group), n_past - 1 :])
    return torch.cat(futures).unflatten(0, (samples, clips))
