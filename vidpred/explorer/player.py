"""The clip player: a gr.HTML around a canvas, fed by one lossless sprite sheet."""

import hashlib
import itertools
import math
import os
import time
from pathlib import Path

import gradio as gr
import numpy as np
from gradio.data_classes import FileData
from gradio.utils import get_upload_folder
from PIL import Image

from vidpred.explorer.predict import Prediction
from vidpred.files import replaced
from vidpred.render import sprite_sheet

STATIC = Path(__file__).parent / "static"
TEMPLATE, CSS, JS = ((STATIC / f"player.{kind}").read_text() for kind in ("html", "css", "js"))
LABELS = ("Ground truth", "Prediction")

# Rises from answer to answer, over restarts too: the player drops an answer that an earlier one has overtaken.
_requests = itertools.count(time.time_ns() // 1000)


def next_request() -> int:
    """Number of a request, to be taken before the work begins."""
    return next(_requests)


def clip_player(**options) -> gr.HTML:
    """The component. A factory, because a subclass would write a .pyi file beside its source."""
    return gr.HTML(
        html_template=TEMPLATE, css_template=CSS, js_on_load=JS, apply_default_css=False, value=None, **options
    )


def player_value(shown: Prediction, request: int) -> dict:
    """What the player draws, as JSON values; lists hold a number per frame, null where the frame was given."""
    sheet, layout = sprite_sheet([shown.truth, shown.prediction])
    means = shown.scores
    blank = [None] * shown.n_past
    curves = {name: [*blank, *getattr(shown, name)] for name in ("psnr", "ssim", "copy_last_psnr")}
    return {
        "request": request,
        "sheet": FileData(path=str(_saved(sheet)), mime_type="image/webp").model_dump(),
        "layout": dict(layout),
        "n_past": shown.n_past,
        "labels": list(LABELS),
        "numbers": [
            ["PSNR", f"{_text(means['psnr'])} dB"],
            ["SSIM", f"{means['ssim']:.3f}"],
            ["PSNR of copying the last given frame", f"{_text(means['copy_last_psnr'])} dB"],
        ],
        "protocol": shown.protocol,
        # JSON has no infinity: identical frames leave a gap in the curve, and their text says why
        **{name: [_finite(v) for v in values] for name, values in curves.items()},
        "text": {name: [None if v is None else _text(v) for v in values] for name, values in curves.items()},
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _text(value: float) -> str:
    return "∞" if value == math.inf else f"{value:.2f}"


def _saved(sheet: np.ndarray) -> Path:
    """The sheet as a file in Gradio's cache, named by its pixels and written whole: visitors may share it."""
    name = hashlib.blake2b(f"{sheet.shape}".encode() + sheet.tobytes(), digest_size=20).hexdigest()
    path = Path(get_upload_folder()) / name / "sheet.webp"
    if path.exists():
        os.utime(path)  # the cache is cleared by age
        return path
    with replaced(path) as temporary:
        # method 0: 3 % more bytes in a third of the time
        Image.fromarray(sheet).save(temporary, format="WEBP", lossless=True, exact=True, method=0)
    return path
