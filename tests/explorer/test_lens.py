"""The latent lens says what z carries, honestly, and only where the truth is known."""

import numpy as np
import pytest

from tests.commands import ROOT
from vidpred.errors import BadInput
from vidpred.explorer.latents import analysis
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.prediction import predict_clip

FREE, INFORMED = "push-free-learned-cyclical", "push-learned-cyclical"


@pytest.fixture(scope="module")
def bundled():
    return Library([ROOT / "assets" / "runs"], [ROOT / "assets" / "data" / "robot_push"])


@pytest.fixture(scope="module")
def clip(bundled):
    return bundled.clips_for(FREE)[0]


@pytest.fixture(scope="module")
def found(bundled, clip):
    return analysis.look(bundled, FREE, clip, 0)


def line(plot, panel, name):
    (curve,) = [c for c in plot.panels[panel].lines if c.name == name]
    return list(curve.y)


def test_its_curves_are_those_of_the_clip(bundled, clip, found):
    assert found.kld.shape == (11, 16)
    assert line(found.gaussians, 0, "all dimensions") == pytest.approx(found.kld.sum(1).tolist())
    assert found.dimensions == np.argsort(-found.kld.mean(0)).tolist()
    samples = predict_clip(bundled, FREE, clip, 0, 1.0, 10, 2, 20).futures[0].scores["PSNR"][:20].mean(1)
    best = list(found.best.panels[0].lines[0].y)
    assert best == [pytest.approx(max(samples[: n + 1])) for n in range(20)]
    assert line(found.sources, 0, "prior") == pytest.approx(
        predict_clip(bundled, FREE, clip, 0, 1.0, 10, 2, 1).futures[0].scores["PSNR"][0].tolist(), abs=1e-3
    )


def test_a_collapsed_posterior_is_said(bundled, clip, found):
    assert "collapsed" not in found.note
    assert "The posterior has collapsed" in analysis.look(bundled, INFORMED, clip, 0).note


def test_the_heat_map_shows_every_step_and_dimension(found):
    picture = analysis.heat_map(found.kld)
    assert picture.shape == (16 * analysis.HEAT_SIDE, 11 * analysis.HEAT_SIDE, 3)
    step, dimension = np.unravel_index(found.kld.argmax(), found.kld.shape)
    half = analysis.HEAT_SIDE // 2
    assert picture[dimension * analysis.HEAT_SIDE + half, step * analysis.HEAT_SIDE + half].tolist() == [255, 255, 255]


def test_a_traversal_is_a_row_of_moving_tiles(bundled, clip, found):
    shown = analysis.traversal(bundled, FREE, clip, found.dimensions[0])
    assert [tile.label for tile in shown.tiles] == ["Truth", "-3 sigma", "-1.5 sigma", "mean", "+1.5 sigma", "+3 sigma"]
    truth, *pushed = [tile.clips[0] for tile in shown.tiles]
    for clip_pushed in pushed:
        assert np.array_equal(clip_pushed[:2], truth[:2])
    assert not np.array_equal(pushed[0], pushed[-1])


@pytest.mark.parametrize("dimension", [-1, 16, 0.5, None, float("nan")])
def test_a_dimension_that_is_not_there_is_refused(bundled, clip, dimension):
    with pytest.raises(BadInput, match="dimension"):
        analysis.traversal(bundled, FREE, clip, dimension)


def test_without_truth_there_is_nothing_to_infer(dance_run, tiny_dance, tmp_path):
    import shutil

    shutil.copytree(tiny_dance, tmp_path / "d", ignore=shutil.ignore_patterns("test_truth", ".packed"))
    library = Library([dance_run], [tmp_path / "d"])
    test = next(name for name in library.clips if "test" in name)
    with pytest.raises(BadInput, match="true frames"):
        analysis.look(library, dance_run.name, test, 0)
    found = analysis.look(library, dance_run.name, next(name for name in library.clips if "val" in name), 0)
    assert found.kld.shape == (11, 4)
