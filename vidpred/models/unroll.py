"""What the models share: how a pass over time is asked for, and what it gives."""

from typing import Literal, NamedTuple

from torch import Tensor

from vidpred.models.gaussian import Gaussian

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
