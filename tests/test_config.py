"""Settings go to JSON and back, and nothing unknown or impossible gets in."""

import dataclasses
import json

import pytest

from vidpred import schedules
from vidpred.config import DataConfig, SVGConfig, TrainConfig, from_dict, model_from_dict, to_dict
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
