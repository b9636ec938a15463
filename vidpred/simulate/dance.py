"""A figure that dances before a plain wall, and its skeleton: MuJoCo with the humanoid of gymnasium.

Of gymnasium only the XML of the humanoid is used; the package is never imported. Nothing is simulated in time: every
frame is a pose that is a function of (seed, split, sequence, frame), so that any frame can be made alone.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

import numpy as np

from vidpred.config import DANCE_SIZE
from vidpred.simulate.engine import (
    SPLIT_NUMBERS,
    PictureMaker,
    find_assets,
    load_mujoco,
    require_engine,
)
from vidpred.simulate.skeleton import draw_skeleton

SIMULATOR_VERSION = 1  # raised whenever the same seed would give other bytes

HEIGHT, WIDTH = DANCE_SIZE
FRAMES_PER_SECOND = 30
SCALE = 6  # by how much larger pictures are rendered

WAVES = 3  # sines per joint
JOINT_HERTZ = (0.10, 0.60)
TRAVEL_HERTZ = (0.05, 0.20)
TRAVEL = 0.75  # metres to either side
TURN = 60.0  # degrees to either side
LEAN = 6.0  # degrees

# Degrees. Inside the humanoid's own limits; left arm and leg are the right ones' mirror images. Arms stay so low that
# hands hardly rise above the head: the figure can then fill the picture's height.
JOINT_RANGES = {
    "abdomen_z": (-30, 30),
    "abdomen_y": (-20, 12),
    "abdomen_x": (-18, 18),
    "hip_x": (-24, 2),
    "hip_z": (-30, 15),
    "hip_y": (-60, 12),
    "knee": (-75, -2),
    "shoulder1": (-55, 50),
    "shoulder2": (-75, 35),
    "elbow": (-88, 25),
}
MIRRORED = ("shoulder1", "shoulder2")  # joints whose left angle has the other sign

COLOURS = {
    "torso1": (0.80, 0.16, 0.18),
    "uwaist": (0.80, 0.16, 0.18),
    "lwaist": (0.95, 0.90, 0.85),
    "butt": (0.16, 0.20, 0.48),
    "head": (0.93, 0.72, 0.56),
    "right_uarm1": (0.98, 0.62, 0.10),
    "right_larm": (0.98, 0.86, 0.25),
    "right_hand": (0.93, 0.72, 0.56),
    "left_uarm1": (0.08, 0.52, 0.28),
    "left_larm": (0.45, 0.80, 0.35),
    "left_hand": (0.93, 0.72, 0.56),
    "right_thigh1": (0.45, 0.14, 0.50),
    "right_shin1": (0.75, 0.35, 0.72),
    "right_foot": (0.15, 0.15, 0.16),
    "left_thigh1": (0.10, 0.30, 0.75),
    "left_shin1": (0.25, 0.62, 0.90),
    "left_foot": (0.15, 0.15, 0.16),
}

# Points that are a body's origin, and those that are a geom's centre.
BODY_POINTS = {
    f"{side}_{point}": f"{side}_{body}"
    for side in ("left", "right")
    for point, body in {"shoulder": "upper_arm", "elbow": "lower_arm", "hip": "thigh", "knee": "shin"}.items()
} | {"pelvis": "pelvis", "waist": "lwaist"}
GEOM_POINTS = {name: name for name in ("head", "left_hand", "right_hand", "left_foot", "right_foot")}

SCENE_XML = """
<mujoco>
  <include file="{assets}/humanoid.xml"/>
  <visual>
    <headlight ambient="0.55 0.55 0.55" diffuse="0.30 0.30 0.30" specular="0 0 0"/>
    <quality shadowsize="0" offsamples="0"/>
    <map znear="0.05" zfar="20"/>
  </visual>
  <worldbody>
    <light name="studio" directional="true" castshadow="false" dir="-1 0.4 -1" diffuse="0.3 0.3 0.3" specular="0 0 0"/>
    <camera name="front" pos="3 0 {height}" xyaxes="0 1 0 0 0 1" orthographic="true" fovy="{view}"/>
    <geom name="wall" type="box" pos="-2.1 0 0" size="0.1 9 9" rgba="0.78 0.80 0.82 1"/>
    <geom name="skirting" type="box" pos="-1.9 0 -1" size="0.1 9 1.03" rgba="0.45 0.43 0.40 1"/>
  </worldbody>
