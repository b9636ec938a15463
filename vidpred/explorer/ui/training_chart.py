"""Training curves of runs, as the chart draws them."""

from typing import Any, NamedTuple

from vidpred.config import RunConfig
from vidpred.errors import BadInput
from vidpred.explorer.runs import curves, validate
from vidpred.explorer.runs.curves import Number
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.run import Run
from vidpred.explorer.ui.chart import Line, Panel, Window, chart_value
from vidpred.explorer.ui.run_colors import COLOURS, run_colours

MOST_RUNS = COLOURS
MOST_SMOOTHING = 0.98

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
    "KL": Curve("nats per step", (("kld", "training", "solid"),), can_log=True),
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

COMPARED = ["KL", "beta", "Teacher forcing", "Loss", "PSNR"]  # under predictions of several runs

HINT = "Drag across a plot to zoom all of them, double click to zoom out."


def training_chart(
    library: Library,
    runs: list[Run],
    shown: list[str],
    request: int,
    axis: Any = "epochs",
    smoothing: Any = 0,
    log: Any = False,
    window: Any = None,
) -> dict:
    """Value of the chart with these of CURVES. A key that a run did not write, or not in every epoch, leaves a gap."""
    title, key, unit = AXES[validate.choice(axis, "x axis", AXES)]
    smoothing = validate.number_between(smoothing, "The smoothing", 0, MOST_SMOOTHING)
    log = validate.switch(log, "The logarithmic scale")
    colours = run_colours(library, runs)
    columns = {run.name: curves.columns(run) for run in runs}
    scales = {run.name: _per_step(run.config) for run in runs}
    panels = [
        Panel(
            curve,
            what.unit,
            [
                line
                for name, values in columns.items()
                for series in what.series
                for line in _lines(name, values, series, colours[name], key, unit, smoothing, scales[name])
            ],
            [(label, style) for _, label, style in what.series] if len(what.series) > 1 else (),
            log and what.can_log,
            what.from_zero,
            what.y_lim,
        )
        for curve, what in CURVES.items()
        if curve in shown
    ]
    return chart_value(
        panels,
        title,
        request,
        list(colours.items()),
        _window(window),
        whole=axis != "hours",
        message="" if runs and shown else "Choose a run and a curve.",
        hint=HINT,
    )


def chosen_runs(library: Library, names: Any) -> list[Run]:
    """A visitor's choice of runs."""
    names = validate.several(names, "run", library.runs)
    if len(names) > MOST_RUNS:
        raise BadInput(f"At most {MOST_RUNS} runs at once: more colours cannot be told apart")
    return [library.run(name) for name in names]


def chosen_curves(names: Any) -> list[str]:
    """A visitor's choice of curves."""
    return validate.several(names, "curve", CURVES)


def _per_step(config: RunConfig) -> dict[str, float]:
    """What turns logged sums over the steps of a window into means, as validation and evaluation give them."""
    steps, t = config.data.length - 1, config.train
    scale = 1 / steps
    if t.kld_reduction == "length":  # over the frames instead of the clips
        return {"mse": scale, "kld": scale * (steps + 1) * t.accumulation / t.batch_size}
    return {"mse": scale, "kld": scale}


def _lines(
    name: str,
    columns: dict[str, list[Number]],
    series: tuple[str, str, str],
    colour: int,
    axis: str,
    unit: int,
    smoothing: float,
    scales: dict[str, float],
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
    if key in scales:
        y = [None if value is None else value * scales[key] for value in y]
    label = f"{name} ({label})"
    if not smoothing or key in SCHEDULES:
        return [Line(name, label, colour, style, x, y)]
    return [Line(name, label, colour, "faint", x, y), Line(name, label, colour, style, x, curves.smooth(y, smoothing))]


def _window(value: Any) -> Window | None:
    if value is None:
        return None
    if isinstance(value, (list, tuple)) and len(value) == 2:
        low, high = map(validate.finite, value)
        if low is not None and high is not None and low < high:
            return float(low), float(high)
    raise BadInput("The part of the x axis must be two numbers, the smaller one first")
