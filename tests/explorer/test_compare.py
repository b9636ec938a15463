"""Comparing runs: what sets them apart is found, and all of them are shown the same clip with the same noise."""

from dataclasses import replace

import gradio as gr
import numpy as np
import pytest

from tests.commands import ROOT
from vidpred import runs
from vidpred.errors import BadInput
from vidpred.explorer.compare import tab as compare_tab
from vidpred.explorer.runs import comparison, curves
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.prediction import predict_clip
from vidpred.explorer.ui.player import Shown, next_request, player_value
from vidpred.presets import preset

CLIPS = ROOT / "assets" / "data" / "robot_push"
PAIR = ["push-free-learned-cyclical", "push-free-learned-none"]


@pytest.fixture(scope="module")
def bundled():
    return Library([ROOT / "assets" / "runs"], [CLIPS])


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """Runs that have settings only."""
    root, base = tmp_path_factory.mktemp("settings"), preset("small")
    trained = {
        "fixed": {},
        "fixed-other-seed": {"seed": 7, "precision": "no"},
        "fixed-none": {"kl_anneal": "none"},
        "fixed-free-running": {"tfr": 0.0},
        "fixed-two": {"kl_anneal": "monotonic", "lr": 0.1},
    }
    for name, train in trained.items():
        runs.write_config(root / name, replace(base, train=replace(base.train, **train)), {})
    runs.write_config(root / "learned", replace(base, model=replace(base.model, learned_prior=True)), {})
    runs.write_config(root / "dancer", preset("pose-small"), {})
    return Library([root], [CLIPS])


def test_pairs_differ_in_one_respect_alone(settings):
    found = {group.question: group.runs for group in comparison.groups(settings)}
    assert found == {
        "Fixed or learned prior": ["fixed", "fixed-other-seed", "learned"],
        "KL annealing": ["fixed", "fixed-none", "fixed-other-seed"],
        "Teacher forcing": ["fixed", "fixed-free-running", "fixed-other-seed"],
    }


def test_a_pair_says_what_it_shares_and_one_whose_z_speaks_comes_first(bundled):
    titles = [group.title for group in comparison.groups(bundled)]
    assert titles[:3] == [
        "Fixed or learned prior: fixed · learned (push-free-cyclical)",
        "Fixed or learned prior: fixed · learned (push-cyclical)",
        "KL annealing: cyclical · monotonic · none (push-free-learned)",
    ]
    assert "With actions or without: push-fixed-cyclical · free" in titles
    assert len(set(titles)) == len(titles)


def test_only_settings_that_differ_are_listed(settings):
    rows = comparison.differences(settings, ["fixed", "fixed-two"])
    assert rows == [["train.lr", "0.002", "0.1"], ["train.kl_anneal", "cyclical", "monotonic"]]
    assert comparison.differences(settings, ["fixed", "fixed"]) == []
    other = {row[0]: row[1:] for row in comparison.differences(settings, ["fixed", "dancer"])}
    assert other["model.kind"] == ["svg", "pose_cvae"]
    assert other["data.clip_length"] == ["–", "8"]


def test_numbers_carry_their_protocol(bundled, settings):
    row = comparison.evaluated_numbers(bundled, PAIR[:1])[0]
    result = runs.read_eval(bundled.run_folder(PAIR[0]))
    assert row[:3] == [PAIR[0], f"{result['psnr']:.2f}", f"{result['psnr_best']:.2f}"]
    assert row[5] == "finn: 32 test clips, 10 frames, 20 samples, temperature 1"
    assert comparison.evaluated_numbers(settings, ["fixed"])[0][5] == "not evaluated yet"


def test_every_run_imagines_the_same_clip(bundled):
    clip = bundled.clips_for(PAIR[0])[0]
    shown = comparison.compare_clip(bundled, PAIR, clip, 3, 1.0, 2)
    assert [(tile.kind, tile.label) for tile in shown.tiles] == [
        ("truth", "Truth"),
        ("prediction", "cyclical"),
        ("prediction", "none"),
    ]
    for name, tile in zip(PAIR, shown.tiles[1:]):
        alone = predict_clip(bundled, name, clip, seed=3, samples=2, n_future=10).futures[0].samples
        assert all(np.array_equal(clip, sample) for clip, sample in zip(tile.clips, alone))
        assert len(tile.clips) == len(shown.choices) == 4  # two samples, the best, the mean


def test_samples_are_averaged_beside_the_one_that_is_shown(bundled):
    clip = bundled.clips_for(PAIR[0])[0]
    for samples in (1, 3):
        value = player_value(comparison.compare_clip(bundled, PAIR, clip, 0, 1.0, samples), next_request())
        predictions = [tile for tile in value["tiles"] if tile["kind"] == "prediction"]
        for name, tile in zip(PAIR, predictions):
            scores = predict_clip(bundled, name, clip, samples=samples, n_future=10).futures[0].scores["PSNR"][:samples]
            assert tile["average"] == (f"{scores.mean():.2f} dB" if samples > 1 else "")


def test_a_run_has_one_colour_in_the_player_and_in_the_curves(bundled):
    names = PAIR[::-1]  # not the order of the library
    tiles = comparison.compare_clip(bundled, names, bundled.clips_for(names[0])[0], 0, 1.0, 1).tiles[1:]
    curves = curves.training_value(bundled, names, comparison.CURVES, "epochs", 0, False, next_request())
    drawn = player_value(Shown(tiles, 2), next_request())["tiles"]
    assert [tile["colour"] for tile in drawn] == [entry["colour"] for entry in curves["legend"]]
    assert len({entry["colour"] for entry in curves["legend"]}) == 2


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (None, "choose the runs"),
        ("push-free-learned-none", "choose the runs"),
        (["nowhere", "push-free-learned-none"], "choose a run"),
        (["push-free-learned-none"] * 3, "two to 4 runs, not 1"),
        ([["push-free-learned-none"], PAIR[0]], "choose a run"),
    ],
)
def test_a_choice_that_the_page_does_not_offer_is_refused(bundled, names, said):
    with pytest.raises(BadInput, match=said):
        comparison.chosen_runs(bundled, names)


def test_two_families_are_not_compared(settings):
    with pytest.raises(BadInput, match="two families"):
        comparison.chosen_runs(settings, ["fixed", "dancer"])
    assert comparison.chosen_runs(settings, ["fixed", "learned", "fixed"]) == ["fixed", "learned"]


@pytest.mark.parametrize("samples", [0, 6, 1.5, "2", True])
def test_samples_are_checked(bundled, samples):
    with pytest.raises(BadInput, match="number of samples"):
        comparison.compare_clip(bundled, PAIR, bundled.clips_for(PAIR[0])[0], 0, 1.0, samples)


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["push-fixed-cyclical", "push-learned-cyclical"], ["fixed", "learned"]),
        (["a-b", "a-b-c"], ["a-b", "c"]),  # one of them would have no name left
        (["a-c", "a-c-c"], ["a-c", "a-c-c"]),
        (["x", "y"], ["x", "y"]),
    ],
)
def test_runs_are_called_by_what_tells_them_apart(names, short):
    assert comparison.short_names(names) == short


def test_where_there_is_no_pair_nothing_is_compared(settings, tiny_run, dance_run):
    assert comparison.first_runs(settings) == ["fixed", "fixed-other-seed", "learned"]
    alone = Library([tiny_run, dance_run], [CLIPS])
    assert comparison.first_runs(alone) == []
    with gr.Blocks() as demo:
        assert compare_tab.build(alone, demo) == {}
    assert [fn.api_name for fn in demo.fns.values()] == ["compare"]  # which says why it cannot
