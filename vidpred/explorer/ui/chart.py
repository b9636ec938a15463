"""Curves as small multiples that share one x axis: a gr.HTML that draws, zooms and reads off in the browser."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vidpred.explorer.ui.html_component import Widget

CHART = Widget("chart", ["chart"])
chart = CHART.component

MOST_POINTS = 400  # of a curve, in what is looked at: more than a plot has pixels to tell them apart

Number = float | int | None
Window = tuple[float, float]


class Line(NamedTuple):
    """A curve. name: entry of the legend; label: what the read-out says; colour: a place in the palette; style: solid,
    dashed, faint, dots, or band: from y up to top, behind the other curves."""

    name: str
    label: str
    colour: int
    style: str
    x: Sequence[float]
    y: Sequence[Number]
    top: Sequence[Number] = ()


class Panel(NamedTuple):
    """A plot. keys: (what a style means, style); y_lim wins over what the values ask for."""

    title: str
    unit: str
    lines: list[Line]
    keys: Sequence[tuple[str, str]] = ()
    log: bool = False
    from_zero: bool = False
    y_lim: Window | None = None


def chart_value(
    panels: Sequence[Panel],
    x_title: str,
    request: int,
    legend: Sequence[tuple[str, int]] = (),
    window: Window | None = None,
    whole: bool = False,
    message: str = "",
    hint: str = "",
    marks: Sequence[float] = (),
    x_ticks: Sequence[float] = (),
) -> dict:
    """What the chart draws, as JSON values, thinned out except where it is looked at.

    legend: (name, colour); window: part of the x axis that is looked at (None: all of it); whole: ticks at whole x
    only; marks: places on the x axis where something happens, which the hint explains; x_ticks: where ticks stand
    if there is room (none: at round numbers)
    """
    everything = [x for panel in panels for line in panel.lines for x in (*line.x[:1], *line.x[-1:])]
    drawn, left_out = [], False
    for panel in panels:
        lines = []
        for line in panel.lines:
            edges = (line.y, line.top) if line.top else (line.y,)
            x, y, *top = thin(line.x, *edges, window=window)
            left_out |= len(x) < len(line.x)
            lines.append({**line._asdict(), "x": x, "y": y, "top": top[0] if top else []})
        drawn.append({**panel._asdict(), "lines": lines, "keys": [list(key) for key in panel.keys]})
        drawn[-1]["y_lim"] = list(panel.y_lim) if panel.y_lim else None
    return {
        "request": request,
        "x_title": x_title,
        "x_full": [min(everything, default=0), max(everything, default=1)],
        "x_whole": whole,
        "x_lim": list(window) if window else None,
        "legend": [{"name": name, "colour": colour} for name, colour in legend],
        "panels": drawn,
        "thinned": left_out,
        "message": message,
        "hint": hint,
        "marks": list(marks),
        "x_ticks": list(x_ticks),
    }


def thin(
    x: Sequence[float], *curves: Sequence[Number], window: Window | None = None, most: int = MOST_POINTS
) -> list[list[Number]]:
    """x and the curves over it with about `most` points of each inside the window and few outside; peaks, dips, gaps
    and both ends of each stay.

    x rises; a value of None is a gap.
    """
    x, *found = (np.asarray(values, float) for values in (x, *curves))  # None becomes NaN
    parts = [(0, len(x), most)]
    if window is not None:
        low, high = np.searchsorted(x, window[0]), np.searchsorted(x, window[1], side="right")
        low, high = max(0, low - 1), min(len(x), high + 1)  # with a neighbour each: the curve reaches the edges
        parts = [(0, low, most // 4), (low, high, most), (high, len(x), most // 4)]
    kept = np.unique(np.concatenate([a + _kept(y[a:b], share) for y in found for a, b, share in parts]))
    return [[_short(v) for v in values[kept].tolist()] for values in (x, *found)]


def _kept(y: np.ndarray, most: int) -> np.ndarray:
    """Places of the points that stay: of each of most / 2 stretches the lowest and the highest."""
    if len(y) <= most:
        return np.arange(len(y))
    size = math.ceil(2 * len(y) / most)
    starts = np.arange(0, len(y), size)
    padded = np.full(len(starts) * size, np.nan)
    padded[: len(y)] = y
    stretches = padded.reshape(-1, size)
    low, high = (np.where(np.isnan(stretches), worst, stretches) for worst in (np.inf, -np.inf))
    # a stretch without any value keeps its first place, and so the gap
    found = np.concatenate([starts + low.argmin(1), starts + high.argmax(1), [0, len(y) - 1]])
    return np.unique(found)


def _short(value: float) -> Number:
    """Seven digits are more than a plot shows, and half the bytes; a gap is None."""
    return float(f"{value:.7g}") if math.isfinite(value) else None
