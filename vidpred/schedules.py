"""beta and teacher forcing: pure functions of the position in training."""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import replace

from vidpred.config import CHANNELS, IMAGE_SIZE, TrainConfig
from vidpred.errors import BadInput

FIRST_MSE = 1 / 12
"""MSE of grey against pixels that may be anything: what calibrated beta takes before anything is known."""
MOST_STEPS = 10_000
"""Epochs up to which a schedule by epochs is looked at one by one."""
MSE_MOMENTUM = 0.01
"""Weight of the last batch in the running MSE of calibrated beta."""


def ramp(u: float, shape: str) -> float:
    """Height of a rise at its share u in [0, 1): linear, sigmoid (from 0.0025 to 0.9975, as published) or cosine."""
    if shape == "linear":
        return u
    if shape == "sigmoid":
        return 1 / (1 + math.exp(-(12 * u - 6)))
    if shape == "cosine":
        return (1 - math.cos(math.pi * u)) / 2
    raise BadInput(f"unknown shape {shape!r}: linear, sigmoid or cosine")


def cyclical(
    i: int, n: int, cycles: int, ratio: float = 0.5, start: float = 0.0, stop: float = 1.0, shape: str = "linear"
) -> float:
    """Schedule at position i of n, with `cycles` rises, each over the share `ratio` of its cycle (Fu et al. 2019).

    The period is n / cycles and need not be whole. After a rise, of whatever shape, `stop` is held, as published.
    """
    phase = (i * cycles) % n / n  # (i mod period) / period, in whole numbers: a rounded period would miss its own end
    return start + (stop - start) * ramp(phase / ratio, shape) if phase < ratio else stop


def beta_at(
    config: TrainConfig, iteration: int, mse: float = FIRST_MSE, pixels: int = CHANNELS * IMAGE_SIZE**2
) -> float:
    """beta at an iteration counted from 0 over the whole training.

    mse: running mean of the squared error per step and pixel, pixels: numbers in a frame; both for calibrated beta
    alone, where equivalent_sigma(beta, pixels) is the root of the mse.
    """
    if config.kl_anneal == "calibrated":
        return 2 * mse / pixels
    return config.beta_max * kl_anneal_at(config, iteration)


def beta_reached(config: TrainConfig) -> float:
    """The largest beta of a training: at the end of a rise, or where the training stops in the middle of one; of a fall
    its start; without annealing that of all iterations. Calibrated beta has no such value."""
    if config.kl_anneal == "none":
        return config.beta_max * config.kl_anneal_value
    start, stop, epochs = config.kl_anneal_start, config.kl_anneal_stop, config.epochs
    if config.kl_anneal == "calibrated":
        return config.beta_max * max(start, stop)
    if config.kl_anneal_per == "epoch" and epochs <= MOST_STEPS:  # in so few steps a rise may end below its stop
        with contextlib.suppress(BadInput):  # of fewer than two: refused where it is used
            each = replace(config, iterations_per_epoch=1)
            return config.beta_max * max(kl_anneal_at(each, epoch) for epoch in range(epochs))
    rise = (config.kl_anneal_cycle_epochs or 0) * config.kl_anneal_ratio  # of a share of the training all fits into it
    if rise > epochs:
        stop = start + (stop - start) * ramp(epochs / rise, config.kl_anneal_shape)
    return config.beta_max * max(start, stop)


def kld_share(config: TrainConfig, frames: int) -> float:
    """The KL that beta weighs, over the mean of a clip: kld_reduction length divides the sum over a batch by the frames
    of a clip, not by the clips."""
    return config.batch_size / frames if config.kld_reduction == "length" else 1.0


def kl_anneal_at(config: TrainConfig, iteration: int) -> float:
    """The schedule, without beta_max, at an iteration counted from 0 over the whole training; calibrated has none."""
    if config.kl_anneal == "none":
        return config.kl_anneal_value
    i = iteration // config.iterations_per_epoch if config.kl_anneal_per == "epoch" else iteration
    n, cycles = anneal_cycles(config)
    ratio = config.kl_anneal_ratio
    if config.kl_anneal == "monotonic":  # one rise, then hold
        i = min(i, math.ceil(n * ratio))
        if i == n:
            return config.kl_anneal_stop
    return cyclical(i, n, cycles, ratio, config.kl_anneal_start, config.kl_anneal_stop, config.kl_anneal_shape)


