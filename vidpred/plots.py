"""Curves and maps of numbers, as matplotlib Figures (never pyplot: the explorer draws in several threads).

Figures are 900 pixels wide at their own dpi. Missing, None and non-finite values leave a gap.
"""

import math
import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

DPI = 100
WIDTH = 9.0  # inches
COPY_LAST = "copy last frame"  # the curve of this name is drawn dashed
# Okabe & Ito 2008 without the yellow, which is too pale on white: distinct for every common colour blindness.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
GREY = "#666666"

# Panel: title, unit on the y axis, then the keys of metrics.jsonl with what each is called; solid, dashed.
_PANELS = (
    ("KL divergence", "nats as logged, sum of steps", (("kld", "training"),)),
    ("KL weight", "beta", (("beta", "beta"),)),
    ("Teacher forcing", "ratio", (("tfr", "ratio (tfr)"), ("teacher_forced", "share of batches forced"))),
    ("PSNR", "dB", (("val_psnr", "validation"), ("train_psnr", "training"))),
    ("Loss", "loss (log scale)", (("loss", "training: sum of steps"), ("val_loss", "validation: MSE per step"))),
    ("Learning rate", "learning rate", (("lr", "learning rate"),)),
)


SILENT = 0.01  # nats: the colours of a KL map reach at least so far
LARGEST_DRAWN = 1e100  # matplotlib cannot divide an axis whose length is no float


