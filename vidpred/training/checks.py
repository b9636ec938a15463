"""What is refused before anything is written or deleted."""

import hashlib
import importlib.util
import os
from dataclasses import replace
from pathlib import Path

from vidpred import checkpoint, runs, schedules
from vidpred.config import RunConfig
from vidpred.data.batches import Clips, require_suitable, training_batch, window_batch
from vidpred.errors import BadInput, require_utf8
from vidpred.evaluation import frames_ahead
from vidpred.files import is_vacant
from vidpred.models import build_model, count_parameters
from vidpred.training.settings import with_absolute_init, with_condition_moments, with_whole_passes
from vidpred.training.state import STATE, read_progress

BYTES_PER_PARAMETER = 16  # weight, gradient, two moments


def require_trainable(
    run: Path, config: RunConfig, training: Clips, validation: Clips, *, fresh: bool
) -> tuple[RunConfig, list[int], str]:
    """Settings as the data completes them, the validation clips that are scored, and a digest of the clips. BadInput
    for what would end a training once it has begun: schedule, clips, place, start of fine-tuning, a run of other
    settings or clips."""
    config = with_whole_passes(config, training)
    t, chosen = config.train, list(range(min(config.train.validation_clips, len(validation))))
    _require_memory(config)
    config.require_two_clips()
    schedules.beta_at(t, 0)
    training_batch(training, config.data, t.batch_size, t.seed, 0, fraction=schedules.fraction_at(t, 0))
    for clips in (training, validation):
        require_suitable(clips, config.model)
    window_batch(validation, chosen, config.data.n_past + frames_ahead(config.data, validation, chosen))
    _require_place(run, fresh)
    config = with_condition_moments(config, training, _require_start(config, run, fresh))
    digest = _digest(training, validation)
    if (run / runs.CONFIG).exists() and not fresh:
        progress = read_progress(run / runs.LAST)[0]
        if progress.clips not in (None, digest):
            raise BadInput(f"{run} was trained on other data: use another --out, or --fresh to start over")
        _require_same(runs.read_config(run), config, run, progress.start)
    return config, chosen, digest


def _digest(*splits: Clips) -> str:
    """Of each split's number of clips and first frame: those of another data set may have the same names."""
    found = hashlib.sha256()
    for clips in splits:
        found.update(f"{len(clips)} clips".encode() + clips.window(0, 0, 1)[0].tobytes())
    return found.hexdigest()[:16]


def digest_of_start(init: str, gone: str | None = None) -> str | None:
    """Of the weights of the run that fine-tuning starts from; `gone` where they are not there."""
    try:
        with open(Path(init) / runs.WEIGHTS, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError:
        return gone


def require_epochs(run: Path, config: RunConfig, rows: list[dict], epochs: int) -> None:
    """BadInput unless the rows and the best weights of a run that has had so many epochs are there and fit."""
    if len(rows) != epochs or any(row["epoch"] != epoch for epoch, row in enumerate(rows)):
        raise BadInput(
            f"{run / runs.METRICS}: no row for each of the run's {epochs:,} epochs so far: put it back, or use --fresh "
            "to start over"
        )
    if not epochs:
        return
    try:
        checkpoint.load_weights(run / runs.WEIGHTS, build_model(config.model))
    except BadInput as error:
        raise BadInput(f"{error}; the best weights so far: put them back, or use --fresh to start over") from None


def require_tensorboard() -> None:
    """BadInput where the package is missing."""
    if importlib.util.find_spec("tensorboard") is None:
        raise BadInput("--tensorboard needs the tensorboard package: pip install tensorboard")


def _require_same(saved: RunConfig, asked: RunConfig, run: Path, start: str | None) -> None:
    """BadInput that names the first setting in which a run differs from what is asked for. The run that it started from
    may have been moved: its name counts, and its weights, of the digest `start`, where they are still there."""
    old, new = (replace(config, train=with_absolute_init(config.train)).to_dict() for config in (saved, asked))
    inits = [config.train.init for config in (saved, asked) if config.train.init]
    if len({Path(init).name for init in inits}) == 1 < len(inits) and start in (None, digest_of_start(inits[1], start)):
        old["train"]["init"] = new["train"]["init"]
    for part in new:
        for key in new[part]:
            if old[part][key] != new[part][key]:
                what = "was trained on other data" if key.startswith("condition_") else "has other settings"
                longer = f" (with --train.init {run} it goes on from there)" if key == "epochs" else ""
                raise BadInput(
                    f"{run} {what}: {part}.{key} is {old[part][key]}, asked for {new[part][key]}; "
                    f"use another --out{longer}, or --fresh to start over"
                )


def _require_memory(config: RunConfig) -> None:
    """A machine can hold the weights, their gradients and what the optimizer keeps of each."""
    if not checkpoint.is_large(config.model):
        return
    count = count_parameters(checkpoint.shapes_of(config.model))
    needed, there = count * BYTES_PER_PARAMETER, _memory()
    if there is not None and needed > there:
        raise BadInput(
            f"a model of {count:,} parameters takes {needed / 1e9:,.0f} GB to train, this machine has "
            f"{there / 1e9:,.0f} GB: choose smaller sizes"
        )


def _memory() -> int | None:
    """Bytes of this machine, where it says so."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _require_place(run: Path, fresh: bool) -> None:
    """A run folder is new, empty, or a run that can be resumed; with `fresh` any run, whose settings can be read or
    beside which a state lies: other programs have files of these names, too."""
    require_utf8(str(run.resolve()), "--out is")  # safetensors could not read what it has written
    if run.exists() and not run.is_dir():
        raise BadInput(f"{run}: not a folder")
    if not (run / runs.CONFIG).exists():
        if not is_vacant(run):
            raise BadInput(f"{run} is not empty and no run; give another folder")
    elif (run / runs.LAST / STATE).exists():
        return
    elif fresh:
        runs.read_settings(run)
    elif (run / runs.WEIGHTS).exists():
        raise BadInput(f"{run} is a bundled run: nothing to resume; use another --out, or --fresh to start over")


def _require_start(config: RunConfig, run: Path, fresh: bool) -> Path | None:
    """The run that fine-tuning starts from; it has weights that fit, and is another one. The run itself where it goes
    on: it holds all that it took, and its start may be gone."""
    init = config.train.init
    if init is None:
        return None
    if Path(init).resolve() == run.resolve():
        raise BadInput(f"train.init {init} is the run folder itself; give another --out")
    if not fresh and (run / runs.LAST / STATE).exists():
        return run
    if runs.read_config(Path(init)).model.kind != config.model.kind:
        raise BadInput(f"train.init {init} is a model of another family")
    checkpoint.load_weights(Path(init) / runs.WEIGHTS, build_model(config.model))
    return Path(init)
