"""The models: they share a protocol (`unroll`, `z_shape`), not a base class."""

from torch import nn

from vidpred.config import SVGConfig
from vidpred.models.svg import SVG


def build_model(config: SVGConfig) -> SVG:
    """The model that a config describes, freshly initialised."""
    return SVG(config)


def count_parameters(model: nn.Module) -> int:
    """Trainable numbers."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
