"""Batch normalisation for frames of many time steps in one call."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class StepBatchNorm(nn.Module):
    """BatchNorm whose statistics belong to one time step, as if every step had been a call of its own.

    x: (steps * B, C) or (steps * B, C, H, W), step by step. In training each step is normalised by its own mean and
    variance, which wait in `pending`; `update_running_statistics` then moves the running statistics once per iteration
    towards their pool. Updated at every call (12 to 23 an iteration) they would forget all but the last batch.
    """

    eps = 1e-5

    def __init__(self, num_features: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.pending: list[tuple[Tensor, Tensor]] = []  # (mean, biased variance), each (steps, C)

    def forward(self, x: Tensor, steps: int = 1) -> Tensor:
        if not self.training:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        outs, means, variances = [], [], []
        for chunk in x.chunk(steps):
            out, mean, invstd = torch.native_batch_norm(chunk, self.weight, self.bias, None, None, True, 0.0, self.eps)
            outs.append(out)
            means.append(mean)
            variances.append(invstd.pow(-2) - self.eps)
        self.pending.append((torch.stack(means).detach(), torch.stack(variances).detach()))
        return torch.cat(outs) if steps > 1 else outs[0]

    def _update(self, momentum: float) -> None:
        if not self.pending:
            return
        mean = torch.cat([m for m, _ in self.pending])
        variance = torch.cat([v for _, v in self.pending])
        pooled_mean = mean.mean(0)
        pooled_variance = variance.mean(0) + (mean - pooled_mean).square().mean(0)
        self.running_mean.lerp_(pooled_mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_(pooled_variance.to(self.running_var.dtype), momentum)
        self.pending.clear()


def update_running_statistics(model: nn.Module, momentum: float = 0.1) -> None:
    """Move all running statistics once towards the moments pooled over the steps since the last call."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, StepBatchNorm):
                module._update(momentum)


def drop_pending_statistics(model: nn.Module) -> None:
    """Forget the moments since the last update: those of a step that was skipped must not reach the statistics."""
    for module in model.modules():
        if isinstance(module, StepBatchNorm):
            module.pending.clear()
