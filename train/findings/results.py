"""What is kept of the runs of a grid: settings, curves and scores, a line of JSON for each, without weights."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from vidpred import runs
from vidpred.errors import BadInput
from vidpred.files import replaced
from vidpred.schedules import kld_share

FILE = "results.jsonl"
CURVES = ("epoch", "loss", "mse", "kld", "train_psnr", "val_psnr", "val_loss", "beta", "tfr", "teacher_forced")
OF_A_RUN = ("psnr", "psnr_best", "psnr_best_of", "ssim", "sharpness", "copy_last_psnr", "diversity", "kld_per_step",
            "active_units", "z_from", "conditions")  # fmt: skip
PROTOCOL = ("protocol", "split", "clips", "samples", "temperature", "seed", "n_past", "n_future")
OF_CLIPS = ("psnr", "psnr_best", "sharpness")
DIGITS = 6  # significant ones that are kept


class Result(NamedTuple):
    """A trained and evaluated run. curves: a list over epochs by name, kld per step of a window. scores: numbers of the
    run, `protocol`, and `per_clip` and `per_frame` lists, as in eval.json."""

    name: str
    config: dict[str, Any]
    curves: dict[str, list]
    scores: dict[str, Any]


def read_results(places: list[Path]) -> dict[str, Result]:
    """Results by name, of results.jsonl files and folders of runs. Runs that are not finished and scored are left out;
    of two results of one name the later one counts."""
    found: dict[str, Result] = {}
    for place in places:
        if place.is_dir():
            results = [result for run in sorted(place.iterdir()) if (result := _of_run(run))]
        else:
            results = _stored(place)
        if not results:
            raise BadInput(f"{place}: no run in it that is finished and evaluated")
        found |= {result.name: result for result in results}
    return dict(sorted(found.items()))


def write_results(path: Path, results: dict[str, Result]) -> None:
    """Store them, a line for each."""
    with replaced(path) as temporary:
        temporary.write_text("".join(json.dumps(result._asdict()) + "\n" for result in results.values()))


def _stored(path: Path) -> list[Result]:
    try:
        lines = path.read_text().splitlines()
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    try:
        return [Result(**json.loads(line)) for line in lines]
    except (ValueError, TypeError):
        raise BadInput(f"{path}: not a file of results, a JSON object a line") from None


def _of_run(run: Path) -> Result | None:
    if not all((run / name).exists() for name in (runs.CONFIG, runs.EVAL)):
        return None
    config, evaluation, rows = runs.read_config(run), runs.read_eval(run), runs.read_metrics(run)
    if len(rows) < config.train.epochs:
        return None
    missing = [name for name in (*OF_A_RUN, *PROTOCOL, "per_clip", "per_frame") if name not in evaluation]
    if missing:
        raise BadInput(f"{run / runs.EVAL}: no {missing[0]!r} in it; run python -m train.evaluate again")
    curves = {name: [row[name] for row in rows] for name in CURVES}
    steps = (config.data.length - 1) * kld_share(config.train, config.data.length)
    curves["kld"] = [kld and kld / steps for kld in curves["kld"]]
    scores = {name: evaluation[name] for name in (*PROTOCOL, *OF_A_RUN)}
    scores["other_prior"] = runs.other_prior(config.model, evaluation.get("prior_at_test"))
    scores["per_clip"] = {name: evaluation["per_clip"][name] for name in ("clip", *OF_CLIPS)}
    scores["per_frame"] = {"psnr": evaluation["per_frame"]["psnr"]}
    return Result(run.name, config.to_dict(), _rounded(curves), _rounded(scores))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
