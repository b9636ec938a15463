"""What an action does to the gripper."""

import numpy as np
import pytest

from vidpred.config import ACTION_DIM
from vidpred.explorer.runs.gripper_model import fit_gripper_model, gripper_model_of
from vidpred.explorer.runs.library import Library


@pytest.fixture
def clip(library):
    return library.clip("traj_0_to_255/2")


def test_the_fit_is_what_moved_the_tiny_disc(library, clip):
    """Its clips push by 5 pixels for an action of 1, positions are in 64 pixels; the height never changes."""
    model = gripper_model_of(clip)
    position = library.read_clip(clip, 2).conditions[0, 1, ACTION_DIM:].numpy()
    assert model.gain == pytest.approx([5 / 64, 5 / 64, 0], abs=1e-4)
    assert model.fingers == (0.0, 0.0)
    assert model.opening(np.zeros(ACTION_DIM)) == 0.0
    assert model.command(position, [0, 0, 1], 1).tolist() == [0, 0, 0, 0]


def test_a_split_is_fitted_once(library, clip):
    assert gripper_model_of(library.clip("traj_0_to_255/3")) is gripper_model_of(clip)


def test_it_foretells_the_bundled_clips(request):
    root = request.config.rootpath / "assets" / "data" / "robot_push"
    library = Library([request.config.rootpath / "assets" / "runs"], [root])
    clips = [library.read_clip(clip, 30).conditions[0].numpy() for clip in library.clips.values()]
    model = fit_gripper_model(clips)
    assert model.gain == pytest.approx([1, 1, 1], abs=0.005)
    errors = [model.after(clip[t, 4:], clip[t, :4]) - clip[t + 1, 4:] for clip in clips for t in range(29)]
    assert np.median(np.abs(errors)) < 1e-4  # metres
    assert np.sqrt(np.mean(np.square(errors))) < 2e-3  # objects and walls stop the arm now and then


def test_at_the_edge_only_what_is_possible_is_commanded(clip):
    model = gripper_model_of(clip)
    corner = model.high.copy()
    assert model.command(corner, [1, 1, 0], 0)[:2] == pytest.approx([0, 0], abs=1e-6)
    inwards = model.command(corner, [-1, -0.5, 0], 0)
    assert inwards[:2] == pytest.approx([-model.strongest[0], -model.strongest[1] / 2], rel=1e-5)
    assert (model.after(corner, inwards) <= model.high).all()
