"""What the player is given is plain and exact, and what it sends back is checked."""

import json
import math

import numpy as np
import pytest
from PIL import Image

from tests.explorer.predictions import DANCE, ROBOT, predicted
from vidpred.errors import BadInput
from vidpred.explorer.ui.player import Display, Tile, View, next_request, player_value, read_view
from vidpred.explorer.ui.prediction_tiles import prediction_tiles

VIEW = {"tiles": [0, 1], "choice": 0, "gain": 4, "fps": 5}
BAD = [
    *({"tiles": tiles} for tiles in ([], [9], [0.5], 1)),
    *({"choice": 12}, {"gain": 0}, {"gain": 99}, {"fps": 0}, {"fps": 60}, {"fps": None}),
]


def clips_in(value):
    """The clips of a player's value, read back from its sheets."""
    sheets = [np.asarray(Image.open(sheet["file"]["path"]).convert("RGB")) for sheet in value["sheets"]]
    h, w = value["tile_height"], value["tile_width"]

    def cell(sheet, number):
        row, column = divmod(number, value["sheets"][sheet]["columns"])
        return sheets[sheet][row * h : (row + 1) * h, column * w : (column + 1) * w]

    return [np.stack([cell(sheet, first + t) for t in range(value["frames"])]) for sheet, first in value["clips"]]


@pytest.mark.parametrize("fields", [ROBOT, DANCE])
def test_a_value_is_plain_and_exact(families, fields):
    prediction = predicted(families, **fields)
    value = player_value(prediction_tiles(prediction), next_request())
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    clips, tiles = clips_in(value), {tile["kind"]: tile for tile in value["tiles"]}
    assert np.array_equal(clips[tiles["truth"]["clips"][0]], prediction.truth)
    for k, frames in enumerate(prediction.futures[0].samples):
        assert np.array_equal(clips[tiles["prediction"]["clips"][k]], frames)
    n_past, psnr = prediction.settings.n_past, prediction.futures[0].scores["PSNR"]
    drawn = tiles["prediction"]["scores"]["PSNR"][1]
    assert drawn[:n_past] == [None] * n_past
    assert drawn[n_past:] == pytest.approx(psnr[1], abs=1e-5)
    assert tiles["prediction"]["means"]["PSNR"][1] == f"{psnr[1].mean():.2f} dB"
    assert next_request() > value["request"]
    assert player_value(prediction_tiles(prediction), 1)["sheets"] == value["sheets"]


def test_it_is_said_why_a_copied_frame_scores_infinitely():
    """Of a film without blue each copied frame does, one colour channel at a time: it is not a perfect prediction."""
    tiles = [Tile("truth", "Truth", (np.zeros((3, 8, 8, 3), np.uint8),))]
    value = player_value(Display(tiles, 1, copied={"PSNR": [math.inf, 20.0]}, note="A note."), 1)
    assert value["copied_means"] == {"PSNR": "∞"} and value["note"].startswith("A note. ∞: ")
    assert player_value(Display(tiles, 1, copied={"PSNR": [30.0, 20.0]}, note="A note."), 1)["note"] == "A note."


def test_long_clips_take_several_sheets_that_a_browser_can_hold():
    clips = [np.full((630, 32, 64, 3), k, np.uint8) for k in range(9)]
    clips[8][:, 0, 0] = np.arange(630)[:, None] % 251
    value = player_value(Display([Tile("prediction", "Prediction", tuple(clips))], 1), 1)
    assert len(value["sheets"]) == 3
    assert all(max(Image.open(sheet["file"]["path"]).size) < 16_383 for sheet in value["sheets"])
    assert all(np.array_equal(a, b) for a, b in zip(clips_in(value), clips, strict=True))


def test_identical_frames_have_an_infinite_psnr():
    frames = np.zeros((3, 64, 64, 3), np.uint8)
    tile = Tile("prediction", "Prediction", (frames,), scores={"PSNR": [[math.inf]]})
    value = player_value(Display([tile], 2), 1)
    assert value["tiles"][0]["scores"]["PSNR"] == [[None, None, "∞"]]
    assert value["tiles"][0]["means"]["PSNR"] == ["∞"]


def test_a_frame_in_which_nothing_moves_has_no_sharpness():
    frames = np.zeros((4, 64, 64, 3), np.uint8)
    scores = {"Sharpness": [[0.5, math.nan, 0.7], [math.nan] * 3]}
    (tile,) = player_value(Display([Tile("prediction", "Prediction", (frames, frames), scores=scores)], 1), 1)["tiles"]
    assert tile["scores"]["Sharpness"] == [[None, 0.5, None, 0.7], [None] * 4]
    assert tile["means"]["Sharpness"] == ["0.60", "–"]


@pytest.fixture(scope="module")
def display(families):
    return prediction_tiles(predicted(families, **ROBOT))


def test_a_view_is_read_as_it_was_sent(display):
    assert read_view(json.dumps(VIEW), display) == View([0, 1], 0, 4, 5)
    assert read_view(json.dumps({**VIEW, "tiles": [1, 0, 1]}), display).tiles == [0, 1]


@pytest.mark.parametrize("view", [None, "", "[]", "{", "{}", *(json.dumps({**VIEW, **change}) for change in BAD)])
def test_a_strange_view_is_refused(display, view):
    with pytest.raises(BadInput):
        read_view(view, display)
