"""Fixtures that several test folders use."""

import os

import pytest


@pytest.fixture(scope="session")
def simulator():
    """The robot simulator. Where it cannot run, its tests are skipped; in CI that is a failure."""
    from vidpred.errors import BadInput
    from vidpred.simulate.robot_push import RobotPush, draw_scene, np

    try:
        simulator = RobotPush()
        simulator.reset(draw_scene(np.random.default_rng(0), (0, 0, 0)))
        simulator.render(64)
    except BadInput as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
    with simulator:
        yield simulator