</mujoco>
"""
VIEW_HEIGHT = 1.84  # metres in the picture
FLOOR_MARGIN = 0.06  # metres in the picture below the feet
PIXELS_PER_METRE = HEIGHT / VIEW_HEIGHT


class Waves(NamedTuple):
    """Sums of sines, one per row; the absolute amplitudes of a row add up to 1."""

    amplitudes: np.ndarray
    hertz: np.ndarray
    phases: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, rows: int, hertz: tuple[float, float]) -> "Waves":
        """Frequencies are drawn evenly over their logarithm."""
        amplitudes = rng.uniform(0.5, 1.0, (rows, WAVES))
        return cls(
            amplitudes / amplitudes.sum(1, keepdims=True),
            np.exp(rng.uniform(*np.log(hertz), (rows, WAVES))),
            rng.uniform(0, 2 * np.pi, (rows, WAVES)),
        )

    def at(self, seconds: float) -> np.ndarray:
        """(rows,), each in [-1, 1]."""
        return (self.amplitudes * np.sin(2 * np.pi * self.hertz * seconds + self.phases)).sum(1)


@dataclass(frozen=True)
class Dance:
    """All that is random about a sequence."""

    joints: Waves
    travel: Waves  # sideways; turn; lean to a side; lean to the front

    @classmethod
    def draw(cls, seed: int, split: str, sequence: int) -> "Dance":
        """A function of (seed, split, sequence) alone."""
        rng = np.random.default_rng((seed, SPLIT_NUMBERS[split], sequence))
        return cls(Waves.draw(rng, len(joint_names()), JOINT_HERTZ), Waves.draw(rng, 4, TRAVEL_HERTZ))


def joint_names() -> list[str]:
    """The humanoid's hinges, in the order of the random numbers."""
    middle = [name for name in JOINT_RANGES if name.startswith("abdomen")]
    return middle + [f"{side}_{name}" for side in ("right", "left") for name in JOINT_RANGES if name not in middle]


def joint_range(name: str) -> tuple[float, float]:
    """Lowest and highest angle of a hinge, degrees."""
    side, _, part = name.partition("_")
    low, high = JOINT_RANGES[name if name in JOINT_RANGES else part]
    return (-high, -low) if side == "left" and part in MIRRORED else (low, high)


def find_humanoid() -> Path:
    """The folder of gymnasium's MuJoCo models."""
    return find_assets("gymnasium", "envs/mujoco/assets", "humanoid.xml")


def require_simulator() -> None:
    """Raises BadInput, with the line to install, when dances cannot be rendered here."""
    find_humanoid()
    require_engine()


