"""Batch normalisation for frames of many time steps in one call, on one device or on many."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextvars import ContextVar

import torch
import torch.distributed.nn.functional as across
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from vidpred import processes

EPS = 1e-5
_recording = ContextVar("recording", default=True)


class StepBatchNorm(nn.Module):
    """BatchNorm whose statistics belong to one time step, as if every step had been a call of its own, or, `pooled`, to
    all the steps of a call.

    x: (steps * B, C) or (steps * B, C, H, W), step by step. In training each step, or call, is normalised by its own
    mean and variance (over the batches of all processes), which wait in `pending`; `update_running_statistics` then
    moves the running statistics once per iteration towards their pool, in which each step, or call of however many
    steps, weighs the same. Updated at every call (12 to 23 an iteration) they would forget all but the last batch.
    """

    def __init__(self, num_features: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.pooled = False  # statistics over all the steps of a call
        self.fused = False  # stated as one formula, for a compiler to fuse
        self.merged = False  # into the layer before it
        self.pending: list[tuple[Tensor, Tensor]] = []  # (mean, biased variance), each (steps, C)

    def forward(self, x: Tensor, steps: int = 1, slope: float = 1.0) -> Tensor:
        """Normalised x, then LeakyReLU with the given slope (1: none)."""
        if self.merged:
            if self.training:
                raise RuntimeError("batch normalisation was merged for prediction: this model cannot be trained")
            return leaky(x, slope)
        if not self.training:
            x = F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, EPS)
            return leaky(x, slope)
        groups = 1 if self.pooled else steps
        normalise = compiled_formula() if self.fused else by_formula if processes.count() > 1 else by_kernel
        y, mean, variance = normalise(x, self.weight, self.bias, groups, slope)
        if _recording.get():
            self.pending.append((mean.detach(), variance.detach()))
        return y

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


class GroupNorm(nn.GroupNorm):
    """Normalisation by the statistics of 8 channels of one frame: the same in training and at prediction."""

    def __init__(self, num_features: int):
        super().__init__(num_features // 8 if num_features % 8 == 0 else 1, num_features)

    def forward(self, x: Tensor, steps: int = 1, slope: float = 1.0) -> Tensor:
        """Called as StepBatchNorm is; each row of x is normalised alone."""
        return leaky(super().forward(x), slope)


def leaky(x: Tensor, slope: float) -> Tensor:
    """LeakyReLU in place: x must be a result that nothing else needs."""
    return F.leaky_relu(x, slope, inplace=True) if slope != 1 else x


def by_kernel(x: Tensor, weight: Tensor, bias: Tensor, groups: int, slope: float) -> tuple[Tensor, Tensor, Tensor]:
    """(y, mean, variance) by torch's own kernel, group by group: the fastest way on a CPU."""
    outs, means, variances = [], [], []
    for chunk in x.chunk(groups):
        out, mean, invstd = torch.native_batch_norm(chunk, weight, bias, None, None, True, 0.0, EPS)
        outs.append(out)
        means.append(mean)
        variances.append((invstd.detach().pow(-2) - EPS).clamp(min=0))  # rounded, a variance of 0 may be below
    y = torch.cat(outs) if groups > 1 else outs[0]
    return leaky(y, slope), torch.stack(means), torch.stack(variances)


def by_formula(x: Tensor, weight: Tensor, bias: Tensor, groups: int, slope: float) -> tuple[Tensor, Tensor, Tensor]:
    """The same, written out; moments are averaged over all processes (SyncBatchNorm refuses CPU tensors)."""
    v = x.unflatten(0, (groups, -1))  # groups, rows, C, ...
    others = [d for d in range(1, v.dim()) if d != 2]
    precise = v if v.dtype == torch.float64 else v.float()
    variance, mean = torch.var_mean(precise, others, correction=0)  # groups, C
    if processes.count() > 1:
        own_mean = mean
        mean = across.all_reduce(own_mean) / processes.count()
        variance = across.all_reduce(variance + (own_mean - mean).square()) / processes.count()
    shape = (groups, 1, -1, *[1] * (v.dim() - 3))
    scale = torch.rsqrt(variance + EPS) * weight
    y = (precise - mean.view(shape)) * scale.view(shape) + bias.view(1, 1, *shape[2:])
    return F.leaky_relu(y, slope).to(x.dtype).flatten(0, 1), mean, variance


@functools.cache
def compiled_formula() -> Callable:
    """by_formula as the compiler fuses it: one kernel for moments, one for the rest."""
    return torch.compile(by_formula)


def switch_batch_norm(model: nn.Module, *, pooled: bool, fused: bool) -> None:
    """Whether a model's batch normalisation takes all the steps of a call together, and is fused by a compiler."""
    for module in model.modules():
        if isinstance(module, StepBatchNorm):
            module.pooled, module.fused = pooled, fused


@contextlib.contextmanager
def statistics_kept() -> Iterator[None]:
    """Inside, calls leave no statistics behind: activations that are computed again were counted the first time."""
    token = _recording.set(False)
    try:
        yield
    finally:
        _recording.reset(token)


@torch.no_grad()
def merge_batch_norm(model: nn.Module) -> None:
    """Write the running statistics into the weights before them, for good: prediction alone, one pass less a layer.

    Wherever a module normalises, its one or last layer before that is called conv, head or out.
    """
    for _, layer, norm in _normalised(model):
        if norm.merged:
            continue
        moments = (norm.running_mean, norm.running_var, EPS, norm.weight, norm.bias)
        if isinstance(layer, nn.Linear):
            weight, bias = fuse_linear_bn_weights(layer.weight, layer.bias, *moments)
        else:
            transposed = isinstance(layer, nn.ConvTranspose2d)
            weight, bias = fuse_conv_bn_weights(layer.weight, layer.bias, *moments, transpose=transposed)
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
        norm.merged = True


def merged_scales(model: nn.Module) -> dict[str, Tensor]:
    """What `merge_batch_norm` multiplies each weight by, by the weight's name and in a shape that fits it."""
    scales = {}
    for name, layer, norm in _normalised(model):
        shape = [1] * layer.weight.dim()
        shape[isinstance(layer, nn.ConvTranspose2d)] = -1  # the output's channels
        scales[f"{name}.weight"] = (norm.weight * torch.rsqrt(norm.running_var + EPS)).detach().view(shape)
    return scales


def _normalised(model: nn.Module) -> Iterator[tuple[str, nn.Module, StepBatchNorm]]:
    """Each layer that batch normalisation follows, with its name."""
    for path, module in model.named_modules():
        norm = getattr(module, "norm", None)
        if isinstance(norm, StepBatchNorm):
            name = next(name for name in ("conv", "head", "out") if hasattr(module, name))
            yield f"{path}.{name}".lstrip("."), getattr(module, name), norm


def update_running_statistics(model: nn.Module, momentum: float = 0.1) -> None:
    """Move all running statistics once towards the moments pooled over the steps since the last update; where they are
    of calls (`pooled`), over the calls, each of which counts once however many steps it holds."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, StepBatchNorm):
                module._update(momentum)


def drop_pending_statistics(model: nn.Module) -> None:
    """Forget the moments since the last update: those of a step that was skipped must not reach the statistics."""
    for module in model.modules():
        if isinstance(module, StepBatchNorm):
            module.pending.clear()
