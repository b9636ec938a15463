"""Designing beta and teacher forcing: what they do over a training, and the command that trains it."""

import contextlib
import dataclasses
import math
import shlex
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vidpred import schedules
from vidpred.config import CHANNELS, LEARNED, RunConfig, TrainConfig, from_dict, to_dict
from vidpred.errors import BadInput
from vidpred.explorer.runs import validate
from vidpred.explorer.runs.library import Library
from vidpred.explorer.ui.chart import Line, Panel
from vidpred.presets import PRESETS

MOST_EPOCHS, MOST_ITERATIONS = 100_000, 1_000_000
ONE_PASS = 100  # iterations that stand for "one pass over the data", whose length is not known here
POSITIONS = 400  # of a curve, apart from the edges of its cycles
MOST_EDGES = 200
CALIBRATED_MSE = 10**-2.5  # at which calibrated beta is drawn: 25 dB
PREFIX = "run: "
COMMANDS = {"svg": ("train.svg", "data/robot"), "pose_cvae": ("train.pose_cvae", "data/dance")}


def _whole(low: int, high: int) -> Callable[[Any, str], int]:
    return lambda value, label: validate.whole_number(value, label, low, high)


def _between(low: float, high: float) -> Callable[[Any, str], float]:
    return lambda value, label: validate.number_between(value, label, low, high)


def choices(name: str) -> list[str]:
    """What a setting of TrainConfig may be."""
    return list(typing.get_args(typing.get_type_hints(TrainConfig)[name]))


def _one_of(name: str) -> Callable[[Any, str], str]:
    return lambda value, label: validate.choice(value, label, choices(name))


class Field(NamedTuple):
    """A setting of TrainConfig that is designed here: its name for a person, and the check of what was sent."""

    label: str
    check: Callable[[Any, str], Any]


FIELDS = {
    "epochs": Field("Epochs", _whole(1, MOST_EPOCHS)),
    "iterations_per_epoch": Field("Iterations per epoch", _whole(0, MOST_ITERATIONS)),
    "kl_anneal": Field("KL annealing", _one_of("kl_anneal")),
    "beta_max": Field("beta_max", _between(0, 1e6)),
    "kl_anneal_cycles": Field("Cycles", _whole(1, MOST_EPOCHS)),
    "kl_anneal_cycle_epochs": Field("Cycle length in epochs", _whole(0, MOST_EPOCHS)),
    "kl_anneal_ratio": Field("Ramp share", _between(0, 1)),
    "kl_anneal_shape": Field("Shape of the rise", _one_of("kl_anneal_shape")),
    "kl_anneal_start": Field("Start", _between(0, 1e6)),
    "kl_anneal_stop": Field("Stop", _between(0, 1e6)),
    "kl_anneal_value": Field("Constant value", _between(0, 1e6)),
    "kl_anneal_per": Field("counting unit", _one_of("kl_anneal_per")),
    "tfr": Field("Ratio at the start", _between(0, 1)),
    "tfr_decay": Field("way to fall", _one_of("tfr_decay")),
    "tfr_decay_start": Field("Start of the fall", _whole(0, MOST_EPOCHS)),
    "tfr_decay_step": Field("Fall", _between(0, 1)),
    "tfr_floor": Field("Lowest ratio", _between(0, 1)),
    "tfr_coin": Field("coin", _one_of("tfr_coin")),
    "tfr_mix": Field("Mixing", validate.switch),
}

# Settings that mean something only beside another one: name -> (setting, its values).
ONLY_WITH = {
    "beta_max": ("kl_anneal", ("cyclical", "monotonic", "none")),
    "kl_anneal_cycles": ("kl_anneal", ("cyclical",)),
    "kl_anneal_cycle_epochs": ("kl_anneal", ("cyclical", "monotonic")),
    "kl_anneal_ratio": ("kl_anneal", ("cyclical", "monotonic")),
    "kl_anneal_shape": ("kl_anneal", ("cyclical", "monotonic")),
    "kl_anneal_start": ("kl_anneal", ("cyclical", "monotonic")),
    "kl_anneal_stop": ("kl_anneal", ("cyclical", "monotonic")),
    "kl_anneal_per": ("kl_anneal", ("cyclical", "monotonic")),
    "kl_anneal_value": ("kl_anneal", ("none",)),
    "tfr_decay_step": ("tfr_decay", ("step", "every")),
}


