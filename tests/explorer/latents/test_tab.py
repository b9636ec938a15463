"""The tab that looks into z."""

import json
import shutil

import gradio as gr
import pytest

from vidpred import runs
from vidpred.errors import BadInput
from vidpred.explorer.latents import tab
from vidpred.explorer.latents.tab import LatentHandlers
from vidpred.explorer.runs.library import Library

CLIP = "traj_0_to_255/2"


@pytest.fixture(scope="module")
def handlers(families):
    return LatentHandlers(families)


def test_a_look_draws_three_charts_and_chooses_the_dimension_that_carries_most(handlers):
    note, heat, pictures, *charts, dimension, run = handlers.latents("tiny", CLIP, 0)
    assert "nats a step" in note and len(heat["values"]) == len(dimension["choices"])
    assert [tile["label"] for tile in pictures["tiles"]] == ["Truth", "posterior", "prior", "zero", "shuffled"]
    assert [len(chart["panels"]) for chart in charts] == [1, 3, 1]
    player = handlers.traverse("tiny", CLIP, dimension["value"])
    assert [tile["kind"] for tile in player["tiles"]] == ["truth"] + ["prediction"] * 5 + ["spread"] * 4
    assert player["request"] > charts[-1]["request"] and run == "tiny"


def test_a_chosen_dimension_stays_with_another_seed_but_not_with_another_run(handlers):
    *_, dimension, run = handlers.latents("tiny", CLIP, 0)
    chosen = dimension["choices"][-1][1]
    assert handlers.latents("tiny", CLIP, 1, chosen, run)[-2]["value"] == chosen != dimension["value"]
    assert handlers.latents("tiny", CLIP, 1, chosen, "dance")[-2]["value"] == dimension["value"]


def test_an_evaluation_that_was_made_since_is_told(tiny_run, tiny_data, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "tiny")
    with gr.Blocks() as demo:
        ((looking, _),) = tab.build(Library([run], [tiny_data]), demo).opened
    asked = {"run": "tiny", "clip": CLIP, "seed": 0}
    note, *_, answered = looking["fn"](answered=None, **asked)
    assert "Over all" not in note and looking["fn"](answered=answered, **asked) == gr.skip()
    (run / runs.EVAL).write_text(json.dumps({"clips": 4, "split": "test", "z_from": {"posterior": 20.0}}))
    note, *_ = looking["fn"](answered=answered, **asked)
    assert "Over all 4 test clips, PSNR with z posterior 20.0" in note


def test_another_clip_is_looked_into_at_once(families):
    """Else the parts of the page would be of two clips."""
    with gr.Blocks() as demo:
        ((looking, traversing),) = tab.build(families, demo).opened
    clip = next(block for block in demo.blocks.values() if getattr(block, "label", "") == "Clip")
    (first,) = [fn for fn in demo.fns.values() if (clip._id, "input") in fn.targets]
    (second,) = [fn for fn in demo.fns.values() if fn.trigger_after == first._id]
    for fn, event in ((first, looking), (second, traversing)):
        assert fn.outputs == event["outputs"]


def test_the_clip_stays_where_it_fits_the_run(handlers):
    assert handlers.follow_run("tiny", CLIP)["value"] == CLIP
    for clip in (CLIP, None, ["validate"]):
        update = handlers.follow_run("dance", clip)
        assert (update["value"], update["choices"]) == ("validate", ["validate", "test/0", "test/1"])


@pytest.mark.parametrize(
    ("run", "clip", "seed", "said"),
    [
        ("other", CLIP, 0, "There is no run “other” here"),
        ("tiny", "nothing", 0, "There is no clip “nothing” here"),
        ("tiny", "validate", 0, "tiny continues robot clips: validate is none"),
        (["tiny"], CLIP, 0, "choose a run"),
    ],
)
def test_bad_fields_are_one_line(handlers, run, clip, seed, said):
    with pytest.raises(BadInput, match=said):
        handlers.latents(run, clip, seed)


def test_a_seed_that_is_none_leaves_the_page_as_it_is(handlers):
    for seed in (1.5, -1, None):
        with pytest.raises(gr.Error, match="The seed must be") as error:
            handlers.latents("tiny", CLIP, seed)
        assert not error.value.print_exception


def test_where_there_is_nothing_to_look_into_no_other_clips_curves_stay(dance_run, tiny_data):
    handlers = LatentHandlers(Library([dance_run], [tiny_data]))
    menu = handlers.follow_run("dance", CLIP)
    with pytest.raises(BadInput, match="None of the clips here is for dance: open others with --data") as error:
        handlers.latents("dance", menu["value"], 0)
    note, heat, pictures, *charts, dimension, run = handlers.refuse(error.value)
    assert "open others with --data" in note == f"**{pictures['message']}**" and heat["message"]
    assert [(chart["panels"], bool(chart["message"])) for chart in charts] == [([], True)] * 3
    assert dimension["choices"] == [] and run is None
