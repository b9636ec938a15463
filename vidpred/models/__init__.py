"""The models: they share a protocol (`unroll`; `look`, `begin`, `step`, `see`; `gaussians`), not a base class."""

from torch import nn

from vidpred.config import ModelConfig, PoseCVAEConfig, SpeedConfig, SVGConfig
from vidpred.models.pose_cvae import PoseCVAE
from vidpred.models.svg import SVG

Model = SVG | PoseCVAE
MODELS: dict[type, type] = {SVGConfig: SVG, PoseCVAEConfig: PoseCVAE}


def build_model(config: ModelConfig, speed: SpeedConfig | None = None) -> Model:
    """The model that a config describes, freshly initialised; `speed` says how it computes, not what."""
    return MODELS[type(config)](config, speed)


def count_parameters(model: nn.Module) -> int:
    """Trainable numbers."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
