"""`train.prepare average`: a run whose weights are the mean of others'."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from tests.commands import fails, succeeds
from vidpred import checkpoint, runs
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.summary import describe_run


@pytest.fixture
def tuned(tiny_run, tmp_path):
    """tuned(name, by, **changes): a run that went on from `before`, its weights moved; changes: of its settings."""

    def make(name, by, **changes):
        run = shutil.copytree(tiny_run, tmp_path / name)
        config = runs.read_config(run)
        train = replace(config.train, **{"init": str(tmp_path / "before"), **changes})
        runs.write_config(run, replace(config, train=train), {"torch": "2.11"})
        weights = checkpoint.load_tensors(run / runs.WEIGHTS)
        moved = {key: value * by if value.is_floating_point() else value for key, value in weights.items()}
        checkpoint.save_tensors(run / runs.WEIGHTS, moved)
        return run

    return make


def test_weights_are_the_mean_and_it_says_whose(tuned, tiny_run, tiny_data, tmp_path):
    one, two, out = tuned("one", 0.5), tuned("two", 2.0), tmp_path / "mean"
    assert succeeds("train.prepare", "average", one, two, "--out", out) == f"{out}: the mean of one, two\n"
    expected = checkpoint.load_tensors(tiny_run / runs.WEIGHTS)
    for key, value in checkpoint.load_tensors(out / runs.WEIGHTS).items():
        torch.testing.assert_close(value, expected[key] * 1.25 if value.is_floating_point() else expected[key])
    config, made = runs.read_settings(out)
    assert config == runs.read_config(one) and made == {"torch": "2.11", "averaged": "one, two"}
    assert runs.read_metrics(out) == runs.read_metrics(one)
    succeeds("train.prepare", "bundle", out, tmp_path / "bundled")
    library = Library([tmp_path / "bundled"], [tiny_data])
    said = "gone on from before · weights: the mean of one, two; settings and curves are the first one's"
    assert said in describe_run(library.run("bundled"))


def test_the_run_that_they_went_on_from_may_be_one_of_them(tuned, tmp_path):
    before, one, two = tuned("before", 1.0, init="first"), tuned("one", 0.5), tuned("two", 3.0)
    start = checkpoint.load_tensors(before / runs.WEIGHTS)
    for number, given in enumerate([(before, one, two), (one, before, two)]):
        out = tmp_path / f"mean{number}"
        succeeds("train.prepare", "average", *given, "--out", out)
        for key, value in checkpoint.load_tensors(out / runs.WEIGHTS).items():
            torch.testing.assert_close(value, start[key] * 1.5 if value.is_floating_point() else start[key])
    state = one / runs.LAST / "state.json"
    content = json.loads(state.read_text())
    content["progress"]["start"] = "0123"
    state.write_text(json.dumps(content))
    assert "of other weights" in fails("train.prepare", "average", before, one, "--out", tmp_path / "none")


def test_what_has_no_mean_is_one_line(tuned, tiny_run, dance_run, tmp_path):
    one, other, out = tuned("one", 1.0), tuned("other", 1.0, init="elsewhere"), tmp_path / "mean"
    unlike = tuned("unlike", 1.0)
    for run, digest in ((one, "0123"), (unlike, "4567")):
        state = run / runs.LAST / "state.json"
        content = json.loads(state.read_text())
        content["progress"]["start"] = digest
        state.write_text(json.dumps(content))
    for given, said in (
        ([one], "two runs or more, each once, got 1"),
        ([one, one], "two runs or more, each once, got 2"),
        ([one, unlike], "of other weights"),
        ([one, dance_run], "is another model"),
        ([one, other], "other went on from elsewhere, not from before: only of runs"),
        ([tiny_run, one], "tiny went on from no other run: only of runs"),
        ([one, tmp_path / "nowhere"], "nowhere/config.json: missing"),
    ):
        line = fails("train.prepare", "average", *given, "--out", out)
        assert said in line and "\n" not in line
    assert not out.exists()
    assert "not empty" in fails("train.prepare", "average", one, tuned("two", 1.0), "--out", one)
