"""Training curves of any runs, and the reports' figures of them."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cachetools import LRUCache, cached

from vidpred import runs
from vidpred.errors import BadInput
from vidpred.explorer.runs.run import Run
from vidpred.explorer.runs.validate import choice, finite
from vidpred.files import stamp

ALIVE = 30 * 60  # seconds; of runs with short epochs

FIGURES = {
    "Curves of all": "training_curves",
    "Losses side by side": "losses_side_by_side",
    "Loss by forcing": "loss_by_forcing",
    "Dashboard": "dashboard",
}

NUMBERS_KEPT = 8_000_000  # of all runs, twice: by epochs and by columns; hundreds of runs have fewer

Number = float | int | None
Stamp = tuple[int, int]  # when a file was written, ns, and its size
NO_FILE = (0, 0)


def metrics_rows(run: Run) -> list[dict[str, Any]]:
    """metrics.jsonl of a run, read again only where it has changed; not to be changed by whoever gets it. What is no
    epoch's line, such as one that was cut off, is left out."""
    return _rows(run.folder, metrics_stamp(run))


def metrics_stamp(run: Run) -> Stamp:
    """Changes when an epoch has ended; costs a look at the file's date."""
    return stamp(run.folder / runs.METRICS) or NO_FILE


def columns(run: Run) -> dict[str, list[Number]]:
    """Every key of metrics.jsonl that holds a number somewhere, as a column; None where it does not."""
    return _columns(run.folder, metrics_stamp(run))


def smooth(values: Sequence[Number], weight: float) -> list[Number]:
    """Exponential moving average without its bias towards the start; a gap stays a gap and counts for nothing."""
    mean, total, smoothed = 0.0, 0.0, []
    for value in values:
        if value is not None:
            mean, total = weight * mean + (1 - weight) * value, weight * total + (1 - weight)
        smoothed.append(None if value is None else mean / total)
    return smoothed


def progress(chosen: list[Run], now: float | None = None) -> str:
    """Where the runs that are not finished stand, as Markdown; nothing where all are."""
    lines = []
    for run in chosen:
        rows, total = metrics_rows(run), run.config.train.epochs
        done = rows[-1]["epoch"] + 1 if rows else 0
        if done >= total or not (rows or _can_go_on(run)):
            continue
        line = f"**{run.name}**: {done:,} of {total:,} epochs"
        seconds = finite(rows[-1].get("seconds")) if rows else None
        idle = (time.time() if now is None else now) - _moved(run)
        if not _can_go_on(run):
            line += ", ended there"
        elif rows and idle > _patience(rows):
            line += ", stopped or finished elsewhere"
        elif seconds:
            line += f", about {duration(seconds / done * (total - done))} to go"
        lines.append(line)
    return " · ".join(lines)


def duration(seconds: float) -> str:
    """Of a training, in hours or minutes."""
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{max(1, round(seconds / 60))} min"


def training_now(among: list[Run], now: float | None = None) -> list[Run]:
    """The runs that are not finished and have moved lately, the one that moved last before all others."""
    now = time.time() if now is None else now
    moved = {}
    for run in among:
        rows, last = metrics_rows(run), _moved(run)
        done = rows[-1]["epoch"] + 1 if rows else 0
        if done < run.config.train.epochs and now - last <= _patience(rows) and _can_go_on(run):
            moved[run] = last
    return sorted(moved, key=moved.get, reverse=True)


def _patience(rows: list[dict[str, Any]]) -> float:
    """Seconds after its last epoch in which an unfinished run may still be training: two long epochs at least."""
    if not rows:
        return ALIVE
    return max(ALIVE, 2 * (finite(rows[-1].get("seconds")) or 0) / (rows[-1]["epoch"] + 1))


def _can_go_on(run: Run) -> bool:
    """Whether it has what a training goes on from, from its start on; a run that was bundled, imported or handed in has
    not, however new its files are."""
    return (run.folder / runs.LAST).is_dir()


def _moved(run: Run) -> float:
    """When a run ended an epoch, or was begun, s."""
    if metrics_stamp(run) != NO_FILE:
        return metrics_stamp(run)[0] / 1e9
    return (run.folder / runs.CONFIG).stat().st_mtime


def figure(chosen: list[Run], kind: Any) -> np.ndarray:
    """One of the reports' figures, uint8 (H, W, 3); a dashboard per run, one under the other."""
    kind = choice(kind, "figure", FIGURES)
    metrics = {run.name: rows for run in chosen if (rows := metrics_rows(run))}
    if not metrics:
        raise BadInput("Please choose a run that has ended an epoch")
    from vidpred import plots  # matplotlib takes a second to import, and few need it

    draw = getattr(plots, FIGURES[kind])
    if kind == "Dashboard":
        return np.concatenate([plots.rasterise(draw(name, rows)) for name, rows in metrics.items()])
    return plots.rasterise(draw(metrics))


def _kept() -> Callable[[Callable], Callable]:
    """Keep what a function returns of the runs that were used last, up to NUMBERS_KEPT."""

    def numbers(found: list[dict] | dict[str, list]) -> int:
        return 1 + sum(map(len, found.values() if isinstance(found, dict) else found))

    return cached(LRUCache(NUMBERS_KEPT, numbers), lock=threading.Lock())


@_kept()
def _rows(folder: Path, written: Stamp) -> list[dict[str, Any]]:
    return [] if written == NO_FILE else runs.read_metrics(folder, damaged="skip")


@_kept()
def _columns(folder: Path, written: Stamp) -> dict[str, list[Number]]:
    rows = _rows(folder, written)
    keys = dict.fromkeys(key for row in rows for key in row)
    found = {key: [finite(row.get(key)) for row in rows] for key in keys}
    return {key: column for key, column in found.items() if any(value is not None for value in column)}
