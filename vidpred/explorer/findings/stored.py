"""What `train.findings` has stored: claims with their verdicts, and the curves of the runs behind them."""

import functools
import json

from vidpred.explorer.cli import ASSETS
from vidpred.explorer.ui.chart import Line, Panel, chart_value
from vidpred.explorer.ui.run_colors import COLOURS

FOLDER = ASSETS / "findings"
CURVES = {"val_psnr": ("PSNR", "dB, validation"), "kld": ("KL", "nats per step"), "beta": ("beta", "weight")}
HINT = "Faint: each seed. Solid: their mean. Drag to zoom, double click to zoom out."


def read_findings() -> dict | None:
    """findings.json; None where it has been removed."""
    path = FOLDER / "findings.json"
    return json.loads(path.read_text()) if path.exists() else None


def runs_behind(setting: dict) -> list[str]:
    """Names of the runs that a claim compares in a setting, without their seeds, each once."""
    return list(dict.fromkeys(name for pair in setting["runs"] for name in pair if name))


def seeds_of(kind: str) -> int:
    """How many runs of a kind there are."""
    return len(_seeds().get(kind, []))


def curves_behind(setting: dict, request: int) -> dict:
    """Value of a chart: the mean of each kind of run over its seeds, and every seed behind it."""
    kinds = runs_behind(setting)[:COLOURS]
    found = {kind: seeds for kind in kinds if (seeds := _seeds().get(kind))}
    panels = []
    for key, (title, unit) in CURVES.items():
        lines = []
        for colour, (kind, seeds) in enumerate(found.items()):
            epochs = seeds[0]["epoch"]
            lines += [Line(kind, kind, colour, "faint", epochs, curves[key]) for curves in seeds if len(seeds) > 1]
            epochwise = zip(*(curves[key] for curves in seeds))  # None: all steps of an epoch were skipped
            means = [None if None in values else sum(values) / len(values) for values in epochwise]
            lines.append(Line(kind, kind, colour, "solid", epochs, means))
        panels.append(Panel(title, unit, lines, from_zero=key != "val_psnr"))
    legend = [(kind, colour) for colour, kind in enumerate(found)]
    message = "" if found else "No run of this comparison is trained yet."
    return chart_value(panels, "epoch", request, legend, whole=True, message=message, hint=HINT)


@functools.cache
def _seeds() -> dict[str, list[dict]]:
    """Kind of run -> the curves of each of its seeds."""
    found: dict[str, list[dict]] = {}
    for line in (FOLDER / "results.jsonl").read_text().splitlines():
        result = json.loads(line)
        found.setdefault(result["name"].rpartition("-s")[0], []).append(result["curves"])
    return found