def anneal_cycles(config: TrainConfig) -> tuple[int, int]:
    """(positions, cycles in them); a position is an iteration or an epoch. A rise of fewer than two is BadInput."""
    unit = 1 if config.kl_anneal_per == "epoch" else config.iterations_per_epoch
    if config.kl_anneal_cycle_epochs is not None:
        n, cycles = config.kl_anneal_cycle_epochs * unit, 1
    else:
        n, cycles = config.epochs * unit, config.kl_anneal_cycles if config.kl_anneal == "cyclical" else 1
    rise = n / cycles * config.kl_anneal_ratio
    if rise < 2:
        raise BadInput(
            f"the rise of beta would take {rise:.2g} {config.kl_anneal_per}s: "
            "use fewer cycles, a larger train.kl_anneal_ratio or more epochs"
        )
    return n, cycles


def tfr_at(config: TrainConfig, epoch: int, restarts: Sequence[int] = ()) -> float:
    """Teacher-forcing ratio in an epoch counted from 0.

    restarts: epochs at which a plateau has put the ratio back to 1; it falls again from the epoch after.
    """
    restarted = max((r for r in restarts if r <= epoch), default=None)
    top, start = (config.tfr, config.tfr_decay_start) if restarted is None else (1.0, restarted)
    if config.tfr_decay == "linear":
        ratio = top * (1 - max(0, epoch - start) / max(1, config.epochs - start))
    elif config.tfr_decay == "every":
        ratio = top - config.tfr_decay_step * ((epoch - (restarted or 0)) // config.tfr_decay_start)
    else:
        ratio = top - config.tfr_decay_step * max(0, epoch - start)
    return max(min(config.tfr_floor, top), ratio)


def is_plateau(
    config: TrainConfig, losses: Sequence[float | None], psnrs: Sequence[float | None], restarts: Sequence[int]
) -> bool:
    """Whether the last train.plateau_patience validations say that nothing changes any more.

    losses, psnrs: of every epoch so far. True when neither spread reaches train.plateau_threshold; validations before
    the last restart do not count, nor does one that is not finite.
    """
    patience = config.plateau_patience
    if patience == 0 or len(losses) - max(restarts, default=0) < patience:
        return False
    lately = [values[-patience:] for values in (losses, psnrs)]
    if not all(value is not None and math.isfinite(value) for values in lately for value in values):
        return False
    return all(max(values) - min(values) < config.plateau_threshold for values in lately)


def fraction_at(config: TrainConfig, epoch: int) -> float:
    """Share of the training data that an epoch counted from 0 draws from (fast start)."""
    return config.data_fraction * (config.fast_partial if epoch < config.fast_train_epoch else 1.0)


def interpolates_after(config: TrainConfig, epoch: int) -> bool:
    """Whether the weights are interpolated with those at the start after an epoch counted from 0."""
    return config.interpolate_every > 0 and epoch > 0 and epoch % config.interpolate_every == 0


def lr_at(config: TrainConfig, iteration: int) -> float:
    """Learning rate at an iteration counted from 0 over the whole training."""
    passed = sum(iteration // config.iterations_per_epoch >= epoch for epoch in config.lr_milestones)
    lr = config.lr * 0.1**passed
    if config.lr_decay == "none":
        return lr
    return lr * (1 + math.cos(math.pi * iteration / (config.epochs * config.iterations_per_epoch))) / 2


def equivalent_sigma(beta: float, pixels: int) -> float:
    """Standard deviation of the Gaussian decoder whose ELBO is MSE + beta * KL, for frames of `pixels` numbers.

    MSE is the mean over the pixels, so beta = 2 sigma^2 / pixels.
    """
    return math.sqrt(beta * pixels / 2)
