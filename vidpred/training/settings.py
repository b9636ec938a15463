"""Settings that the data or the machine complete."""

import platform
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import torch

from vidpred import runs
from vidpred.config import RunConfig, TrainConfig
from vidpred.data.batches import Clips, passes


def resolved_precision(precision: str, device: str) -> str:
    """What "auto" means: what the device computes in natively: "bf16" or "no" (float32)."""
    if precision != "auto":
        return precision
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no"
    return "bf16" if torch.cpu._is_avx512_bf16_supported() else "no"


def with_whole_passes(config: RunConfig, clips: Clips) -> RunConfig:
    """iterations_per_epoch 0 as the number that one pass over the training data takes."""
    t = config.train
    if t.iterations_per_epoch:
        return config
    iterations = passes(clips, config.data, t.batch_size, t.data_fraction)
    return replace(config, train=replace(t, iterations_per_epoch=iterations))


def with_condition_moments(config: RunConfig, clips: Clips, start: Path | None) -> RunConfig:
    """Normalisation of the conditions: of the training split, or of the run `start`, whose weights know no other."""
    if config.model.condition != "actions":
        return config
    if start is None:
        mean, scale = clips.condition_moments()
    else:
        model = runs.read_config(start).model
        mean, scale = model.condition_mean, model.condition_scale
    return replace(config, model=replace(config.model, condition_mean=mean, condition_scale=scale))


def with_absolute_init(t: TrainConfig) -> TrainConfig:
    """The start of fine-tuning as a path that is the same from every folder."""
    return t if t.init is None else replace(t, init=str(Path(t.init).resolve()))


def versions() -> dict[str, str]:
    """Of what makes a run."""
    return {"python": platform.python_version(), **{name: version(name) for name in ("torch", "numpy", "accelerate")}}
