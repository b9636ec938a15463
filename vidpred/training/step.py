"""A training step: the gradients of a batch, part by part, and what the optimizer makes of them."""

import contextlib
import functools
import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from vidpred import metrics, processes
from vidpred.clip import Clip
from vidpred.config import SpeedConfig, TrainConfig
from vidpred.errors import BadInput
from vidpred.losses import loss_terms, reduce_terms, total_loss
from vidpred.models import Model
from vidpred.models.batch_norm import drop_pending_statistics, update_running_statistics
from vidpred.models.unroll import Feedback
from vidpred.randomness import generator
from vidpred.training.cuda_graphs import CapturedPasses, Pass
from vidpred.training.optimizer import build_optimizer


class Learner(NamedTuple):
    """A model and what moves its weights."""

    model: Model
    unroll: Callable  # the model's own, for all processes
    optimizer: torch.optim.Optimizer
    accelerator: Accelerator
    precision: str
    passes: CapturedPasses | None  # CUDA graphs in the place of `forward_backward`


class StepResult(NamedTuple):
    """loss, mse, kld and train_psnr, means over the parts of the batch; moved: whether the step was taken."""

    means: dict[str, float]
    moved: bool


def takes_cuda_graphs(speed: SpeedConfig, accelerator: Accelerator) -> bool:
    """Whether passes are captured as CUDA graphs; BadInput where that is asked for and cannot be."""
    on_one_gpu = accelerator.device.type == "cuda" and processes.count() == 1
    if speed.cuda_graphs and not on_one_gpu:
        raise BadInput("speed.cuda_graphs is for training on one GPU")
    return speed.cuda_graphs is not False and on_one_gpu and not speed.checkpoint_activations


def build_learner(
    model: Model, t: TrainConfig, speed: SpeedConfig, accelerator: Accelerator, precision: str
) -> Learner:
    """The model on its device, in its precision ("no", "bf16" or "float64") and memory layout, with its optimizer.

    BadInput as `takes_cuda_graphs`.
    """
    graphs = takes_cuda_graphs(speed, accelerator)
    model.to(accelerator.device, torch.float64 if precision == "float64" else torch.float32)
    model.to(memory_format=model.memory_format)
    unroll, optimizer = accelerator.prepare(model, build_optimizer(t, model, speed))
    learner = Learner(model, unroll, optimizer, accelerator, precision, None)
    return with_captured_passes(learner, t) if graphs else learner


def with_captured_passes(learner: Learner, t: TrainConfig, record: Callable | None = None) -> Learner:
    """The learner whose passes are captured when they are first needed; record: as CapturedPasses takes it."""
    for p in learner.model.parameters():
        p.grad = torch.zeros_like(p)  # graphs add to the same tensors again and again
    passes = CapturedPasses(learner.model, functools.partial(forward_backward, learner, t), record)
    return learner._replace(passes=passes)


def forward_backward(
    learner: Learner, t: TrainConfig, clip: Clip, noise: Tensor, beta: float | Tensor, feedback: Feedback
) -> Pass:
    """One pass: its gradients are added to those that are there, for the mean over t.accumulation parts."""
    accelerator = learner.accelerator
    with torch.autocast(accelerator.device.type, torch.bfloat16, enabled=learner.precision == "bf16"):
        unrolled = learner.unroll(clip, noise, "posterior", feedback)
    terms = loss_terms(unrolled, clip, t.l1_weight, t.gradient_weight)
    reduced = reduce_terms(terms, t.kld_reduction, t.batch_size)
    loss = total_loss(reduced, beta)
    accelerator.backward(loss / t.accumulation)
    logged = {"loss": loss, "mse": reduced["mse"], "kld": reduced["kld"]}
    return Pass({name: term.detach() for name, term in logged.items()}, unrolled.predictions.detach())


def train_step(
    learner: Learner, t: TrainConfig, parts: Iterable[tuple[Clip, Tensor]], *, beta: float, feedback: Feedback
) -> StepResult:
    """Move the weights once, unless loss or gradient is not finite: then they and the running statistics stay.

    parts: t.accumulation equal parts of the batch, each a clip (B, T, C, H, W) and its noise (B, T-1, *z_shape), of
    which one is held at a time where they come from an iterator.
    """
    model, unroll, optimizer, accelerator = learner.model, learner.unroll, learner.optimizer, learner.accelerator
    run_pass = learner.passes or functools.partial(forward_backward, learner, t)
    model.train()
    optimizer.zero_grad(set_to_none=learner.passes is None)
    means = dict.fromkeys(("loss", "mse", "kld", "train_psnr"), 0.0)
    for number, (clip, noise) in enumerate(parts, 1):
        with contextlib.nullcontext() if number == t.accumulation else accelerator.no_sync(unroll):
            terms, predictions = run_pass(clip, noise, beta, feedback)
        psnr = _psnr_after_context(predictions, clip, model.config.psnr_protocol)
        for name, value in {**terms, "train_psnr": psnr}.items():
            means[name] += value.item() / t.accumulation
    means = processes.averaged(means, accelerator.device)
    norm = nn.utils.clip_grad_norm_(model.parameters(), t.grad_clip or math.inf)
    moved = math.isfinite(means["loss"]) and math.isfinite(norm.item())
    if moved:
        optimizer.step()
        update_running_statistics(model)
    else:
        drop_pending_statistics(model)
    return StepResult(means, moved)


def own_rows(batch_size: int, accumulation: int) -> list[list[int]]:
    """The rows of each part of a batch that fall to this process."""
    size, sharers = batch_size // accumulation, processes.count()
    if size % sharers:
        raise BadInput(f"{sharers} processes cannot share {size} clips evenly: choose another train.batch_size")
    own = size // sharers
    return [
        list(range(first + processes.rank() * own, first + (processes.rank() + 1) * own))
        for first in range(0, batch_size, size)
    ]


def training_noise(model: nn.Module, clip: Clip, batch_size: int, rows: list[int], seed: int, iteration: int) -> Tensor:
    """eps (rows, T-1, *z_shape) of the given rows of an iteration's batch."""
    noise = generator("noise", seed, iteration).normals(clip.frames.shape[1] - 1, (batch_size, *model.z_shape))
    return noise[:, rows].transpose(0, 1).to(clip.frames.device, clip.frames.dtype)


def _psnr_after_context(predictions: Tensor, clip: Clip, protocol: str) -> Tensor:
    """Mean PSNR of predictions of frames 1 … T-1; context frames do not count."""
    first = clip.n_past - 1
    return metrics.psnr(predictions[:, first:], clip.frames[:, clip.n_past :], protocol).mean()