class Design(NamedTuple):
    """What was designed: settings, the preset its command starts from, the command, and the curves."""

    config: RunConfig
    preset: str
    command: str
    summary: str
    panels: list[Panel]


def starts(library: Library) -> dict[str, str]:
    """Name -> what it is called: every preset and every run."""
    kinds = {name: config.model.family for name, config in PRESETS.items()}
    return {
        **{f"{name}  ·  {kind} preset": name for name, kind in sorted(kinds.items(), key=lambda item: item[1])},
        **{f"{name}  ·  run": PREFIX + name for name in library.runs},
    }


def start_config(library: Library, start: Any) -> RunConfig:
    """Settings of a preset or a run."""
    start = validate.choice(start, "preset or run", starts(library).values())
    return library.run(start.removeprefix(PREFIX)).config if start.startswith(PREFIX) else PRESETS[start]


def values_of(config: RunConfig) -> dict[str, Any]:
    """What the widgets show of settings; no cycle length is 0."""
    return {name: 0 if (value := getattr(config.train, name)) is None else value for name in FIELDS}


def applies(name: str, values: Mapping[str, Any]) -> bool:
    """Whether a setting means something beside the others."""
    if name not in ONLY_WITH:
        return True
    other, among = ONLY_WITH[name]
    return values.get(other) in among


def design(library: Library, start: Any, values: dict[str, Any]) -> Design:
    """The settings of `start` with `values` in their place. What makes no sense is BadInput, in one line; of what does
    not apply the settings of `start` stay then."""
    begun = start_config(library, start)
    checked = values_of(begun)
    for name, field in FIELDS.items():
        with contextlib.nullcontext() if applies(name, values) else contextlib.suppress(BadInput):
            checked[name] = field.check(values.get(name), field.label)
    checked["kl_anneal_cycle_epochs"] = checked["kl_anneal_cycle_epochs"] or None
    train = from_dict(TrainConfig, {**to_dict(begun.train), **checked, "init": None}, "train")
    config = dataclasses.replace(begun, train=train)
    drawn = train if train.iterations_per_epoch else dataclasses.replace(train, iterations_per_epoch=ONE_PASS)
    schedules.beta_at(drawn, 0)  # a schedule that makes no sense is refused here
    preset = nearest_preset(config) if start.startswith(PREFIX) else start
    height, width = config.model.frame_size
    curves = _curves(drawn, CHANNELS * height * width, schedules.kld_share(train, config.data.length))
    line = command(config, preset, _bounces(library, start))
    summary = _summary(config, drawn, curves)
    if begun.train.init:  # where it lies is known to whoever trained it, if to anyone
        before = Path(begun.train.init).name
        summary += (
            f"\n\n> The run went on from the weights of {before}: add `--train.init` with the folder of such a run."
        )
    return Design(config, preset, line, summary, curves)


def _bounces(library: Library, start: str) -> bool:
    """Whether it is a run of bouncing shapes: no setting says so, but its evaluation."""
    found = library.run(start.removeprefix(PREFIX)).evaluation if start.startswith(PREFIX) else None
    return found is not None and found.has_bounces


def command(config: RunConfig, preset: str, bounces: bool = False) -> str:
    """The command line that trains these settings, with the options that differ from the preset."""
    module, data = COMMANDS[config.model.kind]
    data = "data/bounce" if bounces else data
    words = ["python", "-m", module, "--data", data, "--out", "runs/mine", "--preset", preset]
    return shlex.join([*words, *options(config, PRESETS[preset])])


def options(config: RunConfig, base: RunConfig) -> list[str]:
    """What turns `base` into `config` on the command line."""
    words = []
    for section in ("model", "data", "train"):
        new, old = getattr(config, section), getattr(base, section)
        for field in dataclasses.fields(new):
            value = getattr(new, field.name)
            if field.name not in LEARNED and value != getattr(old, field.name):
                words += _option(f"{section}.{field.name.replace('_', '-')}", field.name, value)
    return words


def nearest_preset(config: RunConfig) -> str:
    """The preset of the same family from which the fewest options lead to these settings."""
    own = [name for name, base in PRESETS.items() if type(base.model) is type(config.model)]
    return min(own, key=lambda name: len(options(config, PRESETS[name])))


