"""The training loop: the only place with an optimizer."""

import contextlib
import ctypes
import dataclasses
import importlib.util
import json
import math
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn
from tqdm import tqdm

from vidpred import checkpoint, metrics, processes, render, runs, schedules
from vidpred.clip import Clip
from vidpred.config import CHANNELS, RunConfig, SpeedConfig, SVGConfig, TrainConfig
from vidpred.data.batches import Batch, Clips, passes, read_ahead, require_suitable, training_batch, window_batch
from vidpred.errors import BadInput
from vidpred.evaluation import frames_ahead, look_at_latents, protocol_of, score_futures
from vidpred.files import without_infinity, write_json
from vidpred.frames import to_uint8
from vidpred.losses import loss_terms, reduce_terms, total_loss
from vidpred.models import build_model
from vidpred.models.batch_norm import drop_pending_statistics, update_running_statistics
from vidpred.randomness import generator
from vidpred.rollout import predict

STATE = "state.json"
INITIAL = "initial.safetensors"  # weights at the start, where they are interpolated with
GIF_CLIPS = 4
GIF_FRAMES = 120  # of a clip, at most
MOMENTS = {
    "adam": ("step", "exp_avg", "exp_avg_sq"),
    "adamw": ("step", "exp_avg", "exp_avg_sq"),
    "rmsprop": ("step", "square_avg"),
    "sgd": ("momentum_buffer",),
}  # what each optimizer keeps of a parameter; all of it starts as zeros


@dataclass
class Progress:
    """Where a training stands; all of it goes to RUN/last/state.json."""

    iteration: int = 0
    seconds: float = 0.0
    processor_seconds: float = 0.0
    best_psnr: float | None = None
    best_loss: float | None = None
    restarts: list[int] = field(default_factory=list)  # epochs at which a plateau put tfr back to 1
    skipped_steps: int = 0
    mse: float = schedules.FIRST_MSE  # running mean per step and pixel
    sums: dict[str, float] = field(default_factory=dict)  # of the epoch that is under way


