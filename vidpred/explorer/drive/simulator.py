"""The ground truth beside a driven model: one simulation for all visitors, started in the background."""

import concurrent.futures
import threading
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from vidpred.config import IMAGE_SIZE
from vidpred.simulate.robot_push.scene import Scene, draw_scene
from vidpred.simulate.robot_push.simulation import RobotSimulation, SimulationState, require_simulator


class Seen(NamedTuple):
    """What the simulation shows after an action: frame (H, W, 3) uint8, the gripper's position (3,)."""

    frame: np.ndarray
    position: np.ndarray
    after: SimulationState


class Physics:
    """The one simulation, in a thread of its own: made when first asked for, which takes seconds."""

    def __init__(self):
        self._pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="physics")
        self._lock = threading.Lock()
        self._made: concurrent.futures.Future | None = None

    def warm_up(self) -> concurrent.futures.Future:
        """Begin to make the simulation, once."""
        with self._lock:
            if self._made is None:
                self._made = self._pool.submit(_make)
            return self._made

    @property
    def starting(self) -> bool:
        """Whether it was asked for and is not there yet."""
        return not self.warm_up().done()

    @property
    def missing(self) -> str:
        """Why there is none: one line, empty where there is one or may still be."""
        made = self.warm_up()
        error = made.exception() if made.done() else None
        return "" if error is None else str(error)

    def begin(self, scene: Scene, actions: np.ndarray) -> concurrent.futures.Future:
        """The state after the actions (T, 4) from the scene's start: a SimulationState, later."""

        def run(simulation: RobotSimulation) -> SimulationState:
            simulation.reset(scene)
            for action in actions:
                simulation.step(action)
            return simulation.state

        return self._submit(run)

    def play(self, state: SimulationState, actions: np.ndarray, size: int) -> concurrent.futures.Future:
        """What is seen after each of the actions (T, 4): list[Seen], later."""

        def run(simulation: RobotSimulation) -> list[Seen]:
            simulation.restore(state)
            seen = []
            for action in actions:
                simulation.step(action)
                seen.append(Seen(simulation.render(size), simulation.position, simulation.state))
            return seen

        return self._submit(run)

    def _submit(self, run: Callable[[RobotSimulation], object]) -> concurrent.futures.Future:
        made = self.warm_up()  # queued before `run`: in the one thread, it would wait for itself
        return self._pool.submit(lambda: run(made.result()))


def _make() -> RobotSimulation:
    require_simulator()
    simulation = RobotSimulation()
    simulation.reset(draw_scene(np.random.default_rng(0), (0, 0, 0)))
    simulation.render(IMAGE_SIZE)  # the first picture takes a second
    return simulation
