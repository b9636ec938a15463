"""Diagonal Gaussians: what posterior and prior give."""

from typing import NamedTuple

import torch
from torch import Tensor


class Gaussian(NamedTuple):
    """Diagonal Gaussian; mu and logvar (log of the variance) have the same shape, z in the last dimension."""

    mu: Tensor
    logvar: Tensor

    def at(self, eps: Tensor) -> Tensor:
        """z = mu + sigma * eps; eps scaled by a temperature scales sigma, eps 0 is the mean."""
        return self.mu + torch.exp(self.logvar / 2) * eps


def batch_first(gaussian: Gaussian) -> Gaussian:
    """(S, B, z…) -> (B, S, z…)."""
    return Gaussian(*(v.transpose(0, 1) for v in gaussian))


def standard_like(other: Gaussian) -> Gaussian:
    """N(0, I) in the shape of another Gaussian."""
    return Gaussian(torch.zeros_like(other.mu), torch.zeros_like(other.logvar))