class DanceStage:
    """The humanoid, the wall and the camera. Usable as a context manager; any thread may call it, one at a time."""

    def __init__(self) -> None:
        require_simulator()
        mujoco = load_mujoco()
        self._mujoco = mujoco
        self._model = mujoco.MjModel.from_xml_string(
            SCENE_XML.format(
                assets=escape(str(find_humanoid()), {'"': "&quot;"}),
                height=VIEW_HEIGHT / 2 - FLOOR_MARGIN,
                view=VIEW_HEIGHT,
            )
        )
        self._dress()
        self._data = mujoco.MjData(self._model)
        joints = [self._model.joint(name) for name in joint_names()]
        self._addresses = [joint.qposadr[0] for joint in joints]
        low, high = np.radians([joint_range(name) for name in joint_names()]).T
        self._middle, self._swing = (low + high) / 2, (high - low) / 2
        self._pictures = PictureMaker(mujoco, self._model)

    def _dress(self) -> None:
        model = self._model
        model.geom_matid[:] = -1  # plain colours instead of the asset's textures
        for name, colour in COLOURS.items():
            model.geom(name).rgba[:3] = colour
        model.geom("floor").rgba[3] = 0.0  # seen edge-on
        model.light_active[:] = 0
        model.light("studio").active[:] = 1

    def pose(self, dance: Dance, frame: int) -> None:
        """Puts the figure where it is at a frame, its lowest point on the floor."""
        seconds = frame / FRAMES_PER_SECOND
        place, turn, side, front = dance.travel.at(seconds)
        qpos = self._data.qpos
        qpos[self._addresses] = self._middle + self._swing * dance.joints.at(seconds)
        qpos[:3] = [0, place * TRAVEL, 0]
        qpos[3:7] = quaternion(np.radians(turn * TURN), np.radians(side * LEAN), np.radians(front * LEAN))
        self._mujoco.mj_kinematics(self._model, self._data)
        qpos[2] = -self._figure_low()
        self._mujoco.mj_kinematics(self._model, self._data)
        self._mujoco.mj_camlight(self._model, self._data)

    def _figure_low(self) -> float:
        """Height of the figure's lowest point, metres: its parts are capsules and spheres."""
        model, data = self._model, self._data
        parts = np.flatnonzero(model.geom_bodyid > 0)
        half = np.where(model.geom_type[parts] == self._mujoco.mjtGeom.mjGEOM_CAPSULE, model.geom_size[parts, 1], 0.0)
        ends = data.geom_xpos[parts, 2] - half * np.abs(data.geom_xmat[parts, 8])
        return float((ends - model.geom_size[parts, 0]).min())

    def points(self) -> dict[str, np.ndarray]:
        """The skeleton's points in the world, (3,), metres."""
        data = self._data
        points = {name: data.body(body).xpos.copy() for name, body in BODY_POINTS.items()}
        points |= {name: data.geom(geom).xpos.copy() for name, geom in GEOM_POINTS.items()}
        points["neck"] = (points["left_shoulder"] + points["right_shoulder"]) / 2
        return points

    def frame(self) -> np.ndarray:
        """The picture of the pose, uint8 (32, 64, 3)."""
        return self._pictures.render(self._data, "front", HEIGHT, WIDTH, SCALE)

    def skeleton(self) -> np.ndarray:
        """The pose picture, uint8 (32, 64, 3)."""
        points = self.points()
        places = {name: project(point) for name, point in points.items()}
        return draw_skeleton(places, {name: point[0] for name, point in points.items()})

    def render(self, dance: Dance, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Picture and pose picture of a frame, each uint8 (32, 64, 3)."""
        self.pose(dance, frame)
        return self.frame(), self.skeleton()

    def close(self) -> None:
        """Frees the renderer; the interpreter's end does it too."""
        self._pictures.close()

    def __enter__(self) -> "DanceStage":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def project(point: np.ndarray) -> tuple[float, float]:
    """x and y in the picture (pixels, from its upper left corner) of a place in the world (metres).

    The camera looks along -x, from so far away that nothing gets smaller by distance.
    """
    x = WIDTH / 2 + point[1] * PIXELS_PER_METRE
    y = HEIGHT - (point[2] + FLOOR_MARGIN) * PIXELS_PER_METRE
    return float(x), float(y)


def quaternion(yaw: float, roll: float, pitch: float) -> np.ndarray:
    """(4,) of a turn about z, after one about x, after one about y; radians."""
    (cz, cx, cy), (sz, sx, sy) = np.cos([yaw / 2, roll / 2, pitch / 2]), np.sin([yaw / 2, roll / 2, pitch / 2])
    w, x, y, z = cx * cy, sx * cy, cx * sy, sx * sy  # about x after y
    return np.array([cz * w - sz * z, cz * x - sz * y, cz * y + sz * x, cz * z + sz * w])
