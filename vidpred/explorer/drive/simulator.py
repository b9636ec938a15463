"""The true physics beside a driven model: one simulator for all visitors, put back to each one's own moment."""

import concurrent.futures
import json
import math
import threading
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from vidpred.config import IMAGE_SIZE
from vidpred.errors import BadInput
from vidpred.simulate.robot_push import SCENE_XML, RobotPush, Scene, draw_scene, require_simulator

SIMULATION = "simulation.json"  # beside a simulated clip's frames


class Snapshot(NamedTuple):
    """All that a step depends on, as values."""

    scene: Scene
    state: np.ndarray
    place: np.ndarray  # of the gripper, as the engine last saw it: half a millimetre behind the state's
    target: np.ndarray


class Seen(NamedTuple):
    """What the simulator shows after an action: frame (H, W, 3) uint8, the gripper's position (3,)."""

    frame: np.ndarray
    position: np.ndarray
    after: Snapshot


class Twin(RobotPush):
    """The simulator with moments that can be taken again, to the bit."""

    def reset(self, scene: Scene) -> None:
        super().reset(scene)
        self._scene = scene

    def snapshot(self) -> Snapshot:
        """This moment."""
        kind = self._mujoco.mjtState.mjSTATE_INTEGRATION
        state = np.empty(self._mujoco.mj_stateSize(self._model, kind))
        self._mujoco.mj_getState(self._model, self._data, state, kind)
        return Snapshot(self._scene, state, self.position, self._target.copy())

    def put_back(self, moment: Snapshot) -> None:
        """Go on from that moment."""
        if getattr(self, "_scene", None) is not moment.scene:
            self.reset(moment.scene)  # masses, frictions and colours
        self._mujoco.mj_setState(self._model, self._data, moment.state, self._mujoco.mjtState.mjSTATE_INTEGRATION)
        self._data.site("robot0:grip").xpos[:] = moment.place
        self._target = moment.target.copy()


class Physics:
    """The one simulator, in a thread of its own: made when first asked for, which takes seconds."""

    def __init__(self):
        self._pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="physics")
        self._lock = threading.Lock()
        self._made: concurrent.futures.Future | None = None

    def warm_up(self) -> concurrent.futures.Future:
        """Begin to make the simulator, once."""
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
        """The moment after the actions (T, 4) from the scene's start: a Snapshot, later."""
        return self._pool.submit(self._begin, scene, actions)

    def play(self, moment: Snapshot, actions: np.ndarray, size: int) -> concurrent.futures.Future:
        """What is seen after each of the actions (T, 4): list[Seen], later."""
        return self._pool.submit(self._play, moment, actions, size)

    def _begin(self, scene: Scene, actions: np.ndarray) -> Snapshot:
        twin = self.warm_up().result()
        twin.reset(scene)
        for action in actions:
            twin.step(action)
        return twin.snapshot()

    def _play(self, moment: Snapshot, actions: np.ndarray, size: int) -> list[Seen]:
        twin = self.warm_up().result()
        twin.put_back(moment)
        seen = []
        for action in actions:
            twin.step(action)
            seen.append(Seen(twin.render(size), twin.position, twin.snapshot()))
        return seen


def _make() -> Twin:
    require_simulator()
    twin = Twin()
    twin.reset(draw_scene(np.random.default_rng(0), (0, 0, 0)))
    twin.render(IMAGE_SIZE)  # the first picture takes a second
    return twin


def scene_of(clip: Path) -> Scene | None:
    """The scene of a simulated clip's folder; None for other clips."""
    try:
        return Scene.from_dict(json.loads((clip / SIMULATION).read_text())["scene"])
    except (OSError, ValueError, KeyError, TypeError, BadInput):
        return None


class Camera(NamedTuple):
    """Where a simulated clip was filmed from: place (3,), rows of axes to the right, up and backwards, and the tangent
    of half the field of view."""

    place: np.ndarray
    axes: np.ndarray
    half: float

    def pixel(self, position: np.ndarray) -> list[float]:
        """Where a point of the world lies in the picture: shares of its width and height from the top left."""
        right, up, back = self.axes @ (np.asarray(position, float) - self.place)
        return [float(0.5 - right / back / self.half / 2), float(0.5 + up / back / self.half / 2)]


def camera() -> Camera:
    """The camera of the simulator's scene."""
    found = ElementTree.fromstring(SCENE_XML).find(".//camera[@name='front']")
    axes = np.array(found.get("xyaxes").split(), float).reshape(2, 3)
    right, up = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    half = math.tan(math.radians(float(found.get("fovy"))) / 2)
    return Camera(np.array(found.get("pos").split(), float), np.stack([right, up, np.cross(right, up)]), half)
