"""What the widgets call, called directly: right answers, and one friendly line for every bad value."""

import csv
import json
import math
import shutil

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from tests.promise import same_picture
from vidpred import render, runs
from vidpred.data.batches import open_split
from vidpred.data.dance import video_folders, write_pair
from vidpred.data.robot_push import write_clip
from vidpred.errors import BadInput
from vidpred.evaluation import score_futures
from vidpred.explorer.curves import COLLAPSE_NOTE, describe_run
from vidpred.explorer.downloads import KINDS, write_download
from vidpred.explorer.library import BYTES_REMEMBERED, MODELS_KEPT, Library
from vidpred.explorer.player import Shown, Tile, View, next_request, player_value, read_view
from vidpred.explorer.predict import MAX_SEED, SWEEP, first_run, predict_clip, warm_up
from vidpred.explorer.predict_tab import Handlers
from vidpred.explorer.predict_tiles import shown
from vidpred.rollout import predict

ROBOT = {"run": "tiny", "clip": "traj_0_to_255/2", "seed": 3, "n_future": 4, "samples": 3}
DANCE = {"run": "dance", "clip": "test/1", "seed": 3, "n_future": 6, "samples": 2}
BAD = [
    *[("run", value) for value in (None, "", "other", ["tiny"], "../tiny", 0, {"a": 1})],
    *[("clip", value) for value in (None, "traj_0_to_255/99", ["traj_0_to_255/2"], "../../test/traj_0_to_255/2")],
    *[("clip", value) for value in ("validate", "test/0")],
    *[("seed", value) for value in (None, 1.7, -1, MAX_SEED + 1, math.nan, math.inf, "3", True, [3], 10**30, 10**400)],
    *[("temperature", value) for value in (None, -0.1, 2.1, math.nan, -math.inf, "hot", False)],
    *[("n_future", value) for value in (0, 15, 2.5, math.nan, "4", [4])],
    *[("n_past", value) for value in (0, 11, 1.5, math.nan, "2", True)],
    *[("samples", value) for value in (None, 0, 21, 2.5, math.nan, "4")],
    *[("prior", value) for value in ("prior", "", 1, ["learned"])],
    *[("sweep", value) for value in (None, 1, "yes")],
]


@pytest.fixture(scope="module")
def library(tiny_run, tiny_data, dance_run, tiny_dance):
    """Both families."""
    return Library([tiny_run, dance_run], [tiny_data, tiny_dance])


@pytest.fixture(scope="module")
def handlers(library):
    return Handlers(library)


@pytest.fixture
def copied_run(tiny_run, tmp_path):
    """A run that a test may change."""
    return shutil.copytree(tiny_run, tmp_path / "copy")


def opened(value):
    """The clips of a player's value, read back from its sheets."""
    sheets = [np.asarray(Image.open(sheet["file"]["path"]).convert("RGB")) for sheet in value["sheets"]]
    h, w = value["tile_height"], value["tile_width"]

    def cell(sheet, number):
        row, column = divmod(number, value["sheets"][sheet]["columns"])
        return sheets[sheet][row * h : (row + 1) * h, column * w : (column + 1) * w]

    return [np.stack([cell(sheet, first + t) for t in range(value["frames"])]) for sheet, first in value["clips"]]


# --- predictions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "split", "place"), [(ROBOT, "test", 1), (DANCE, "test", 1)])
def test_samples_are_those_that_evaluation_scores(library, request, asked, split, place):
    clips = open_split(request.getfixturevalue("tiny_data" if asked is ROBOT else "tiny_dance"), split)
    n_past, n_future = library.config(asked["run"]).data.n_past, asked["n_future"]
    with library.model(asked["run"]) as model:
        scores = score_futures(
            model, clips, [place], n_past=n_past, n_future=n_future, samples=asked["samples"], seed=3
        )
        frames, rows = clips.window(place, 0, n_past + n_future)
        batch = library.read_clip(asked["clip"], n_past + n_future)
        alone = predict(model, batch.to_clip(n_past), batch.ids, n_future=n_future, seed=3, first_sample=1)
    answer = predict_clip(library, **asked)
    (future,) = answer.futures
    assert np.array_equal(answer.truth, frames)
    assert same_picture(future.samples[1, n_past:], alone[0, 0])
    assert np.array_equal(future.samples[:, :n_past], frames[None, :n_past].repeat(asked["samples"], 0))
    assert future.scores["PSNR"][:-1] == pytest.approx(scores.psnr[:, 0].numpy(), abs=1e-4)
    assert future.scores["SSIM"][:-1] == pytest.approx(scores.ssim[:, 0].numpy(), abs=1e-6)
    assert answer.copied["PSNR"] == pytest.approx(scores.copy_last_psnr[0].numpy(), abs=1e-4)
    assert future.best == scores.psnr.mean(-1)[:, 0].argmax()
    assert np.array_equal(future.mean, render.mean_clip(future.samples))
    if asked is DANCE:
        assert np.array_equal(answer.poses, rows)
        assert answer.protocol == "joint: all channels together, frames 1…6"
    else:
        assert answer.poses is None
        assert answer.protocol == "finn: per channel, frames 2…5"


