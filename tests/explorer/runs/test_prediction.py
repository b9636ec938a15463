"""Predictions: right samples and scores, from the cache where nothing has changed, and refused where they cannot be."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from tests.explorer.predictions import DANCE, ROBOT, predicted
from tests.promise import same_picture
from vidpred import render, runs
from vidpred.checkpoint import save_weights
from vidpred.data.batches import open_split
from vidpred.data.dance import video_folders, write_pair
from vidpred.data.robot_push import write_clip
from vidpred.errors import BadInput
from vidpred.evaluation import score_futures
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.prediction import SWEEP, checked, first_run, first_view, warm_up
from vidpred.models import build_model
from vidpred.rollout import predict


@pytest.mark.parametrize(("fields", "split", "place"), [(ROBOT, "test", 1), (DANCE, "test", 1)])
def test_samples_are_those_that_evaluation_scores(families, request, fields, split, place):
    clips = open_split(request.getfixturevalue("tiny_data" if fields is ROBOT else "tiny_dance"), split)
    run, clip = families.run(fields["run"]), families.clip(fields["clip"])
    n_past, n_future = run.n_past, fields["n_future"]
    with families.model(run) as model:
        scores = score_futures(
            model, clips, [place], n_past=n_past, n_future=n_future, samples=fields["samples"], seed=3
        )
        frames, rows = clips.window(place, 0, n_past + n_future)
        batch = families.read_clip(clip, n_past + n_future)
        alone = predict(model, batch.to_clip(n_past), batch.ids, n_future=n_future, seed=3, first_sample=1)
    prediction = predicted(families, **fields)
    (future,) = prediction.futures
    assert np.array_equal(prediction.truth, frames)
    assert same_picture(future.samples[1, n_past:], alone[0, 0])
    assert np.array_equal(future.samples[:, :n_past], frames[None, :n_past].repeat(fields["samples"], 0))
    assert future.scores["PSNR"][:-1] == pytest.approx(scores.psnr[:, 0].numpy(), abs=1e-4)
    assert future.scores["SSIM"][:-1] == pytest.approx(scores.ssim[:, 0].numpy(), abs=1e-6)
    sharpness = scores.sharpness[:, 0].numpy()
    assert future.scores["Sharpness"][:-1] == pytest.approx(sharpness, abs=1e-4, nan_ok=True)
    assert prediction.copied["PSNR"] == pytest.approx(scores.copy_last_psnr[0].numpy(), abs=1e-4)
    assert future.best == scores.psnr.mean(-1)[:, 0].argmax()
    assert np.array_equal(future.mean, render.mean_clip(future.samples))
    if fields is DANCE:
        assert np.array_equal(prediction.poses, rows)
        assert prediction.protocol == "joint: all channels together, frames 1…6"
    else:
        assert prediction.poses is None
        assert prediction.protocol == "finn: per channel, frames 2…5"


def test_a_longer_future_keeps_the_earlier_frames(families):
    short, long = (predicted(families, **{**ROBOT, "n_future": n}) for n in (1, 14))
    assert same_picture(long.futures[0].samples[:, :3], short.futures[0].samples)
    assert short.protocol == "finn: per channel, frame 2"
    assert short.copied["PSNR"][0] == long.copied["PSNR"][0]


def test_every_field_matters_as_it_should(families):
    def psnr(**change):
        return predicted(families, **{**ROBOT, **change}).futures[0].scores["PSNR"].tolist()

    assert psnr() == psnr(prior="learned") == psnr(n_past=2)
    assert psnr(seed=3.0, n_future=4.0, temperature=1) == psnr()  # JSON may turn 3 into 3.0
    changes = {"seed": 4}, {"temperature": 0.5}, {"prior": "standard"}, {"n_past": 3}
    assert len({str(psnr()), *(str(psnr(**change)) for change in changes)}) == 5
    still = psnr(temperature=0, samples=5)
    assert len(still) == 2  # without noise all samples are one; and their mean
    assert psnr(temperature=0, seed=9) == still


def test_a_sweep_takes_every_temperature_with_the_same_noise(families):
    prediction = predicted(families, **ROBOT, sweep=True)
    assert prediction.settings.temperatures == SWEEP
    alone = predicted(families, **ROBOT, temperature=1.5)
    assert same_picture(prediction.futures[SWEEP.index(1.5)].samples, alone.futures[0].samples)


def test_a_prediction_is_cached_until_the_weights_change(tiny_run, tiny_data, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "tiny")
    library = Library([run], [tiny_data])
    first = predicted(library, **ROBOT)
    assert predicted(library, **ROBOT) is first
    assert predicted(library, **{**ROBOT, "seed": 4}) is not first
    shutil.copy(run / runs.WEIGHTS, tmp_path / "next")
    (tmp_path / "next").replace(run / runs.WEIGHTS)
    assert predicted(library, **ROBOT) is not first


@pytest.mark.parametrize(
    ("field", "value"), [("n_past", 2), ("prior", "learned"), ("clip", "traj_0_to_255/2"), ("n_future", 9)]
)
def test_a_dance_allows_what_its_widgets_offer(families, field, value):
    with pytest.raises(BadInput):
        predicted(families, **{**DANCE, field: value})


def test_a_run_may_be_given_as_many_frames_as_in_training(tiny_settings, tiny_data, tmp_path):
    """Also where these are more than others may be given."""
    config = replace(tiny_settings, data=replace(tiny_settings.data, n_past=12))
    save_weights(tmp_path / "long" / runs.WEIGHTS, build_model(config.model))
    runs.write_config(tmp_path / "long", config, {})
    library = Library([tmp_path / "long"], [tiny_data])
    run, clip = library.run("long"), library.clip(ROBOT["clip"])
    assert run.past_limits == (1, 12)
    assert checked(run, clip).n_past == 12
    prediction = predicted(library, "long", ROBOT["clip"], **{"n_past": first_view(library, run)["n_past"]})
    assert prediction.protocol == "finn: per channel, frames 12…15"
    with pytest.raises(BadInput, match="Context frames must be a whole number from 1 to 12"):
        checked(run, clip, n_past=13)


def test_too_much_at_once_is_refused(families, monkeypatch):
    monkeypatch.setattr("vidpred.explorer.runs.prediction.MAX_FRAMES", 12)
    predicted(families, **{**ROBOT, "seed": 8})
    with pytest.raises(BadInput, match="52 frames to predict"):
        predicted(families, **{**ROBOT, "seed": 8}, sweep=True)


def test_a_sequence_without_its_true_frames_has_a_future_and_no_scores(dance_run, tmp_path):
    folders = video_folders(tmp_path, "test")
    picture = np.zeros((32, 64, 3), np.uint8)
    for t in range(5):
        write_pair(folders, t, picture, picture)
    shutil.rmtree(folders.frames.parent)
    prediction = predicted(Library([dance_run], [tmp_path]), "dance", "test/0", samples=2)
    assert prediction.truth is None
    assert prediction.futures[0].scores is None
    assert prediction.copied == {}
    assert prediction.futures[0].samples.shape == (2, 5, 32, 64, 3)


def test_a_clip_that_is_too_short_or_gone(tiny_run, tmp_path):
    for name, length in (("0", 1), ("1", 2), ("2", 5)):
        frames = np.zeros((length, 64, 64, 3), np.uint8)
        write_clip(tmp_path / "test" / "a" / name, frames, np.zeros((length, 4)), np.zeros((length, 3)))
    library = Library([tiny_run], [tmp_path])
    with pytest.raises(BadInput, match="a/1 has 2 frames: too short for tiny, which is given 2"):
        predicted(library, **{**ROBOT, "clip": "a/1"})
    with pytest.raises(BadInput, match="a/0 has 1 frame: too short"):
        predicted(library, **{**ROBOT, "clip": "a/0"})
    shutil.rmtree(tmp_path / "test" / "a" / "2")
    with pytest.raises(BadInput, match="a/2 is no longer there"):
        predicted(library, **{**ROBOT, "clip": "a/2", "n_future": 1})


def test_a_run_without_weights_is_left_to_the_visitor_who_asks(tiny_run, tiny_data, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "tiny")
    (run / runs.WEIGHTS).unlink()
    library = Library([run], [tiny_data])
    warm_up(library)
    with pytest.raises(BadInput, match="tiny has no weights yet"):
        predicted(library, **ROBOT)


def test_the_first_view_is_predicted_before_anyone_asks(tiny_run, tiny_data):
    library = Library([tiny_run], [tiny_data])
    warm_up(library)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "compute", None)
        fields = first_view(library, library.run("tiny"))
        assert predicted(library, **fields).settings.samples == 10


def test_the_first_run_is_one_whose_z_carries_something(tiny_run, tiny_data, tmp_path):
    for name, kld, free in (("a", 0.0, True), ("b", 5.0, False), ("c", 5.0, True), ("d", None, True)):
        copy = shutil.copytree(tiny_run, tmp_path / name)
        config = json.loads((copy / runs.CONFIG).read_text())
        config["model"]["condition"] = "none" if free else "actions"
        (copy / runs.CONFIG).write_text(json.dumps(config))
        (copy / runs.EVAL).write_text("damaged" if kld is None else json.dumps({"kld_per_step": kld}))
    library = Library([tmp_path], [tiny_data])
    assert first_run(library.all_runs(), library).name == "c"
