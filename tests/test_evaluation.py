"""The numbers of a run: what they mean, and what they must not depend on."""

import json
import math
import shutil

import numpy as np
import pytest
import torch

from tests.commands import ROOT, fails, lines_said, succeeds
from tests.commands import run as run_command
from tests.promise import same_numbers
from train import evaluate as evaluate_command
from vidpred import checkpoint, evaluation, metrics, runs
from vidpred.config import DanceDataConfig
from vidpred.data.batches import open_split, window_batch
from vidpred.data.robot_push import write_clip
from vidpred.errors import BadInput
from vidpred.evaluation import Latents, at_bounces, evaluate, look_at_latents, score_futures
from vidpred.explorer.drive.session import Drives
from vidpred.explorer.drive.simulator import Physics
from vidpred.explorer.drive.what_if import what_if
from vidpred.explorer.latents import analysis
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.prediction import predict_clip
from vidpred.rollout import predict

FRAMES = {"n_past": 2, "n_future": 4}


@pytest.fixture(scope="module")
def model(tiny_run):
    return checkpoint.load_model(tiny_run)


@pytest.fixture(scope="module")
def clips(tiny_data):
    return open_split(tiny_data, "test")


@pytest.fixture(scope="module")
def result(model, clips):
    return evaluate(model, clips, [0, 1, 2, 3], samples=3, temperature=1.0, seed=0, **FRAMES)


def test_scores_are_those_of_the_predicted_frames_alone(model, clips, result):
    batch = window_batch(clips, [0, 1, 2, 3], 6)
    clip = batch.to_clip(2)
    futures = predict(model, clip, batch.ids, n_future=4, samples=3)
    truth = clip.frames[:, 2:]
    psnr = metrics.psnr(futures, truth.expand_as(futures))
    assert result["psnr"] == pytest.approx(psnr.mean().item(), abs=1e-9)
    assert result["psnr_best"] == pytest.approx(psnr.mean(2).max(0).values.mean().item(), abs=1e-9)
    pairs = [psnr[list(pair)].mean(2).amax(0).mean().item() for pair in ((0, 1), (0, 2), (1, 2))]
    assert result["psnr_best_of"] == pytest.approx([result["psnr"], sum(pairs) / 3, result["psnr_best"]], abs=1e-9)
    assert result["per_frame"]["psnr"] == pytest.approx(psnr.mean((0, 1)).tolist(), abs=1e-9)
    copied = metrics.psnr(clip.frames[:, 1:2].expand_as(truth), truth)
    assert result["copy_last_psnr"] == pytest.approx(copied.mean().item(), abs=1e-9)
    assert len(result["per_frame"]["copy_last_psnr"]) == 4
    for name in ("sharpness", "psnr_motion"):
        expected = getattr(metrics, name)(futures, truth.expand_as(futures), clip.frames[:, 1:2])
        assert result[name] == pytest.approx(expected.mean().item(), abs=1e-9)
        assert result["per_frame"][name] == pytest.approx(expected.mean((0, 1)).tolist(), abs=1e-9)
        assert result["per_clip"][name] == pytest.approx(expected.mean((0, 2)).tolist(), abs=1e-9)
    assert result["per_clip"]["clip"] == clips.ids
    assert result["per_clip"]["psnr"] == pytest.approx(psnr.mean((0, 2)).tolist(), abs=1e-9)
    assert result["per_clip"]["psnr_best"] == pytest.approx(psnr.mean(2).amax(0).tolist(), abs=1e-9)


def test_a_clip_counts_as_much_in_however_few_of_its_frames_something_moves(model, clips, monkeypatch):
    scores = score_futures(model, clips, [0, 1], **FRAMES)
    for name in ("sharpness", "psnr_motion"):
        getattr(scores, name)[:, 0, 1:] = math.nan
    monkeypatch.setattr(evaluation, "score_futures", lambda *_, **__: scores)
    found = evaluate(model, clips, [0, 1], samples=1, temperature=1.0, seed=0, **FRAMES)
    for name in ("sharpness", "psnr_motion"):
        assert found[name] == pytest.approx(np.mean(found["per_clip"][name]), abs=1e-9)


def test_numbers_do_not_depend_on_the_threads(model, clips):
    """In the digits that docs/performance.md promises."""

    def numbers(threads):
        torch.set_num_threads(threads)
        return score_futures(model, clips, [0], n_past=2, n_future=2)._asdict()

    before = torch.get_num_threads()
    try:
        assert same_numbers(numbers(1), numbers(2))
    finally:
        torch.set_num_threads(before)