def test_a_longer_future_keeps_the_earlier_frames(library):
    short, long = (predict_clip(library, **{**ROBOT, "n_future": n}) for n in (1, 14))
    assert same_picture(long.futures[0].samples[:, :3], short.futures[0].samples)
    assert short.protocol == "finn: per channel, frame 2"
    assert short.copied["PSNR"][0] == long.copied["PSNR"][0]


def test_every_field_matters_as_it_should(library):
    def psnr(**change):
        return predict_clip(library, **{**ROBOT, **change}).futures[0].scores["PSNR"].tolist()

    assert psnr() == psnr(prior="learned") == psnr(n_past=2)
    assert psnr(seed=3.0, n_future=4.0, temperature=1) == psnr()  # JSON may turn 3 into 3.0
    changes = {"seed": 4}, {"temperature": 0.5}, {"prior": "standard"}, {"n_past": 3}
    assert len({str(psnr()), *(str(psnr(**change)) for change in changes)}) == 5
    still = psnr(temperature=0, samples=5)
    assert len(still) == 2  # without noise all samples are one; and their mean
    assert psnr(temperature=0, seed=9) == still


def test_what_was_asked_before_comes_from_memory_until_the_weights_change(copied_run, tiny_data):
    library = Library([copied_run], [tiny_data])
    asked = {**ROBOT, "run": "copy"}
    first = predict_clip(library, **asked)
    assert predict_clip(library, **asked) is first
    assert predict_clip(library, **{**asked, "seed": 4}) is not first
    weights = copied_run / runs.WEIGHTS
    shutil.copy(weights, copied_run / "again")
    (copied_run / "again").replace(weights)
    assert predict_clip(library, **asked) is not first


