"""The page scores frames as vidpred.metrics does, and averages samples as vidpred.render does."""

import numpy as np
import pytest
import torch

from tests.explorer.export.javascript import result_of
from vidpred import metrics
from vidpred.explorer.ui.html_component import STATIC as UI
from vidpred.frames import to_float, to_uint8
from vidpred.render import mean_clip, spread_clip

N_PAST, SAMPLES = 2, 4
SCRIPT = """
const {size} = given, area = size.width * size.height, pictures = given.pictures.map(p => Uint8ClampedArray.from(p));
const frames = given.frames.map(frame => Float32Array.from(frame)), score = scorer(pictures, 2, size, given.protocol);
const {average, spread} = meanAndSpread(frames.map(frame => rgba(frame, area)));
return {
  scores: [...frames, floats(pictures[2])].map(frame => [2, 3, 4].map(t => score(t, frame))),
  mean: [...average], spread: [...spread], diversity: diversity(frames),
};
"""


@pytest.mark.parametrize(("protocol", "size"), [("finn", (64, 64)), ("joint", (32, 64))])
def test_scores_are_those_of_the_metrics(protocol, size):
    """Of samples, of the truth itself, and of a frame that is not known."""
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (N_PAST + 2, *size, 3), np.uint8)
    pictures[2] = pictures[1]
    pictures[2, 10:20, 10:30] ^= 64  # the scene moves here alone
    pictures[3] = pictures[1]  # and here nowhere
    frames = torch.rand(SAMPLES, 3, *size, generator=torch.Generator().manual_seed(0))
    values = {
        "pictures": np.pad(pictures, [(0, 0)] * 3 + [(0, 1)], constant_values=255).reshape(len(pictures), -1).tolist(),
        "frames": frames.flatten(1).tolist(),
        "size": {"width": size[1], "height": size[0]},
        "protocol": protocol,
    }
    found = result_of(UI / "scores.mjs", ["diversity", "floats", "meanAndSpread", "rgba", "scorer"], SCRIPT, values)
    truth = to_float(pictures)
    every = torch.cat([frames, truth[2:3]])[:, None].expand(-1, 2, -1, -1, -1)
    x, before = truth[2:].expand_as(every), truth[1:2].expand(len(every), 1, -1, -1, -1)
    expected = {
        "PSNR": metrics.psnr(every, x, protocol),
        "SSIM": metrics.ssim_finn(every, x),
        "Sharpness": metrics.sharpness(every, x, before),
    }
    for name, scores in expected.items():
        here = [[float(frame[name]) for frame in sample[:2]] for sample in found["scores"]]
        np.testing.assert_allclose(here, scores.numpy(), rtol=1e-9, err_msg=name)
    assert all(sample[2] is None for sample in found["scores"])
    assert np.isinf(expected["PSNR"][-1, 0]) and torch.isnan(expected["Sharpness"][:, 1]).all()

    levels = to_uint8(frames[:, None])
    for name, clip in (("mean", mean_clip(levels)), ("spread", spread_clip(levels))):
        assert np.array_equal(np.array(found[name]).reshape(*size, 4)[..., :3], clip[0]), name
    spread = metrics.sample_diversity(frames[:, None, None]).item()
    assert found["diversity"] == pytest.approx(spread, rel=1e-6)
