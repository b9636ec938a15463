"""Clips and settings of the training tests."""

from dataclasses import replace

import pytest

from vidpred.config import DanceDataConfig
from vidpred.data.batches import open_split


@pytest.fixture(scope="session")
def robot(tiny_data):
    """Training and validation split of the robot clips."""
    return [open_split(tiny_data, split) for split in ("train", "validate")]


@pytest.fixture(scope="session")
def dance(tiny_dance):
    """Training and validation split of the dance videos."""
    return [open_split(tiny_dance, split) for split in ("train", "validate")]


@pytest.fixture(scope="session")
def short_svg(tiny_settings):
    """Two epochs of two iterations on windows of three frames, for what does not depend on their length."""
    data = replace(tiny_settings.data, n_future=1)
    train = {"epochs": 2, "iterations_per_epoch": 2, "validation_clips": 1, "gif_every": 0, "kl_anneal": "none"}
    return replace(tiny_settings, data=data, train=replace(tiny_settings.train, **train))


@pytest.fixture(scope="session")
def short_pose(dance_settings):
    """All strategies, on windows of two frames."""
    data = DanceDataConfig(clip_length=2, val_length=3)
    return replace(dance_settings, data=data, train=replace(dance_settings.train, gif_every=0))
