"""config.json, metrics.jsonl and eval.json that are none."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.trust.hostile.doors import Case, Doors, Said
from tests.trust.hostile.pictures import NO_FILES, at, in_place
from train.plot import plot
from train.prepare.__main__ import bundle
from vidpred import runs
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.prediction import predict_clip
from vidpred.explorer.runs.summary import describe_run

TEXTS = {
    "empty": b"",
    "cut off": b'{"model": {"kind": "svg"',
    "100,000 lists": b"[" * 100_000,
    "100,000 objects": b'{"a":' * 100_000,
    "two objects": b"{}{}",
    "a number of 500 digits": b'{"model": 1' + b"0" * 500 + b"}",
    "binary": bytes(range(256)),
    "UTF-16": '{"model": {}}'.encode("utf-16"),
    "single quotes": b"{'model': {}}",
    "YAML": b"model:\n  kind: svg\n",
    "a comment": b"// settings\n{}",
    "a pickle": b"\x80\x04\x95\x05\0\0\0\0\0\0\0]\x94.",
}
NOT_OBJECTS = {"a list": b"[]", "null": b"null", "true": b"true", "a number": b"3", "a string": b'"model"'}
WRONG_TYPES = {
    "model": (
        {"width": w} for w in ("64", 64.5, True, None, [], {}, 0, -1, 10**15)
    ),
    "data": ({"n_past": 0}, {"n_past": -(10**18)}, {"n_future": "10"}, {"n_future": 0}, {"windows": {}},
             {"windows": ["random"]}, {"windows": "Random"}, {"clip_length": 3}),
    "train": ({"lr": None}, {"lr": "fast"}, {"lr": 0}, {"lr": -1}, {"lr": float("nan")}, {"lr": float("inf")},
              {"epochs": 0}, {"epochs": 1.5}, {"tfr": 2}, {"tfr": [1]}, {"kl_anneal_ratio": 0},
              {"lr_milestones": [3, 2]}, {"lr_milestones": ["3"]}, {"lr_milestones": 3}, {"seed": 2**63},
              {"seed": -1}, {"batch_size": 0}, {"accumulation": 5}, {"init": 3}, {"optimizer": "rm -rf"},
              {"no_such_key": 1}, {"../../key": 1}, {"new\nline": 1}, {"<b>": 1}, {"k" * 10**5: 1}),
}  # fmt: skip


def broken_run(change: Callable[[Path], None], uploaded: bool = True) -> Callable[[Doors, Path], Iterator[Said]]:
    """A run that is bundled, opened by the app's options, and uploaded."""

    def ask(doors: Doors, folder: Path) -> Iterator[Said]:
        run = doors.copy("run", folder)
        change(run)
        yield doors.command(bundle, run, folder / "out")
        yield doors.app("--runs", run, "--data", doors.data)
        if uploaded:
            yield doors.zipped(run)

    return ask


def with_values(name: str, part: str | None, values: dict[str, Any]) -> Callable[[Path], None]:
    """Other values in a JSON file."""

    def change(run: Path) -> None:
        content = json.loads((run / name).read_text())
        (content if part is None else content[part]).update(values)
        (run / name).write_text(json.dumps(content))

    return change


def without(name: str, key: str) -> Callable[[Path], None]:
    """A JSON file without a key."""

    def change(run: Path) -> None:
        content = json.loads((run / name).read_text())
        del content[key]
        (run / name).write_text(json.dumps(content))

    return change


def configs() -> Iterator[Case]:
    """config.json in every state."""
    family, name = "config.json", Path(runs.CONFIG)
    for what, content in {**TEXTS, **NOT_OBJECTS}.items():
        yield Case(family, what, broken_run(at(name, content)), runs.CONFIG)
    for part, changes in WRONG_TYPES.items():
        for values in changes:
            what = f"{part} {json.dumps(values)[:60]}"
            # too large is refused where a model is made; the app's options open no weights
            says = "" if values.get("width") == 10**15 else f"{runs.CONFIG}: "
            yield Case(family, what, broken_run(with_values(name, part, values)), says)
        for value in (None, [], "svg", 3, {"kind": ["svg"]}, {"kind": "gan"}):
            if part == "model" or not isinstance(value, dict):
                change = with_values(name, None, {part: value})
                yield Case(family, f"{part} is {value}", broken_run(change), runs.CONFIG)
        yield Case(family, f"without {part}", broken_run(without(name, part)), runs.CONFIG)
    for what, put in NO_FILES.items():
        yield Case(family, what, broken_run(in_place(name, put), uploaded=False), runs.CONFIG)
    for value in (None, [], "3.11", 3, {"python": {"a": [1]}}):
        yield Case(family, f"versions {value}", broken_run(with_values(name, None, {"versions": value})), None)
    yield Case(family, "a key of its own", broken_run(with_values(name, None, {"note": "mine"})), None)


