"""The clip player: clips in step, with their scores over time, in a gr.HTML fed by lossless sprite sheets.

A tab hands over a `Display` and gives `player_value(display, next_request())` to a `clip_player()`; what it could not
do it says with `player_refusal`. All tiles play in step. A prediction tile may hold a clip for every choice (samples,
the best, the mean): switching between them, the error maps, their gain, the film strip and the trace happen in the
browser. What a visitor chose there comes back as `View` (see `read_view`), for downloads that show the same.
"""

import itertools
import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
from gradio.data_classes import FileData
from PIL import Image

from vidpred.errors import BadInput
from vidpred.explorer.runs import validate
from vidpred.explorer.ui.cached_file import cached_file
from vidpred.explorer.ui.html_component import Widget
from vidpred.files import replaced
from vidpred.render import sprite_sheet

PLAYER = Widget("player", ["filmstrip", "player"])
clip_player = PLAYER.component
UNITS = {"PSNR": "dB", "SSIM": "", "Sharpness": ""}
DIGITS = {"PSNR": 2, "SSIM": 3, "Sharpness": 2}
SHEET_PIXELS = 2**22  # a browser holds a sheet as 16 MB; what is not looked at is fetched later
MAX_GAIN = 16
COPIED = "∞: the last frame copied equals the true one in a whole frame or, for finn, in one colour channel of it."
SPEEDS = (2, 30)  # slowest and fastest, frames per second; browsers slow down GIFs above 50

NOTHING: Mapping = MappingProxyType({})

Kind = Literal["pose", "truth", "prediction", "error", "spread"]

