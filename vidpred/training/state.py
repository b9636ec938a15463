"""Where a training stands, and RUN/last, from which it goes on."""

import dataclasses
import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from vidpred import checkpoint, runs, schedules
from vidpred.errors import BadInput
from vidpred.files import read_bytes, remove_unfinished, sync_folder, without_infinity, write_json
from vidpred.training.optimizer import MOMENTS

STATE = "state.json"
INITIAL = "initial.safetensors"  # weights at the start, where they are interpolated with
MEANS = ("loss", "mse", "kld", "train_psnr", "teacher_forced")  # of an epoch


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
    clips: str | None = None  # digest of what it is trained on
    start: str | None = None  # digest of the weights that fine-tuning has started from

    def __post_init__(self):
        """TypeError for what no training has saved."""
        if self.sums.get("train_psnr", 0.0) is None:  # as JSON holds infinity
            self.sums["train_psnr"] = math.inf
        finite = [total for name, total in self.sums.items() if (name, total) != ("train_psnr", math.inf)]
        numbers = [self.seconds, self.processor_seconds, self.mse, *finite]
        numbers += [best for best in (self.best_psnr, self.best_loss) if best is not None]
        counts = [self.iteration, self.skipped_steps, *self.restarts]
        if not all(type(n) in (int, float) and math.isfinite(n) for n in numbers):
            raise TypeError("a number that is none, or not finite")
        if not all(type(n) is int and n >= 0 for n in counts):
            raise TypeError("a count that is none")
        if type(self.restarts) is not list or (self.sums and not self.sums.keys() >= {*MEANS, "steps"}):
            raise TypeError("no list, or a sum that is missing")
        if not all(isinstance(digest, str | None) for digest in (self.clips, self.start)):
            raise TypeError("a digest that is none")

    def add(self, values: dict[str, float], steps: int) -> None:
        """Count an iteration that was not skipped, over so many time steps."""
        self.mse += schedules.MSE_MOMENTUM * (values["mse"] / steps - self.mse)
        for name, value in {**values, "steps": 1.0}.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def epoch_means(self) -> dict[str, float | None]:
        """Means over the epoch's steps that were not skipped; None when all were. One batch that is predicted to the
        bit makes that of train_psnr infinite."""
        return {name: self.sums[name] / self.sums["steps"] if self.sums else None for name in MEANS}


def read_progress(last: Path) -> tuple[Progress, Path | None]:
    """Where the training in a run folder stands, and the file of its tensors."""
    path = last / STATE
    if not path.exists():
        return Progress(), None
    try:
        state = json.loads(read_bytes(path, runs.MOST_TEXT))
        progress = Progress(**state["progress"])
        if state["tensors"] != _file_of(progress):
            raise ValueError("tensors of another moment")
        return progress, last / state["tensors"]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        raise BadInput(f"{path}: not readable; use --fresh to start over") from None


def save_state(last: Path, model: nn.Module, optimizer: torch.optim.Optimizer, kind: str, progress: Progress) -> None:
    """Tensors first, then the JSON that names their file: whenever this is cut off, one of the two states is whole."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        kept = optimizer.state.get(parameter) or {}  # empty before the first step
        for key in MOMENTS[kind]:
            start = torch.zeros(()) if key == "step" else torch.zeros_like(parameter)
            tensors[f"optimizer.{key}.{name}"] = kept.get(key, start)
    file = _file_of(progress)
    checkpoint.save_tensors(last / file, tensors)
    sync_folder(last)  # a file's name, too, is on the disk before what relies on it changes
    values = dataclasses.asdict(progress) | {"sums": without_infinity(progress.sums)}
    write_json(last / STATE, {"tensors": file, "progress": values})
    sync_folder(last)
    _remove_old_tensors(last, file)


def remove_leftovers(run: Path, tensors: Path | None) -> None:
    """What a training that was killed left in its run folder beside its state."""
    remove_unfinished(run, *runs.MADE)
    for name in (runs.LAST, runs.SAMPLES, runs.KEPT):
        remove_unfinished(run / name)
    if tensors is not None:
        _remove_old_tensors(run / runs.LAST, tensors.name)


def _file_of(progress: Progress) -> str:
    return f"step-{progress.iteration:08d}.safetensors"


def _remove_old_tensors(last: Path, current: str) -> None:
    for old in last.glob("step-*.safetensors"):
        if old.name != current:
            old.unlink()


def load_tensors(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, kind: str) -> None:
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
