"""Bouncing shapes from the simulator to a trained run: clips without actions all the way."""

import json

import pytest

from tests.commands import fails, succeeds
from vidpred import runs
from vidpred.data.robot_push import list_clips
from vidpred.explorer.latents.analysis import analyse
from vidpred.explorer.runs.library import Library
from vidpred.simulate.bounce import bounces_of


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    root = tmp_path_factory.mktemp("bounce")
    simulate(root / "clips", 5, 4, 4)
    return root / "clips"


def simulate(out, train, validate, test, *more):
    options = ("--train", train, "--validate", validate, "--test", test, "--seed", 3, "--workers", 1, *more)
    succeeds("train.prepare", "simulate-bounce", out, *options)


def test_clips_hold_frames_and_what_was_not_to_be_known(clips, tmp_path):
    (folder, *_) = list_clips(clips, "train")
    assert {path.name for path in folder.iterdir()} == {*(f"{t}.png" for t in range(30)), "simulation.json"}
    bounces = json.loads((folder / "simulation.json").read_text())["bounces"]
    assert len(bounces) == 2 and all(1 < t < 30 for shape in bounces for t in shape)


def test_a_larger_number_extends_the_folder(clips, tmp_path):
    """Clips that are there stay as they are, with whatever somebody has put beside their frames."""
    simulate(tmp_path / "out", 3, 4, 4)
    labels = tmp_path / "out" / "train" / "bounce_0_to_255" / "2" / "labels.csv"
    labels.write_text("circle\n")
    simulate(tmp_path / "out", 5, 4, 4)
    assert labels.read_text() == "circle\n"
    for path in clips.rglob("*.png"):
        assert (tmp_path / "out" / path.relative_to(clips)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--shapes", 4), "--shapes 4: from 1 to 3"),
        (("--size", 8), "size 8: from 16 to 512"),
        (("--train", -1), "cannot be negative"),
    ],
)
def test_bad_options_are_one_line(tmp_path, options, said):
    words = ("--train", 1, "--validate", 1, "--test", 1, "--seed", 0)
    assert said in fails("train.prepare", "simulate-bounce", tmp_path / "out", *words, *options)


def test_an_action_free_run_is_trained_evaluated_and_drawn(clips, tmp_path):
    run, quick = tmp_path / "run", ("--preset", "debug", "--train.epochs", 1, "--train.kl-anneal", "none")
    options = ("--data", clips, "--out", run, *quick, "--model.condition", "none", "--train.iterations-per-epoch", 2)
    succeeds("train.svg", *options, "--train.gif-every", 1)
    succeeds("train.evaluate", run, "--data", clips, "--samples", 2)
    assert runs.read_eval(run)["clips"] == 4
    assert runs.read_eval(run)["bounces"]["prior_sigma_between"] == pytest.approx(1)  # of N(0, I)
    evaluation = runs.read_eval(run)
    succeeds("train.prepare", "shard", clips, tmp_path / "shards", "--clips-per-shard", 3)
    succeeds("train.evaluate", run, "--data", tmp_path / "shards", "--samples", 2)
    assert runs.read_eval(run) == evaluation
    succeeds("train.generate", run, "--data", clips, "--out", tmp_path / "futures", "--samples", 1)
    assert len(list((tmp_path / "futures").glob("*.gif"))) == 4
    library = Library([run], [clips])
    clip = library.clips_for(library.run("run"))[0]
    found = analyse(library, library.run("run"), clip, 0)
    assert found.gaussians.marks == [frame for frame in bounces_of(clip.folder) if frame < 12]  # drawn in Latents


def test_a_run_that_is_told_actions_refuses_them(clips, tiny_run, tmp_path):
    said = "no actions.csv and endeffector_positions.csv, which this model is told"
    assert said in fails("train.svg", "--data", clips, "--out", tmp_path / "run", "--preset", "debug")
    for command, out in (("train.evaluate", "eval.json"), ("train.generate", "futures")):
        assert said in fails(command, tiny_run, "--data", clips, "--out", tmp_path / out)
