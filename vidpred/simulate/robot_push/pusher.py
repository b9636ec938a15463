"""Commands that push objects about, and the clips that come of them."""

from typing import NamedTuple

import numpy as np

from vidpred.simulate.engine import SPLIT_NUMBERS
from vidpred.simulate.robot_push.scene import REACH_HIGH, REACH_LOW, SHAPES, TABLE_CENTRE, Scene, draw_scene
from vidpred.simulate.robot_push.simulation import RobotSimulation

SIMULATOR_VERSION = 1  # raised whenever the same seed would give other bytes
PLANS = 4000  # that are drawn, so that several hundred of them fit a context of two frames
PERCEIVED = 0.003  # metres a frame: a third of a pixel


class RandomPusher:
    """Commands for the arm: from waypoint to waypoint, mostly low over the table and mostly through an object."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._velocity = np.zeros(3)
        self._finger = float(rng.integers(2))
        self._waypoint: np.ndarray | None = None
        self._patience = 0

    def _plan(self, position: np.ndarray, objects: dict[str, np.ndarray]) -> None:
        rng = self._rng
        low = TABLE_CENTRE[2] + rng.uniform(0.03, 0.045)
        height = low if rng.random() < 0.8 else rng.uniform(low, REACH_HIGH[2])
        if rng.random() < 0.75:
            target = objects[SHAPES[rng.integers(len(SHAPES))]][:2]
            away = target - position[:2]
            beyond = target + away / (np.linalg.norm(away) + 1e-6) * rng.uniform(0.05, 0.15)
            goal = beyond + rng.normal(0.0, 0.015, 2)
        else:
            goal = rng.uniform(REACH_LOW[:2], REACH_HIGH[:2])
        self._waypoint = np.clip([*goal, height], REACH_LOW, REACH_HIGH)
        self._speed = rng.uniform(0.028, 0.046)  # metres per frame
        self._patience = 10  # frames; the way may be blocked
        if rng.random() < 0.25:
            self._finger = 1.0 - self._finger

    def __call__(self, position: np.ndarray, objects: dict[str, np.ndarray]) -> np.ndarray:
        """(4,) float32; `position` (3,) of the gripper, `objects` their centres."""
        self._patience -= 1
        if self._waypoint is None or self._patience < 0 or np.linalg.norm(self._waypoint - position) < 0.03:
            self._plan(position, objects)
        way = self._waypoint - position
        wanted = way / (np.linalg.norm(way) + 1e-6) * self._speed
        self._velocity = 0.4 * self._velocity + 0.6 * wanted
        return np.array([*self._velocity, self._finger], np.float32)


class SimulatedClip(NamedTuple):
    """`frames` uint8 (T, H, W, 3); `actions` float32 (T, 4), row t applied between frames t and t + 1; `positions`
    float32 (T, 3), the gripper at frame t in metres."""

    frames: np.ndarray
    actions: np.ndarray
    positions: np.ndarray
    scene: Scene


def simulate_clip(
    simulator: RobotSimulation, seed: int, split: str, index: int, n_frames: int = 30, size: int = 64
) -> SimulatedClip:
    """Clip `index` of a split: a function of (seed, split, index) alone, whatever the simulator did before."""
    key = (seed, SPLIT_NUMBERS[split], index)
    rng = np.random.default_rng(key)
    scene = draw_scene(rng, key)
    simulator.reset(scene)
    pusher = RandomPusher(rng)
    frames, actions, positions = [], [], []
    for t in range(n_frames):
        frames.append(simulator.render(size))
        positions.append(simulator.position)
        actions.append(pusher(simulator.position, simulator.object_positions()))
        if t + 1 < n_frames:
            simulator.step(actions[-1])
    return SimulatedClip(np.stack(frames), np.stack(actions), np.array(positions, np.float32), scene)


def possible_futures(
    simulator: RobotSimulation,
    scene: Scene,
    actions: np.ndarray,
    n_future: int,
    samples: int,
    seed: int = 0,
) -> np.ndarray:
    """What could have followed the context as well: frames (samples, n_future, 64, 64, 3) uint8.

    The physics as it is, the arm's plan unknown. actions (n_past - 1, 4): those that the given frames show. Plans are
    drawn at random, and those whose commands are like these (a Gaussian of PERCEIVED about them) go on from there.
    """
    simulator.reset(scene)
    pushers = [RandomPusher(np.random.default_rng((seed, plan))) for plan in range(PLANS)]
    misfit = np.zeros(PLANS)
    for action in actions:
        seen = simulator.position, simulator.object_positions()
        commands = np.array([pusher(*seen) for pusher in pushers]) - action
        misfit += (commands[:, :3] ** 2).sum(1) / PERCEIVED**2 + 1e3 * (commands[:, 3] != 0)
        simulator.step(action)
    weights = np.exp(-(misfit - misfit.min()) / 2)
    chosen = np.random.default_rng(seed).choice(PLANS, samples, replace=False, p=weights / weights.sum())
    start, last_seen = simulator.state, (simulator.position, simulator.object_positions())
    futures = []
    for plan in chosen:
        simulator.restore(start)
        seen, frames = last_seen, []
        for _ in range(n_future):
            simulator.step(pushers[plan](*seen))
            seen = simulator.position, simulator.object_positions()
            frames.append(simulator.render())
        futures.append(np.stack(frames))
    return np.stack(futures)
