"""What moves the weights."""

import torch
from torch import Tensor, nn

from vidpred.config import SpeedConfig, TrainConfig

MOMENTS = {
    "adam": ("step", "exp_avg", "exp_avg_sq"),
    "adamw": ("step", "exp_avg", "exp_avg_sq"),
    "rmsprop": ("step", "square_avg"),
    "sgd": ("momentum_buffer",),
}  # what each optimizer keeps of a parameter; all of it starts as zeros


def build_optimizer(t: TrainConfig, model: nn.Module, speed: SpeedConfig) -> torch.optim.Optimizer:
    """The optimizer that the settings name, over all of a model's parameters."""
    parameters = model.parameters()
    if t.optimizer == "adam":
        return torch.optim.Adam(parameters, t.lr, (t.adam_beta1, 0.999), fused=speed.fused_optimizer)
    if t.optimizer == "adamw":
        return torch.optim.AdamW(parameters, t.lr, (t.adam_beta1, 0.999), fused=speed.fused_optimizer)
    if t.optimizer == "rmsprop":  # has no fused form
        return torch.optim.RMSprop(parameters, t.lr)
    return torch.optim.SGD(parameters, t.lr, t.adam_beta1, fused=speed.fused_optimizer)


@torch.no_grad()
def interpolate_weights(model: nn.Module, initial: dict[str, Tensor]) -> None:
    """Pull every parameter towards what it was at the start, the more the less it still points the same way.

    cos = cosine(w, w_init), alpha = 2 cos / (1 + cos), w <- alpha w + (1 - alpha) w_init; left alone where cos <= 0.
    """
    for name, w in model.named_parameters():
        w_init = initial[name].to(w.device, w.dtype)
        a, b = w.double().flatten(), w_init.double().flatten()
        length = a.norm() * b.norm()
        cos = (a @ b / length).item() if length > 0 else 0.0
        if cos > 0:
            w.lerp_(w_init, 1 - 2 * cos / (1 + cos))