def train(
    run: Path,
    config: RunConfig,
    training: Clips,
    validation: Clips,
    *,
    speed: SpeedConfig | None = None,
    fresh: bool = False,
    cpu: bool = False,
    tensorboard: bool = False,
    show_progress: bool = True,
    stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Train into a run folder, or go on with what is there. True when it is finished, False when `stop` said so.

    Every draw is a function of (seed, iteration), so that a training that was stopped and resumed ends with the same
    weights, bit for bit on a CPU, as one that was not. Under torchrun the processes share each batch, and together do
    what one does, up to rounding.
    """
    # --- what cannot work is refused before anything is written or deleted
    speed = speed or SpeedConfig()
    config = _with_whole_passes(config, training)
    t = config.train
    schedules.beta_at(t, 0)
    training_batch(training, config.data, t.batch_size, t.seed, 0, fraction=schedules.fraction_at(t, 0))
    chosen = list(range(min(t.validation_clips, len(validation))))
    for clips in (training, validation):
        require_suitable(clips, config.model)
    window_batch(validation, chosen, config.data.n_past + frames_ahead(config.data, validation, chosen))
    _require_place(run, fresh)
    _require_start(config, run)
    if tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise BadInput("--tensorboard needs the tensorboard package: pip install tensorboard")
    cpu = cpu or not torch.cuda.is_available()
    precision = resolved_precision(t.precision, "cpu" if cpu else "cuda")
    accelerator = Accelerator(
        mixed_precision="bf16" if precision == "bf16" else "no",
        cpu=cpu,
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True)],
        log_with="tensorboard" if tensorboard else None,
        project_dir=run if tensorboard else None,
    )
    writes = accelerator.is_main_process
    dtype = torch.float64 if precision == "float64" else torch.float32
    device = accelerator.device
    parts = _own_rows(t.batch_size, t.accumulation)
    own = [row for part in parts for row in part]

    # --- where things stand
    config = _with_condition_moments(config, training)
    last = run / runs.LAST
    accelerator.wait_for_everyone()  # until every process has seen the folder as it was
    if writes:
        if fresh:
            runs.remove(run)
        if (run / runs.CONFIG).exists():
            _require_same(runs.read_config(run), config, run)
        else:
            runs.write_config(run, config, {**_versions(), "precision": precision})
    accelerator.wait_for_everyone()
    progress, tensors = _read_state(last)
    total = t.epochs * t.iterations_per_epoch
    pixels = CHANNELS * math.prod(config.model.frame_size)
    rows = [row for row in runs.read_metrics(run) if row["epoch"] < progress.iteration // t.iterations_per_epoch]

    # --- model and optimizer
    if device.type == "cpu" and speed.keep_memory:
        keep_freed_memory()
    with torch.random.fork_rng():
        torch.manual_seed(t.seed)
        model = build_model(config.model, speed)
    if t.init is not None:
        checkpoint.load_weights(Path(t.init) / runs.WEIGHTS, model)
    model.to(device, dtype)
    model.to(memory_format=model.memory_format)
    optimizer = build_optimizer(t, model, speed)
    initial = None
    if t.interpolate_every:
        if tensors is None and writes:
            checkpoint.save_weights(last / INITIAL, model)
        accelerator.wait_for_everyone()
        initial = checkpoint.load_tensors(last / INITIAL)
    if tensors is not None:
        _load_tensors(tensors, model, optimizer, t.optimizer)
    if progress.iteration >= total:
        return True
    unroll, optimizer = accelerator.prepare(model, optimizer)  # unroll: the model inside autocast, for all processes
    if speed.compile == "graphs":
        unroll = torch.compile(unroll, mode="reduce-overhead")
    if tensorboard:
        accelerator.init_trackers("tensorboard")
    began = time.monotonic() - progress.seconds
    began_cpu = time.process_time() - progress.processor_seconds

    def read(iteration: int) -> Batch:
        fraction = schedules.fraction_at(t, iteration // t.iterations_per_epoch)
        batch = training_batch(training, config.data, t.batch_size, t.seed, iteration, own, fraction)
        return batch if cpu else batch.pinned()

    # --- iterations
    bar = tqdm(
        total=total, initial=progress.iteration, desc=run.name, unit="it", disable=not (show_progress and writes)
    )
    bar_validation = {}
    batches = read_ahead(read, progress.iteration, total, speed.prefetch)
    try:
        while progress.iteration < total:
            if processes.averaged({"stop": float(stop())}, device)["stop"] > 0:  # one is asked: all save and stop
                progress.seconds = time.monotonic() - began
                progress.processor_seconds = time.process_time() - began_cpu
                if writes:
                    _save_state(last, model, optimizer, t.optimizer, progress)
                accelerator.wait_for_everyone()
                return False
            i = progress.iteration
            epoch = i // t.iterations_per_epoch
            beta, tfr = schedules.beta_at(t, i, progress.mse, pixels), schedules.tfr_at(t, epoch, progress.restarts)
            coin = ("coin", t.seed, i) if t.tfr_coin == "batch" else ("coin of an epoch", t.seed, epoch)
            teacher_forced = generator(*coin).uniform() < tfr
            feedback = "prediction" if not teacher_forced else tfr if t.tfr_mix else "truth"
            for group in optimizer.param_groups:
                group["lr"] = schedules.lr_at(t, i)

            # --- gradients of the batch, part by part
            model.train()
            optimizer.zero_grad()
            step = dict.fromkeys(("loss", "mse", "kld", "train_psnr"), 0.0)
            for number, (part, its_rows) in enumerate(zip(next(batches).parts(t.accumulation), parts)):
                last_part = number + 1 == t.accumulation
                with contextlib.nullcontext() if last_part else accelerator.no_sync(unroll):
                    clip = part.to_clip(config.data.n_past, device, dtype)
                    noise = training_noise(model, clip, t.batch_size, its_rows, t.seed, i)
                    unrolled = unroll(clip, noise, "posterior", feedback)
                    reduced = reduce_terms(loss_terms(unrolled, clip), t.kld_reduction)
                    loss = total_loss(reduced, beta)
                    accelerator.backward(loss / t.accumulation)
                psnr = _psnr_after_context(unrolled.predictions.detach(), clip, protocol_of(model))
                for name, value in {"loss": loss, **reduced, "train_psnr": psnr}.items():
                    step[name] += value.item() / t.accumulation
            step = processes.averaged(step, device)

            # --- the step itself
            norm = nn.utils.clip_grad_norm_(model.parameters(), t.grad_clip or math.inf)
            if math.isfinite(step["loss"]) and math.isfinite(norm.item()):
                optimizer.step()
                update_running_statistics(model)
                progress.mse += schedules.MSE_MOMENTUM * (step["mse"] / (config.data.length - 1) - progress.mse)
                for name, value in {**step, "teacher_forced": float(teacher_forced), "steps": 1.0}.items():
                    progress.sums[name] = progress.sums.get(name, 0.0) + value
                bar.set_postfix(
                    loss=f"{step['loss']:.4f}",
                    kl=f"{step['kld']:.3g}",
                    beta=f"{beta:.1e}",
                    tfr=f"{tfr:.2f}",
                    psnr=f"{step['train_psnr']:.2f}dB",
                    **bar_validation,
                )
            else:  # weights and running statistics stay as they were
                drop_pending_statistics(model)
                progress.skipped_steps += 1
            progress.iteration += 1
            bar.update()

            # --- end of an epoch
            if progress.iteration % t.iterations_per_epoch == 0:
                model.eval()
                row = {
                    "epoch": epoch,
                    "step": progress.iteration,
                    "seconds": round(time.monotonic() - began, 1),
                    "processor_seconds": round(time.process_time() - began_cpu, 1),
                    **_epoch_means(progress.sums),
                    "beta": beta,
                    "tfr": tfr,
                    "lr": schedules.lr_at(t, i),
                    **validate(model, validation, chosen, config),
                    "skipped_steps": progress.skipped_steps,
                }
                rows.append(without_infinity(row))
                progress.sums = {}
                progress.seconds = time.monotonic() - began
                progress.processor_seconds = time.process_time() - began_cpu
                bar_validation = {"val": f"{row['val_psnr']:.2f}dB"}
                better = _is_better(t.best_by, progress, row)
                if writes:
                    if better:
                        checkpoint.save_weights(run / runs.WEIGHTS, model)
                    if t.save_every and (epoch + 1) % t.save_every == 0:
                        checkpoint.save_weights(run / runs.KEPT / f"epoch_{epoch + 1:04d}.safetensors", model)
                    if t.gif_every and ((epoch + 1) % t.gif_every == 0 or progress.iteration == total):
                        _save_gif(run / runs.SAMPLES / f"epoch_{epoch + 1:04d}.gif", model, validation, config)
                    # before the state: a resume drops a row too many, one too few is lost
                    runs.write_metrics(run, rows)
                if schedules.is_plateau(
                    t, *([r[k] for r in rows] for k in ("val_loss", "val_psnr")), progress.restarts
                ):
                    progress.restarts.append(epoch + 1)
                if schedules.interpolates_after(t, epoch):
                    interpolate_weights(model, initial)
                if writes:
                    _save_state(last, model, optimizer, t.optimizer, progress)
                if tensorboard:
                    accelerator.log({k: v for k, v in rows[-1].items() if v is not None}, step=progress.iteration)
                accelerator.wait_for_everyone()
    finally:
        batches.close()
        bar.close()
        if tensorboard:
            accelerator.end_training()
    return True


def resolved_precision(precision: str, device: str) -> str:
    """What "auto" means: what the device computes in natively: "bf16" or "no" (float32)."""
    if precision != "auto":
        return precision
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no"
    return "bf16" if torch.cpu._is_avx512_bf16_supported() else "no"


def _own_rows(batch_size: int, accumulation: int) -> list[list[int]]:
    """The rows of each part of a batch that fall to this process."""
    size, sharers = batch_size // accumulation, processes.count()
    if size % sharers:
        raise BadInput(f"{sharers} processes cannot share {size} clips evenly: choose another train.batch_size")
    own = size // sharers
    return [
        list(range(first + processes.rank() * own, first + (processes.rank() + 1) * own))
        for first in range(0, batch_size, size)
    ]


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


def validate(model: nn.Module, clips: Clips, chosen: list[int], config: RunConfig) -> dict[str, float | int]:
    """One future of each chosen clip at temperature 1, and what the posterior does. Always the same noise."""
    frames = {"n_past": config.data.n_past, "n_future": frames_ahead(config.data, clips, chosen)}
    scores = score_futures(model, clips, chosen, **frames)
    latents = look_at_latents(model, clips, chosen, **frames)
    return {
        "val_loss": scores.mse.mean().item(),
        "val_psnr": scores.psnr.mean().item(),
        "val_ssim": scores.ssim.mean().item(),
        "active_units": metrics.active_units(latents.mu),
    }


def _is_better(best_by: str, progress: Progress, row: dict[str, Any]) -> bool:
    """Whether these weights are to be kept; notes the best numbers so far."""
    psnr, loss = row["val_psnr"], row["val_loss"]
    higher = progress.best_psnr is None or psnr > progress.best_psnr
    lower = progress.best_loss is None or loss < progress.best_loss
    if higher:
        progress.best_psnr = psnr if math.isfinite(psnr) else None
    if lower:
        progress.best_loss = loss if math.isfinite(loss) else None
    return {"psnr": higher, "loss": lower, "both": higher and lower, "last": True}[best_by]


def training_noise(model: nn.Module, clip: Clip, batch_size: int, rows: list[int], seed: int, iteration: int) -> Tensor:
    """eps (rows, T-1, *z_shape) of the given rows of an iteration's batch."""
    noise = generator("noise", seed, iteration).normals(clip.frames.shape[1] - 1, (batch_size, *model.z_shape))
    return noise[:, rows].transpose(0, 1).to(clip.frames.device, clip.frames.dtype)


def _psnr_after_context(predictions: Tensor, clip: Clip, protocol: str) -> Tensor:
    """Mean PSNR of predictions of frames 1 … T-1; context frames do not count."""
    first = clip.n_past - 1
    return metrics.psnr(predictions[:, first:], clip.frames[:, clip.n_past :], protocol).mean()


def keep_freed_memory() -> None:
    """Tell glibc to keep large freed blocks for the next step.

    It would hand them back to the kernel and take them again, page by page, at every step; that costs a CPU step
    20 to 40 % of its time. Elsewhere than under glibc nothing happens.
    """
    if platform.libc_ver()[0] == "glibc":
        trim_threshold, mmap_max = -1, -4  # parameters of mallopt, from malloc.h
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)


