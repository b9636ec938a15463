"""Curves of any set of runs, and the reports' figures of them."""

import functools
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vidpred import runs
from vidpred.errors import BadInput
from vidpred.explorer import fields
from vidpred.explorer.chart import Line, Number, Panel, Window, chart_value
from vidpred.explorer.library import Library
from vidpred.explorer.palette import COLOURS, run_colours
from vidpred.explorer.predict import first_run

MOST_RUNS = COLOURS
MOST_SMOOTHING = 0.98
ALIVE = 30 * 60  # seconds after its last epoch in which an unfinished run may still be training

# What the x axis counts: title, key of metrics.jsonl, what the values are divided by.
AXES = {"epochs": ("epoch", "epoch", 1), "iterations": ("iteration", "step", 1), "hours": ("hours", "seconds", 3600)}


class Curve(NamedTuple):
    """A panel: its unit, the keys of metrics.jsonl with what each is called and its style, and its y axis."""

    unit: str
    series: tuple[tuple[str, str, str], ...]
    can_log: bool = False
    from_zero: bool = True
    y_lim: Window | None = None


LEARNING = "training, z of the posterior"
CURVES = {
    "KL": Curve("nats per clip, sum of steps", (("kld", "training", "solid"),), can_log=True),
    "beta": Curve("weight of the KL", (("beta", "beta", "solid"),), can_log=True),
    "Teacher forcing": Curve(
        "share", (("tfr", "ratio (tfr)", "solid"), ("teacher_forced", "batches forced", "dots")), y_lim=(-0.04, 1.04)
    ),
    "Loss": Curve("MSE + beta KL, sum of steps", (("loss", "training", "solid"),), can_log=True),
    "MSE": Curve(
        "per predicted step", (("val_loss", "validation", "solid"), ("mse", LEARNING, "dashed")), can_log=True
    ),
    "PSNR": Curve("dB", (("val_psnr", "validation", "solid"), ("train_psnr", LEARNING, "dashed")), from_zero=False),
    "SSIM": Curve("validation", (("val_ssim", "validation", "solid"),), from_zero=False),
    "Learning rate": Curve("per iteration", (("lr", "learning rate", "solid"),), can_log=True),
    "Active units": Curve("dimensions of z in use", (("active_units", "active units", "solid"),)),
}

SCHEDULES = ("beta", "tfr", "teacher_forced", "lr")  # have no noise to smooth away

FIGURES = {
    "Curves of all": "training_curves",
    "Losses side by side": "losses_side_by_side",
    "Loss by forcing": "loss_by_forcing",
    "Dashboard": "dashboard",
}

HINT = "Drag across a plot to zoom all of them, double click to zoom out."


def training_value(
    library: Library,
    names: Any,
    curves: Any,
    axis: Any,
    smoothing: Any,
    log: Any,
    request: int,
    window: Any = None,
) -> dict:
    """Value of the chart. A key that a run did not write, or not in every epoch, leaves a gap."""
    names, curves = run_names(library, names), curve_names(curves)
    title, key, unit = AXES[fields.choice(axis, "x axis", AXES)]
    smoothing = fields.number_between(smoothing, "The smoothing", 0, MOST_SMOOTHING)
    if not isinstance(log, bool):
        raise BadInput("The logarithmic scale is on or off")
    window = _window(window)
    colours = run_colours(library, names)
    folders = {name: library.run_folder(name) for name in names}
    columns = {name: _columns(folder, *_stamp(folder)) for name, folder in folders.items()}
    # logged as the sum over the steps of a window; val_loss beside it is their mean
    steps = {name: library.config(name).data.length - 1 for name in names if "MSE" in curves}
    panels = [
        Panel(
            curve,
            what.unit,
            [
                line
                for name in names
                for series in what.series
                for line in _lines(name, columns[name], series, colours[name], key, unit, smoothing, steps.get(name, 1))
            ],
            [(label, style) for _, label, style in what.series] if len(what.series) > 1 else (),
            log and what.can_log,
            what.from_zero,
            what.y_lim,
        )
        for curve, what in CURVES.items()
        if curve in curves
    ]
    return chart_value(
        panels,
        title,
        request,
        list(colours.items()),
        window,
        whole=axis != "hours",
        message="" if names and curves else "Choose a run and a curve.",
        hint=HINT,
    )


def run_names(library: Library, names: Any) -> list[str]:
    """A visitor's choice of runs."""
    names = _several(names, "run", library.runs)
    if len(names) > MOST_RUNS:
        raise BadInput(f"At most {MOST_RUNS} runs at once: more colours cannot be told apart")
    return names


def curve_names(names: Any) -> list[str]:
    """A visitor's choice of curves."""
    return _several(names, "curve", CURVES)


def first_runs(library: Library) -> list[str]:
    """What is shown before anyone has chosen: the first view's run and its family; two families share no scale."""
    family = type(library.config(first_run(library)).model)
    return [name for name in library.runs if isinstance(library.config(name).model, family)][:MOST_RUNS]


