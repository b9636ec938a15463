"""What the models share: how a pass over time is asked for, and what it gives."""

from typing import Literal, NamedTuple

from torch import Tensor, nn

from vidpred.models.gaussian import Gaussian

CPU_CACHE = 16 * 2**20
"""Bytes that the largest activation of a call may take on a CPU: with more, every layer waits for main memory."""

Latent = Literal["posterior", "prior", "standard"]
Feedback = Literal["truth", "prediction"] | float
"""What a step past the context sees: the true frame (teacher forcing), the last prediction (free running), or a mix, in
which the true frame has the given share."""


class Unroll(NamedTuple):
    """One pass over the steps t = 1 … T-1. predictions: (B, T-1, C, H, W); posterior and prior: (B, T-1, z…).

    The posterior covers the steps whose true frame it was shown.
    """

    predictions: Tensor
    posterior: Gaussian
    prior: Gaussian


def true_share(feedback: Feedback) -> float:
    """The share of the true frame in what is fed back, in [0, 1]."""
    return {"truth": 1.0, "prediction": 0.0}[feedback] if isinstance(feedback, str) else feedback


def steps_per_call(model: nn.Module, x: Tensor, activation: int, least: int = 1) -> int:
    """Time steps of x (S, B, …) that a model's network takes at once.

    activation: numbers in the largest activation of one frame. least: steps that a call on a CPU takes even if they do
    not fit.
    """
    every = max(len(x), 1)
    if model.training and model.config.norm_stats == "pooled":
        return every  # the statistics are those of a call
    if model.speed.steps_per_call is not None:
        return model.speed.steps_per_call
    if x.device.type != "cpu":
        return every
    return max(least, CPU_CACHE // (x.shape[1] * activation * x.element_size()))