def _epoch_means(sums: dict[str, float]) -> dict[str, float | None]:
    """Means over the steps that were not skipped; None when all were."""
    names = ("loss", "mse", "kld", "train_psnr", "teacher_forced")
    return {name: sums[name] / sums["steps"] if sums else None for name in names}


def _with_whole_passes(config: RunConfig, clips: Clips) -> RunConfig:
    """iterations_per_epoch 0 as the number that one pass over the training data takes."""
    t = config.train
    if t.iterations_per_epoch:
        return config
    iterations = passes(clips, config.data, t.batch_size, t.data_fraction)
    return dataclasses.replace(config, train=dataclasses.replace(t, iterations_per_epoch=iterations))


def _with_condition_moments(config: RunConfig, clips: Clips) -> RunConfig:
    """Normalisation of the conditions, of the training split; fine-tuning keeps what the weights were trained with."""
    if not isinstance(config.model, SVGConfig) or config.model.condition == "none":
        return config
    if config.train.init is None:
        mean, scale = clips.condition_moments()
    else:
        start = runs.read_config(Path(config.train.init)).model
        mean, scale = start.condition_mean, start.condition_scale
    return dataclasses.replace(
        config, model=dataclasses.replace(config.model, condition_mean=mean, condition_scale=scale)
    )


