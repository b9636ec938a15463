"""The report's whole training for a given processor time: its network, loop, loader, optimizer and schedules."""

import json
import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from train.benchmark import harness
from train.benchmark.yardstick import PublishedClips, PublishedSVG, copy_weights
from vidpred import checkpoint, presets, runs, schedules
from vidpred.config import RunConfig
from vidpred.files import write_json
from vidpred.models import build_model
from vidpred.training.state import load_tensors, read_progress, save_state

TRAINING = "training.json"  # its processor time, and what was kept on the way


def _settings() -> dict[str, RunConfig]:
    report = replace(presets.preset("report-robot-learned-cyclical"), model=harness.report_model("small"))
    t = report.train
    ours = {"beta_max": 1e-4, "lr_decay": "cosine", "tfr_decay": "linear", "tfr_decay_start": t.epochs // 3}
    return {"published": report, "published-schedules": replace(report, train=replace(t, **ours))}


PUBLISHED = _settings()  # candidates; the second has the schedules that the project's candidates share


def train_published(
    run: Path,
    config: RunConfig,
    clips: PublishedClips,
    seconds: float,
    points: int,
    save_every: int,
    clock: Callable[[], float] = time.process_time,
) -> list[dict]:
    """Train for so much processor time, or go on with what is there, for the time that it was begun with.

    Where a schedule stands is told by the share of the time that is spent, not by iterations: all of it is run through
    in any time. Returns step, processor_seconds and weights (a file for vidpred's model of this config) at each of the
    evenly spaced points, the last of which is the end.
    """
    t, path, last = config.train, run / TRAINING, run / runs.LAST
    told = json.loads(path.read_text()) if path.exists() else {"seconds": seconds, "points": points, "kept": []}
    seconds, points, kept = told["seconds"], told["points"], told["kept"]
    torch.manual_seed(t.seed)
    ours = build_model(config.model)
    model = PublishedSVG(config.model).train()
    names = copy_weights(ours, model)
    optimizer = torch.optim.Adam(model.parameters(), t.lr, (t.adam_beta1, 0.999))
    progress, tensors = read_progress(last)
    if tensors is not None:
        load_tensors(tensors, model, optimizer, t.optimizer)
    del kept[sum(row["step"] <= progress.iteration for row in kept) :]
    began = clock() - progress.processor_seconds
    while len(kept) < points:
        share = min(progress.processor_seconds / seconds, 1 - 1e-9)
        _step(model, optimizer, config, clips, progress.iteration, share)
        progress.iteration += 1
        progress.processor_seconds = clock() - began
        if progress.processor_seconds >= seconds * (len(kept) + 1) / points:
            weights = run / runs.KEPT / f"step_{progress.iteration:08d}.safetensors"
            state = model.state_dict()
            ours.load_state_dict({name: state[theirs] for theirs, name in names.items()})
            checkpoint.save_weights(weights, ours)
            row = {"step": progress.iteration, "processor_seconds": round(progress.processor_seconds, 1)}
            kept.append(row | {"weights": weights.name})
        elif progress.iteration % save_every:
            continue
        save_state(last, model, optimizer, t.optimizer, progress)
        write_json(path, told)
    return [row | {"weights": run / runs.KEPT / row["weights"]} for row in kept]


def _step(
    model: PublishedSVG,
    optimizer: torch.optim.Optimizer,
    config: RunConfig,
    clips: PublishedClips,
    iteration: int,
    share: float,
) -> None:
    """Move the weights once; every draw is a function of (seed, iteration)."""
    t = config.train
    position = int(share * t.epochs * t.iterations_per_epoch)
    for group in optimizer.param_groups:
        group["lr"] = schedules.lr_at(t, position)
    frames, conditions = clips.batch(t.batch_size, iteration)
    source = torch.Generator().manual_seed(t.seed + iteration)
    noise = torch.randn(frames.shape[1] - 1, t.batch_size, config.model.z_dim, generator=source)
    coin = random.Random(f"{t.seed} {iteration}").random()
    optimizer.zero_grad()
    loss, _, _ = model.loss(
        list(frames.unbind(1)),
        list(conditions.unbind(1)),
        list(noise),
        config.data.n_past,
        schedules.beta_at(t, position),
        coin < schedules.tfr_at(t, position // t.iterations_per_epoch),
    )
    loss.backward()
    optimizer.step()
