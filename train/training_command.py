"""What the training commands share: settings from a preset and options, and a training that resumes."""

import contextlib
import dataclasses
import json
import os
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Generic, TypeVar

import tyro

from train.cli import Cache, Cpu, Json, box_as_line, one_line_errors, print_json, require_outside
from vidpred import schedules
from vidpred.config import CHANNELS, LEARNED, RunConfig, SpeedConfig, TrainConfig, to_dict
from vidpred.errors import BadInput
from vidpred.presets import PRESETS, preset

Model = TypeVar("Model")
Window = TypeVar("Window")


@dataclasses.dataclass(frozen=True)
class Command(Generic[Model, Window]):
    """What is trained, on what, and where to."""

    data: Path
    """folder with train/, validate/ (of a dance: val/) and test/"""
    out: Path
    """run folder to write, or to go on with"""
    model: Model
    window: Annotated[Window, tyro.conf.arg(name="data")]
    train: TrainConfig
    speed: SpeedConfig
    preset: str = ""
    """named settings that the other options change. SVG: svg (published network), small (2 M parameters), small-free
    (frames alone), tiny and tiny-free (minutes), small-published, debug (seconds),
    report-robot-{fixed,learned}-{cyclical,monotonic}[-early]. Pose CVAE: pose (published network), pose-small (0.13 M
    parameters), pose-tiny, pose-debug, report-dance-linear[-monotonic|-none],
    report-dance-{interpolation,plateau,floor}"""
    fresh: bool = False
    """delete what an earlier training left in the run folder"""
    dry_run: bool = False
    """print the resolved settings as JSON and stop"""
    cache: Cache = None
    cpu: Cpu = False
    tensorboard: bool = False
    """also log to RUN/tensorboard (needs the tensorboard package)"""
    json: Json = False


class PresetParser(ArgumentParser):
    """Finds --preset before tyro needs its values as defaults; what it cannot read is BadInput."""

    def error(self, message: str):
        raise BadInput(f"{message} (see {self.prog} --help)")


def train_family(prog: str, model: type, default_preset: str, description: str, args: list[str] | None) -> None:
    """Parse the command line of a family of models, whose config has the type `model`, and train."""
    args = sys.argv[1:] if args is None else args
    with one_line_errors(prog):
        named = PresetParser(prog, add_help=False, allow_abbrev=False)
        named.add_argument("--preset", default=default_preset)
        name = named.parse_known_args(args)[0].preset
        start = preset(name)
        if start.model.kind != model.kind:
            own = [other for other, config in PRESETS.items() if config.model.kind == model.kind]
            raise BadInput(f"preset {name!r} is of another family; here: {', '.join(own)}")
        default = Command(
            data=tyro.MISSING,
            out=tyro.MISSING,
            model=start.model,
            window=start.data,
            train=start.train,
            speed=SpeedConfig(),
            preset=name,
        )
        with box_as_line(prog):
            command = tyro.cli(
                Command[model, model.data_config], prog=prog, description=description, args=args, default=default
            )
        run_training(command)


def require_sensible(config: RunConfig) -> None:
    """BadInput for what is seen to make no sense without any data."""
    if config.train.iterations_per_epoch:
        schedules.beta_at(config.train, 0)
    config.require_two_clips()
    if config.model.condition_mean:
        raise BadInput("--model.condition-mean and --model.condition-scale are learned from the training split")


def run_training(command: Command, show_progress: bool = True) -> None:
    """Train as the command says; Ctrl-C saves and stops."""
    config = RunConfig(command.model, command.window, command.train)
    require_sensible(config)
    if command.dry_run:
        print(json.dumps(config.to_dict(), indent=None if command.json else 1))
        return
    from vidpred import processes, runs  # imports of torch wait until the command line is known to be good
    from vidpred.data.batches import open_split
    from vidpred.training.loop import train

    require_outside(command.data, command.out)
    processes.join(command.cpu)
    speaks = processes.rank() == 0
    with processes.first_alone():
        training, validation = (
            open_split(command.data, split, command.cache, progress=speaks and show_progress)
            for split in ("train", "validate")
        )
    if speaks:
        print(describe(config), flush=True)
        if config.train.init and (command.fresh or not (command.out / runs.LAST).exists()):
            for said in unlike_start(config, runs.read_config(Path(config.train.init))):
                print(said, flush=True)
    with interruptible() as stop:
        finished = train(
            command.out,
            config,
            training,
            validation,
            speed=command.speed,
            fresh=command.fresh,
            cpu=command.cpu,
            tensorboard=command.tensorboard,
            show_progress=show_progress,
            stop=stop,
        )
    if not speaks:
        return
    rows = runs.read_metrics(command.out)
    if rows and (skipped := rows[-1].get("skipped_steps")):
        print(
            f"{skipped:,} of {rows[-1]['step']:,} steps were skipped, because the loss or its gradient was not finite: "
            "lower --train.lr, or bound the gradient by --train.grad-clip"
        )
    best = max((row["val_psnr"] for row in rows if row["val_psnr"] is not None), default=None)
    if finished:
        said = "not finite" if best is None else f"{best:.2f} dB"
        print(f"finished: {command.out}, best validation PSNR {said} ({config.model.psnr_protocol}, one sample)")
    else:
        print(f"stopped and saved: the same command resumes {command.out}")
    if command.json:
        print_json({"run": str(command.out), "finished": finished, "epochs": len(rows), "best_val_psnr": best})


def describe(config: RunConfig) -> str:
    """One line on what is about to be trained, beta with its portable meaning."""
    m, t = config.model, config.train
    height, width = m.frame_size
    beta = schedules.beta_reached(t)
    weight_of_kl = beta * schedules.kld_share(t, config.data.length)
    sigma = schedules.equivalent_sigma(weight_of_kl, CHANNELS * height * width)
    way = f"{beta:g} throughout" if t.kl_anneal == "none" else f"{t.kl_anneal} to {beta:g}"
    weight = f"beta {way} (a Gaussian decoder with sigma {sigma:.2g})"
    if t.l1_weight or t.gradient_weight:  # no Gaussian decoder has this likelihood
        weight = f"beta {way}; beside the MSE {t.l1_weight:g} x l1, {t.gradient_weight:g} x gradient"
    if t.kl_anneal == "calibrated":
        weight = "beta calibrated: 2 MSE / D as the training goes"
    iterations = t.iterations_per_epoch or "as many as a pass takes"
    return (
        f"{m.summary}, windows of {config.data.length} frames; {t.epochs} epochs x {iterations} batches of "
        f"{t.batch_size}; {weight}"
    )


def unlike_start(config: RunConfig, start: RunConfig) -> list[str]:
    """A line if the weights that fine-tuning starts from were trained in another network; sizes that differ are refused
    later, and the moments of conditions are the start's."""
    ours, theirs = to_dict(config.model), to_dict(start.model)
    apart = [name for name in ours if name in theirs and ours[name] != theirs[name] and name not in LEARNED]
    if not apart:
        return []
    told = ", ".join(f"model.{name} {theirs[name]} (here {ours[name]})" for name in apart)
    return [f"{config.train.init} was trained with {told}"]


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Ctrl-C (or SIGTERM) asks the training to save and stop; a second one stops at once."""
    asked = False

    def ask(number, frame):
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        if os.environ.get("RANK", "0") == "0":
            print("\nstopping after this iteration …", file=sys.stderr, flush=True)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
