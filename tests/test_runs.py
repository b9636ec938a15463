"""The run folder: what is damaged is named, and runs are found."""

import json
import shutil

import pytest
import torch

from vidpred import runs
from vidpred.config import to_dict
from vidpred.errors import BadInput
from vidpred.models import build_model


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not readable as JSON"),
        ("[]", "expected an object"),
        ("{}", "no 'model' in it"),
        ('{"model": {"kind": "gan"}, "data": {}, "train": {}}', "unknown kind 'gan'"),
        ('{"model": {"kind": "svg", "wdith": 3}, "data": {}, "train": {}}', "unknown key 'wdith'"),
        ('{"model": {"kind": "svg"}, "data": {"n_past": "2"}, "train": {}}', "n_past: expected int"),
    ],
)
def test_a_broken_config_is_named(tmp_path, text, said):
    (tmp_path / runs.CONFIG).write_text(text)
    with pytest.raises(BadInput, match=said):
        runs.read_config(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"epoch": "1"}'])
def test_damaged_curves_and_numbers_are_named(tmp_path, text):
    (tmp_path / runs.METRICS).write_text(f'{{"epoch": 0}}\n{text}\n')
    with pytest.raises(BadInput, match="line 2 is not an epoch's JSON object"):
        runs.read_metrics(tmp_path)
    (tmp_path / runs.METRICS).write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="not readable as text"):
        runs.read_metrics(tmp_path)
    (tmp_path / runs.EVAL).write_text("[]")
    with pytest.raises(BadInput, match="expected an object"):
        runs.read_eval(tmp_path)


def test_runs_are_found_by_name(tiny_run, tmp_path):
    for folder in ("a/tiny", "b/tiny", "b/other"):
        runs.write_config(tmp_path / folder, runs.read_config(tiny_run), {})
    assert set(runs.list_runs([tmp_path / "a", tmp_path / "b"])) == {"a/tiny", "b/tiny", "other"}
    nested = shutil.copytree(tmp_path / "a", tmp_path / "b" / "more" / "a")
    assert set(runs.list_runs([tmp_path / "a", nested])) == {f"{tmp_path.name}/a/tiny", "more/a/tiny"}
    assert runs.list_runs([tiny_run]) == {"tiny": tiny_run}
    with pytest.raises(BadInput, match="no run in it"):
        runs.list_runs([tmp_path])
    with pytest.raises(BadInput, match="no such folder"):
        runs.list_runs([tmp_path / "nowhere"])


def test_a_model_config_is_rebuilt_alone(tiny_run):
    config = json.loads((tiny_run / runs.CONFIG).read_text())
    assert config["model"] == to_dict(runs.read_config(tiny_run).model)
    assert torch.__version__.startswith(config["versions"]["torch"].split("+")[0])
    assert build_model(runs.read_config(tiny_run).model).config.learned_prior
