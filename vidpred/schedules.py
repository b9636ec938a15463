"""beta and teacher forcing: pure functions of the position in training."""

import math

from vidpred.config import TrainConfig
from vidpred.errors import BadInput


def ramp(u: float, shape: str) -> float:
    """Height of a rise at its share u in [0, 1]: linear, sigmoid (starts at 0.0025, as published) or cosine."""
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

    The period is n / cycles and need not be whole.
    """
    phase = (i * cycles) % n / n  # (i mod period) / period, in whole numbers: a rounded period would miss its own end
    return start + (stop - start) * ramp(min(phase / ratio, 1.0), shape)


def beta_at(config: TrainConfig, iteration: int) -> float:
    """beta at an iteration counted from 0 over the whole training."""
    return config.beta_max * kl_anneal_at(config, iteration)


def kl_anneal_at(config: TrainConfig, iteration: int) -> float:
    """The schedule, without beta_max, at an iteration counted from 0 over the whole training."""
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


def tfr_at(config: TrainConfig, epoch: int) -> float:
    """Teacher-forcing ratio in an epoch counted from 0 (step decay)."""
    fallen = config.tfr_decay_step * max(0, epoch - config.tfr_decay_start)
    return max(min(config.tfr_floor, config.tfr), config.tfr - fallen)


def lr_at(config: TrainConfig, iteration: int) -> float:
    """Learning rate at an iteration counted from 0 over the whole training."""
    if config.lr_decay == "none":
        return config.lr
    return config.lr * (1 + math.cos(math.pi * iteration / (config.epochs * config.iterations_per_epoch))) / 2


def equivalent_sigma(beta: float, pixels: int) -> float:
    """Standard deviation of the Gaussian decoder whose ELBO is MSE + beta * KL, for frames of `pixels` numbers.

    MSE is the mean over the pixels, so beta = 2 sigma^2 / pixels.
    """
    return math.sqrt(beta * pixels / 2)
