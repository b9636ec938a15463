"""Futures from a context: seeds, temperature, samples. One function serves training, tables and the app."""

import torch
from torch import Tensor

from vidpred.clip import Clip
from vidpred.models.svg import SVG, Context, State
from vidpred.randomness import draw_steps, generator

INTERNAL_BATCH = {"cpu": 10, "gpu": 256}
"""Futures in every call of the model, fewer are filled up: another number changes the last bits of float32, and with
them the picture."""


def internal_batch(device: torch.device) -> int:
    """Futures in a call of the model on a device."""
    return INTERNAL_BATCH["cpu" if device.type == "cpu" else "gpu"]


def rollout_noise(model: SVG, seed: int, sample: int, clip_id: str, steps: int) -> Tensor:
    """eps of one sample of one clip, (steps, *z_shape): the same alone, in a batch, in the app and in a table."""
    return draw_steps(generator(seed, sample, clip_id), steps, model.z_shape)


def latent_of(model: SVG, latent: str | None) -> str:
    """Where z comes from at prediction, by default as the model's settings say: "prior" or "standard"."""
    if latent is None:
        latent = "standard" if model.config.prior_at_test == "standard" else "prior"
    return latent


class Stepper:
    """Futures that go on one frame at a time from a kept state; every step may be given other conditions.

    The state is a value: keep `state` and put it back to take a step again.
    """

    def __init__(self, model: SVG, context: Context, noise: Tensor, latent: str | None = None):
        """context: as `model.look` gives it, one row for each future; noise: (B, n_past - 1, z), times temperature."""
        self.model = model
        self.latent = latent_of(model, latent)
        with torch.no_grad():
            self.weights = model.decoder.up_weights(model.speed.fold_upsampling)
            self.state: tuple[State, Tensor | None] = model.begin(context, noise), None  # and the frame not yet seen

    @torch.no_grad()
    def next(self, conditions: Tensor | None, eps: Tensor) -> Tensor:
        """The next frames (B, C, H, W). conditions: (B, 7), of the frames before; eps: (B, z), times temperature."""
        state, unseen = self.state
        if unseen is not None:
            state = self.model.see(state, unseen)
        known = None if conditions is None else self.model.normalised(conditions[None])
        x, _, state = self.model.step(state, known, eps[None], self.latent, self.weights)
        self.state = state, x
        return x[0]


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
    n_past, clips, device = clip.n_past, len(ids), clip.frames.device
    warm_up, steps = n_past - 1, n_past - 1 + n_future
    given = None if model.config.condition == "none" else clip.conditions
    if given is not None and given.shape[1] < steps:
        raise ValueError(f"{steps} rows of conditions needed, {given.shape[1]} given")
    context, futures = model.look(clip), []
    jobs = [(k, b) for k in range(samples) for b in range(clips)]
    size = internal_batch(device)
    for start in range(0, len(jobs), size):
        group = jobs[start : start + size]
        noise = [rollout_noise(model, seed, first_sample + k, ids[b], steps) for k, b in group]
        missing = size - len(group)
        eps = torch.stack(noise + [noise[-1]] * missing).to(device, clip.frames.dtype) * temperature
        rows = torch.tensor([b for _, b in group] + [group[-1][1]] * missing, device=device)
        stepper = Stepper(model, context.rows(rows), eps[:, :warm_up], latent)
        frames = [stepper.next(None if given is None else given[rows, t], eps[:, t]) for t in range(warm_up, steps)]
        futures.append(torch.stack(frames, 1)[: len(group)])
    return torch.cat(futures).unflatten(0, (samples, clips))
