"""A table of runs in TOML: `[runs.NAME]` for each, and `[defaults]` that they share.

[defaults]
preset = "small"
seeds = [0, 1, 2]            # NAME-s0, NAME-s1, NAME-s2
clips = "robot"              # a folder in --data (none: --data itself)
train.epochs = 96
evaluate.samples = 20        # score each run when it is trained, as `train.evaluate` does (split, clips, …)

[runs.learned]
model.learned-prior = true   # as --model.learned-prior true
"""

import contextlib
import dataclasses
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from train.training_command import require_sensible
from vidpred.config import RunConfig, from_dict
from vidpred.data.layout import split_name
from vidpred.errors import BadInput
from vidpred.files import read_bytes
from vidpred.presets import preset

SECTIONS = ("model", "data", "train")
TABLES = (*SECTIONS, "evaluate")
MOST_BYTES = 1_000_000  # of a table
KEYS = ("preset", "clips", "seeds", *TABLES)


@dataclass(frozen=True)
class Evaluation:
    """How a run is scored when it is trained; the rest as `train.evaluate` does it."""

    split: str = "test"
    clips: int | None = None
    samples: int = 20
    n_future: int | None = None

    def __post_init__(self):
        split_name(self.split)
        for name in ("clips", "samples", "n_future"):
            if (number := getattr(self, name)) is not None and number < 1:
                raise BadInput(f"evaluate.{name} must be at least 1, got {number}")


class Run(NamedTuple):
    """One run of a table."""

    name: str
    clips: str
    """folder of its clips, relative to --data"""
    config: RunConfig
    evaluation: Evaluation | None = None
    """None: it is trained alone"""


def read_table(file: Path) -> list[Run]:
    """The runs of a table, every setting resolved and checked."""
    try:
        table = tomllib.loads(read_bytes(file, MOST_BYTES).decode())
    except BadInput:
        raise
    except ValueError as error:  # not TOML, or not even text
        raise BadInput(f"{file}: {error}") from None
    except RecursionError:
        raise BadInput(f"{file}: nested too deeply") from None
    unknown = sorted(set(table) - {"defaults", "runs"})
    if unknown:
        raise BadInput(f"{file}: unknown key {unknown[0]!r}; known: defaults, runs")
    entries = table.get("runs")
    if not isinstance(entries, dict) or not entries:
        raise BadInput(f"{file}: no [runs.NAME] in it")
    with naming(f"{file}: defaults"):
        defaults = _entry(table.get("defaults", {}))
    runs: dict[str, Run] = {}
    for name, own in entries.items():
        with naming(f"{file}: run {name}"):
            for run in _runs(name, own, defaults):
                if run.name in runs:
                    raise BadInput(f"{run.name} is there already")
                runs[run.name] = run
    return list(runs.values())


@contextlib.contextmanager
def naming(where: str) -> Iterator[None]:
    """BadInput in the block says where."""
    try:
        yield
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from None


def _runs(name: str, own: Any, defaults: dict) -> list[Run]:
    """A run, or one for each of its seeds."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise BadInput("a name is made of letters, digits, - and _")
    own = _entry(own)
    entry = {**defaults, **own, **{part: {**defaults[part], **own[part]} for part in TABLES}}
    for key in ("preset", "clips"):
        if not isinstance(entry.setdefault(key, ""), str):
            raise BadInput(f"{key}: expected a string, got {entry[key]!r}")
    if not entry["preset"]:
        raise BadInput("no preset")
    evaluation = from_dict(Evaluation, entry["evaluate"], "evaluate") if entry["evaluate"] else None
    if "seeds" not in entry:
        return [Run(name, entry["clips"], _config(entry), evaluation)]
    seeds = entry["seeds"]
    if not isinstance(seeds, list) or not seeds:
        raise BadInput(f"seeds: expected a list of whole numbers, got {seeds!r}")
    if "seed" in entry["train"]:
        raise BadInput("seeds and train.seed exclude each other")
    return [Run(f"{name}-s{seed}", entry["clips"], _config(entry, seed=seed), evaluation) for seed in seeds]


def _entry(values: Any) -> dict:
    """The keys of a run or of the defaults, each section a dict from field to value."""
    unknown = sorted(set(_table(values)) - set(KEYS))
    if unknown:
        raise BadInput(f"unknown key {unknown[0]!r}; known: {', '.join(KEYS)}")
    entry = dict(values)
    for part in TABLES:
        entry[part] = {}
        for key, value in _table(values.get(part, {}), f"{part}: ").items():
            field = key.replace("-", "_")  # options have dashes, fields underscores; both may be written
            if field in entry[part]:
                raise BadInput(f"{part}.{key} is given twice")
            entry[part][field] = None if value == "None" else value  # as on the command line; TOML has no null
    return entry


def _table(values: Any, where: str = "") -> dict:
    if not isinstance(values, dict):
        raise BadInput(f"{where}expected a table of settings, got {values!r}")
    return values


def _config(entry: dict, **train: Any) -> RunConfig:
    start = preset(entry["preset"])
    entry = {**entry, "train": {**entry["train"], **train}}
    parts = {part: getattr(start, part) for part in SECTIONS}
    config = RunConfig(
        **{
            part: from_dict(type(values), {**dataclasses.asdict(values), **entry[part]}, part)
            for part, values in parts.items()
        }
    )
    require_sensible(config)
    return config
