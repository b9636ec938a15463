"""A table of runs: what each is, what it scores, what it took."""

from typing import NamedTuple

from vidpred.explorer.runs.curves import duration, metrics_rows
from vidpred.explorer.runs.run import Run
from vidpred.explorer.runs.summary import title, trained_elsewhere
from vidpred.explorer.runs.validate import finite
from vidpred.schedules import beta_reached


class Cell(NamedTuple):
    """What stands there, and what rows are sorted by; a missing one comes last."""

    text: str
    sort: str | float | None


COLUMNS = ("Run", "Family", "Prior", "Annealing", "beta", "PSNR", "best of N", "Sharpness", "Time", "Steps")
FAMILIES = {"poses": "dancer", "actions": "robot, actions known", "none": "robot, no actions"}


def listed(run: Run) -> list[Cell]:
    """A run's cells, in the order of COLUMNS."""
    train, result = run.config.train, run.evaluation
    family = FAMILIES[run.config.model.condition]
    if result and result.has_bounces:
        family = "bouncing shapes"
    schedule, beta = ("constant" if train.kl_anneal == "none" else train.kl_anneal), beta_reached(train)
    written = f"{beta:g}"
    if train.kl_anneal == "calibrated":
        beta, written = None, "by the error"
    if trained_elsewhere(run):
        schedule, beta, written = "–", None, "–"
    last = rows[-1] if (rows := metrics_rows(run)) else {}
    seconds, step = finite(last.get("seconds")), finite(last.get("step"))
    psnr, best, sharpness = (getattr(result, name, None) for name in ("psnr", "psnr_best", "sharpness"))
    return [
        Cell(title(run), title(run)),
        *(Cell(text, text) for text in (family, run.prior, schedule)),
        Cell(written, beta),
        Cell(_written(psnr, ".2f", " dB"), psnr),
        Cell(_written(best, ".2f", " dB"), best),
        Cell(_written(sharpness, ".2f"), sharpness),
        Cell("–" if seconds is None else duration(seconds), seconds),
        Cell(_written(step, ",.0f"), step),
    ]


def _written(value: float | None, form: str, unit: str = "") -> str:
    return "–" if value is None else f"{value:{form}}{unit}"
