"""The training loop."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor
from tqdm import tqdm

from vidpred import checkpoint, processes, runs, schedules
from vidpred.clip import Clip
from vidpred.config import CHANNELS, RunConfig, SpeedConfig
from vidpred.data.batches import Batch, Clips, read_ahead, training_batch
from vidpred.files import without_infinity
from vidpred.lock import held
from vidpred.models import build_model
from vidpred.randomness import generator
from vidpred.training.checks import digest_of_start, require_epochs, require_tensorboard, require_trainable
from vidpred.training.gif import save_gif
from vidpred.training.memory import keep_freed_memory
from vidpred.training.optimizer import interpolate_weights
from vidpred.training.settings import resolved_precision, versions
from vidpred.training.state import INITIAL, load_tensors, read_progress, remove_leftovers, save_state
from vidpred.training.step import build_learner, own_rows, takes_cuda_graphs, train_step, training_noise
from vidpred.training.validation import is_better, validate


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
    what one does, up to rounding. A folder that another training writes is BadInput.
    """
    options = {"fresh": fresh, "cpu": cpu, "tensorboard": tensorboard, "show_progress": show_progress, "stop": stop}
    with held(run) if processes.rank() == 0 else contextlib.nullcontext(lambda: None) as still_held:
        return _train_alone(run, config, training, validation, speed or SpeedConfig(), still_held, **options)


