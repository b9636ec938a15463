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
from vidpred.explorer.ui.heat_map import heat_map_value


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
    assert found.kld.shape == (11, 4)
    assert line(found.gaussians, 0, "all channels") == pytest.approx(found.kld.sum(1).tolist())
    samples = predict_clip(bundled, free, clip, samples=20).futures[0].scores["PSNR"][:20]
    best = list(found.best.panels[0].lines[0].y)
    assert len(best) == 20 and best == sorted(best)
    assert (best[0], best[-1]) == (pytest.approx(samples.mean()), pytest.approx(samples.mean(1).max()))
    assert line(found.sources, 0, "prior") == pytest.approx(samples[0].tolist(), abs=1e-3)


ORDER = ("posterior", "prior", "zero", "shuffled")


def test_a_collapsed_posterior_is_said(bundled, clip, found):
    assert "collapsed" not in found.note
    note = analysis.analyse(bundled, bundled.run("push-learned-cyclical"), clip, 0).note
    assert "The posterior has collapsed" in note and "What is known about each step" in note
    blind = analysis._note(0.001, [0.0, 0.001], {name: np.ones(3) for name in ORDER}, np.ones(2), "dimension", False)
    assert "What is known about each step" not in blind and "What is to come is not known here" in blind


def test_the_heat_map_holds_every_step_and_dimension(found):
    value = heat_map_value(found.kld, "dimension of z", "step", "nats", 1)
    assert np.shape(value["values"]) == (4, 11)  # a row per channel
    assert np.allclose(value["values"], found.kld.T, atol=1e-4)
    assert value["top"] == found.kld.max()
    assert heat_map_value(np.zeros((3, 2)), "", "", "", 1)["top"] > 0


def test_pictures_for_each_source_of_z_score_what_the_curves_say(bundled, free, clip, found):
    truth, *tiles = found.pictures.tiles
    assert [tile.label for tile in tiles] == ["posterior", "prior", "zero", "shuffled"]
    for tile in tiles:
        assert np.array_equal(tile.clips[0][:2], truth.clips[0][:2])
        assert tile.scores["PSNR"][0] == line(found.sources, 0, tile.label)
    sample = predict_clip(bundled, free, clip, samples=1).futures[0].samples[0]
    assert np.abs(tiles[1].clips[0].astype(int) - sample).max() <= 1  # the prior's is Predict's sample 0
    assert len({tile.clips[0].tobytes() for tile in tiles}) == 4


def test_dimensions_that_carry_most_come_first(found):
    menu = analysis.dimension_menu(found.kld, "dimension")
    assert [d for _, d in menu] == np.argsort(-found.kld.mean(0)).tolist()
    assert menu[0][0] == f"dimension {menu[0][1]} · {found.kld[:, menu[0][1]].mean():.2f} nats per step"


def test_a_traversal_is_a_row_of_moving_tiles(bundled, free, clip, found):
    display = analysis.traversal(bundled, free, clip, int(found.kld.mean(0).argmax()))
    labels = ["-3 sigma", "-1.5 sigma", "mean", "+1.5 sigma", "+3 sigma"]
    changes = [f"change, {label}" for label in labels if label != "mean"]
    assert [tile.label for tile in display.tiles] == ["Truth", *labels, *changes]
    truth, *pushed = [tile.clips[0] for tile in display.tiles[:6]]
    far = display.tiles[-1].clips[0]
    assert not far[:2].any()  # the given frames are the same
    assert np.abs(far[..., 0] - np.abs(pushed[-1].astype(float) - pushed[2]).mean(-1)).max() <= 0.5
    for frames in pushed:
        assert np.array_equal(frames[:2], truth[:2])
    assert not np.array_equal(pushed[0], pushed[-1])


@pytest.mark.parametrize("dimension", [-1, 4, 0.5, None, float("nan")])
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


def test_a_long_future_is_looked_into_with_fewer_samples(bundled, free, clip, monkeypatch):
    """As many as can be predicted in one go: the tab has no field for them."""
    for module in ("run", "prediction"):
        monkeypatch.setattr(f"vidpred.explorer.runs.{module}.MAX_FRAMES", 72)
    monkeypatch.setattr(analysis, "MAX_FRAMES", 72)
    assert len(analysis.analyse(bundled, free, clip, 0).best.panels[0].lines[0].y) == 7
    assert free.own_samples == 7  # of the first view of a prediction, too


def test_without_truth_there_is_nothing_to_infer(dance_run, tiny_dance, tmp_path):
    shutil.copytree(tiny_dance, tmp_path / "d", ignore=shutil.ignore_patterns("test_truth", ".packed"))
    library = Library([dance_run], [tmp_path / "d"])
    run = library.run(dance_run.name)
    with pytest.raises(BadInput, match="true frames"):
        analysis.analyse(library, run, library.clip("test/0"), 0)
    assert "test/0" not in [clip.name for clip in library.clips_for(run, known=True)]
    assert analysis.analyse(library, run, library.clip("validate"), 0).kld.shape == (11, 4)


def test_all_test_clips_stand_beside_this_one(bundled, free, clip, found):
    """From eval.json; a run without it, or with a damaged one, has this clip alone."""
    result = free.evaluation
    assert f"Over all 32 test clips, PSNR with z posterior {result.z_from['posterior']:.1f}, prior " in found.note
    assert "other conditions" not in found.note  # nothing is known of its steps
    curves = {curve.name: list(curve.y) for curve in found.best.panels[0].lines}
    assert curves["32 test clips"] == result.psnr_best_of and len(result.psnr_best_of) == 100
    told = analysis.analyse(bundled, bundled.run("push-learned-cyclical"), clip, 0).note
    assert "With other conditions than the true ones (28.6 dB): shuffled " in told
    dancer = bundled.run("dance-cyclical").evaluation
    assert [line.name for line in analysis._best_of([20.0, 21.0], dancer).panels[0].lines] == [
        "this clip",
        "1 validate clip",
    ]
    damaged = replace(free, evaluation=replace(result, z_from={}, psnr_best_of=[]))
    bare = analysis.analyse(bundled, damaged, clip, 0)
    assert "Over all" not in bare.note and [curve.name for curve in bare.best.panels[0].lines] == ["this clip"]
