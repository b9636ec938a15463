"""Loss terms: named and unreduced; the one reduction stands beside beta."""

from torch import Tensor

from vidpred.clip import Clip
from vidpred.models.gaussian import Gaussian
from vidpred.models.unroll import Unroll


def kl_divergence(q: Gaussian, p: Gaussian) -> Tensor:
    """KL(q || p) per dimension, in nats, in the Gaussians' shape; by log-variances (a ratio of sigmas underflows)."""
    return (p.logvar - q.logvar) / 2 + ((q.logvar - p.logvar).exp() + (q.mu - p.mu) ** 2 * (-p.logvar).exp()) / 2 - 0.5


def loss_terms(unroll: Unroll, clip: Clip, l1_weight: float = 0.0, gradient_weight: float = 0.0) -> dict[str, Tensor]:
    """{"mse": mean over the pixels, "kld": sum over z}, each (B, T-1); with one of the weights also "detail"."""
    target = clip.frames[:, 1 : 1 + unroll.predictions.shape[1]]
    terms = {
        "mse": (unroll.predictions - target).square().mean((2, 3, 4)),
        "kld": kl_divergence(unroll.posterior, unroll.prior).flatten(2).sum(2),
    }
    if l1_weight or gradient_weight:
        terms["detail"] = detail_loss(unroll.predictions, target, l1_weight, gradient_weight)
    return terms


def detail_loss(predictions: Tensor, target: Tensor, l1_weight: float, gradient_weight: float) -> Tensor:
    """Of frames (B, T, C, H, W) what beside the MSE keeps them sharp, (B, T): l1_weight times the mean absolute error
    and gradient_weight times the squared error of the differences between neighbours, right and below, summed (Mathieu
    et al. 2016, alpha = 2, whose gradients are absolute values)."""
    error = predictions - target
    slopes = (error.diff(dim=dim).square().mean((2, 3, 4)) for dim in (-1, -2))
    return l1_weight * error.abs().mean((2, 3, 4)) + gradient_weight * sum(slopes)


def reduce_terms(
    terms: dict[str, Tensor], kld_reduction: str = "batch", batch_size: int | None = None
) -> dict[str, Tensor]:
    """Summed over steps, averaged over clips: what is logged, and what beta weighs.

    kld_reduction "length": the KL is summed over clips and divided by their frames instead, as one report did.
    batch_size: clips of the whole batch where the terms are of a part; the means over its parts are then the batch's.
    """
    reduced = {name: term.sum(1).mean(0) for name, term in terms.items()}
    if kld_reduction == "length":
        clips, steps = terms["kld"].shape
        reduced["kld"] = reduced["kld"] * (batch_size or clips) / (steps + 1)
    return reduced


def total_loss(reduced: dict[str, Tensor], beta: float) -> Tensor:
    """MSE + beta KL: the negative ELBO of a Gaussian decoder up to scale (`schedules.equivalent_sigma`); and the detail
    where there is one."""
    loss = reduced["mse"] + beta * reduced["kld"]
    return loss + reduced["detail"] if "detail" in reduced else loss
