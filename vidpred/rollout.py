"""Futures from a context: seeds, temperature, samples. One function serves training, tables and the app.

Sample k of a seed is the same picture alone and among others; docs/performance.md, "The same result", says how exactly.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Literal

import torch
from torch import Tensor

from vidpred.clip import Clip
from vidpred.errors import BadInput
from vidpred.models import Model
from vidpred.randomness import generator

# Whether anyone still waits for what is predicted: asked before every frame, with the number of futures it is of.
wanted: ContextVar[Callable[[int], bool]] = ContextVar("wanted", default=lambda futures: True)


def require_wanted(futures: int) -> None:
    """BadInput where nobody waits for the next frame of so many futures."""
    if not wanted.get()(futures):
        raise BadInput("Nobody waits for this prediction any more")


def require_finite(predicted: Tensor, name: str) -> None:
    """BadInput for frames, or errors of frames, of a run that has diverged. name: of the run, for what is said."""
    if not torch.isfinite(predicted).all():
        raise BadInput(f"{name}: its predicted frames are not finite")


def internal_batch(model: Model) -> int:
    """Futures in every call of the model, fewer are filled up: another number changes the last bits of float32."""
    return model.futures_per_call["cpu" if next(model.parameters()).device.type == "cpu" else "gpu"]


def rollout_noise(model: Model, seed: int, sample: int, clip_id: str, steps: int) -> Tensor:
    """eps of one sample of one clip, (steps, *z_shape): the same alone, in a batch, in the app and in a table."""
    return generator(seed, sample, clip_id).normals(steps, model.z_shape)


def latent_of(model: Model, latent: str | None) -> str:
    """Where z comes from at prediction, by default as the model's settings say: "prior" or "standard"."""
    if latent is None:
        latent = "prior" if model.config.prior_at_test == "learned" else "standard"
    return latent


class Stepper:
    """Futures that go on one frame at a time from a kept state; every step may be given other conditions.

    The state is a value: keep `state` and put it back to take a step again.
    """

    def __init__(self, model: Model, context: tuple, noise: Tensor, latent: str | None = None):
        """context: as `model.look` gives it, one row for each future; noise: (B, n_past - 1, z), times temperature."""
        self.model = model
        self.latent = latent_of(model, latent)
        with torch.no_grad():
            self.state = model.begin(context, noise), None  # and the frame not yet seen

    @torch.no_grad()
    def next(self, conditions: Tensor | None, eps: Tensor, z: Tensor | None = None) -> Tensor:
        """The next frames (B, C, H, W).

        conditions: (B, 7), of the frames before, or the poses (B, C, H, W) of these. eps: (B, *z_shape), times
        temperature. z: (B, *z_shape), where it is not to be drawn.
        """
        state, unseen = self.state
        if unseen is not None:
            state = self.model.see(state, unseen)
        known = None if conditions is None else self.model.normalised(conditions[None])
        given = None if z is None else z[None]
        x, _, state = self.model.step(state, known, eps[None], self.latent, given)
        self.state = state, x
        return x[0]


@torch.no_grad()
def predict(
    model: Model,
    clip: Clip,
    ids: list[str],
    *,
    n_future: int,
    seed: int = 0,
    samples: int = 1,
    temperature: float = 1.0,
    first_sample: int = 0,
    latent: str | None = None,
    precision: Literal["no", "bf16"] = "no",
) -> Tensor:
    """Predicted frames (samples, B, n_future, C, H, W) in [0, 1] after the first n_past frames of each clip.

    The model sees the n_past context frames and the conditions, nothing else. temperature scales the sigma of every z,
    those of the context too; 0 takes the means, and all samples are one. latent: "prior" or "standard" (default: the
    model's prior_at_test). precision: bf16 is quicker where the device computes in it, and other pictures: PSNR moves
    by less than 0.02 dB. BadInput once `wanted` says that nobody waits any more.
    """
    if model.training:
        raise ValueError("predict needs a model in eval mode: in training mode a sample depends on its batch mates")
    n_past, clips, device, lag = clip.n_past, len(ids), clip.frames.device, model.condition_lag
    warm_up, steps = n_past - 1, n_past - 1 + n_future
    given = clip.conditions if model.conditioned else None
    rows_needed = steps + 1 - lag
    if given is not None and given.shape[1] < rows_needed:
        raise ValueError(f"{rows_needed} rows of conditions needed, {given.shape[1]} given")
    distinct = samples if temperature else 1  # the mean is one future
    jobs = [(k, b) for k in range(distinct) for b in range(clips)]
    size = internal_batch(model)
    futures = []
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        context = model.look(clip)
        for start in range(0, len(jobs), size):
            group = jobs[start : start + size]
            noise = [rollout_noise(model, seed, first_sample + k, ids[b], steps) for k, b in group]
            missing = size - len(group)
            eps = torch.stack(noise + [noise[-1]] * missing).to(device, clip.frames.dtype) * temperature
            rows = torch.tensor([b for _, b in group] + [group[-1][1]] * missing, device=device)
            stepper = Stepper(model, context.rows(rows), eps[:, :warm_up], latent)
            frames = []
            for t in range(n_past, steps + 1):
                require_wanted(len(group))
                known = None if given is None else given[rows, t - lag]
                frames.append(stepper.next(known, eps[:, t - 1]))
            futures.append(torch.stack(frames, 1)[: len(group)])
    return torch.cat(futures).unflatten(0, (distinct, clips)).expand(samples, -1, -1, -1, -1, -1)