GOOD_ROW = {"epoch": 0, "step": 1, "loss": 0.5, "kld": 1.0, "val_psnr": 20.0}
LINES = {
    "cut off": b'{"epoch": 0, "step": 1}\n{"epoch": 1, "st',
    "a list": b"[]\n",
    "blank lines": b"\n\n\n",
    "epoch -1": b'{"epoch": -1}\n',
    "epoch as text": b'{"epoch": "0"}\n',
    "epoch null": b'{"epoch": null}\n',
    "epoch with a fraction": b'{"epoch": 0.5}\n',
    "epoch true": b'{"epoch": true}\n',
    "no epoch": b'{"step": 1}\n',
    "a number of 500 digits": b'{"epoch": 0, "kld": 1' + b"0" * 500 + b"}\n",
    "100,000 lists": b"[" * 100_000 + b"\n",
    "binary": bytes(range(256)),
    "a loss as text": json.dumps({**GOOD_ROW, "loss": "low"}).encode(),
    "a loss as a list": json.dumps({**GOOD_ROW, "loss": [0.5]}).encode(),
    "a loss as an object": json.dumps({**GOOD_ROW, "loss": {"a": 1}}).encode(),
    "a loss as markup": json.dumps({**GOOD_ROW, "loss": "<img src=x>"}).encode(),
}
GOOD_LINES = {
    "nothing known but the epoch": b'{"epoch": 0}\n',
    "NaN and infinity": b'{"epoch": 0, "kld": NaN, "loss": Infinity}\n',
    "null": b'{"epoch": 0, "kld": null, "loss": null}\n',
    "5,000 epochs": b"".join(json.dumps({**GOOD_ROW, "epoch": i}).encode() + b"\n" for i in range(5_000)),
    "epochs backwards": b'{"epoch": 1, "step": 2}\n{"epoch": 0, "step": 1}\n',
    "a huge loss": b'{"epoch": 0, "loss": 1e308, "kld": -1e308}\n',
}


def drawn(change: Callable[[Path], None], figure: str, told: bool = True) -> Callable[[Doors, Path], Iterator[Said]]:
    """A run that is drawn, uploaded, and looked at in the app, which leaves out what it cannot read."""

    def ask(doors: Doors, folder: Path) -> Iterator[Said]:
        run = doors.copy("run", folder)
        change(run)
        yield doors.command(plot, (run,), folder / "plot.png", figure)
        if told:
            yield doors.zipped(run)
        library = Library([run], [doors.data])
        resolved = library.run("run")
        describe_run(resolved)
        predict_clip(library, resolved, library.clips_for(resolved)[0], n_future=1)

    return ask


def curves() -> Iterator[Case]:
    """metrics.jsonl in every state."""
    family, name = "metrics.jsonl", Path(runs.METRICS)
    for what, content in LINES.items():
        yield Case(family, what, drawn(at(name, content), "curves"), runs.METRICS)
    for what, content in GOOD_LINES.items():
        yield Case(family, what, drawn(at(name, content), "curves"), None)
    for what, put in NO_FILES.items():
        yield Case(family, what, drawn(in_place(name, put), "curves", told=False), runs.METRICS)


NUMBERS = {"text": "20", "null": None, "an object": {"a": 1}, "a list of lists": [[1, 2], [3]], "true": True}


def scores() -> Iterator[Case]:
    """eval.json in every state."""
    family, name = "eval.json", Path(runs.EVAL)
    for what, content in {**TEXTS, **NOT_OBJECTS}.items():
        yield Case(family, what, drawn(at(name, content), "psnr"), runs.EVAL)
    for key in ("per_frame", "kld_map", "protocol", "n_past", "n_future"):
        yield Case(family, f"without {key}", drawn(without(name, key), "psnr", told=False), runs.EVAL)
        for what, value in NUMBERS.items():
            change = with_values(name, None, {key: value})
            figure = "kl" if key == "kld_map" else "psnr"
            says = "" if (key, what) == ("protocol", "text") else runs.EVAL
            yield Case(family, f"{key} is {what}", drawn(change, figure, told=False), says)
    frames = {
        "no PSNR": {"copy_last_psnr": [1.0]},
        "PSNR as text": {"psnr": ["a", "b", "c"], "copy_last_psnr": [1.0] * 3},
        "PSNR a number": {"psnr": 3.0, "copy_last_psnr": [1.0] * 3},
        "curves of two lengths": {"psnr": [1.0] * 3, "copy_last_psnr": [1.0] * 2},
    }
    for what, value in frames.items():
        change = with_values(name, None, {"per_frame": value})
        yield Case(family, f"per_frame with {what}", drawn(change, "psnr", told=False), runs.EVAL)
    maps = {"empty": [], "of no columns": [[]], "of text": [["a"]], "of numbers": [1.0, 2.0], "ragged": [[1.0], [1, 2]]}
    for what, value in maps.items():
        change = with_values(name, None, {"kld_map": value})
        yield Case(family, f"kld_map {what}", drawn(change, "kl", told=False), runs.EVAL)
    for what, put in NO_FILES.items():
        yield Case(family, what, drawn(in_place(name, put), "psnr", told=False), runs.EVAL)
    markup = {"protocol": "![](http://elsewhere.example/a.png)"}
    yield Case(family, "a picture as protocol", drawn(with_values(name, None, markup), "psnr"), "")


def cases() -> Iterator[Case]:
    """The JSON files of a run in every state."""
    yield from configs()
    yield from curves()
    yield from scores()


def broken_weights(change: Callable[[Path], None], uploaded: bool = True) -> Callable[[Doors, Path], Iterator[Said]]:
    """A run that is bundled, continues a clip in the app, and is uploaded."""

    def ask(doors: Doors, folder: Path) -> Iterator[Said]:
        run = doors.copy("run", folder)
        library = Library([run], [doors.data])
        change(run)
        yield doors.command(bundle, run, folder / "out")
        clip = next(iter(library.clips.values()))
        yield doors.asked(lambda: predict_clip(library, library.run("run"), clip, n_future=1))
        if uploaded:
            yield doors.zipped(run)

    return ask
