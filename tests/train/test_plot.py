"""The figure command."""

import numpy as np
import pytest
from PIL import Image

from tests.commands import fails, succeeds


@pytest.mark.parametrize("figure", ["curves", "psnr", "kl"])
def test_draws_a_bundled_run(figure, tmp_path):
    succeeds("train.plot", "assets/runs/push-learned-cyclical", "--out", tmp_path / "new" / "f.png", "--figure", figure)
    picture = np.asarray(Image.open(tmp_path / "new" / "f.png"))
    assert picture.shape[1] == 900
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 10


def test_bad_input_is_one_line(tmp_path, tiny_run):
    out = ["--out", tmp_path / "f.png"]
    assert "RUN" in fails("train.plot", *out)
    assert "no such folder of runs" in fails("train.plot", "nowhere", *out)
    assert "not evaluated yet" in fails("train.plot", tiny_run, *out, "--figure", "psnr")
    assert "one run" in fails("train.plot", "assets/runs", *out, "--figure", "kl")
