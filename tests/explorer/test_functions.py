"""What the widgets call, called directly: right answers, and one friendly line for every bad value."""

import json
import math
import shutil

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from vidpred import runs
from vidpred.data.batches import open_split
from vidpred.data.robot_push import write_clip
from vidpred.errors import BadInput
from vidpred.evaluation import score_futures
from vidpred.explorer.curves import COLLAPSE_NOTE, MOST_POINTS, describe_run, run_curves
from vidpred.explorer.library import MODELS_KEPT, Library
from vidpred.explorer.player import next_request, player_value
from vidpred.explorer.predict import MAX_SEED, Prediction, predict_clip, warm_up
from vidpred.explorer.predict_tab import Handlers

GOOD = {"run": "tiny", "clip": "traj_0_to_255/2", "seed": 3, "temperature": 1.0, "n_future": 4}
BAD = [
    *[("run", value) for value in (None, "", "other", ["tiny"], "../tiny", 0, {"a": 1})],
    *[("clip", value) for value in (None, "traj_0_to_255/99", ["traj_0_to_255/2"], "../../test/traj_0_to_255/2")],
    *[("seed", value) for value in (None, 1.7, -1, MAX_SEED + 1, math.nan, math.inf, "3", True, [3], 10**30)],
    *[("temperature", value) for value in (None, -0.1, 2.1, math.nan, -math.inf, "hot", False)],
    *[("n_future", value) for value in (None, 0, 15, 2.5, math.nan, "4", [4])],
]


@pytest.fixture
def handlers(library):
    return Handlers(library)


@pytest.fixture
def copied_run(tiny_run, tmp_path):
    """A run that a test may change."""
    return shutil.copytree(tiny_run, tmp_path / "copy")


def test_prediction_is_what_evaluation_scores(library, tiny_data):
    clips = open_split(tiny_data, "test")
    shown = predict_clip(library, **GOOD)
    with library.model("tiny") as model:
        scores = score_futures(model, clips, [1], n_past=2, n_future=4, seed=3)
    assert shown.psnr == pytest.approx(scores.psnr[0, 0].tolist(), abs=1e-4)
    assert shown.ssim == pytest.approx(scores.ssim[0, 0].tolist(), abs=1e-6)
    assert shown.copy_last_psnr == scores.copy_last_psnr[0].tolist()
    assert np.array_equal(shown.truth, clips.window(1, 0, 6)[0])
    assert np.array_equal(shown.prediction[:2], shown.truth[:2])
    assert shown.scores["psnr"] == pytest.approx(np.mean(shown.psnr))
    assert shown.protocol == "finn: per channel, frames 2…5, one sample"


def test_a_longer_future_keeps_the_earlier_frames(library):
    short, long = (predict_clip(library, **{**GOOD, "n_future": n}) for n in (1, 14))
    assert np.array_equal(long.prediction[:3], short.prediction)
    assert long.psnr[0] == pytest.approx(short.psnr[0], abs=1e-4)
    assert short.protocol == "finn: per channel, frame 2, one sample"


def test_seed_and_temperature_matter_as_they_should(library):
    def psnr(**change):
        return predict_clip(library, **{**GOOD, **change}).psnr

    assert psnr() == psnr()
    assert psnr(seed=4) != psnr()
    assert psnr(temperature=0, seed=4) == psnr(temperature=0)
    assert psnr(seed=3.0, n_future=4.0, temperature=1) == psnr()  # JSON may turn 3 into 3.0


@pytest.mark.parametrize(("field", "value"), BAD)
def test_bad_value_is_one_friendly_line(library, handlers, field, value):
    arguments = {**GOOD, field: value}
    with pytest.raises(BadInput):
        predict_clip(library, **arguments)
    with pytest.raises(gr.Error) as error:
        handlers.predict(**arguments)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 120
    assert not error.value.print_exception


