"""The figure command."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.commands import ROOT, fails, succeeds
from vidpred import plots


@pytest.mark.parametrize("figure", ["curves", "losses", "forcing", "dashboard", "psnr", "kl"])
def test_draws_a_bundled_run(figure, tmp_path):
    succeeds("train.plot", "assets/runs/push-learned-cyclical", "--out", tmp_path / "new" / "f.png", "--figure", figure)
    picture = np.asarray(Image.open(tmp_path / "new" / "f.png"))
    assert picture.shape[1] == 900
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 10


@pytest.mark.parametrize(("run", "unit"), [("push-free-learned-cyclical", "channel"), ("push-learned-cyclical", "dim")])
def test_z_has_channels_where_it_is_a_map(run, unit, tmp_path, monkeypatch):
    drawn, draw = [], plots.kl_heat_map
    monkeypatch.setattr(plots, "kl_heat_map", lambda *given: drawn.append(given) or draw(*given))
    succeeds("train.plot", ROOT / "assets" / "runs" / run, "--out", tmp_path / "f.png", "--figure", "kl")
    assert drawn[0][1].startswith(unit)


def test_bad_input_is_one_line(tmp_path, tiny_run):
    out = ["--out", tmp_path / "f.png"]
    assert "RUN" in fails("train.plot", *out)
    assert "no such folder of runs" in fails("train.plot", "nowhere", *out)
    assert "not evaluated yet" in fails("train.plot", tiny_run, *out, "--figure", "psnr")
    assert "only PNG is written" in fails("train.plot", "assets/runs", "--out", tmp_path / "f.pdf")
    other = tmp_path / "other"
    shutil.copytree(ROOT / "assets" / "runs" / "push-fixed-cyclical", other)
    evaluated = json.loads((other / "eval.json").read_text())
    (other / "eval.json").write_text(json.dumps(evaluated | {"clips": 3}))
    both = ["assets/runs/push-fixed-cyclical", other]
    assert "evaluate them alike" in fails("train.plot", *both, *out, "--figure", "psnr")
    other, both = other.rename(tmp_path / "learned"), ["assets/runs/push-learned-cyclical", tmp_path / "learned"]
    shutil.copytree(ROOT / both[0], other, dirs_exist_ok=True)
    evaluated = json.loads((other / "eval.json").read_text())
    (other / "eval.json").write_text(json.dumps(evaluated | {"prior_at_test": "learned"}))  # as it does anyway
    succeeds("train.plot", *both, *out, "--figure", "psnr")
    (other / "eval.json").write_text(json.dumps(evaluated | {"prior_at_test": "standard"}))
    assert "evaluate them alike" in fails("train.plot", *both, *out, "--figure", "psnr")
    for figure in ("kl", "dashboard"):
        assert "one run" in fails("train.plot", "assets/runs", *out, "--figure", figure)
