"""The report's training step and the project's, from the same weights on the same random batch."""

import ctypes
import platform
from collections.abc import Callable

import torch
from accelerate import Accelerator

from train.benchmark.yardstick import PublishedSVG, copy_weights
from vidpred.clip import Clip
from vidpred.config import SpeedConfig, SVGConfig, TrainConfig
from vidpred.models import build_model
from vidpred.randomness import generator
from vidpred.training.memory import keep_freed_memory
from vidpred.training.step import build_learner, train_step

BETA = 1e-4


def yardstick_step(config: SVGConfig, batch: int, frames: int, device: str, feedback: str) -> Callable[[], float]:
    """The report's step on a random batch, from the weights that the project's starts from; gives the loss."""
    start, model = _start(config), PublishedSVG(config)
    copy_weights(start, model)
    model.to(device)
    optimizer = torch.optim.Adam(model.parameters(), 0.002)
    clip, noise = random_batch(start.z_shape, batch, frames, device)
    inputs = [list(x.transpose(0, 1)) for x in (clip.frames, clip.conditions, noise)]

    def run() -> float:
        _give_memory_back()  # as it is for a program that asks for nothing else
        optimizer.zero_grad()
        loss, _, _ = model.loss(*inputs, n_past=2, beta=BETA, teacher_forcing=feedback == "truth")
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


def project_step(
    config: SVGConfig,
    batch: int,
    frames: int,
    device: str,
    feedback: str,
    precision: str,
    speed: SpeedConfig | None = None,
) -> Callable[[], float]:
    """The step that trains, on a random batch that is on the device already; gives the loss."""
    speed = speed or SpeedConfig()
    settings = TrainConfig(batch_size=batch, precision=precision)
    accelerator = Accelerator(mixed_precision="no", cpu=device == "cpu")
    start = _start(config, speed)
    learner = build_learner(start, settings, speed, accelerator, precision)
    parts = [random_batch(start.z_shape, batch, frames, device)]

    def run() -> float:
        keep_freed_memory() if speed.keep_memory else _give_memory_back()
        return train_step(learner, settings, parts, beta=BETA, feedback=feedback).means["loss"]

    return run


def _start(config: SVGConfig, speed: SpeedConfig | None = None) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_model(config, speed)


def random_batch(z_shape: tuple[int, ...], batch: int, frames: int, device: str) -> tuple[Clip, torch.Tensor]:
    """Clips (batch, frames, 3, 64, 64) with conditions (batch, frames, 7), two frames given, and eps of every step."""
    source = generator("benchmark")
    pixels = source.normal((batch, frames, 3, 64, 64)).sigmoid()
    conditions = source.normal((batch, frames, 7))
    noise = source.normal((batch, frames - 1, *z_shape))
    return Clip(pixels.to(device), conditions.to(device), 2), noise.to(device)


def _give_memory_back() -> None:
    """glibc as it comes, at the thresholds that it reaches by itself in a program like this one."""
    if platform.libc_ver()[0] == "glibc":
        trim_threshold, mmap_threshold, mmap_max = -1, -3, -4
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_max, 65536)
        libc.mallopt(mmap_threshold, 32 * 2**20)
        libc.mallopt(trim_threshold, 64 * 2**20)
        libc.malloc_trim(0)
