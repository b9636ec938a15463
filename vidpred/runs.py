"""The run folder: training writes it, everything else reads it."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from vidpred.config import ModelConfig, RunConfig, TrainConfig, from_dict, model_from_dict, shown
from vidpred.errors import BadInput
from vidpred.files import read_bytes, remove_unfinished, replaced, write_json

CONFIG = "config.json"
METRICS = "metrics.jsonl"
WEIGHTS = "model.safetensors"
EVAL = "eval.json"
LAST = "last"
SAMPLES = "samples"
KEPT = "weights"
TENSORBOARD = "tensorboard"
AVERAGED = "averaged"  # what config.json's versions call the runs whose weights' mean a run is
MADE = (CONFIG, METRICS, WEIGHTS, EVAL)  # the files of a run folder, in the order in which they are written

# What the scores of two runs must agree in to be compared, by name in eval.json; they are of the same clips besides,
# and of the same `other_prior`.
ALIKE = ("protocol", "split", "samples", "temperature", "n_past", "n_future")

# The files that make a run for whoever looks at it, and how large they may be where a stranger hands one in.
MAX_BYTES = {CONFIG: 5_000_000, WEIGHTS: 200_000_000, METRICS: 5_000_000, EVAL: 5_000_000}
MOST_TEXT = 50_000_000  # bytes of a JSON file that are read of any run
PICKLED = (".pth", ".pt", ".bin", ".ckpt", ".pkl")  # weights that could run code: never opened
OF_CHECKPOINT = "Of a checkpoint, python -m train.prepare import-checkpoint {} OUT makes one without running it"


def require_folder(run: Path) -> None:
    """BadInput for a file where a run folder is needed: it says what to do with it."""
    run = Path(run)
    if not run.is_file():
        return
    if run.name in MAX_BYTES:
        raise BadInput(f"{run}: a file of a run; give its folder, {run.parent}")
    raise BadInput(f"{run}: a file, no run folder. {OF_CHECKPOINT.format(run)}")


def read_config(run: Path) -> RunConfig:
    """Settings of a run."""
    return read_settings(run)[0]


def read_settings(run: Path) -> tuple[RunConfig, dict[str, str]]:
    """Settings of a run, and what made it: versions, and of one that was not trained what its weights come from; empty
    where config.json does not say."""
    require_folder(run)
    path = Path(run) / CONFIG
    values = _read_json(path)
    if not isinstance(values, dict):
        raise BadInput(f"{path}: expected an object")
    missing = [key for key in ("model", "data", "train") if key not in values]
    if missing:
        raise BadInput(f"{path}: no {missing[0]!r} in it")
    try:
        model = model_from_dict(values["model"], "model")
        data = from_dict(model.data_config, values["data"], "data")
        config = RunConfig(model, data, from_dict(TrainConfig, values["train"], "train"))
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
    versions = values.get("versions")
    return config, versions if isinstance(versions, dict) else {}


def write_config(run: Path, config: RunConfig, versions: dict[str, str]) -> None:
    """config.json of a run, with the versions of what made it."""
    write_json(Path(run) / CONFIG, {**config.to_dict(), "versions": versions})


def read_metrics(run: Path, damaged: Literal["refuse", "skip"] = "refuse") -> list[dict[str, Any]]:
    """A dict of numbers per epoch; empty before the first epoch has ended. A line that is none and a value that is no
    number are BadInput, or left out."""
    path = Path(run) / METRICS
    if not os.path.lexists(path):
        return []
    rows = []
    try:
        text = read_bytes(path, MOST_TEXT)
        lines = text.decode(errors="strict" if damaged == "refuse" else "replace").splitlines()
    except (OSError, ValueError) as error:  # BadInput is a ValueError
        if damaged == "skip":
            return []
        raise error if isinstance(error, BadInput) else BadInput(f"{path}: not readable as text") from None
    for number, line in enumerate(lines, 1):
        try:
            row = _parsed(line)
        except ValueError:
            row = None
        if not isinstance(row, dict) or type(row.get("epoch")) is not int or row["epoch"] < 0:
            if damaged == "refuse":
                raise BadInput(f"{path}: line {number} is not an epoch's JSON object")
            continue
        strange = [key for key, value in row.items() if not isinstance(value, (int, float, type(None)))]
        if strange and damaged == "refuse":
            raise BadInput(f"{path}: {shown(strange[0])[1:-1]} of epoch {row['epoch']} is no number")
        rows.append({key: value for key, value in row.items() if key not in strange})
    return rows


def write_metrics(run: Path, rows: list[dict[str, Any]]) -> None:
    """All rows at once: a reader never sees half a line."""
    with replaced(Path(run) / METRICS) as path:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def read_eval(run: Path) -> dict | None:
    """What train.evaluate wrote, or None."""
    path = Path(run) / EVAL
    if not os.path.lexists(path):
        return None
    values = _read_json(path)
    if not isinstance(values, dict):
        raise BadInput(f"{path}: expected an object")
    return values


def own_prior(model: ModelConfig) -> str:
    """Where z comes from at prediction unless one asks for something else: learned, or standard."""
    return model.prior_at_test if model.learned_prior else "standard"


def other_prior(model: ModelConfig, evaluated: Any) -> str | None:
    """The prior of an evaluation, as eval.json says it, where that is not the run's own; None too where it is not said:
    scores of a learned and of a fixed prior, each of a run's own, can be compared."""
    return None if evaluated in (None, own_prior(model)) else str(evaluated)