def test_numbers_do_not_depend_on_the_order_or_the_batch(model, clips):
    forward = score_futures(model, clips, [0, 1, 2, 3], samples=3, **FRAMES)
    backward = score_futures(model, clips, [3, 2, 1, 0], samples=3, **FRAMES)
    alone = score_futures(model, clips, [2], samples=3, **FRAMES)
    for name in ("psnr", "ssim", "sharpness", "psnr_motion", "copy_last_psnr", "diversity"):
        one, other, single = (getattr(s, name) for s in (forward, backward, alone))
        assert same_numbers(one, other.flip(-2)), name
        assert same_numbers(one[..., 2:3, :], single), name


def test_latents_are_seen_with_true_frames(model, clips, result):
    latents = look_at_latents(model, clips, [0, 1, 2, 3], **FRAMES)
    assert latents.kld.shape == (4, 5, model.config.z_dim)
    assert (latents.kld >= -1e-9).all()
    assert result["kld_per_step"] == pytest.approx(latents.kld.sum(2).mean().item())
    assert torch.tensor(result["kld_map"]).shape == (5, model.config.z_dim)
    assert sum(map(sum, result["kld_map"])) / 5 == pytest.approx(result["kld_per_step"])
    again = look_at_latents(model, clips, [3], **FRAMES)
    assert same_numbers(latents.kld[3:], again.kld)


def test_evaluate_command(tiny_run, tiny_data, result, tmp_path):
    out = tmp_path / "eval.json"
    said = succeeds("train.evaluate", tiny_run, "--data", tiny_data, "--samples", 3, "--out", out, "--json", "--cpu")
    printed = json.loads(said.splitlines()[-1])
    assert printed == json.loads(out.read_text())
    assert same_numbers({name: printed[name] for name in result}, result)
    assert set(printed) >= {
        *("psnr", "ssim", "psnr_best", "ssim_best", "per_frame", "copy_last_psnr", "kld_per_step", "kld_map"),
        *("psnr_best_of", "z_from", "conditions"),
        *("active_units", "clips", "samples", "temperature", "protocol", "best_by"),
    }
    assert printed["protocol"] == "finn"
    assert not (tiny_run / runs.EVAL).exists()


def test_scores_of_weights_that_have_been_replaced_are_printed_alone(tiny_run, tiny_data, tmp_path, monkeypatch):
    """As a training does that improves them."""
    run = shutil.copytree(tiny_run, tmp_path / "run")

    def replaced_meanwhile(*args, **options):
        checkpoint.save_weights(run / runs.WEIGHTS, checkpoint.load_model(run))
        return evaluate(*args, **options)

    monkeypatch.setattr(evaluation, "evaluate", replaced_meanwhile)
    few = ("--data", tiny_data, "--samples", 1, "--clips", 1, "--cpu")
    done = run_command("train.evaluate", run, *few, "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout.splitlines()[-1])["clips"] == 1
    [said] = lines_said(done.stderr)
    assert said.startswith(f"train.evaluate: {run / runs.WEIGHTS}: replaced since it was read")
    assert not (run / runs.EVAL).exists()


def test_the_prior_that_was_sampled_is_told_and_is_that_of_z_from(dance_run, tiny_dance, tmp_path):
    """With one sample, whose PSNR is the prior's in `z_from` and that under true conditions, at any temperature."""
    run, data = ROOT / "assets" / "runs" / "push-learned-calibrated", ROOT / "assets" / "data" / "robot_push"

    def evaluated(run, data, *options):
        few = ("--clips", 1, "--samples", 1, "--out", tmp_path / "e.json", "--cpu", "--json")
        return json.loads(succeeds("train.evaluate", run, "--data", data, *few, *options).splitlines()[-1])

    ways = [], ["--prior-at-test", "learned"], ["--prior-at-test", "standard"], ["--temperature", 9]
    found = [evaluated(run, data, *options) for options in ways]
    assert [result["prior_at_test"] for result in found] == ["learned", "learned", "standard", "learned"]
    assert found[0] == found[1]
    assert len({round(result["psnr"], 2) for result in found}) == 3
    for result in found:
        assert result["z_from"]["prior"] == pytest.approx(result["psnr"], abs=1e-3)
        assert result["conditions"]["true"] == pytest.approx(result["psnr"], abs=1e-3)
    assert evaluated(dance_run, tiny_dance, "--prior-at-test", "standard")["prior_at_test"] == "standard"
    said = fails("train.evaluate", dance_run, "--data", tiny_dance, "--prior-at-test", "learned", "--cpu")
    assert said == "train.evaluate: --prior-at-test learned: the prior of dance is N(0, I)"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["RUN"], "missing: --data"),
        (["RUN", "--data", "DATA", "--clips", "0"], "--clips must be at least 1, got 0"),
        (["RUN", "--data", "nowhere"], "nowhere: no such folder of clips"),
        (["nowhere", "--data", "DATA"], "is nowhere a run folder?"),
        (["RUN", "--data", "DATA", "--split", "tset"], "unknown split 'tset'"),
        (["RUN", "--data", "DATA", "--samples", "0"], "--samples must be at least 1"),
        (["RUN", "--data", "DATA", "--temperature", "nan"], "--temperature must not be negative"),
        (["RUN", "--data", "DATA", "--n-future", "99"], "101 are needed"),
        (["RUN", "--data", "DATA", "--also", "psnr_joint,", "psnr_jiont"], "unknown metric 'psnr_jiont'"),
        (["RUN", "--data", "DATA", "--also", "psnr_jiont", "--also", "psnr_joint"], "unknown metric 'psnr_jiont'"),
        (["RUN", "--data", "DATA", "--smaples", "3"], "Unrecognized options"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tiny_run, tiny_data, tmp_path, arguments, said):
    places = {"RUN": tiny_run, "DATA": tiny_data}
    line = fails("train.evaluate", *(places.get(a, a) for a in arguments), "--out", tmp_path / "e.json", "--cpu")
    assert said in line


