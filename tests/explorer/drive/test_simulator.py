"""The simulator's scenes and camera."""

import math

import numpy as np
import pytest

from vidpred.explorer.drive.simulator import camera, scene_of


def test_the_camera_sees_the_gripper_where_the_picture_shows_it(simulator):
    """Against the engine's own camera."""
    data, model = simulator._data, simulator._model
    index = model.camera("front").id
    own, place = camera(), np.array([1.35, 0.70, 0.45])
    assert own.place == pytest.approx(data.cam_xpos[index], abs=1e-6)
    right, up, back = data.cam_xmat[index].reshape(3, 3).T @ (place - data.cam_xpos[index])
    half = math.tan(math.radians(model.cam_fovy[index]) / 2)
    assert own.pixel(place) == pytest.approx([0.5 - right / back / half / 2, 0.5 + up / back / half / 2], abs=1e-6)


def test_only_simulated_clips_have_a_scene(simulated, tiny_data, tmp_path):
    assert scene_of(simulated[0] / "test" / "a" / "1") == simulated[1].scene
    assert scene_of(tiny_data / "test" / "traj_0_to_255" / "1") is None
    for text in ("", "{}", "[1]", '{"scene": {"objects": 3}}'):
        (tmp_path / "simulation.json").write_text(text)
        assert scene_of(tmp_path) is None
