"""Pictures of imagined futures are the very ones that are scored."""

import imageio.v3 as imageio
import numpy as np

from tests.commands import fails, succeeds
from vidpred import checkpoint
from vidpred.data.batches import open_split, window_batch
from vidpred.frames import to_uint8
from vidpred.rollout import predict


def test_each_time_step_s_picture_is_the_prediction(tiny_run, tiny_data, tmp_path):
    options = ["--clips", 2, "--samples", 2, "--seed", 3, "--mp4", "--cpu"]
    succeeds("train.generate", tiny_run, "--data", tiny_data, "--out", tmp_path, *options)
    batch = window_batch(open_split(tiny_data, "test"), [1], 6)
    futures = to_uint8(
        predict(checkpoint.load_model(tiny_run), batch.to_clip(2), batch.ids, n_future=4, seed=3, samples=2)
    )
    name = "test_traj_0_to_255_2"
    for k in range(2):
        written = [imageio.imread(tmp_path / name / f"sample_{k}" / f"{t}.png") for t in range(2, 6)]
        assert np.array_equal(np.stack(written), futures[k, 0])
    assert {path.name for path in tmp_path.iterdir()} == {
        f"test_traj_0_to_255_{clip}{kind}" for clip in (1, 2) for kind in ("", ".gif", ".mp4", ".png")
    }
    assert len(imageio.imread(tmp_path / f"{name}.gif")) == 6
    strip = imageio.imread(tmp_path / f"{name}.png")
    assert strip.shape == (2 * (3 * 68 + 2 * 4), 2 * (6 * 68 + 5 * 4), 3)


def test_bad_input_is_one_line(tiny_run, tiny_data, tmp_path):
    out = ["--out", tmp_path / "out"]
    assert "is nowhere a run folder?" in fails("train.generate", "nowhere", "--data", tiny_data, *out)
    for option, said in (("--samples", "--samples must be at least 1"), ("--n-future", "--n-future must be")):
        assert said in fails("train.generate", tiny_run, "--data", tiny_data, *out, option, 0)
    assert "are needed" in fails("train.generate", tiny_run, "--data", tiny_data, *out, "--n-future", 99)
    inside = ["--out", tiny_data / "test" / "futures"]
    assert "inside the data set" in fails("train.generate", tiny_run, "--data", tiny_data, *inside)
    assert not (tmp_path / "out").exists()