def training_curves(metrics: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Run name -> rows of its metrics.jsonl; one colour per run, over the epoch they share as x axis.

    Panels: KL, beta, teacher forcing (ratio, and dots for the share of batches that were forced), PSNR and loss
    (training and validation), learning rate.
    """
    columns, rows_of_names = _legend_shape(metrics)
    figure = Figure(figsize=(WIDTH, 9.0 + 0.22 * max(0, rows_of_names - 2)), dpi=DPI, layout="constrained")
    axes = figure.subplots(3, 2, sharex=True)
    for panel, (title, unit, series) in zip(axes.flat, _PANELS):
        _dress(panel, title, unit)
        for run, (rows, colour) in enumerate(zip(metrics.values(), _colours(len(metrics)))):
            width = 1.4 + 1.4 * (len(metrics) - 1 - run) / len(metrics)  # later runs thinner: equal curves stay visible
            epochs = _epochs(rows)
            for (key, _), (style, marker) in zip(series, _styles(series)):
                values = _numbers([row.get(key) for row in rows])
                _draw(panel, epochs, values, width, color=colour, linestyle=style, marker=marker)
        if len(series) > 1:  # the runs' colours are explained once, above; here only the styles
            keys = [
                Line2D([], [], color=GREY, linestyle=style, marker=marker or "", markersize=5, label=label)
                for (_, label), (style, marker) in zip(series, _styles(series))
            ]
            panel.legend(handles=keys, fontsize=8, frameon=False)
    axes[2, 0].set_yscale("log", nonpositive="mask")
    for panel in axes[-1]:
        _count_epochs(panel)
    if metrics:
        handles = [Line2D([], [], color=colour, linewidth=2.5) for colour in _colours(len(metrics))]
        figure.legend(handles, [_plain(name) for name in metrics], loc="outside upper center", ncols=columns)
    return figure


def losses_side_by_side(metrics: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Run name -> rows of its metrics.jsonl; a panel per run, three in a row, all on one logarithmic scale.

    Solid: training loss (sum of steps); dashed: its MSE part; dotted: validation (MSE per step).
    """
    columns = min(3, max(1, len(metrics)))
    rows_of_panels = -(-max(1, len(metrics)) // columns)
    figure = Figure(figsize=(WIDTH, 0.6 + 3.0 * rows_of_panels), dpi=DPI, layout="constrained")
    axes = figure.subplots(rows_of_panels, columns, sharey=True, sharex=True, squeeze=False)
    series = (("loss", "training", "-"), ("mse", "training, MSE alone", "--"), ("val_loss", "validation per step", ":"))
    for panel, (name, rows), colour in zip(axes.flat, metrics.items(), _colours(len(metrics))):
        _dress(panel, _plain(textwrap.fill(name, 80 // columns)), "")
        panel.set_yscale("log", nonpositive="mask")
        for key, _, style in series:
            _draw(panel, _epochs(rows), _numbers([row.get(key) for row in rows]), color=colour, linestyle=style)
    for panel in axes.flat[len(metrics) :]:
        panel.set_visible(False)
    for panel in axes.flat[max(0, len(metrics) - columns) :]:  # the lowest of each column
        _count_epochs(panel)
        panel.tick_params(labelbottom=True)
    for panel in axes[:, 0]:
        panel.set_ylabel("loss (log scale)")
    keys = [Line2D([], [], color=GREY, linestyle=style, label=label) for _, label, style in series]
    figure.legend(handles=keys, loc="outside upper center", ncols=len(keys), fontsize=9)
    return figure


def loss_by_forcing(metrics: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Run name -> rows of its metrics.jsonl; a panel per run: the loss, on it a point per epoch coloured by the share
    of its batches that were teacher forced, and the teacher-forcing ratio on an axis of its own."""
    figure = Figure(figsize=(WIDTH, 0.8 + 3.0 * max(1, len(metrics))), dpi=DPI, layout="constrained")
    axes = figure.subplots(max(1, len(metrics)), 1, sharex=True, squeeze=False)
    for panel, (name, rows) in zip(axes.flat, metrics.items()):
        _dress(panel, _plain(name), "training loss (log scale)")
        panel.set_yscale("log", nonpositive="mask")
        _draw_forcing(figure, panel, rows, "loss")
        ratio = panel.twinx()
        _draw(ratio, _epochs(rows), _numbers([row.get("tfr") for row in rows]), color=GREY, linestyle="--")
        ratio.set_ylim(-0.05, 1.05)
        ratio.set_ylabel("teacher-forcing ratio (dashed)")
    _count_epochs(axes[-1, 0])
    return figure


def dashboard(name: str, rows: Sequence[Mapping[str, Any]]) -> Figure:
    """The four panels of the dance reports, of one run's metrics.jsonl: PSNR, and loss, of training and validation;
    beta, teacher-forcing ratio and each epoch's forcing status; learning rate."""
    figure = Figure(figsize=(WIDTH, 6.5), dpi=DPI, layout="constrained")
    figure.suptitle(_plain(name), fontsize=12)
    axes = figure.subplots(2, 2, sharex=True)
    panels = (
        (axes[0, 0], "PSNR", "dB", (("train_psnr", "training"), ("val_psnr", "validation"))),
        (
            axes[0, 1],
            "Loss",
            "log scale",
            (("loss", "training: sum of steps"), ("val_loss", "validation: MSE per step")),
        ),
        (axes[1, 0], "Schedules", "beta over its largest; ratio", (("beta", "beta"), ("tfr", "teacher-forcing ratio"))),
        (axes[1, 1], "Learning rate", "learning rate", (("lr", "learning rate"),)),
    )
    for panel, title, unit, series in panels:
        _dress(panel, title, unit)
        for (key, label), colour in zip(series, PALETTE):
            values = _numbers([row.get(key) for row in rows])
            if key == "beta" and np.nanmax(values, initial=0) > 0:
                label, values = f"beta / {np.nanmax(values):.2g}", values / np.nanmax(values)
            _draw(panel, _epochs(rows), values, color=colour, label=label)
        if len(series) > 1:
            panel.legend(fontsize=8, frameon=False)
    axes[0, 1].set_yscale("log", nonpositive="mask")
    _draw_forcing(figure, axes[1, 0], rows, "tfr")
    for panel in axes[1]:
        _count_epochs(panel)
    return figure


def psnr_per_frame(curves: Mapping[str, Sequence[float | None]], n_past: int) -> Figure:
    """Name -> PSNR in dB of the predicted frames, the first of them frame n_past; legend with each curve's mean.

    The curve named COPY_LAST (also with - or _ for the spaces) is dashed and grey. The context is shaded.
    """
    above = len(curves) > 5  # a legend inside would lie on the curves
    height = 4.5 + (0.2 * -(-len(curves) // 2) if above else 0)
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    _dress(axes, "PSNR of each predicted frame", "PSNR (dB)")
    axes.set_xlabel(f"frame t (0 … {n_past - 1} are given)" if n_past > 1 else "frame t (0 is given)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    baseline = {name: name.lower().replace("-", " ").replace("_", " ").startswith(COPY_LAST) for name in curves}
    colours = iter(_colours(sum(not is_copy for is_copy in baseline.values())))
    for name, values in curves.items():
        values = _numbers(values)
        finite = values[np.isfinite(values)]
        mean = f"mean {finite.mean():.2f} dB" if len(finite) == len(values) > 0 else "with gaps"
        colour, style = (GREY, "--") if baseline[name] else (next(colours), "-")
        label = f"{_plain(name)} ({mean})"
        if len(finite) == len(values) > 0:
            axes.axhline(finite.mean(), color=colour, linewidth=0.8, linestyle=":")
        _draw(axes, range(n_past, n_past + len(values)), values, color=colour, linestyle=style, label=label)
    if n_past > 0:
        axes.axvspan(-0.5, n_past - 0.5, color="#009E3C", alpha=0.12, linewidth=0)
    axes.set_xlim(-0.5, n_past + max(map(len, curves.values()), default=1) - 0.5)
    if above:
        figure.legend(loc="outside upper center", ncols=2, fontsize=9)
    elif curves:
        axes.legend(fontsize=9)
    return figure


def kl_heat_map(kld_map: Sequence[Sequence[float | None]], unit: str = "dimension of z") -> Figure:
    """KL in nats, [step][dimension or channel], step 0 being the prediction of frame 1 -> colours, with a scale.

    unit names the x axis. A dark column is a dimension of z that carries nothing.
    """
    if len({len(row) for row in kld_map}) != 1 or len(kld_map[0]) == 0:
        raise ValueError("kld_map must be [step][dimension], rows of one length, not empty")
    values = np.array([_numbers(row) for row in kld_map])
    steps, dimensions = values.shape
    figure = Figure(figsize=(WIDTH, 4.5), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    per_step = np.nansum(values, axis=1).mean()
    axes.set_title(f"KL by step and {unit}: {per_step:.3g} nats per step", fontsize=11)
    axes.set_facecolor("0.6")  # shows where a value is missing
    extent = (-0.5, dimensions - 0.5, steps + 0.5, 0.5)  # left, right, bottom, top: steps count from t = 1
    vmax = max(SILENT, np.nanmax(values, initial=0))  # else a z that carries nothing would be as bright as any
    image = axes.imshow(
        values, aspect="auto", interpolation="nearest", cmap="viridis", vmin=0, vmax=vmax, extent=extent
    )
    figure.colorbar(image, ax=axes, label="KL (nats)")
    axes.set_xlabel(unit)
    axes.set_ylabel("step t")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    return figure


def _legend_shape(names: Collection[str]) -> tuple[int, int]:
    """Columns in which the names of runs stand above a figure, and how many rows that makes."""
    longest = max(map(len, names), default=0)
    columns = 4 if longest <= 24 else 2 if longest <= 52 else 1
    return columns, -(-len(names) // columns)


def rasterise(figure: Figure) -> np.ndarray:
    """The figure as a picture, uint8 (H, W, 3)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _dress(axes: Axes, title: str, unit: str) -> None:
    axes.set_title(title, fontsize=11)
    axes.set_ylabel(unit)
    axes.grid(color="0.88", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _epochs(rows: Sequence[Mapping[str, Any]]) -> list[int]:
    return [row.get("epoch", i) for i, row in enumerate(rows)]


def _count_epochs(axes: Axes) -> None:
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))


def _draw_forcing(figure: Figure, axes: Axes, rows: Sequence[Mapping[str, Any]], key: str) -> None:
    """A curve with each epoch's point coloured by the share of its batches that were teacher forced."""
    epochs, values = _epochs(rows), _numbers([row.get(key) for row in rows])
    _draw(axes, epochs, values, width=1.0, color="0.75")
    shares = _numbers([row.get("teacher_forced") for row in rows])
    points = axes.scatter(epochs, values, c=shares, cmap="coolwarm", vmin=0, vmax=1, s=22, zorder=3, edgecolors="0.3",
                          linewidths=0.4)  # fmt: skip
    figure.colorbar(points, ax=axes, label="batches forced", ticks=[0, 0.5, 1])


def _draw(axes: Axes, x: Sequence[float], y: np.ndarray, width: float = 1.6, **style: Any) -> None:
    """A line with gaps; a value alone between two gaps, which a line cannot show, becomes a dot."""
    seen = np.isfinite(np.pad(y, 1, constant_values=np.nan))
    alone = seen[1:-1] & ~seen[:-2] & ~seen[2:]
    if not style.get("marker") and alone.any():
        style |= {"marker": "o", "markevery": np.flatnonzero(alone).tolist()}
    axes.plot(list(x), y, linewidth=width, markersize=2 + width, **style)


def _styles(series: Sequence[Any]) -> list[tuple[str, str | None]]:
    """Line style and marker of each series of a panel: solid, then dashed; the forced batches are dots."""
    return [("", "o") if key == "teacher_forced" else (("-", "--")[i], None) for i, (key, _) in enumerate(series)]


def _numbers(values: Sequence[Any]) -> np.ndarray:
    """Numbers as floats; whatever is not a finite number, or too large for an axis, is NaN, which leaves a gap."""
    is_number = [isinstance(v, int | float | np.number) and abs(v) <= LARGEST_DRAWN for v in values]
    return np.array([float(v) if ok else math.nan for v, ok in zip(values, is_number)])


def _colours(n: int) -> Sequence[Any]:
    """n distinct colours; past the end of the palette, evenly from a map that is ordered by brightness."""
    return PALETTE[:n] if n <= len(PALETTE) else [matplotlib.colormaps["viridis"](i / n) for i in range(n)]


def _plain(name: str) -> str:
    """A run's name as it is: `$` starts no formula, and a leading `_` does not hide it from the legend."""
    return name.replace("$", r"\$") if not name.startswith("_") else " " + name.replace("$", r"\$")
