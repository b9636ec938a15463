"""Libraries of tiny and of bundled runs, and the app that shows one tiny run."""

import math
import os
import shutil

import pytest

from tests.commands import ROOT
from tests.explorer.serving import served
from vidpred import runs

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"


@pytest.fixture(scope="session")
def library(tiny_run, tiny_data):
    from vidpred.explorer.runs.library import Library

    return Library([tiny_run], [tiny_data])


@pytest.fixture(scope="session")
def families(tiny_run, tiny_data, dance_run, tiny_dance):
    """A robot run and a dance run, with clips of both."""
    from vidpred.explorer.runs.library import Library

    return Library([tiny_run, dance_run], [tiny_data, tiny_dance])


@pytest.fixture
def two_runs(tiny_run, tiny_data, tmp_path):
    """The tiny run, and an older, longer one that lacks keys; a test may change both."""
    from vidpred.explorer.runs.library import Library

    shutil.copytree(tiny_run, tmp_path / "tiny")
    old = shutil.copytree(tiny_run, tmp_path / "old")
    rows = [{"epoch": i, "step": 3 * (i + 1), "kld": 1 + i % 7, "loss": 0.5} for i in range(5000)]
    for i in (10, 11, 4000):
        rows[i]["kld"] = math.nan
    runs.write_metrics(old, rows)
    return Library([tmp_path], [tiny_data])


@pytest.fixture(scope="session")
def bundled():
    """All that comes with the project."""
    from vidpred.explorer.runs.library import Library

    return Library(
        [ROOT / "assets" / "runs"], [ROOT / "assets" / "data" / name for name in ("robot_push", "bounce", "dance")]
    )


@pytest.fixture(scope="session")
def demo(library):
    from vidpred.explorer.page import build_demo

    return build_demo(library)


@pytest.fixture(scope="session")
def url(demo):
    """Address of the running app."""
    with served(demo) as address:
        yield address