# Rises from answer to answer, over restarts too: the player drops an answer that an earlier one has overtaken.
_requests = itertools.count(time.time_ns() // 1000)


class Choice(NamedTuple):
    """Something that the prediction tiles can show. A visitor's choice is kept, by its key, over new values."""

    key: str
    label: str


class Tile(NamedTuple):
    """A moving picture.

    kind: pose; truth; prediction; error, |prediction - truth|, drawn in the browser; spread, a grey clip, drawn as heat
        with the gain of the errors.
    clips: uint8 (T, H, W, 3), one, or one for every choice (the same array may come twice); of an error: none.
    of: place in `Display.tiles` of the prediction whose error it is; None of any other kind.
    scores: a prediction's, by name as in UNITS: for every choice (or once for all) a number per predicted frame, NaN
        where there is none.
    on: whether it is switched on at first.
    colour: place in the palette of a prediction's scores; None: by the order of the predictions.
    spread: RMSE between two samples of a prediction; None where there are no two.
    """

    kind: Kind
    label: str
    clips: tuple[np.ndarray, ...] = ()
    of: int | None = None
    scores: Mapping[str, list[list[float]]] = NOTHING
    on: bool = True
    colour: int | None = None
    spread: float | None = None


class Display(NamedTuple):
    """What a player shows: tiles of one shape and length, the first n_past frames given.

    choices: what the prediction tiles can show, the samples first; `samples` of them make the band of the trace.
    copied: the scores of the last given frame repeated, a number per predicted frame.
    protocol: what the scores mean; numbers: (name, text) beside those of the tiles; note: a line about all of it.
    """

    tiles: list[Tile]
    n_past: int
    choices: tuple[Choice, ...] = (Choice("0", "prediction"),)
    samples: int = 1
    copied: Mapping[str, list[float]] = NOTHING
    protocol: str = ""
    numbers: tuple[tuple[str, str], ...] = ()
    note: str = ""


class View(NamedTuple):
    """What a visitor looks at: places of the tiles that are switched on, of the choice, the gain and the speed."""

    tiles: list[int]
    choice: int
    gain: float
    fps: int


def next_request() -> int:
    """Number of a request, to be taken before the work begins."""
    return next(_requests)


def player_refusal(error: BadInput) -> dict:
    """A value that changes no picture: one line above it, and the picture marked as the earlier one."""
    return {"request": next_request(), "message": f"{error}."}


def player_value(display: Display, request: int) -> dict:
    """What the player draws, as JSON values. A number of a frame is null where there is none, "∞" where frames are
    identical, or for finn one of their colour channels. `clips`: (sheet, first cell) of each; a tile names its clips by
    their place in that list."""
    clips = list({id(clip): clip for tile in display.tiles for clip in tile.clips}.values())
    places = {id(clip): i for i, clip in enumerate(clips)}
    frames, height, width, _ = clips[0].shape
    sheets, cells = [], []
    most = max(1, SHEET_PIXELS // (frames * height * width))
    for start in range(0, len(clips), most):
        together = clips[start : start + most]
        sheet, columns = sprite_sheet(together)
        cells += [[len(sheets), i * frames] for i in range(len(together))]
        file = FileData(path=str(_saved(sheet)), mime_type="image/webp").model_dump()
        sheets.append({"file": file, "columns": columns})

    def over_frames(values: list[float]) -> list:
        return [None] * display.n_past + [_number(v) for v in values]

    return {
        "request": request,
        "sheets": sheets,
        "clips": cells,
        "frames": frames,
        "tile_width": width,
        "tile_height": height,
        "n_past": display.n_past,
        "choices": [choice._asdict() for choice in display.choices],
        "samples": display.samples,
        "tiles": [
            {
                "kind": tile.kind,
                "label": tile.label,
                "clips": [places[id(clip)] for clip in tile.clips],
                "of": tile.of,
                "on": tile.on,
                "colour": tile.colour,
                "scores": {name: [over_frames(v) for v in lines] for name, lines in tile.scores.items()},
                "means": {name: [score_text(name, v) for v in lines] for name, lines in tile.scores.items()},
                "over_samples": _over_samples(tile, display.samples),
            }
            for tile in display.tiles
        ],
        "copied": {name: over_frames(values) for name, values in display.copied.items()},
        "copied_means": {name: score_text(name, values) for name, values in display.copied.items()},
        "units": UNITS,
        "digits": DIGITS,
        "protocol": display.protocol,
        "numbers": [list(pair) for pair in display.numbers],
        "note": " ".join(filter(None, [display.note, COPIED if math.inf in display.copied.get("PSNR", []) else ""])),
    }


def score_text(name: str, values: list[float]) -> str:
    """The mean of a score over the frames that have one, with its unit."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return "–"
    mean = math.fsum(known) / len(known)
    return "∞" if mean == math.inf else f"{mean:.{DIGITS[name]}f} {UNITS[name]}".strip()


def _over_samples(tile: Tile, samples: int) -> dict[str, str]:
    """What all samples of a tile score together, by its name; of a single one nothing: one sample is luck."""
    lines = [line for line in tile.scores.get("PSNR", [])[:samples] if line]
    if len(lines) < 2:
        return {}
    values = {
        f"PSNR, average of {samples}": score_text("PSNR", [value for line in lines for value in line]),
        f"best of {samples}": score_text("PSNR", max(lines, key=fmean)),
    }
    return values if tile.spread is None else {**values, "spread": f"{tile.spread:.3f}"}


def read_view(text: Any, display: Display) -> View:
    """A View as the browser sends it, JSON, for what is shown. Anything else is BadInput."""
    try:
        values = json.loads(text)
        tiles, choice, gain, fps = (values[name] for name in View._fields)
        tiles = {validate.whole_number(tile, "A tile", 0, len(display.tiles) - 1) for tile in tiles}
    except (TypeError, ValueError, KeyError):
        raise BadInput("This view of the player is not known") from None
    if not tiles:
        raise BadInput("Please switch a tile of the player on first")
    return View(
        sorted(tiles),
        validate.whole_number(choice, "The choice", 0, len(display.choices) - 1),
        validate.number_between(gain, "The gain", 1, MAX_GAIN),
        validate.whole_number(fps, "The speed", *SPEEDS),
    )


def _number(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return "∞" if value == math.inf else round(value, 5)


def _saved(sheet: np.ndarray) -> Path:
    """The sheet as a file in Gradio's cache, named by its pixels and written whole: visitors may share it."""
    path = cached_file("sheet.webp", f"{sheet.shape}".encode(), sheet.tobytes())
    if path.exists():
        os.utime(path)  # the cache is cleared by age
        return path
    with replaced(path) as temporary:
        # method 0: 3 % more bytes in a third of the time
        Image.fromarray(sheet).save(temporary, format="WEBP", lossless=True, exact=True, method=0)
    return path