def _require_place(run: Path, fresh: bool) -> None:
    """A run folder is new, empty, or a run that can be resumed; with `fresh` any run."""
    if run.exists() and not run.is_dir():
        raise BadInput(f"{run}: not a folder")
    if not (run / runs.CONFIG).exists():
        if run.exists() and any(run.iterdir()):
            raise BadInput(f"{run} is not empty and no run; give another folder")
    elif not fresh and (run / runs.WEIGHTS).exists() and not (run / runs.LAST / STATE).exists():
        raise BadInput(f"{run} is a bundled run: nothing to resume; use another --out, or --fresh to start over")


def _require_start(config: RunConfig, run: Path) -> None:
    """The run that fine-tuning starts from has weights that fit, and is another one."""
    init = config.train.init
    if init is None:
        return
    if Path(init).resolve() == run.resolve():
        raise BadInput(f"train.init {init} is the run folder itself; give another --out")
    start = runs.read_config(Path(init)).model
    if type(start) is not type(config.model):
        raise BadInput(f"train.init {init} is a model of another family")
    checkpoint.load_weights(Path(init) / runs.WEIGHTS, build_model(config.model))


def _require_same(saved: RunConfig, asked: RunConfig, run: Path) -> None:
    old, new = saved.to_dict(), asked.to_dict()
    for part in new:
        for key in new[part]:
            if old[part][key] != new[part][key]:
                what = "was trained on other data" if key.startswith("condition_") else "has other settings"
                raise BadInput(
                    f"{run} {what}: {part}.{key} is {old[part][key]}, asked for {new[part][key]}; "
                    "use another --out, or --fresh to start over"
                )


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in ("torch", "numpy", "accelerate")}}


