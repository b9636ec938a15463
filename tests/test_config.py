"""Settings go to JSON and back, and nothing unknown or impossible gets in."""

import dataclasses
import json

import pytest

from vidpred import schedules
from vidpred.config import MODEL_KINDS, DataConfig, SVGConfig, TrainConfig, from_dict, model_from_dict, to_dict
from vidpred.errors import BadInput
from vidpred.presets import PRESETS, preset


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_survives_json(name):
    config = preset(name)
    values = json.loads(json.dumps(config.to_dict()))
    assert model_from_dict(values["model"]) == config.model
    assert from_dict(config.model.data_config, values["data"]) == config.data
    assert from_dict(TrainConfig, values["train"]) == config.train


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_s_schedules_make_sense(name):
    train = preset(name).train
    train = dataclasses.replace(train, iterations_per_epoch=train.iterations_per_epoch or 7)
    for epoch in range(train.epochs):
        assert 0 <= schedules.tfr_at(train, epoch) <= 1
        assert 0 <= schedules.beta_at(train, epoch * train.iterations_per_epoch) <= train.beta_max
        assert schedules.lr_at(train, epoch * train.iterations_per_epoch) > 0


def test_moments_of_the_conditions_survive_json():
    config = SVGConfig(condition_mean=(0.1,) * 7, condition_scale=(2.0,) * 7)
    assert model_from_dict(json.loads(json.dumps(to_dict(config)))) == config


@pytest.mark.parametrize(
    ("cls", "values", "named"),
    [
        (TrainConfig, {"learning_rate": 1.0}, "learning_rate"),
        (TrainConfig, {"lr": "0.1"}, "lr"),
        (TrainConfig, {"lr": True}, "lr"),
        (TrainConfig, {"lr": float("nan")}, "lr"),
        (TrainConfig, {"epochs": 1.5}, "epochs"),
        (TrainConfig, {"epochs": 0}, "epochs"),
        (TrainConfig, {"kl_anneal": "sawtooth"}, "kl_anneal"),
        (TrainConfig, {"tfr": 1.1}, "tfr"),
        (TrainConfig, {"batch_size": 0}, "batch_size"),
        (TrainConfig, {"kl_anneal_ratio": 0.0}, "kl_anneal_ratio"),
        (TrainConfig, {"kl_anneal": "calibrated", "kld_reduction": "length"}, "needs train.kld_reduction batch"),
        (TrainConfig, {"kl_anneal": "calibrated", "l1_weight": 0.1}, "needs train.l1_weight 0"),
        (TrainConfig, {"gradient_weight": -1.0}, "train.gradient_weight must not be negative"),
        (DataConfig, {"n_past": 0}, "n_past"),
        (SVGConfig, {"condition_mean": [1.0], "condition_scale": [1.0]}, "condition_mean"),
        (SVGConfig, {"condition_mean": 3}, "condition_mean"),
        (SVGConfig, {"width": -1}, "width"),
    ],
)
def test_bad_settings_are_named(cls, values, named):
    with pytest.raises(BadInput, match=named):
        from_dict(cls, values)


def test_unknown_kind_and_preset_are_named():
    with pytest.raises(BadInput, match="unknown kind 'gan'"):
        model_from_dict({"kind": "gan"})
    with pytest.raises(BadInput, match="unknown preset 'huge'"):
        preset("huge")


def test_settings_cannot_be_changed_in_passing():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().lr = 1.0


def test_the_reports_anneal_to_one_and_early_differs_in_the_decay_alone():
    late, early = preset("report-robot-learned-cyclical"), preset("report-robot-learned-cyclical-early")
    assert late.train.beta_max == 1.0
    assert late.model.learned_prior
    assert late.train.epochs * late.train.iterations_per_epoch == 160 * 600
    assert (late.train.tfr_decay_start, early.train.tfr_decay_start) == (60, 0)
    assert dataclasses.replace(early.train, tfr_decay_start=60) == late.train


@pytest.mark.parametrize("kind", MODEL_KINDS)
def test_every_family_says_how_it_differs(kind):
    """The same names on every family, so that nobody asks a model for its class."""
    model = MODEL_KINDS[kind]()
    assert model.kind == kind and model.family in model.summary
    assert model.psnr_protocol in {"finn", "joint"}
    assert model.condition in {"actions", "poses", "none"} and model.condition_mean == ()
    assert (model.learned_prior, model.prior_at_test) in {(False, "learned"), (False, "standard")}
    assert model.data_config().scored_length(5) <= model.data_config().scored_length(1000)


def test_a_batch_of_one_clip_is_for_models_that_can_normalise_it():
    """Free running, a step is a call of its own: pooled statistics of a vector are then those of one value as well."""
    for name in ("debug", "small", "tiny"):
        config = preset(name)
        for changes in ({"batch_size": 1}, {"batch_size": 4, "accumulation": 4}):
            changed = dataclasses.replace(config, train=dataclasses.replace(config.train, **changes))
            with pytest.raises(BadInput, match="batch normalisation needs two"):
                changed.require_two_clips()
    for name, changes in (("pose-debug", {}), ("small-free", {}), ("debug", {"norm_stats": "group"}),
                          ("debug", {"code": "map"}), ("debug", {"code": "map", "norm_stats": "pooled"})):  # fmt: skip
        config = preset(name)
        model = dataclasses.replace(config.model, **changes)
        train = dataclasses.replace(config.train, batch_size=1)
        dataclasses.replace(config, model=model, train=train).require_two_clips()


def test_dance_videos_may_be_shorter_than_asked_for_and_robot_clips_may_not():
    assert preset("pose").data.scored_length(12) == 12 and preset("pose").data.scored_length(1000) == 630
    assert preset("svg").data.scored_length(5) == 12
