"""The one simulation of all visitors."""

import numpy as np

from vidpred.explorer.drive.simulator import Physics


def test_it_starts_with_the_first_thing_that_is_asked_of_it(simulated):
    """Nobody has to warm it up before: in its one thread, that would wait for itself."""
    _, clip = simulated
    state = Physics().begin(clip.scene, clip.actions[:2]).result()
    assert np.allclose(state.gripper, clip.positions[2], atol=1e-6)