def list_runs(folders: list[Path]) -> dict[str, Path]:
    """Name -> run folder. Each folder is a run or holds runs; runs of one name carry what tells their folders apart."""
    found: dict[Path, Path] = {}
    for folder in map(Path, folders):
        require_folder(folder)
        if not folder.is_dir():
            raise BadInput(f"{folder}: no such folder of runs")
        if not (inside := runs_in(folder)):
            pickled = sorted(path for path in folder.iterdir() if path.suffix in PICKLED)
            instead = f". {OF_CHECKPOINT.format(pickled[0])}" if pickled else ""
            raise BadInput(f"{folder}: no run in it (a run has a {CONFIG}){instead}")
        for run in inside:
            found.setdefault(run.resolve(), run)
    return dict(zip(names_apart(found), found.values()))


def runs_in(folder: Path) -> list[Path]:
    """The folder itself where it is a run, else those in it that are."""
    return [folder] if (folder / CONFIG).exists() else sorted(path.parent for path in folder.glob(f"*/{CONFIG}"))


def names_apart(folders: Iterable[Path]) -> list[str]:
    """Of each folder its name, with as many of its parents before it as no other has; all are resolved, each once."""
    parts = [folder.parts for folder in folders]
    owners = Counter(own[i:] for own in parts for i in range(len(own)))
    return [next("/".join(own[i:]) for i in reversed(range(len(own))) if owners[own[i:]] == 1) for own in parts]


def remove(run: Path) -> None:
    """Delete what training wrote in a run folder, and nothing else; the settings last, so that who is killed here
    leaves a folder that is still known as a run's."""
    remove_unfinished(run, *MADE)
    for name in (LAST, SAMPLES, KEPT, TENSORBOARD):
        if (Path(run) / name).exists():
            shutil.rmtree(Path(run) / name)
    for name in reversed(MADE):
        (Path(run) / name).unlink(missing_ok=True)


def _read_json(path: Path) -> Any:
    try:
        return _parsed(read_bytes(path, MOST_TEXT).decode())
    except FileNotFoundError:
        raise BadInput(f"{path}: missing; is {path.parent} a run folder?") from None
    except BadInput:
        raise
    except (OSError, ValueError):
        raise BadInput(f"{path}: not readable as JSON") from None


def _parsed(text: str) -> Any:
    """JSON values. ValueError for what is none, is nested beyond reason, or a whole number that no float can hold."""
    try:
        return json.loads(text, parse_int=_whole_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _whole_number(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError("a whole number of more than 64 bits")
    return int(digits)