def _read_state(last: Path) -> tuple[Progress, Path | None]:
    """Where the training in a run folder stands, and the file of its tensors."""
    path = last / STATE
    if not path.exists():
        return Progress(), None
    try:
        state = json.loads(path.read_text())
        return Progress(**state["progress"]), last / state["tensors"]
    except (OSError, ValueError, TypeError, KeyError):
        raise BadInput(f"{path}: not readable; use --fresh to start over") from None


def _save_state(last: Path, model: nn.Module, optimizer: Any, kind: str, progress: Progress) -> None:
    """Tensors first, then the JSON that names their file: whenever this is cut off, one of the two states is whole."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        kept = optimizer.state.get(parameter) or {}  # empty before the first step
        for key in MOMENTS[kind]:
            start = torch.zeros(()) if key == "step" else torch.zeros_like(parameter)
            tensors[f"optimizer.{key}.{name}"] = kept.get(key, start)
    file = f"step-{progress.iteration:08d}.safetensors"
    checkpoint.save_tensors(last / file, tensors)
    write_json(last / STATE, {"tensors": file, "progress": dataclasses.asdict(progress)})
    for old in last.glob("step-*.safetensors"):
        if old.name != file:
            old.unlink()


def _load_tensors(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, kind: str) -> None:
    """Weights, running statistics and the optimizer's moments of a saved state; all of them, or BadInput."""
    tensors, weights = checkpoint.load_tensors(path), model.state_dict()
    expected = {f"model.{name}": value.shape for name, value in weights.items()}
    for name, parameter in model.named_parameters():
        for key in MOMENTS[kind]:
            expected[f"optimizer.{key}.{name}"] = torch.Size() if key == "step" else parameter.shape
    if {name: value.shape for name, value in tensors.items()} != expected:
        raise BadInput(f"{path}: not the state of this model; use --fresh to start over")
    model.load_state_dict({name: tensors[f"model.{name}"] for name in weights})
    for name, parameter in model.named_parameters():
        for key in MOMENTS[kind]:
            value = tensors[f"optimizer.{key}.{name}"]
            if key == "step":
                optimizer.state[parameter][key] = value.to(parameter.device)
            else:  # in the parameter's memory layout, as the optimizer itself makes them
                optimizer.state[parameter][key] = torch.empty_like(parameter, requires_grad=False).copy_(value)


def _save_gif(path: Path, model: nn.Module, clips: Clips, config: RunConfig) -> None:
    """Truth and prediction of the first validation clips, side by side: context framed green, predictions red.

    A pose picture stands at the left of what it belongs to.
    """
    n_past, chosen = config.data.n_past, list(range(min(GIF_CLIPS, len(clips))))
    n_future = min(frames_ahead(config.data, clips, chosen), GIF_FRAMES)
    batch = window_batch(clips, chosen, n_past + n_future)
    weight = next(model.parameters())
    clip = batch.to_clip(n_past, weight.device, weight.dtype)
    futures = predict(model, clip, batch.ids, n_future=n_future)[0]
    if not torch.isfinite(futures).all():
        return  # nothing to see, and the validation scores say so
    rows = []
    for truth, known, future in zip(batch.frames.numpy(), batch.conditions.numpy(), to_uint8(futures)):
        imagined = np.concatenate([truth[:n_past], future])
        tiles = [render.frame_border(truth, len(truth)), render.frame_border(imagined, n_past)]
        if known.shape == truth.shape:
            tiles.insert(0, render.frame_border(known, len(known)))
        rows.append(render.side_by_side(tiles))
    path.parent.mkdir(parents=True, exist_ok=True)
    render.save_gif(path, render.upscale(render.grid(rows, columns=2, gap=6), 2))
