"""The tab that sets runs side by side."""

import json
import shutil
from dataclasses import replace

import gradio as gr
import numpy as np
import pytest

from tests.commands import succeeds
from vidpred.explorer.compare import tab
from vidpred.explorer.compare.tab import ALIKE, CompareHandlers
from vidpred.explorer.runs import comparison
from vidpred.explorer.runs.library import Library, names
from vidpred.explorer.runs.prediction import predict_clip
from vidpred.explorer.ui.prediction_tiles import comparison_tiles

PAIR = ["push-free-learned-none", "push-free-learned-cyclical"]  # not the order of the library


@pytest.fixture(scope="module")
def handlers(bundled):
    return CompareHandlers(bundled)


@pytest.fixture(scope="module")
def pair(bundled):
    return [bundled.run(name) for name in PAIR]


@pytest.fixture(scope="module")
def clip(bundled, pair):
    return bundled.clips_for(pair[0])[0]


def predictions(value):
    return [tile for tile in value["tiles"] if tile["kind"] == "prediction"]


def test_every_run_has_a_tile_that_switches_between_its_samples(bundled, pair, clip):
    predicted = comparison.predict_each(bundled, pair, clip, seed=3, temperature=1.0, samples=2)
    display = comparison_tiles(bundled, predicted)
    assert [(tile.kind, tile.label) for tile in display.tiles] == [
        ("truth", "Truth"),
        ("prediction", "none"),
        ("prediction", "cyclical"),
    ]
    for prediction, tile in zip(predicted, display.tiles[1:]):
        assert len(tile.clips) == len(display.choices) == 4  # two samples, the best, the mean
        assert all(np.array_equal(a, b) for a, b in zip(tile.clips, prediction.futures[0].samples))


@pytest.mark.parametrize("samples", [1, 3])
def test_samples_are_averaged_beside_the_one_that_is_drawn(handlers, bundled, pair, clip, samples):
    for run, tile in zip(pair, predictions(handlers.compare(PAIR, clip.name, samples=samples)), strict=True):
        future = predict_clip(bundled, run, clip, samples=samples).futures[0]
        scores = future.scores["PSNR"][:samples]
        best = f"{scores.mean(1).max():.2f} dB"
        several = {
            "PSNR, average of 3": f"{scores.mean():.2f} dB",
            "best of 3": best,
            "spread": f"{future.diversity:.3f}",
        }
        assert tile["over_samples"] == (several if samples > 1 else {})


def test_a_run_has_one_colour_in_the_player_and_in_the_curves(handlers, clip):
    tiles = predictions(handlers.draw(PAIR, clip.name, seed=0, temperature=1.0, samples=1))
    *_, curves = handlers.explain(PAIR)
    assert [tile["colour"] for tile in tiles] == [entry["colour"] for entry in curves["legend"]]
    assert len({tile["colour"] for tile in tiles}) == 2


def test_differences_and_numbers_are_tables_in_which_a_name_is_no_mark(handlers):
    _, settings, scores, _ = handlers.explain(PAIR)
    assert settings.splitlines()[0] == r"| setting | push-free-learned-none | push-free-learned-cyclical |"
    assert "| Beta over the training | constant | cyclical |" in settings.splitlines()
    assert len(scores.splitlines()) == 4


def test_the_answer_names_the_better_run_and_how_sure_that_is(handlers, bundled):
    first, second = (json.loads((bundled.run(name).folder / "eval.json").read_text())["per_clip"] for name in PAIR)
    differences = np.subtract(second["psnr"], first["psnr"])
    answer = handlers.explain(PAIR)[0]
    half = 2.040 * differences.std(ddof=1) / np.sqrt(32)  # Student, 31 degrees of freedom
    assert f"PSNR **{differences.mean():+.2f} ± {half:.2f} dB**" in answer
    assert f"higher on {(differences > 0).sum()} of 32 clips" in answer
    assert ("not to be told from" in answer) == (abs(differences.mean()) < half)


def test_runs_that_were_not_evaluated_alike_are_not_ranked(tiny_run, tiny_data, tmp_path):
    for name, samples in (("a", 2), ("b", 3)):
        shutil.copytree(tiny_run, tmp_path / name)
        succeeds("train.evaluate", tmp_path / name, "--data", tiny_data, "--samples", samples)
    answer = CompareHandlers(Library([tmp_path], [tiny_data])).explain(["a", "b"])[0]
    assert answer == "b and a were not evaluated alike on two clips or more."


def test_runs_without_a_difference_are_said_to_have_none(tiny_run, tiny_data, tmp_path):
    for name in ("a", "b"):
        shutil.copytree(tiny_run, tmp_path / name)
    assert CompareHandlers(Library([tmp_path], [tiny_data])).explain(["a", "b"])[1] == ALIKE


