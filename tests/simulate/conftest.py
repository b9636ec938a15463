"""The dance simulator, compiled once."""

import os

import pytest


@pytest.fixture(scope="session")
def stage():
    """Where it cannot run, its tests are skipped; in CI that is a failure."""
    from vidpred.errors import BadInput
    from vidpred.simulate.dance import Dance, DanceStage

    try:
        stage = DanceStage()
        stage.render(Dance.draw(0, "train", 0), 0)
    except BadInput as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
    with stage:
        yield stage
