"""Predictions as tiles, and what they can be switched to."""

import shutil

import numpy as np

from tests.explorer.predictions import DANCE, ROBOT, predicted
from vidpred.data.dance import video_folders, write_pair
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.prediction import SWEEP
from vidpred.explorer.ui.player import player_value
from vidpred.explorer.ui.prediction_tiles import prediction_tiles


def test_tiles_and_choices_of_a_prediction(families):
    prediction = predicted(families, **DANCE)
    display, (future,) = prediction_tiles(prediction), prediction.futures
    assert [tile.label for tile in display.tiles] == ["Pose", "Truth", "Prediction", "Error", "Spread"]
    assert [choice.label for choice in display.choices] == ["sample 0", "sample 1", "best of 2", "mean picture"]
    tile, error, spread = display.tiles[2:]
    assert display.tiles[error.of] is tile
    assert np.array_equal(tile.clips[1], future.samples[1])
    assert tile.clips[2] is tile.clips[future.best]
    assert np.array_equal(tile.clips[3], future.mean)
    assert tile.scores["PSNR"][2] == tile.scores["PSNR"][future.best]
    assert np.array_equal(spread.clips[0][..., 0], np.rint(future.samples.std(0).mean(-1)))
    assert display.protocol == "joint: all channels together, frames 1…6; seed 3, temperature 1, standard normal prior"
    assert display.numbers[1][0] == f"best of 2 (sample {future.best})"


def test_a_single_sample_leaves_nothing_to_choose(families):
    display = prediction_tiles(predicted(families, **{**DANCE, "samples": 1}))
    assert [tile.kind for tile in display.tiles] == ["pose", "truth", "prediction", "error"]
    assert [choice.label for choice in display.choices] == ["sample 0"]


def test_a_single_sample_where_more_were_asked_for_is_explained(families):
    notes = [
        prediction_tiles(predicted(families, **{**DANCE, "temperature": temperature, "samples": samples})).note
        for temperature, samples in ((0, 2), (0, 1), (1, 2))
    ]
    assert notes == ["At temperature 0 all samples are alike: one is drawn.", "", ""]


def test_a_sweep_shows_the_temperatures_side_by_side(families):
    prediction = predicted(families, **ROBOT, sweep=True)
    display = prediction_tiles(prediction)
    assert [tile.label for tile in display.tiles] == ["Truth", "T = 0", "T = 0.5", "T = 1", "T = 1.5", "T = 2"]
    assert [len(tile.clips) for tile in display.tiles[1:]] == [1, 5, 5, 5, 5]
    shown = display.tiles[1 + SWEEP.index(1.5)].clips[2]
    assert np.array_equal(shown, prediction.futures[SWEEP.index(1.5)].samples[2])
    assert "temperatures 0…2, learned prior" in display.protocol


def test_without_true_frames_there_is_nothing_to_compare_with(dance_run, tmp_path):
    folders = video_folders(tmp_path, "test")
    picture = np.zeros((32, 64, 3), np.uint8)
    for t in range(5):
        write_pair(folders, t, picture, picture)
    shutil.rmtree(folders.frames.parent)
    display = prediction_tiles(predicted(Library([dance_run], [tmp_path]), "dance", "test/0", samples=2))
    assert [tile.kind for tile in display.tiles] == ["pose", "prediction", "spread"]
    assert "not known" in display.note
    value = player_value(display, 1)
    assert value["tiles"][1]["scores"] == value["copied"] == {}
