"""Names, addresses and values that no widget would send."""

import json
from collections.abc import Iterator
from pathlib import Path

from tests.trust.hostile.doors import Case, Doors, Said
from vidpred.explorer.runs.prediction import predict_clip
from vidpred.explorer.training.schedule import design, values_of
from vidpred.hub import fetch_run
from vidpred.presets import preset

NAMES = {
    "a folder above": "../run",
    "far above": "../" * 50 + "etc/passwd",
    "an absolute path": "/etc/passwd",
    "backslashes": "..\\..\\run",
    "encoded": "%2e%2e%2frun",
    "a line break": "run\nrun",
    "NUL": "run\0",
    "an empty name": "",
    "a dot": ".",
    "a blank": " run",
    "a million characters": "r" * 10**6,
    "markup": "<script>alert(1)</script>",
    "right to left": "\u202enur",
    "full width": "ｒｕｎ",
    "half a surrogate": "\ud800",
    "emoji": "🎞️",
    "a format": "{0.__class__}",
    "a query": "run' OR 1=1 --",
    "a number": 3,
    "none": None,
    "true": True,
    "a list": ["run"],
    "an object": {"run": 1},
    "a deep list": json.loads("[" * 500 + "]" * 500),
}
ADDRESSES = ("", "run", "a/b/../../c", "a/../b", "http://a/b", "//a/b", "a/b@", "a/b@../c", "а/б", "a/b c",
             "a/" + "b" * 10**5, "../b", "a/b/%2e%2e/c", "file:///etc/passwd", None, 3, ["a/b"])  # fmt: skip
VALUES = ("1", None, True, [], {}, -1, 1.5, 1e400, float("nan"), 10**30, -(10**30), "𝟙")
FIELDS = ("seed", "n_future", "n_past", "samples", "temperature", "prior", "sweep")
FINE = {("temperature", 1.5), ("sweep", True)} | {(name, None) for name in ("n_future", "n_past", "prior")}


def named(value: object):
    """A run and a clip of this name, and a tab's own handler."""

    def ask(doors: Doors, folder: Path) -> Iterator[Said]:
        yield doors.asked(doors.library.run, value)
        yield doors.asked(doors.library.clip, value)
        yield doors.asked(doors.handlers.fit, value, [value], value)
        yield doors.asked(doors.handlers.draw, value, [value], value, seed=0, temperature=1, samples=1, n_future=1)

    return ask


def addressed(value: object):
    """An address on the Hub; a good one would be asked for."""

    def ask(doors: Doors, folder: Path) -> Iterator[Said]:
        yield doors.asked(fetch_run, value, folder)

    return ask


def predicted(field: str, value: object):
    """A prediction with one field of the API replaced."""

    def ask(doors: Doors, folder: Path) -> Iterator[Said]:
        run = doors.library.run("run")
        yield doors.asked(predict_clip, doors.library, run, doors.library.clips_for(run)[0], **{field: value})

    return ask


def designed(field: str, value: object):
    """A design of schedules with one field replaced."""

    def ask(doors: Doors, folder: Path) -> Iterator[Said]:
        yield doors.asked(design, doors.library, "small", {**values_of(preset("small")), field: value})

    return ask


def cases() -> Iterator[Case]:
    """Names, addresses and values."""
    for what, value in NAMES.items():
        yield Case("name", what, named(value), "lease choose")
    for value in ADDRESSES:
        yield Case("address", repr(value)[:40], addressed(value), "no address on the Hub")
    for field in FIELDS:
        for value in VALUES:
            if not any((field == name and value is fine) or (field, value) == (name, 1.5) for name, fine in FINE):
                says = "must be" if field not in ("prior", "sweep") else "prior" if field == "prior" else "sweep"
                yield Case("value", f"{field} {value!r}", predicted(field, value), says)
    for field in ("epochs", "beta_max", "kl_anneal_ratio", "kl_anneal", "tfr_mix"):
        for value in ("x", None, [], float("nan"), 1e400, -1, 10**30):
            yield Case("value", f"design with {field} {value!r}", designed(field, value), " ")