def smooth(values: Sequence[Number], weight: float) -> list[Number]:
    """Exponential moving average without its bias towards the start; a gap stays a gap and counts for nothing."""
    mean, total, smoothed = 0.0, 0.0, []
    for value in values:
        if value is not None:
            mean, total = weight * mean + (1 - weight) * value, weight * total + (1 - weight)
        smoothed.append(None if value is None else mean / total)
    return smoothed


def signature(library: Library, names: list[str]) -> list[list[int]]:
    """Changes when an epoch has ended in one of the runs; costs a look at each file's date."""
    return [list(_stamp(library.run_folder(name))) for name in names]


def progress(library: Library, names: list[str], now: float | None = None) -> str:
    """Where the runs that are not finished stand, as Markdown; nothing where all are."""
    lines = []
    for name in names:
        folder, config = library.run_folder(name), library.config(name)
        rows = read_rows(folder)
        done, total = (rows[-1]["epoch"] + 1 if rows else 0), config.train.epochs
        if done >= total:
            continue
        line = f"**{name}**: {done:,} of {total:,} epochs"
        seconds = fields.finite(rows[-1].get("seconds")) if rows else None
        age = (time.time() if now is None else now) - _stamp(folder)[0] / 1e9
        if rows and age > ALIVE:
            line += ", stopped or finished elsewhere"
        elif seconds:
            line += f", about {_duration(seconds / done * (total - done))} to go"
        lines.append(line)
    return " · ".join(lines)


def figure(library: Library, names: Any, kind: Any) -> np.ndarray:
    """One of the reports' figures, uint8 (H, W, 3); a dashboard per run, one under the other."""
    names = run_names(library, names)
    kind = fields.choice(kind, "figure", FIGURES)
    metrics = {name: read_rows(library.run_folder(name)) for name in names}
    metrics = {name: rows for name, rows in metrics.items() if rows}
    if not metrics:
        raise BadInput("Please choose a run that has ended an epoch")
    from vidpred import plots  # matplotlib takes a second to import, and few ask for it

    draw = getattr(plots, FIGURES[kind])
    if kind == "Dashboard":
        return np.concatenate([plots.rasterise(draw(name, rows)) for name, rows in metrics.items()])
    return plots.rasterise(draw(metrics))


def plain_rows(library: Library, names: Any) -> dict[str, list[dict[str, Any]]]:
    """metrics.jsonl of runs as JSON can hold it: None instead of NaN and infinity."""

    def plain(value: Any) -> Any:
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return {
        name: [{key: plain(value) for key, value in row.items()} for row in read_rows(library.run_folder(name))]
        for name in run_names(library, names)
    }


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """metrics.jsonl of a run, parsed once per change. Not to be changed by whoever gets it."""
    return _rows(folder, *_stamp(folder))


@functools.lru_cache(maxsize=32)
def _rows(folder: Path, changed: int, size: int) -> list[dict[str, Any]]:
    return runs.read_metrics(folder)


def _stamp(folder: Path) -> tuple[int, int]:
    try:
        stat = (folder / runs.METRICS).stat()
    except FileNotFoundError:
        return 0, 0
    return stat.st_mtime_ns, stat.st_size


def _lines(
    name: str,
    columns: dict[str, list[Number]],
    series: tuple[str, str, str],
    colour: int,
    axis: str,
    unit: int,
    smoothing: float,
    steps: int,
) -> list[Line]:
    """The curve of one key of one run; where it is smoothed, the raw one faint behind it."""
    key, label, style = series
    if key not in columns or axis not in columns:
        return []
    x, y = columns[axis], columns[key]
    if None in x:
        x, y = zip(*((place, value) for place, value in zip(x, y) if place is not None))
    if unit > 1:
        x = [place / unit for place in x]
    if key == "mse":
        y = [None if value is None else value / steps for value in y]
    label = f"{name} ({label})"
    if not smoothing or key in SCHEDULES:
        return [Line(name, label, colour, style, x, y)]
    return [Line(name, label, colour, "faint", x, y), Line(name, label, colour, style, x, smooth(y, smoothing))]


@functools.lru_cache(maxsize=32)
def _columns(folder: Path, changed: int, size: int) -> dict[str, list[Number]]:
    """Every key of metrics.jsonl that holds a number somewhere, as a column; None where it does not."""
    rows = _rows(folder, changed, size)
    keys = dict.fromkeys(key for row in rows for key in row)
    columns = {key: [fields.finite(row.get(key)) for row in rows] for key in keys}
    return {key: column for key, column in columns.items() if any(value is not None for value in column)}


def _several(value: Any, what: str, known: Any) -> list[str]:
    if not isinstance(value, (list, tuple)) or len(value) > len(known):
        raise BadInput(f"Please choose {what}s from the list")
    return list(dict.fromkeys(fields.choice(name, what, known) for name in value))


def _window(value: Any) -> Window | None:
    if value is None:
        return None
    if isinstance(value, (list, tuple)) and len(value) == 2:
        low, high = map(fields.finite, value)
        if low is not None and high is not None and low < high:
            return float(low), float(high)
    raise BadInput("The part of the x axis must be two numbers, the smaller one first")


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 5400 else f"{math.ceil(seconds / 60)} min"
