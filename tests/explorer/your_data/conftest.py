"""A run that knows no actions, runs of every kind in one library, and a film."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vidpred import render, runs
from vidpred.checkpoint import save_weights
from vidpred.explorer.runs.library import Library
from vidpred.models import build_model


@pytest.fixture(scope="session")
def free_run(tmp_path_factory, tiny_settings):
    """Untrained."""
    folder = tmp_path_factory.mktemp("runs") / "free"
    config = replace(tiny_settings, model=replace(tiny_settings.model, condition="none"))
    torch.manual_seed(0)
    save_weights(folder / runs.WEIGHTS, build_model(config.model))
    runs.write_config(folder, config, {})
    return folder


@pytest.fixture(scope="session")
def library(tiny_run, free_run, dance_run, tiny_data, tiny_dance):
    return Library([tiny_run, free_run, dance_run], [tiny_data, tiny_dance])


@pytest.fixture
def film(tmp_path):
    frames = np.repeat(np.arange(12, dtype=np.uint8) * 20, 80 * 100 * 3).reshape(12, 80, 100, 3)
    render.save_gif(tmp_path / "film.gif", frames)
    return tmp_path / "film.gif"