def test_a_dance_is_scored_frame_by_frame_by_its_own_protocol(dance_run, tiny_dance, tmp_path):
    target = tmp_path / "eval.json"
    command = ["train.evaluate", dance_run, "--data", tiny_dance, "--split", "val", "--samples", 2, "--out", target]
    result = json.loads(succeeds(*command, "--json", "--cpu").splitlines()[-1])
    assert result == json.loads(target.read_text())
    assert (result["protocol"], result["n_past"], result["n_future"], result["clips"]) == ("joint", 1, 11, 1)
    assert [len(curve) for curve in result["per_frame"].values()] == [11] * 6
    assert [len(result["kld_map"]), len(result["kld_map"][0])] == [11, 4]  # steps, channels
    model, clips = checkpoint.load_model(dance_run), open_split(tiny_dance, "validate")
    batch = window_batch(clips, [0], 12)
    clip = batch.to_clip(1)
    futures = predict(model, clip, batch.ids, n_future=11, samples=2)
    truth = clip.frames[:, 1:].expand_as(futures).double()
    psnr = -10 * (futures.double() - truth).square().mean((3, 4, 5)).log10()
    assert result["psnr"] == pytest.approx(psnr.mean().item(), abs=1e-5)
    first = clip.frames[:, :1].double()
    assert result["copy_last_psnr"] == pytest.approx(
        (-10 * (first - clip.frames[:, 1:].double()).square().mean((2, 3, 4)).log10()).mean().item(), abs=1e-5
    )
    posterior, _ = model.gaussians(clip)
    q = [v.double()[0] for v in posterior]
    kld = -0.5 * (1 + q[1] - q[0].square() - q[1].exp()).sum((2, 3))
    assert np.allclose(result["kld_map"], kld.detach().numpy(), rtol=1e-4)


def test_a_diverged_run_is_one_line_wherever_it_predicts(tiny_run, tiny_data, tmp_path):
    """Its weights are finite, its frames are not."""
    run = shutil.copytree(tiny_run, tmp_path / "diverged")
    weights = checkpoint.load_tensors(run / runs.WEIGHTS)
    for name, value in weights.items():
        if name.startswith("decoder") and "running" not in name and value.is_floating_point():
            value *= 1e30
    checkpoint.save_tensors(run / runs.WEIGHTS, weights)
    said = "diverged: its predicted frames are not finite"
    words = (run, "--data", tiny_data, "--samples", 2, "--clips", 1, "--cpu", "--out", tmp_path / "out")
    for command in ("train.evaluate", "train.generate"):
        assert fails(command, *words) == f"{command}: {said}"
    assert not (tmp_path / "out").exists()
    library, physics = Library([run], [tiny_data]), Physics()
    run = library.run("diverged")
    clip, drives = library.clips_for(run)[0], Drives(library, physics)
    with pytest.raises(BadInput, match=said):
        predict_clip(library, run, clip)
    asks = [
        lambda: analysis.analyse(library, run, clip, 0),
        lambda: analysis.traversal(library, run, clip, 0),
        lambda: what_if(library, physics, run, clip, "still", n_future=4),
        lambda: drives.begin(run, clip, 0, 1.0)[1].step([0, 0, 0], 0),
    ]
    for ask in asks:
        with pytest.raises(BadInput, match="not finite"):
            ask()


