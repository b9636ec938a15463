"""The analysis says what z carries, honestly, and only where the truth is known."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from vidpred import runs
from vidpred.errors import BadInput
from vidpred.explorer.latents import analysis
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.prediction import predict_clip


@pytest.fixture(scope="module")
def free(bundled):
    """A run whose z carries something."""
    return bundled.run("push-free-learned-cyclical")


@pytest.fixture(scope="module")
def clip(bundled, free):
    return bundled.clips_for(free)[0]


@pytest.fixture(scope="module")
def found(bundled, free, clip):
    return analysis.analyse(bundled, free, clip, 0)


def line(plot, panel, name):
    (curve,) = [c for c in plot.panels[panel].lines if c.name == name]
    return list(curve.y)


def test_its_curves_are_those_of_the_clip(bundled, free, clip, found):
    assert found.kld.shape == (11, 16)
    assert line(found.gaussians, 0, "all dimensions") == pytest.approx(found.kld.sum(1).tolist())
    assert found.dimensions == np.argsort(-found.kld.mean(0)).tolist()
    samples = predict_clip(bundled, free, clip, samples=20).futures[0].scores["PSNR"][:20]
    best = list(found.best.panels[0].lines[0].y)
    assert best == [pytest.approx(max(samples[: n + 1].mean(1))) for n in range(20)]
    assert line(found.sources, 0, "prior") == pytest.approx(samples[0].tolist(), abs=1e-3)


def test_a_collapsed_posterior_is_said(bundled, clip, found):
    assert "collapsed" not in found.note
    note = analysis.analyse(bundled, bundled.run("push-learned-cyclical"), clip, 0).note
    assert "The posterior has collapsed" in note


def test_the_heat_map_shows_every_step_and_dimension(found):
    picture = analysis.heat_map(found.kld)
    assert picture.shape == (16 * analysis.HEAT_SIDE, 11 * analysis.HEAT_SIDE, 3)
    step, dimension = np.unravel_index(found.kld.argmax(), found.kld.shape)
    half = analysis.HEAT_SIDE // 2
    assert picture[dimension * analysis.HEAT_SIDE + half, step * analysis.HEAT_SIDE + half].tolist() == [255, 255, 255]


def test_a_traversal_is_a_row_of_moving_tiles(bundled, free, clip, found):
    display = analysis.traversal(bundled, free, clip, found.dimensions[0])
    labels = ["Truth", "-3 sigma", "-1.5 sigma", "mean", "+1.5 sigma", "+3 sigma"]
    assert [tile.label for tile in display.tiles] == labels
    truth, *pushed = [tile.clips[0] for tile in display.tiles]
    for frames in pushed:
        assert np.array_equal(frames[:2], truth[:2])
    assert not np.array_equal(pushed[0], pushed[-1])


@pytest.mark.parametrize("dimension", [-1, 16, 0.5, None, float("nan")])
def test_a_dimension_that_is_not_there_is_refused(bundled, free, clip, dimension):
    with pytest.raises(BadInput, match="dimension"):
        analysis.traversal(bundled, free, clip, dimension)


def test_a_run_may_be_trained_with_more_context_than_a_visitor_may_ask_for(tiny_run, tiny_data, tmp_path):
    config = runs.read_config(shutil.copytree(tiny_run, tmp_path / "long"))
    runs.write_config(tmp_path / "long", replace(config, data=replace(config.data, n_past=12, n_future=3)), {})
    library = Library([tmp_path], [tiny_data])
    run = library.run("long")
    assert analysis.analyse(library, run, library.clips_for(run)[0], 0).kld.shape[0] == 14
    assert analysis.traversal(library, run, library.clips_for(run)[0], 0).n_past == 12


def test_without_truth_there_is_nothing_to_infer(dance_run, tiny_dance, tmp_path):
    shutil.copytree(tiny_dance, tmp_path / "d", ignore=shutil.ignore_patterns("test_truth", ".packed"))
    library = Library([dance_run], [tmp_path / "d"])
    run = library.run(dance_run.name)
    with pytest.raises(BadInput, match="true frames"):
        analysis.analyse(library, run, library.clip("test/0"), 0)
    assert "test/0" not in [clip.name for clip in analysis.clips_for(library, run)]
    assert analysis.analyse(library, run, library.clip("validate"), 0).kld.shape == (11, 4)


def test_all_test_clips_stand_beside_this_one(bundled, free, clip, found):
    """From eval.json; a run without it, or with a damaged one, has this clip alone."""
    result = free.evaluation
    assert f"Over all 32 test clips, PSNR with z posterior {result.z_from['posterior']:.1f}, prior " in found.note
    assert "other conditions" not in found.note  # nothing is known of its steps
    curves = {curve.name: list(curve.y) for curve in found.best.panels[0].lines}
    assert curves["all test clips"] == result.psnr_best_of and len(result.psnr_best_of) == 20
    told = analysis.analyse(bundled, bundled.run("push-learned-cyclical"), clip, 0).note
    assert "With other conditions than the true ones (26.7 dB): shuffled " in told
    damaged = replace(free, evaluation=replace(result, z_from={}, psnr_best_of=[]))
    bare = analysis.analyse(bundled, damaged, clip, 0)
    assert "Over all" not in bare.note and [curve.name for curve in bare.best.panels[0].lines] == ["this clip"]