def _train_alone(
    run: Path,
    config: RunConfig,
    training: Clips,
    validation: Clips,
    speed: SpeedConfig,
    still_held: Callable[[], None],
    *,
    fresh: bool,
    cpu: bool,
    tensorboard: bool,
    show_progress: bool,
    stop: Callable[[], bool],
) -> bool:
    """`train` in a folder that nobody else writes. still_held: BadInput where somebody does all the same."""
    # --- what cannot work is refused before anything is written or deleted
    config, chosen, digest = require_trainable(run, config, training, validation, fresh=fresh)
    t = config.train
    if tensorboard:
        require_tensorboard()
    cpu = cpu or not torch.cuda.is_available()
    precision = resolved_precision(t.precision, "cpu" if cpu else "cuda")
    accelerator = Accelerator(
        mixed_precision="no",  # the step's own matter: one process may train in several precisions, one after another
        cpu=cpu,
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True)],
        log_with="tensorboard" if tensorboard else None,
        project_dir=run if tensorboard else None,
    )
    writes = accelerator.is_main_process
    device = accelerator.device
    takes_cuda_graphs(speed, accelerator)
    rows_of_parts = own_rows(t.batch_size, t.accumulation)
    own = [row for rows in rows_of_parts for row in rows]

    # --- where things stand
    last = run / runs.LAST
    accelerator.wait_for_everyone()  # until every process has seen the folder as it was
    if writes:
        if fresh:
            runs.remove(run)
        if not (run / runs.CONFIG).exists():
            runs.write_config(run, config, {**versions(), "precision": precision})
    accelerator.wait_for_everyone()
    progress, tensors = read_progress(last)
    progress.clips = digest
    if writes:
        remove_leftovers(run, tensors)
    total, pixels = t.epochs * t.iterations_per_epoch, CHANNELS * math.prod(config.model.frame_size)
    epochs = progress.iteration // t.iterations_per_epoch
    metrics = [row for row in runs.read_metrics(run) if row["epoch"] < epochs]

    # --- model and optimizer
    if device.type == "cpu" and speed.keep_memory:
        keep_freed_memory()
    with torch.random.fork_rng(devices=[]):  # weights are drawn on the CPU
        torch.manual_seed(t.seed)
        model = build_model(config.model, speed)
    if t.init is not None and tensors is None:
        checkpoint.load_weights(Path(t.init) / runs.WEIGHTS, model)
        progress.start = digest_of_start(t.init)
    learner = build_learner(model, t, speed, accelerator, precision)
    initial = None
    if t.interpolate_every:
        if tensors is None and writes:
            checkpoint.save_weights(last / INITIAL, model)
        accelerator.wait_for_everyone()
        initial = checkpoint.load_tensors(last / INITIAL)
    if tensors is not None:
        load_tensors(tensors, model, learner.optimizer, t.optimizer)
    elif writes:  # at once: weights without a state are those of a bundled run, which is not gone on with
        save_state(last, model, learner.optimizer, t.optimizer, progress)
    require_epochs(run, config, metrics, epochs)
    if progress.iteration >= total:
        return True
    if tensorboard:
        accelerator.init_trackers("tensorboard")
    began, began_cpu = time.monotonic() - progress.seconds, time.process_time() - progress.processor_seconds

    def read(iteration: int) -> Batch:
        fraction = schedules.fraction_at(t, iteration // t.iterations_per_epoch)
        batch = training_batch(training, config.data, t.batch_size, t.seed, iteration, own, fraction)
        return batch if cpu else batch.pinned()

    def on_device(batch: Batch, iteration: int) -> Iterator[tuple[Clip, Tensor]]:
        """The parts of a batch, each with its noise."""
        for part, rows in zip(batch.parts(t.accumulation), rows_of_parts):
            clip = part.to_clip(config.data.n_past, device, next(model.parameters()).dtype)
            yield clip, training_noise(model, clip, t.batch_size, rows, t.seed, iteration)

    # --- iterations
    bar = tqdm(
        total=total, initial=progress.iteration, desc=run.name, unit="it", disable=not (show_progress and writes)
    )
    bar_validation = {}
    batches = read_ahead(read, progress.iteration, total, speed.prefetch)
    try:
        while progress.iteration < total:
            still_held()
            if processes.averaged({"stop": float(stop())}, device)["stop"] > 0:  # one is asked: all save and stop
                progress.seconds, progress.processor_seconds = time.monotonic() - began, time.process_time() - began_cpu
                if writes:
                    save_state(last, model, learner.optimizer, t.optimizer, progress)
                accelerator.wait_for_everyone()
                return False
            i = progress.iteration
            epoch = i // t.iterations_per_epoch
            beta, tfr = schedules.beta_at(t, i, progress.mse, pixels), schedules.tfr_at(t, epoch, progress.restarts)
            coin = ("coin", t.seed, i) if t.tfr_coin == "batch" else ("coin of an epoch", t.seed, epoch)
            teacher_forced = generator(*coin).uniform() < tfr
            feedback = "prediction" if not teacher_forced else tfr if t.tfr_mix else "truth"
            lr = schedules.lr_at(t, i)
            for group in learner.optimizer.param_groups:
                group["lr"] = lr

            # --- the step itself
            step = train_step(learner, t, on_device(next(batches), i), beta=beta, feedback=feedback)
            if step.moved:
                progress.add({**step.means, "teacher_forced": float(teacher_forced)}, config.data.length - 1)
                bar.set_postfix(
                    loss=f"{step.means['loss']:.4f}",
                    kl=f"{step.means['kld']:.3g}",
                    beta=f"{beta:.1e}",
                    tfr=f"{tfr:.2f}",
                    psnr=f"{step.means['train_psnr']:.2f}dB",
                    **bar_validation,
                )
            else:
                progress.skipped_steps += 1
                bar.set_postfix(skipped=progress.skipped_steps, **bar_validation)
            progress.iteration += 1
            bar.update()
            if progress.iteration % t.iterations_per_epoch:
                continue

            # --- end of an epoch
            model.eval()
            row = {
                "epoch": epoch,
                "step": progress.iteration,
                "seconds": round(time.monotonic() - began, 1),
                "processor_seconds": round(time.process_time() - began_cpu, 1),
                **progress.epoch_means(),
                "beta": beta,
                "tfr": tfr,
                "lr": lr,
                **validate(model, validation, chosen, config),
                "skipped_steps": progress.skipped_steps,
            }
            metrics.append(without_infinity(row))
            progress.sums = {}
            progress.seconds, progress.processor_seconds = time.monotonic() - began, time.process_time() - began_cpu
            bar_validation = {"val": f"{row['val_psnr']:.2f}dB"}
            better = is_better(t.best_by, progress, row)
            still_held()
            if writes:
                if better:
                    (run / runs.EVAL).unlink(missing_ok=True)  # first: an evaluation is of the weights beside it
                    checkpoint.save_weights(run / runs.WEIGHTS, model)
                if t.save_every and (epoch + 1) % t.save_every == 0:
                    checkpoint.save_weights(run / runs.KEPT / f"epoch_{epoch + 1:04d}.safetensors", model)
                if t.gif_every and ((epoch + 1) % t.gif_every == 0 or progress.iteration == total):
                    save_gif(run / runs.SAMPLES / f"epoch_{epoch + 1:04d}.gif", model, validation, config)
                # before the state: a resume drops a row too many, one too few is lost
                runs.write_metrics(run, metrics)
            losses, psnrs = ([row[name] for row in metrics] for name in ("val_loss", "val_psnr"))
            if schedules.is_plateau(t, losses, psnrs, progress.restarts):
                progress.restarts.append(epoch + 1)
            if schedules.interpolates_after(t, epoch):
                interpolate_weights(model, initial)
            if writes:
                save_state(last, model, learner.optimizer, t.optimizer, progress)
            if tensorboard:
                accelerator.log({k: v for k, v in metrics[-1].items() if v is not None}, step=progress.iteration)
            accelerator.wait_for_everyone()
    finally:
        batches.close()
        bar.close()
        if tensorboard:
            accelerator.end_training()
    return True