def test_a_clip_that_is_too_short_is_refused_before_any_is_predicted(tiny_run, tmp_path, monkeypatch):
    for i, length in enumerate((8, 8, 5)):
        frames = np.zeros((length, 64, 64, 3), np.uint8)
        write_clip(tmp_path / "test" / "a" / str(i), frames, np.zeros((length, 4)), np.zeros((length, 3)))
    monkeypatch.setattr(evaluation, "predict", lambda *_, **__: pytest.fail("it predicts"))
    words = ("--data", tmp_path, "--samples", 64, "--out", tmp_path / "e.json", "--cpu")
    assert "clip test/a/2 has 5 frames, 6 are needed" in fails("train.evaluate", tiny_run, *words)


def test_more_context_leaves_fewer_frames_of_a_dance_to_predict(dance_run, tiny_dance, tmp_path):
    words = (dance_run, "--data", tiny_dance, "--split", "val", "--samples", 1, "--out", tmp_path / "e.json")
    result = json.loads(succeeds("train.evaluate", *words, "--n-past", 2, "--json", "--cpu").splitlines()[-1])
    assert (result["n_past"], result["n_future"]) == (2, 10)


def test_of_a_long_dance_as_many_frames_are_predicted_whatever_is_given(tiny_dance):
    """val_length bounds the time that a validation takes, not where in the video it may begin."""
    video, data = open_split(tiny_dance, "validate"), DanceDataConfig(val_length=4)
    assert [evaluation.frames_ahead(data, video, [0], n_past) for n_past in (None, 1, 6, 9, 11)] == [3, 3, 3, 3, 1]


def test_the_report_leaves_out_what_one_sample_one_clip_and_a_still_clip_cannot_tell(result, tiny_run):
    result = result | {"n_past": 2, "n_future": 4, "z_from": {"prior": 20.0}, "conditions": None, "split": "test"}

    def report(result):
        return evaluate_command.report(result, runs.read_config(tiny_run).model)

    whole = report(result)
    clips, samples = result["clips"], result["samples"]
    assert whole.splitlines()[0].endswith(f"{clips} test clips, frames 2 … 5, {samples} samples, temperature 1")
    other = report(result | {"split": "train", "prior_at_test": "standard", "precision": "bf16", "clips": 1})
    assert other.splitlines()[0].endswith("temperature 1, z from the standard prior, bf16") and "1 train clip," in other
    assert "samples differ by" in whole and "±" in whole and "where it moves: PSNR" in whole
    still = result["per_frame"] | {"sharpness": [math.nan, 1.0]}
    few = report(result | {"samples": 1, "clips": 1, "psnr_motion": math.nan, "sharpness": 0.5, "per_frame": still})
    assert "where it moves: sharpness 0.50 of the truth's, last 1.00\n" in few
    assert all(part not in few for part in ("differ", "±", "nan"))
    still = result["per_frame"] | {"sharpness": [math.nan, math.nan]}
    assert "moves" not in report(result | {"psnr_motion": math.nan, "sharpness": math.nan, "per_frame": still})
    assert "z comes from: " in whole
    assert "z comes from (first 60 frames): " in report(result | {"n_future": 61})
    always = {"kld_at": 1.0, "prior_sigma_at": 0.5, "kld_between": None, "prior_sigma_between": None}
    spread = {"diversity_before": None, "diversity_after": 0.1}
    assert "nan" not in report(result | {"bounces": always | spread})


def test_the_other_family_s_clips_are_refused(dance_run, tiny_run, tiny_data, tiny_dance):
    assert "robot clips are for SVG" in fails("train.evaluate", dance_run, "--data", tiny_data)
    assert "robot clips are for SVG" in fails("train.evaluate", tiny_run, "--data", tiny_dance)


def test_what_is_counted_as_at_a_bounce_and_after_the_first():
    """Two clips of 6 frames, 2 given: the step to frame t is number t - 1, and only predicted frames count."""
    kld = torch.arange(10.0).reshape(2, 5, 1)
    latents = Latents(kld, None, None, 10 * kld[..., 0])
    diversity = torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8]])
    found = at_bounces([[1, 3, 5], [9]], latents, diversity, n_past=2)  # frame 1 is given, frame 9 not predicted
    expected = {
        **{"kld_at": (2 + 4) / 2, "kld_between": (1 + 3 + 6 + 7 + 8 + 9) / 6},
        **{"prior_sigma_at": 30, "prior_sigma_between": 340 / 6},
        **{"diversity_before": (1 + 5 + 6 + 7 + 8) / 5, "diversity_after": 3},
    }
    assert found == pytest.approx(expected)
    assert at_bounces([[], []], latents, diversity, n_past=2)["kld_at"] is None