def test_a_question_chooses_its_runs_and_runs_show_theirs(handlers):
    for key, group in handlers.groups().items():
        chosen = handlers.choose(key)
        assert chosen == names(group.runs)
        assert handlers.questions(chosen[::-1])["value"] == key  # in any order
    assert [handlers.questions(runs)["value"] for runs in ([PAIR[0]], "none", None)] == [None] * 3
    for wrong in ("unheard of", None, [key]):
        with pytest.raises(gr.Error, match="choose a question"):
            handlers.choose(wrong)


def test_questions_are_of_the_runs_that_are_there_now(bundled, tmp_path):
    for name in PAIR:
        (tmp_path / name).symlink_to(bundled.runs[name])
    library = Library([tmp_path], [])
    handlers = CompareHandlers(library)
    (asked,) = handlers.questions(PAIR)["choices"]
    assert handlers.questions(PAIR)["value"] == asked[1]
    for name in ("push-free-learned-monotonic", "push-free-fixed-cyclical"):  # begun since the app was started
        (tmp_path / name).symlink_to(bundled.runs[name])
    (tmp_path / PAIR[0]).unlink()
    library.rescan()
    questions = handlers.questions(PAIR)
    assert questions["value"] is None and len(questions["choices"]) == 2
    assert all(set(handlers.choose(key)) <= set(library.runs) for _, key in questions["choices"])


def test_runs_go_by_title_and_name(handlers):
    answer, _, scores, _ = handlers.explain(PAIR)
    assert "**Cyclical beta (push-free-learned-cyclical)**" in answer
    assert "**Learned prior, no actions, constant beta**<br>push-free-learned-none" in scores


def test_clips_follow_the_runs(handlers, clip):
    kept = handlers.follow_runs(PAIR, clip.name)
    assert kept["value"] == clip.name and clip.name in kept["choices"]
    for other in ("val", None, ["val"]):
        assert handlers.follow_runs(PAIR, other)["value"] == clip.name
    assert handlers.follow_runs(PAIR[:1], clip.name) == gr.skip()  # the player says it


def test_clips_are_those_that_all_of_the_runs_can_continue(bundled):
    """A free run goes on from any clip; one that knows actions needs them."""
    runs = [bundled.run(name) for name in ("push-free-learned-none", "push-learned-cyclical")]
    films = {"film": replace(bundled.clips["traj_0_to_255/1"], name="film", has_actions=False)}
    library = bundled.with_own({}, films)
    assert "film" in names(library.clips_for(runs[0]))
    for order in (runs, runs[::-1]):
        update = CompareHandlers(library).follow_runs(names(order), "film")
        assert "film" not in update["choices"] and update["value"] in update["choices"]


def test_runs_that_cannot_be_compared_leave_nothing_of_others(handlers, bundled, clip):
    with gr.Blocks() as demo:
        parts = tab.build(bundled, demo)
    _, (explaining,), (predicting,) = parts.opened
    answer, settings, scores, curves, answered = explaining["fn"](answered=None, runs=PAIR[:1])
    assert (answer, settings, scores, answered) == ("", tab.NOTHING, tab.NOTHING, None)
    assert curves["panels"] == [] and curves["message"] == tab.NOTHING
    value, answered = predicting["fn"](answered=None, runs=PAIR[:1], clip=clip.name, seed=0, temperature=1.0, samples=1)
    assert value["message"] == "Please choose two to 4 runs, not 1." and answered is None
    with pytest.raises(gr.Error, match="two to 4 runs"):  # a program is told by the error
        handlers.compare(PAIR[:1], clip.name)


def test_widgets_feed_the_parameters_of_their_name(bundled):
    with gr.Blocks() as demo:
        parts = tab.build(bundled, demo)
    _, (explaining,), (predicting,) = parts.opened
    labels = {"runs": "Runs", "clip": "Clip", "seed": "Seed", "temperature": "Temperature"}
    fed = {name: widget.label for name, widget in predicting["inputs_kwargs"].items() if name != "answered"}
    assert fed == {**labels, "samples": "Samples of each run"}
    assert explaining["inputs_kwargs"]["runs"] is predicting["inputs_kwargs"]["runs"]
    assert (predicting["concurrency_id"], predicting["concurrency_limit"]) == ("model", 1)


def test_where_there_is_no_pair_the_api_alone_is_there_to_say_so(families):
    with gr.Blocks() as demo:
        assert tab.build(families, demo).link is None
    assert [fn.api_name for fn in demo.fns.values()] == ["compare"]


def test_a_name_of_a_run_is_no_word_to_begin_a_sentence_with(tiny_run, tiny_data, tmp_path):
    for name in ("mine", "other run"):
        shutil.copytree(tiny_run, tmp_path / name)
        succeeds("train.evaluate", tmp_path / name, "--data", tiny_data, "--samples", 2)
    answer = CompareHandlers(Library([tmp_path], [tiny_data])).explain(["mine", "other run"])[0]
    assert answer.startswith("**other run** is")
