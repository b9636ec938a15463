"""Claims and tables of results, tested and filled with the results of runs."""

import math
from statistics import fmean

import numpy as np

from train.findings.claims import CLAIMS, SEEDS, TABLES, Claim, Pairs, Published
from train.findings.intervals import Interval, crossed_interval
from train.findings.results import Result
from train.findings.statistics import PSNR, Statistic
from vidpred.runs import ALIKE

HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "cannot tell"


def findings(results: dict[str, Result]) -> dict:
    """Every claim with its verdicts, and the reports' tables, as JSON values."""
    return {
        "runs": len(results),
        "claims": [judged(claim, results) for claim in CLAIMS],
        "tables": {name: [line(published, results) for published in lines] for name, lines in TABLES.items()},
    }


def judged(claim: Claim, results: dict[str, Result]) -> dict:
    """A claim in each of its settings; its own verdict is that of the first one."""
    settings = []
    for setting, pairs in claim.settings.items():
        interval = measured(claim.statistic, pairs, results)
        if interval:
            numbers = {k: round(v, 4) if isinstance(v, float) else v for k, v in interval._asdict().items()}
        else:
            there = len(differences(claim.statistic, pairs, results))
            numbers = {"mean": None, "low": None, "high": None, "pairs": there, "clips": 0}
        settings.append({"setting": setting, "verdict": verdict(claim, interval), **numbers, "runs": pairs})
    return {
        **{
            "id": claim.id,
            "topic": claim.topic,
            "says": claim.says,
            "source": claim.source,
            "verdict": settings[0]["verdict"],
        },
        **{"statistic": claim.statistic.what, "unit": claim.statistic.unit},
        **{"test": claim.test, "least": claim.least, "margin": claim.margin, "settings": settings},
    }


def verdict(claim: Claim, interval: Interval | None) -> str:
    """What an interval says of a claim; None: there are too few runs."""
    if interval is None:
        return UNKNOWN
    low, high = interval.low - claim.least, interval.high - claim.least
    if claim.test == "little":
        holds, fails = -claim.margin < low and high < claim.margin, low > claim.margin or high < -claim.margin
    else:
        holds, fails = low > 0, high < claim.margin
    return HOLDS if holds else FAILS if fails else UNKNOWN


def measured(statistic: Statistic, pairs: Pairs, results: dict[str, Result]) -> Interval | None:
    """The paired difference over all pairs of one seed that are there; None: of fewer than two."""
    rows = differences(statistic, pairs, results)
    return crossed_interval(np.stack(rows)) if len(rows) > 1 else None


def differences(statistic: Statistic, pairs: Pairs, results: dict[str, Result]) -> list[np.ndarray]:
    """Of each pair of one seed that is there."""
    rows = []
    for one, other in pairs:
        for seed in SEEDS:
            names = [f"{name}-s{seed}" for name in (one, other) if name]
            if all(name in results for name in names):
                _require_alike([results[name] for name in names])
                row = statistic.difference(results[names[0]], results[names[1]] if other else None)
                rows.append((names[0], row))
    _require_as_many(rows)
    return [row for _, row in rows if np.isfinite(row).all()]  # a run may have had no epoch of one kind


def line(published: Published, results: dict[str, Result]) -> dict:
    """A line of a report's table beside ours: PSNR and its interval over seeds and clips."""
    interval = measured(PSNR, [(published.run, None)], results)
    ours = interval and {
        "mean": round(interval.mean, 2),
        "low": round(interval.low, 2),
        "high": round(interval.high, 2),
    }
    of_run = [r.scores["copy_last_psnr"] for r in results.values() if r.name.rpartition("-s")[0] == published.run]
    copied = [value for value in of_run if value is not None]  # where a clip stands still it is infinite
    return {**published._asdict(), "ours": ours, "copied": round(fmean(copied), 2) if copied else None}


def report(found: dict) -> str:
    """The findings as Markdown."""
    parts = ["| claim | setting | difference | 95 % interval | verdict |\n|---|---|---|---|---|"]
    for claim in found["claims"]:
        for i, each in enumerate(claim["settings"]):
            says = f"{claim['says']} *({claim['source']}; {claim['statistic']})*" if i == 0 else ""
            unit = f" {claim['unit']}" if claim["unit"] else ""
            numbers = "– | –"
            if each["mean"] is not None:
                numbers = f"{_number(each['mean'])}{unit} | {_number(each['low'])} … {_number(each['high'])}"
            mark = f"**{each['verdict']}**" if i == 0 else each["verdict"]
            parts.append(f"| {says} | {each['setting']} | {numbers} | {mark} |")
    for name, lines in found["tables"].items():
        parts.append(f"\n| {name} | published | ours | 95 % interval |\n|---|---|---|---|")
        for each in lines:
            ours = each["ours"]
            numbers = f"{ours['mean']:.2f} dB | {ours['low']:.2f} … {ours['high']:.2f}" if ours else "– | –"
            parts.append(f"| {each['says']} | {each['psnr']:.2f} dB | {numbers} |")
    return "\n".join(parts)


def _number(value: float) -> str:
    digits = 2 if math.isclose(value, 0, abs_tol=1e-12) else max(2, 1 - math.floor(math.log10(abs(value))))
    return f"{value:+.{min(digits, 4)}f}"


def _require_as_many(rows: list[tuple[str, np.ndarray]]) -> None:
    """As many values of each run as of the first one, or their clips are not the same."""
    for name, row in rows[1:]:
        first, values = rows[0]
        if len(row) != len(values):
            counts = f"{len(values)} and {len(row)}"
            raise ValueError(f"{first} and {name} were scored on other numbers of clips or frames: {counts}")


def _require_alike(pair: list[Result]) -> None:
    """Scored on the same clips in the same way, or the difference means nothing."""
    first, *others = pair
    for other in others:
        if (
            first.scores["per_clip"]["clip"] != other.scores["per_clip"]["clip"]
            or any(first.scores.get(key) != other.scores.get(key) for key in (*ALIKE, "other_prior"))
            # clips of two data sets may share their names
            or not math.isclose(*(one.scores["copy_last_psnr"] or 0.0 for one in (first, other)), rel_tol=1e-5)
        ):
            raise ValueError(f"{first.name} and {other.name} were not evaluated alike")