def _option(path: str, name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        section, _, rest = path.partition(".")
        return [f"--{path}"] if value else [f"--{section}.no-{rest}"]
    if isinstance(value, tuple):
        return [f"--{path}", *map(str, value)]
    return [f"--{path}", str(value)]


def _curves(train: TrainConfig, pixels: int, share: float) -> list[Panel]:
    """beta, its equivalent sigma and the teacher-forcing ratio over the epochs. share: of `kld_share`."""
    per_epoch = train.iterations_per_epoch
    iterations = _positions(train)
    epochs = [i / per_epoch for i in iterations]
    betas = [schedules.beta_at(train, i, CALIBRATED_MSE, pixels) for i in iterations]
    sigmas = [schedules.equivalent_sigma(beta * share, pixels) for beta in betas]
    every = math.ceil(train.epochs / POSITIONS)
    forced = sorted({*range(0, train.epochs, every), train.epochs - 1})
    ratios = [schedules.tfr_at(train, epoch) for epoch in forced]
    style = "solid" if len(forced) > 1 else "dots"
    return [
        Panel("beta", "weight of the KL", [Line("beta", "beta", 0, "solid", epochs, betas)], from_zero=True),
        Panel(
            "Teacher forcing",
            "ratio in each epoch",
            [Line("tfr", "ratio", 1, style, forced, ratios)],
            y_lim=(-0.04, 1.04),
        ),
        Panel(
            "Equivalent sigma",
            "of a Gaussian decoder",
            [Line("sigma", "sigma", 2, "solid", epochs, sigmas)],
            from_zero=True,
        ),
    ]


def _positions(train: TrainConfig) -> list[int]:
    """Iterations at which the curves are computed: evenly spaced, and on both sides of every drop of beta."""
    total, per_epoch = train.epochs * train.iterations_per_epoch, train.iterations_per_epoch
    found = {*range(0, total, math.ceil(total / POSITIONS)), total - 1}
    if train.kl_anneal in ("cyclical", "monotonic"):
        unit = per_epoch if train.kl_anneal_per == "epoch" else 1
        n, cycles = schedules.anneal_cycles(train)
        edges = [(math.ceil(c * n / cycles) * unit, math.ceil((c + train.kl_anneal_ratio) * n / cycles) * unit)
                 for c in range(min(math.ceil(total / (n / cycles * unit)), MOST_EDGES))]  # fmt: skip
        found |= {i for edge in edges for i in (edge[0] - 1, edge[0], edge[1]) if 0 <= i < total}
    return sorted(found)


def _summary(config: RunConfig, drawn: TrainConfig, curves: list[Panel]) -> str:
    """The design in words, with what it means and what may go wrong."""
    train = config.train
    height, width = config.model.frame_size
    betas, ratios, sigmas = (panel.lines[0].y for panel in curves)
    if train.iterations_per_epoch:
        each = train.iterations_per_epoch
        length = f"{train.epochs:,} epochs × {each:,} = {train.epochs * each:,} iterations"
    else:
        length = f"{train.epochs:,} epochs of one pass over the data (drawn as {ONE_PASS} iterations each)"
    forced = sum(ratios) / len(ratios)
    plateau = ", and again from 1 on wherever validation has come to a plateau" if train.plateau_patience else ""
    lines = [
        f"{length}. beta reaches **{max(betas):.3g}**: the bound of a Gaussian decoder with "
        f"**sigma {max(sigmas):.3g}**, where each of a frame's {CHANNELS * height * width:,} numbers lies between "
        "0 and 1. "
        f"Teacher forcing in **{forced:.0%}** of the training{plateau}."
    ]
    if max(sigmas) > 2:
        lines.append(
            "> A sigma this large says that pixels hardly matter: z will very probably carry nothing "
            "(the posterior collapses)."
        )
    if train.kl_anneal == "calibrated":
        lines.append(
            "> Calibrated: beta follows the error, 2 × MSE / D, and falls as the training gets better; drawn for a "
            f"prediction of {-10 * math.log10(CALIBRATED_MSE):.0f} dB. The curves of a run show what it was."
        )
    rises = train.kl_anneal in ("cyclical", "monotonic")
    if rises and train.kl_anneal_start == 0 and config.model.learned_prior:
        lines.append(
            "> While beta is 0, a learned prior gets no gradient: a small start lets it learn from the first step."
        )
    return "\n\n".join(lines)
