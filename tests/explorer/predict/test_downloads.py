"""Downloads show what the player shows, or hold every number."""

import csv

import numpy as np
import pytest
from PIL import Image

from tests.explorer.predictions import DANCE, ROBOT, predicted
from vidpred import render
from vidpred.explorer.predict.downloads import write_download
from vidpred.explorer.ui.player import View
from vidpred.explorer.ui.prediction_tiles import prediction_tiles


def test_downloads_show_what_the_player_shows(families):
    prediction = predicted(families, **DANCE)
    display = prediction_tiles(prediction)
    view = View([1, 2, 3], choice=1, gain=4, fps=10)
    with Image.open(write_download(prediction, display, view, "gif")) as gif:
        assert gif.n_frames == 7
        gif.seek(3)
        frame, size = np.asarray(gif.convert("RGB"))[1::3, 1::3], (36, 68)  # of the squares that pixels became
    error = render.heat(render.error_levels(prediction.futures[0].samples[1], prediction.truth), 4)
    drawn = [frame[2 : size[0] - 2, i * 72 + 2 : i * 72 + 66] for i in range(3)]
    for picture, clip in zip(drawn, (prediction.truth, prediction.futures[0].samples[1], error), strict=True):
        assert np.abs(picture.astype(int) - clip[3]).max() <= 12  # 256 colours a frame
    assert tuple(frame[0, 72]) == render.PREDICTED_COLOUR
    assert tuple(frame[0, 0]) == render.CONTEXT_COLOUR
    strip = np.asarray(Image.open(write_download(prediction, display, view, "png")))
    assert strip.shape[1] == 2 * (7 * 68 + 6 * 4)
    assert write_download(prediction, display, view, "mp4").stat().st_size > 0


def test_the_csv_holds_every_number(families):
    prediction = predicted(families, **ROBOT)
    with open(write_download(prediction, prediction_tiles(prediction), View([0], 0, 1, 5), "csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 4  # three samples and their mean, four frames
    row = rows[6]
    what = [row[name] for name in ("run", "clip", "sample", "frame", "temperature", "seed", "prior")]
    assert what == ["tiny", "traj_0_to_255/2", "1", "4", "1.0", "3", "learned"]
    assert float(row["psnr_finn_db"]) == pytest.approx(prediction.futures[0].scores["PSNR"][1, 2], abs=1e-5)
    assert float(row["sharpness"]) == pytest.approx(prediction.futures[0].scores["Sharpness"][1, 2], abs=1e-5)
    assert float(row["copy_last_ssim"]) == pytest.approx(prediction.copied["SSIM"][2], abs=1e-5)
