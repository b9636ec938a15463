"""The models: they share a protocol (`unroll`, `begin`, `see`, `step`, `z_shape`), not a base class."""

from torch import nn

from vidpred.config import SpeedConfig, SVGConfig
from vidpred.models.svg import SVG


def build_model(config: SVGConfig, speed: SpeedConfig | None = None) -> SVG:
    """The model that a config describes, freshly initialised; `speed` says how it computes, not what."""
    return SVG(config, speed)


def count_parameters(model: nn.Module) -> int:
    """Trainable numbers."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
