"""What the simulators share: nothing is imported before it is needed, and what is missing is named."""

import subprocess
import sys

import numpy as np
import pytest

from vidpred.errors import BadInput
from vidpred.simulate import dance, engine
from vidpred.simulate.robot_push import simulation


@pytest.mark.parametrize("name", ["robot_push.pusher", "dance"])
def test_importing_needs_no_simulator_package(name):
    code = (
        f"import sys, vidpred.simulate.{name};"
        "assert not {'mujoco', 'gymnasium_robotics', 'gymnasium', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_torch_can_be_loaded_after_the_renderer(stage):
    """triton, which an optimizer loads where it is installed, crashes when Mesa was there first."""
    code = (
        "from vidpred.simulate.dance import Dance, DanceStage; DanceStage().render(Dance.draw(0, 'test', 0), 0);"
        "import torch; torch.optim.Adam([torch.zeros(1, requires_grad=True)])"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("simulator", [simulation, dance])
def test_missing_packages_are_named(simulator, monkeypatch):
    for missing in ("mujoco", "gymnasium"):
        found = engine.importlib.util.find_spec
        with monkeypatch.context() as patch:
            patch.setattr(
                engine.importlib.util, "find_spec", lambda n, m=missing, f=found: None if n.startswith(m) else f(n)
            )
            with pytest.raises(BadInput, match=f"needs .*{missing}.*pip install"):
                simulator.require_simulator()


def test_missing_renderers_are_named(monkeypatch):
    tried = []

    def fail(*_, env, **__):
        tried.append(env["MUJOCO_GL"])
        return subprocess.CompletedProcess([], 1)

    monkeypatch.setattr(engine.subprocess, "run", fail)
    monkeypatch.setattr(engine.sys, "platform", "linux")
    monkeypatch.setenv("MUJOCO_GL", "egl")
    engine.choose_renderer()  # the user's choice is not questioned
    assert not tried
    monkeypatch.delenv("MUJOCO_GL")
    with pytest.raises(BadInput, match="apt-get install"):
        engine.choose_renderer()
    assert tried == ["egl", "osmesa"]


def test_averaging_takes_every_pixel_of_a_square_and_rounds_to_even():
    large = np.zeros((4, 6, 1), np.uint8)
    large[:2, :2, 0] = [[0, 1], [0, 1]]  # mean 0.5
    large[2:, 4:, 0] = [[255, 255], [255, 249]]  # mean 253.5
    large[:2, 2:4, 0] = [[0, 0], [0, 200]]
    assert engine.average_down(large, 2)[..., 0].tolist() == [[0, 50, 0], [0, 0, 254]]