def test_memory_of_answers_is_bounded(library):
    made = [library.remembered(("big", i), lambda i=i: i, lambda _: BYTES_REMEMBERED // 2) for i in range(4)]
    assert made == [0, 1, 2, 3]
    assert library.remembered(("big", 3), lambda: "new", lambda _: 0) == 3
    assert library.remembered(("big", 0), lambda: "new", lambda _: 0) == "new"


@pytest.mark.parametrize(("field", "value"), BAD)
def test_bad_value_is_one_friendly_line(library, handlers, field, value):
    arguments = {**ROBOT, "temperature": 1, "prior": "learned", "sweep": False, field: value}
    with pytest.raises(BadInput):
        predict_clip(library, **arguments)
    with pytest.raises(gr.Error) as error:
        handlers.predict(**arguments)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 120
    assert not error.value.print_exception
    answer = handlers.draw(**arguments)  # on the page the line stands where the picture is
    assert answer["message"] == str(error.value).strip("'") + "."
    assert set(answer) == {"request", "message"}


@pytest.mark.parametrize(
    ("field", "value"), [("n_past", 2), ("prior", "learned"), ("clip", "traj_0_to_255/2"), ("n_future", 9)]
)
def test_a_dance_allows_what_its_widgets_offer(library, field, value):
    with pytest.raises(BadInput):
        predict_clip(library, **{**DANCE, field: value})


def test_too_much_at_once_is_refused(library, monkeypatch):
    monkeypatch.setattr("vidpred.explorer.predict.MAX_FRAMES", 12)
    predict_clip(library, **{**ROBOT, "seed": 8})
    with pytest.raises(BadInput, match="52 frames to predict"):
        predict_clip(library, **{**ROBOT, "seed": 8}, sweep=True)


def test_a_sequence_without_its_true_frames_has_a_future_and_no_scores(library, dance_run, tmp_path):
    folders = video_folders(tmp_path, "test")
    picture = np.zeros((32, 64, 3), np.uint8)
    for t in range(5):
        write_pair(folders, t, picture, picture)
    shutil.rmtree(folders.frames.parent)
    library = Library([dance_run], [tmp_path])
    answer = predict_clip(library, "dance", "test/0", samples=2)
    assert answer.truth is None
    showing = shown(answer)
    assert [tile.kind for tile in showing.tiles] == ["pose", "prediction", "spread"]
    assert "not known" in showing.note
    value = player_value(showing, 1)
    assert value["tiles"][1]["scores"] == value["copied"] == {}


# --- what the player is given -----------------------------------------------------------------------------------------


def test_tiles_and_choices_of_a_prediction(library):
    answer = predict_clip(library, **DANCE)
    showing, (future,) = shown(answer), answer.futures
    assert [tile.label for tile in showing.tiles] == ["Pose", "Truth", "Prediction", "Error", "Spread"]
    assert [choice.label for choice in showing.choices] == ["sample 0", "sample 1", "best of 2", "mean picture"]
    prediction, error, spread = showing.tiles[2:]
    assert showing.tiles[error.of] is prediction
    assert np.array_equal(prediction.clips[1], future.samples[1])
    assert prediction.clips[2] is prediction.clips[future.best]
    assert np.array_equal(prediction.clips[3], future.mean)
    assert prediction.scores["PSNR"][2] == prediction.scores["PSNR"][future.best]
    assert np.array_equal(spread.clips[0][..., 0], np.rint(future.samples.std(0).mean(-1)))
    assert showing.protocol == "joint: all channels together, frames 1…6; seed 3, temperature 1, standard normal prior"
    assert showing.numbers[1][0] == f"best of 2 (sample {future.best})"
    single = shown(predict_clip(library, **{**DANCE, "samples": 1}))
    assert [tile.kind for tile in single.tiles] == ["pose", "truth", "prediction", "error"]
    assert [choice.label for choice in single.choices] == ["sample 0"]


def test_a_sweep_shows_the_temperatures_side_by_side(library):
    answer = predict_clip(library, **ROBOT, sweep=True)
    showing = shown(answer)
    assert [tile.label for tile in showing.tiles] == ["Truth", "T = 0", "T = 0.5", "T = 1", "T = 1.5", "T = 2"]
    assert [len(tile.clips) for tile in showing.tiles[1:]] == [1, 5, 5, 5, 5]
    alone = predict_clip(library, **ROBOT, temperature=1.5)
    assert same_picture(answer.futures[SWEEP.index(1.5)].samples, alone.futures[0].samples)
    assert "temperatures 0…2, learned prior" in showing.protocol


@pytest.mark.parametrize("asked", [ROBOT, DANCE])
def test_player_value_is_plain_and_exact(library, asked):
    answer = predict_clip(library, **asked)
    value = player_value(shown(answer), next_request())
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    clips, tiles = opened(value), {tile["kind"]: tile for tile in value["tiles"]}
    assert np.array_equal(clips[tiles["truth"]["clips"][0]], answer.truth)
    for k, frames in enumerate(answer.futures[0].samples):
        assert np.array_equal(clips[tiles["prediction"]["clips"][k]], frames)
    n_past, psnr = answer.asked.n_past, answer.futures[0].scores["PSNR"]
    drawn = tiles["prediction"]["scores"]["PSNR"][1]
    assert drawn[:n_past] == [None] * n_past
    assert drawn[n_past:] == pytest.approx(psnr[1], abs=1e-5)
    assert tiles["prediction"]["means"]["PSNR"][1] == f"{psnr[1].mean():.2f} dB"
    assert next_request() > value["request"]
    assert player_value(shown(answer), 1)["sheets"] == value["sheets"]


def test_long_clips_take_several_sheets_that_a_browser_can_hold():
    clips = [np.full((630, 32, 64, 3), k, np.uint8) for k in range(9)]
    clips[8][:, 0, 0] = np.arange(630)[:, None] % 251
    value = player_value(Shown([Tile("prediction", "Prediction", tuple(clips))], 1), 1)
    assert len(value["sheets"]) == 3
    assert all(max(Image.open(sheet["file"]["path"]).size) < 16_383 for sheet in value["sheets"])
    assert all(np.array_equal(a, b) for a, b in zip(opened(value), clips, strict=True))


def test_identical_frames_have_an_infinite_psnr():
    frames = np.zeros((3, 64, 64, 3), np.uint8)
    tile = Tile("prediction", "Prediction", (frames,), scores={"PSNR": [[math.inf]]})
    value = player_value(Shown([tile], 2), 1)
    assert value["tiles"][0]["scores"]["PSNR"] == [[None, None, "∞"]]
    assert value["tiles"][0]["means"]["PSNR"] == ["∞"]


# --- downloads --------------------------------------------------------------------------------------------------------


def test_downloads_show_what_the_player_shows(library):
    answer = predict_clip(library, **DANCE)
    showing = shown(answer)
    view = View([1, 2, 3], choice=1, gain=4, fps=10)
    with Image.open(write_download(answer, showing, view, "gif")) as gif:
        assert gif.n_frames == 7
        gif.seek(3)
        frame, size = np.asarray(gif.convert("RGB"))[1::3, 1::3], (36, 68)  # of the squares that pixels became
    error = render.heat(render.error_levels(answer.futures[0].samples[1], answer.truth), 4)
    drawn = [frame[2 : size[0] - 2, i * 72 + 2 : i * 72 + 66] for i in range(3)]
    for picture, clip in zip(drawn, (answer.truth, answer.futures[0].samples[1], error), strict=True):
        assert np.abs(picture.astype(int) - clip[3]).max() <= 12  # 256 colours a frame
    assert tuple(frame[0, 72]) == render.PREDICTED_COLOUR
    assert tuple(frame[0, 0]) == render.CONTEXT_COLOUR
    strip = np.asarray(Image.open(write_download(answer, showing, view, "png")))
    assert strip.shape[1] == 2 * (7 * 68 + 6 * 4)
    assert write_download(answer, showing, view, "mp4").stat().st_size > 0


def test_the_csv_holds_every_number(library):
    answer = predict_clip(library, **ROBOT)
    with open(write_download(answer, shown(answer), View([0], 0, 1, 5), "csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 4  # three samples and their mean, four frames
    row = rows[6]
    assert (row["sample"], row["frame"], row["temperature"], row["seed"], row["prior"]) == (
        "1",
        "4",
        "1.0",
        "3",
        "learned",
    )
    assert float(row["psnr_finn_db"]) == pytest.approx(answer.futures[0].scores["PSNR"][1, 2], abs=1e-5)
    assert float(row["copy_last_ssim"]) == pytest.approx(answer.copied["SSIM"][2], abs=1e-5)


GOOD_VIEW = {"tiles": [0, 1], "choice": 0, "gain": 4, "fps": 5}


STRANGE = [
    *({"tiles": tiles} for tiles in ([], [9], [0.5], 1)),
    *({"choice": 12}, {"gain": 0}, {"gain": 99}, {"fps": 0}, {"fps": 60}, {"fps": None}),
]


@pytest.mark.parametrize("view", [None, "", "[]", "{", "{}", *(json.dumps({**GOOD_VIEW, **v}) for v in STRANGE)])
def test_a_strange_view_is_refused(library, handlers, view):
    with pytest.raises(BadInput):
        read_view(view, shown(predict_clip(library, **ROBOT)))
    assert set(handlers.save(view, "gif", **ROBOT)) == {"request", "message"}


def test_saving_names_the_file_and_refuses_what_it_does_not_know(handlers):
    for kind in KINDS:
        answer = handlers.save(json.dumps(GOOD_VIEW), kind, **ROBOT)
        assert answer["name"] == f"tiny-traj-0-to-255-2-seed-3.{kind}"
    for change in ({"kind": "exe"}, {"kind": None}, {"seed": -1}):
        asked = {"view": json.dumps(GOOD_VIEW), "kind": "gif", **ROBOT, **change}
        assert "message" in handlers.save(**asked)


# --- fields that follow each other ------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", [None, "other", ["tiny"], 3])
def test_bad_run_changes_no_field(handlers, run):
    with pytest.raises(gr.Error, match="choose a run"):
        handlers.choose_run(run, ROBOT["clip"], 2, 4, 1)


def test_clips_and_sliders_follow_the_run(handlers):
    about, prior, clip, n_past, n_future, samples = handlers.choose_run("tiny", "traj_0_to_255/2", 3, 99, 7)
    assert "Learned prior" in about
    assert prior["visible"] and prior["value"] == "learned"
    assert (clip["value"], len(clip["choices"])) == ("traj_0_to_255/2", 4)
    assert (n_past["value"], n_past["visible"]) == (3, True)
    assert (n_future["value"], n_future["maximum"], samples) == (13, 13, 7)
    about, prior, clip, n_past, n_future, samples = handlers.choose_run("dance", "traj_0_to_255/2", 3, 99, 7)
    assert "Pose-conditioned" in about
    assert not prior["visible"] and prior["value"] == "standard"
    assert (clip["value"], clip["choices"]) == ("validate", ["validate", "test/0", "test/1"])
    assert (n_past["value"], n_past["visible"]) == (1, False)
    assert (n_future["value"], n_future["maximum"], samples) == (11, 11, 1)
    assert handlers.fit("dance", "test/0", 1, 99, 1)[2]["value"] == 8
    assert handlers.limit_future("tiny", "traj_0_to_255/2", 5, 14)["value"] == 11
    assert handlers.limit_future("tiny", "traj_0_to_255/2", 99, 14) == gr.skip()


def test_a_run_without_clips_says_so(dance_run, tiny_data):
    handlers = Handlers(Library([dance_run], [tiny_data]))
    with pytest.raises(gr.Error, match="open others with --data"):
        handlers.choose_run("dance", None, 1, 1, 1)


def test_the_first_run_is_one_whose_z_carries_something(tiny_run, tiny_data, tmp_path):
    for name, kld, free in (("a", 0.0, True), ("b", 5.0, False), ("c", 5.0, True), ("d", None, True)):
        copy = shutil.copytree(tiny_run, tmp_path / name)
        config = json.loads((copy / runs.CONFIG).read_text())
        config["model"]["condition"] = "none" if free else "actions"
        (copy / runs.CONFIG).write_text(json.dumps(config))
        (copy / runs.EVAL).write_text("damaged" if kld is None else json.dumps({"kld_per_step": kld}))
    assert first_run(Library([tmp_path], [tiny_data])) == "c"


# --- the library ------------------------------------------------------------------------------------------------------


def test_names(library, tiny_data, tiny_run, tmp_path):
    assert list(library.runs) == ["tiny", "dance"]
    assert list(library.clips) == [*(f"traj_0_to_255/{i}" for i in (1, 2, 3, 4)), "validate", "test/0", "test/1"]
    assert library.clips_for("dance") == ["validate", "test/0", "test/1"]
    assert library.clips_for("tiny") == list(library.clips)[:4]
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
        predict_clip(library, **{**ROBOT, "run": "copy"})
    assert "4 epochs" in describe_run(library, "copy")


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
        predict_clip(library, **{**ROBOT, "clip": "a/1"})
    shutil.rmtree(tmp_path / "test" / "a" / "2")
    with pytest.raises(BadInput, match="no longer there"):
        predict_clip(library, **{**ROBOT, "clip": "a/2", "n_future": 1})


# --- words ------------------------------------------------------------------------------------------------------------


def test_a_run_in_words(copied_run, tiny_data, library):
    assert "**Pose-conditioned CVAE** · one frame and every pose given" in describe_run(library, "dance")
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
    runs.write_metrics(copied_run, [])
    assert "in its first epoch" in describe_run(library, "copy")


def test_runs_that_were_begun_since_are_taken_in(copied_run, tiny_data, tiny_run):
    library = Library([copied_run.parent], [tiny_data])
    shutil.copytree(tiny_run, copied_run.parent / "later")
    (copied_run.parent / "broken").mkdir()
    (copied_run.parent / "broken" / runs.CONFIG).write_text("{")
    library.look_again()
    assert list(library.runs) == ["copy", "later"]
    assert predict_clip(library, "later", "traj_0_to_255/2", n_future=2).asked.run == "later"
    shutil.rmtree(copied_run)
    library.look_again()
    assert list(library.runs) == ["later"]
    shutil.rmtree(copied_run.parent / "later")
    library.look_again()  # nothing is left: better an old list than none
    assert list(library.runs) == ["later"]