@pytest.mark.parametrize("run", [None, "other", ["tiny"], 3])
def test_bad_run_has_no_curves_and_no_slider(handlers, run):
    with pytest.raises(gr.Error, match="choose a run"):
        handlers.curves(run)
    with pytest.raises(gr.Error, match="choose a run"):
        handlers.limit_frames(run, GOOD["clip"], 4)


def test_slider_follows_run_and_clip(handlers):
    update = handlers.limit_frames("tiny", GOOD["clip"], 10)
    assert (update["maximum"], update["value"]) == (14, 10)
    assert handlers.limit_frames("tiny", GOOD["clip"], 28)["value"] == 14
    with pytest.raises(gr.Error):
        handlers.limit_frames("tiny", GOOD["clip"], None)


@pytest.mark.parametrize(("seed", "after"), [(0, 1), (41.0, 42), (MAX_SEED, 0), (None, 0), (math.nan, 0), (1.7, 0)])
def test_another_seed(handlers, seed, after):
    assert handlers.another_seed(seed) == after


def test_player_value_is_plain_and_exact(library):
    shown = predict_clip(library, **GOOD)
    value = player_value(shown, next_request())
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    sheet = np.asarray(Image.open(value["sheet"]["path"]).convert("RGB"))
    rows = sheet.reshape(2, 64, 6, 64, 3).swapaxes(1, 2)
    assert np.array_equal(rows[0], shown.truth)
    assert np.array_equal(rows[1], shown.prediction)
    assert value["psnr"] == [None, None, *shown.psnr]
    assert value["text"]["psnr"][:2] == [None, None]
    assert value["numbers"][0] == ["PSNR", f"{np.mean(shown.psnr):.2f} dB"]
    assert next_request() > value["request"]
    assert player_value(shown, 1)["sheet"]["path"] == value["sheet"]["path"]


def test_identical_frames_have_an_infinite_psnr_and_no_point():
    frames = np.zeros((3, 64, 64, 3), np.uint8)
    value = player_value(Prediction(frames, frames, 2, [math.inf], [1.0], [math.inf]), 1)
    assert value["psnr"] == [None, None, None]
    assert value["text"]["psnr"] == [None, None, "∞"]
    assert value["numbers"][0] == ["PSNR", "∞ dB"]


# --- the library ------------------------------------------------------------------------------------------------------


def test_names(library, tiny_data, tiny_run, tmp_path):
    assert list(library.runs) == ["tiny"]
    assert list(library.clips) == [f"traj_0_to_255/{i}" for i in (1, 2, 3, 4)]
    other = shutil.copytree(tiny_data, tmp_path / "other")
    several = Library([tiny_run], [tiny_data, other, tiny_data])
    assert len(several.clips) == 8
    assert "other/traj_0_to_255/1" in several.clips
    twin = shutil.copytree(tiny_data, tmp_path / "twin" / "other")
    assert "twin/other/traj_0_to_255/1" in Library([tiny_run], [other, twin]).clips


@pytest.mark.parametrize("folders", [("runs", None), (None, "clips")])
def test_missing_folders_are_bad_options(tiny_run, tiny_data, tmp_path, folders):
    missing_run, missing_data = folders
    with pytest.raises(BadInput, match="no such folder"):
        Library(
            [tmp_path / missing_run if missing_run else tiny_run],
            [tmp_path / missing_data if missing_data else tiny_data],
        )


def test_a_run_without_weights_still_has_its_curves(copied_run, tiny_data):
    (copied_run / runs.WEIGHTS).unlink()
    library = Library([copied_run], [tiny_data])
    warm_up(library)  # what is wrong is left to the visitor who asks
    with pytest.raises(BadInput, match="copy has no weights yet"):
        predict_clip(library, **{**GOOD, "run": "copy"})
    assert run_curves(library, "copy").kl


