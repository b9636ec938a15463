"""Drives of the tiny run, and a clip that was simulated."""

import pytest

from vidpred.data.robot_push import write_clip
from vidpred.explorer.drive.session import Drives
from vidpred.explorer.drive.simulator import Physics
from vidpred.simulate.robot_push.pusher import simulate_clip


@pytest.fixture
def run(library):
    return library.run("tiny")


@pytest.fixture
def clip(library):
    return library.clip("traj_0_to_255/2")


@pytest.fixture
def drives(library):
    return Drives(library, Physics())


@pytest.fixture
def drive(drives, run, clip):
    return drives.begin(run, clip, 3, 1.0)[1]


@pytest.fixture(scope="session")
def simulated(simulator, tmp_path_factory):
    """Folder of a simulated clip, and the clip."""
    root, clip = tmp_path_factory.mktemp("simulated"), simulate_clip(simulator, 5, "test", 0, n_frames=12)
    extra = {"simulation.json": {"scene": clip.scene.to_dict()}}
    write_clip(root / "test" / "a" / "1", clip.frames, clip.actions, clip.positions, extra)
    return root, clip
