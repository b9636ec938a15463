"""The training that the faults are done to."""

from dataclasses import replace

import pytest

from tests.trust.faults import BeforeOperation, in_process
from tests.trust.work import training
from vidpred.presets import preset


@pytest.fixture(scope="session")
def small_debug():
    """The debug preset in small, with all that a training writes."""
    start = preset("debug")
    switches = {
        **{"epochs": 3, "iterations_per_epoch": 2, "batch_size": 2, "validation_clips": 1, "kl_anneal": "none"},
        **{"gif_every": 3, "save_every": 1, "interpolate_every": 2, "plateau_patience": 2, "best_by": "both"},
    }
    return replace(start, data=replace(start.data, n_future=1), train=replace(start.train, **switches))


@pytest.fixture(scope="session")
def whole(small_debug, tiny_data, tmp_path_factory):
    """The run of a training that nothing happens to, and how many operations on files it takes."""
    folder = tmp_path_factory.mktemp("whole")
    count = BeforeOperation(folder / "run", 0, folder / "count.txt")
    ended = in_process(folder, training, folder / "run", small_debug, tiny_data, fault=count)
    assert ended.status == 0, ended.said
    return folder / "run", int((folder / "count.txt").read_text())