def test_models_are_loaded_once_until_they_change_and_few_are_kept(tiny_run, tiny_data, tmp_path):
    names = [f"run{i}" for i in range(MODELS_KEPT + 1)]
    for name in names:
        shutil.copytree(tiny_run, tmp_path / name)
    library = Library([tmp_path], [tiny_data])

    def loaded(name):
        with library.model(name) as model:
            return model

    first = [loaded(name) for name in names]
    assert loaded(names[-1]) is first[-1]
    assert loaded(names[0]) is not first[0]
    before = loaded("run2")
    weights = tmp_path / "run2" / runs.WEIGHTS
    shutil.copy(weights, tmp_path / "again")
    (tmp_path / "again").replace(weights)  # a new epoch's
    assert loaded("run2") is not before
    assert len(library._models) <= MODELS_KEPT


def test_clip_too_short_or_gone(tiny_run, tmp_path):
    for name, length in (("1", 2), ("2", 5)):
        frames = np.zeros((length, 64, 64, 3), np.uint8)
        write_clip(tmp_path / "test" / "a" / name, frames, np.zeros((length, 4)), np.zeros((length, 3)))
    library = Library([tiny_run], [tmp_path])
    with pytest.raises(BadInput, match="too short"):
        predict_clip(library, **{**GOOD, "clip": "a/1"})
    shutil.rmtree(tmp_path / "test" / "a" / "2")
    with pytest.raises(BadInput, match="no longer there"):
        predict_clip(library, **{**GOOD, "clip": "a/2", "n_future": 1})


# --- curves and words -------------------------------------------------------------------------------------------------


def test_curves_are_those_of_the_run(library, tiny_run, handlers):
    rows = runs.read_metrics(tiny_run)
    curves = run_curves(library, "tiny")
    assert curves.kl == [{"epoch": row["epoch"], "nats": row["kld"]} for row in rows]
    assert [point["beta"] for point in curves.beta] == [row["beta"] for row in rows]
    assert [point["dB"] for point in curves.psnr] == [row["val_psnr"] for row in rows]
    assert {point["series"] for point in curves.teacher_forcing} == {"ratio (tfr)", "share of batches"}
    about, kl, *others = handlers.curves("tiny")
    assert kl["nats"].tolist() == [row["kld"] for row in rows]
    assert [list(frame.columns) for frame in others] == [
        ["epoch", "beta"],
        ["epoch", "share", "series"],
        ["epoch", "dB"],
    ]
    assert "Learned prior" in about


def test_long_and_broken_curves_stay_drawable(copied_run, tiny_data):
    library = Library([copied_run], [tiny_data])
    rows = [{"epoch": i, "step": i, "kld": math.nan if i % 2 else 1.0, "beta": None, "tfr": "x"} for i in range(5000)]
    runs.write_metrics(copied_run, rows)
    curves = run_curves(library, "copy")
    assert len(curves.kl) <= MOST_POINTS
    assert curves.kl[-1]["epoch"] == 4998
    assert curves.beta == curves.teacher_forcing == curves.psnr == []
    runs.write_metrics(copied_run, [])
    assert Handlers(library).curves("copy")[1].empty
    assert "in its first epoch" in describe_run(library, "copy")


def test_a_run_in_words(copied_run, tiny_data):
    library = Library([copied_run], [tiny_data])
    assert "Not evaluated yet" in describe_run(library, "copy")
    result = {"psnr": 25.123, "ssim": 0.9, "copy_last_psnr": 17.4, "clips": 8, "samples": 3, "temperature": 1.0}
    result |= {"split": "test", "protocol": "finn", "n_past": 2, "n_future": 10, "kld_per_step": 2.0}
    (copied_run / runs.EVAL).write_text(json.dumps(result))
    words = describe_run(library, "copy")
    assert "PSNR **25.12 dB**" in words
    assert "finn: 8 test clips, frames 2…11, mean of 3 samples, temperature 1" in words
    assert COLLAPSE_NOTE not in words
    (copied_run / runs.EVAL).write_text(json.dumps(result | {"kld_per_step": 0.02}))
    assert COLLAPSE_NOTE in describe_run(library, "copy")
    (copied_run / runs.EVAL).write_text(json.dumps({"psnr": "high", "kld_per_step": None}))
    assert "PSNR **– dB**" in describe_run(library, "copy")
