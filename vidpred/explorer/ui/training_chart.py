"""Training curves of runs, as the chart draws them."""

from statistics import fmean
from typing import Any, NamedTuple

from vidpred.config import RunConfig
from vidpred.errors import BadInput
from vidpred.explorer.runs import comparison, curves, validate
from vidpred.explorer.runs.curves import Number
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.prediction import first_run
from vidpred.explorer.runs.run import Run
from vidpred.explorer.ui.chart import Line, Panel, Window, chart_value
from vidpred.explorer.ui.run_colors import COLOURS, run_colours
from vidpred.schedules import kld_share

MOST_RUNS = 64  # more kinds than colours are refused when they are drawn
MOST_SMOOTHING = 0.98
FIRST = 6  # runs that are drawn before anyone has chosen

# What the x axis counts: title, key of metrics.jsonl, what the values are divided by.
AXES = {"epochs": ("epoch", "epoch", 1), "iterations": ("iteration", "step", 1), "hours": ("hours", "seconds", 3600)}

Points = tuple[list[float], list[float], list[Number]]


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

BESIDE_MSE = "MSE + beta KL + detail terms, sum of steps"  # of a run that minimises more than the ELBO

SCHEDULES = ("beta", "tfr", "teacher_forced", "lr")  # have no noise to smooth away

COMPARED = ["KL", "beta", "Teacher forcing", "Loss", "PSNR"]  # under predictions of several runs

HINT = "Drag across a plot to zoom all of them, double click to zoom out."
SEEDS_HINT = "Solid: the mean of the seeds, its band from the lowest to the highest. "


def first_runs(library: Library) -> list[Run]:
    """What is drawn before anyone has chosen: the first view's run and those that see the same, none known to have
    collapsed where that one has not: others share no scale. Some colours are left for what is ticked next."""
    runs = library.all_runs()
    first = first_run(runs, library)
    alike = [run for run in runs if _sees(run) == _sees(first) and (first.is_collapsed or not run.is_collapsed)]
    return alike[:FIRST]


def _sees(run: Run) -> tuple[str, bool]:
    return run.config.model.condition, bool(run.evaluation and run.evaluation.has_bounces)


def training_chart(
    library: Library,
    runs: list[Run],
    shown: list[str],
    request: int,
    axis: Any = "epochs",
    smoothing: Any = 0,
    log: Any = False,
    window: Any = None,
    seeds_as_one: Any = False,
) -> dict:
    """Value of the chart with these of CURVES. A key that a run did not write, or not in every epoch, leaves a gap.

    seeds_as_one: of runs that differ in their seed alone the mean, and a band from the lowest to the highest.
    """
    title, key, unit = AXES[validate.choice(axis, "x axis", AXES)]
    smoothing = validate.number_between(smoothing, "The smoothing", 0, MOST_SMOOTHING)
    log = validate.switch(log, "The logarithmic scale")
    groups = comparison.kinds(runs) if validate.switch(seeds_as_one, "Seeds as one") else {r.name: [r] for r in runs}
    if len(groups) > COLOURS:
        raise BadInput(f"At most {COLOURS} kinds of runs at once: more colours cannot be told apart")
    firsts = run_colours(library, [each[0] for each in groups.values()])
    colours = {name: firsts[each[0].name] for name, each in groups.items()}
    several = any(len(each) > 1 for each in groups.values())
    panels = [
        Panel(
            curve,
            BESIDE_MSE if curve == "Loss" and any(_minimises_more(run) for run in runs) else what.unit,
            [
                line
                for name, each in groups.items()
                for series in what.series
                for line in _lines(name, each, series, colours[name], key, unit, smoothing)
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
        hint=SEEDS_HINT * several + HINT,
    )


def _minimises_more(run: Run) -> bool:
    return bool(run.config.train.l1_weight or run.config.train.gradient_weight)


def chosen_runs(library: Library, names: Any) -> list[Run]:
    """A visitor's choice of runs."""
    names = validate.several(names, "run", library.runs)
    if len(names) > MOST_RUNS:
        raise BadInput(f"At most {MOST_RUNS} runs at once")
    return [library.run(name) for name in names]


def chosen_curves(names: Any) -> list[str]:
    """A visitor's choice of curves."""
    return validate.several(names, "curve", CURVES)


def _per_step(config: RunConfig) -> dict[str, float]:
    """What turns logged sums over the steps of a window into means, as validation and evaluation give them."""
    length = config.data.length
    # (runs of kld_reduction length with accumulation or several processes once logged a share, and are drawn too low)
    return {"mse": 1 / (length - 1), "kld": 1 / (length - 1) / kld_share(config.train, length)}


def _lines(
    name: str, runs: list[Run], series: tuple[str, str, str], colour: int, axis: str, unit: int, smoothing: float
) -> list[Line]:
    """The curve of one key of a run, or the mean of several with its band; where it is smoothed, that of one run faint
    behind it."""
    key, label, style = series
    known = [points for run in runs if (points := _points(run, key, axis, unit))]  # epochs, places, values
    if not known:
        return []
    label = f"{name} ({label})"
    if len(known) > 1:
        x, y, low, high = _mean(known)
        band = [] if style == "dots" else [Line(name, label, colour, "band", x, low, high)]
        return [*band, Line(name, label, colour, style, x, y if key in SCHEDULES else curves.smooth(y, smoothing))]
    ((_, x, y),) = known
    if not smoothing or key in SCHEDULES:
        return [Line(name, label, colour, style, x, y)]
    return [Line(name, label, colour, "faint", x, y), Line(name, label, colour, style, x, curves.smooth(y, smoothing))]


def _points(run: Run, key: str, axis: str, unit: int) -> Points | None:
    """Epochs, places and values of one key; None where the run did not write it."""
    columns, scale = curves.columns(run), _per_step(run.config).get(key, 1)
    if key not in columns or axis not in columns:
        return None
    epochs = columns.get("epoch", range(len(columns[key])))
    rows = [row for row in zip(epochs, columns[axis], columns[key]) if None not in row[:2]]
    places = [x / unit if unit > 1 else x for _, x, _ in rows]
    return [epoch for epoch, _, _ in rows], places, [None if y is None else y * scale for _, _, y in rows]


def _mean(known: list[Points]) -> tuple[list, list, list, list]:
    """Epoch by epoch: place; mean, lowest and highest value over the runs that have got so far. A place lies as far
    behind the one before as in the mean of the runs that have both: it rises where the slower run ends first, too."""
    runs = [dict(zip(epochs, zip(places, values))) for epochs, places, values in known]
    x, found, before = [], [], None
    for epoch in sorted(set().union(*runs)):
        there = [run for run in runs if epoch in run]
        steps = [run[epoch][0] - run[before][0] for run in there if before in run]
        x.append(x[-1] + fmean(steps) if steps else fmean(run[epoch][0] for run in there))
        values = [run[epoch][1] for run in there if run[epoch][1] is not None]
        found.append((fmean(values), min(values), max(values)) if values else (None, None, None))
        before = epoch
    return x, *map(list, zip(*found))


def _window(value: Any) -> Window | None:
    if value is None:
        return None
    if isinstance(value, (list, tuple)) and len(value) == 2:
        low, high = map(validate.finite, value)
        if low is not None and high is not None and low < high:
            return float(low), float(high)
    raise BadInput("The part of the x axis must be two numbers, the smaller one first")
