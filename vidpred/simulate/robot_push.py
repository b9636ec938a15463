"""A robot arm that pushes objects about a walled table: MuJoCo with the Fetch arm of gymnasium-robotics.

Of gymnasium-robotics only the asset files (meshes and the arm's XML) are used; the package is never imported.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

import numpy as np

from vidpred.errors import BadInput
from vidpred.simulate.engine import SPLIT_NUMBERS, PictureMaker, find_assets, load_mujoco, require_engine

SIMULATOR_VERSION = 1  # raised whenever the same seed would give other bytes

FRAME_SECONDS = 0.1
MAX_DISPLACEMENT = 0.05  # metres per frame and axis
TABLE_CENTRE = np.array([1.30, 0.75, 0.40])  # metres; z is the table's top
# What the gripper may reach, relative to the table's centre. The margin to the walls (at +-0.22 and +-0.27) lets an
# object fit between gripper and wall, so that nothing is ever crushed.
REACH_LOW = TABLE_CENTRE + [-0.15, -0.20, 0.03]
REACH_HIGH = TABLE_CENTRE + [0.15, 0.20, 0.16]

SHAPES = ("cube", "cylinder", "prism", "cross")
HEIGHTS = {"cube": 0.056, "cylinder": 0.05, "prism": 0.05, "cross": 0.044}  # metres
PALETTE = {
    "red": (0.86, 0.12, 0.12),
    "green": (0.10, 0.62, 0.22),
    "yellow": (0.98, 0.78, 0.06),
    "violet": (0.55, 0.20, 0.72),
    "orange": (0.98, 0.45, 0.05),
    "turquoise": (0.05, 0.68, 0.70),
}
LEAD_SECONDS = 0.058  # of the hand's target over the hand
SCENE_EXTENT = 3.0  # metres; the scale of clipping planes and of the shadow map
FINGER_RANGE = 0.05  # metres that each finger opens
OBJECT_RADIUS = 0.045  # metres; a circle that holds any of the objects

SCENE_XML = """
<mujoco>
  <compiler angle="radian" meshdir="{assets}/stls/fetch" texturedir="{assets}/textures"/>
  <option timestep="0.004" integrator="implicitfast"/>
  <visual>
    <headlight ambient="0.46 0.46 0.46" diffuse="0.24 0.24 0.24" specular="0 0 0"/>
    <quality shadowsize="512" offsamples="0"/>
    <map znear="0.02" zfar="10" shadowclip="0.4"/>
  </visual>
  <include file="{assets}/fetch/shared.xml"/>
  <asset>
    <mesh name="prism" vertex="0.044 0 -0.025 -0.022 0.0381 -0.025 -0.022 -0.0381 -0.025
                               0.044 0 0.025 -0.022 0.0381 0.025 -0.022 -0.0381 0.025"/>
  </asset>
  <default>
    <default class="object">
      <geom condim="4" priority="1" contype="3" conaffinity="3" solref="0.008 1" solimp="0.95 0.99 0.001"
            friction="0.5 0.005 0.0001"/>
      <joint damping="0.1"/>
    </default>
    <default class="scenery"><geom type="box" rgba="0.56 0.47 0.37 1" contype="0" conaffinity="0"/></default>
    <default class="limit"><geom type="plane" size="0 0 0.1" group="4" contype="2" conaffinity="2"/></default>
  </default>
  <worldbody>
    <include file="{assets}/fetch/robot.xml"/>
    <light directional="true" pos="1.7 0.35 2" dir="-0.32 0.28 -1" diffuse="0.36 0.36 0.34" specular="0 0 0"/>
    <camera name="front" pos="1.765 0.75 1.10" xyaxes="0 1 0 -0.82 0 0.57" fovy="39"/>
    <body name="table" pos="1.30 0.75 0.40">
      <geom class="scenery" pos="0 0 -0.2" size="0.6 0.6 0.2" rgba="0.78 0.74 0.67 1"/>
      <geom class="scenery" pos="0.235 0 0.015" size="0.015 0.30 0.015"/>
      <geom class="scenery" pos="-0.235 0 0.015" size="0.015 0.30 0.015"/>
      <geom class="scenery" pos="0 0.285 0.015" size="0.22 0.015 0.015"/>
      <geom class="scenery" pos="0 -0.285 0.015" size="0.22 0.015 0.015"/>
      <geom class="limit" zaxis="0 0 1"/>
      <geom class="limit" pos="0.22 0 0" zaxis="-1 0 0"/>
      <geom class="limit" pos="-0.22 0 0" zaxis="1 0 0"/>
      <geom class="limit" pos="0 0.27 0" zaxis="0 -1 0"/>
      <geom class="limit" pos="0 -0.27 0" zaxis="0 1 0"/>
    </body>
    <body name="cube"><joint name="cube" class="object" type="free"/>
      <geom class="object" type="box" size="0.028 0.028 0.028"/>
    </body>
    <body name="cylinder"><joint name="cylinder" class="object" type="free"/>
      <geom class="object" type="cylinder" size="0.033 0.025"/>
    </body>
    <body name="prism"><joint name="prism" class="object" type="free"/>
      <geom class="object" type="mesh" mesh="prism"/>
    </body>
    <body name="cross"><joint name="cross" class="object" type="free"/>
      <geom class="object" type="box" size="0.042 0.014 0.022"/>
      <geom class="object" type="box" pos="0 0.028 0" size="0.014 0.014 0.022"/>
      <geom class="object" type="box" pos="0 -0.028 0" size="0.014 0.014 0.022"/>
    </body>
  </worldbody>
  <actuator>
    <position joint="robot0:l_gripper_finger_joint" kp="400" kv="40" ctrlrange="0 0.05"/>
    <position joint="robot0:r_gripper_finger_joint" kp="400" kv="40" ctrlrange="0 0.05"/>
  </actuator>
</mujoco>
"""
# Where the arm's joints rest; the fingers and the base's slides are set apart.
HOME = {
    "robot0:slide0": 0.405,
    "robot0:slide1": 0.48,
    "robot0:torso_lift_joint": 0.04,
    "robot0:head_tilt_joint": 0.06,
    "robot0:shoulder_lift_joint": -0.80,
    "robot0:elbow_flex_joint": 1.64,
    "robot0:wrist_flex_joint": 0.73,
}
UNSEEN_BODIES = ("robot0:mocap", "robot0:estop_link", "robot0:laser_link", "robot0:base_link", "robot0:head_pan_link",
                 "robot0:head_tilt_link", "robot0:torso_lift_link", "robot0:torso_fixed_link")  # fmt: skip
ARM_COLOURS = {
    "robot0:shoulder_pan_link": (0.66, 0.68, 0.71),
    "robot0:shoulder_lift_link": (0.30, 0.50, 0.82),
    "robot0:upperarm_roll_link": (0.66, 0.68, 0.71),
    "robot0:elbow_flex_link": (0.30, 0.50, 0.82),
    "robot0:forearm_roll_link": (0.66, 0.68, 0.71),
    "robot0:wrist_flex_link": (0.30, 0.50, 0.82),
    "robot0:wrist_roll_link": (0.66, 0.68, 0.71),
    "robot0:gripper_link": (0.60, 0.61, 0.65),
    "robot0:r_gripper_finger_link": (0.16, 0.17, 0.19),
    "robot0:l_gripper_finger_link": (0.16, 0.17, 0.19),
}


@dataclass(frozen=True)
class PushObject:
    """One object at the start of a clip. `mass` (kg) and `friction` cannot be seen in the picture."""

    shape: str
    colour: str
    x: float  # metres, in the world
    y: float
    yaw: float  # radians
    mass: float
    friction: float


@dataclass(frozen=True)
class Scene:
    """All that is random about a clip except the arm's way, as plain numbers: goes to JSON and back unchanged."""

    key: tuple[int, int, int]  # seed, split number, index: what the random numbers were drawn from
    objects: tuple[PushObject, ...]
    gripper: tuple[float, float, float]  # metres, in the world
    finger: float  # 0 closed, 1 open

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "Scene":
        """The scene that `to_dict` gave, also after a trip through JSON."""
        try:
            objects = tuple(PushObject(**fields) for fields in values["objects"])
            scene = cls(tuple(values["key"]), objects, tuple(values["gripper"]), float(values["finger"]))
            numbers = [n for o in objects for n in (o.x, o.y, o.yaw, o.mass, o.friction)]
            finite = np.isfinite([*numbers, *scene.gripper, scene.finger]).all()
            if len(scene.gripper) != 3 or not finite or min(o.mass for o in objects) <= 0:
                raise ValueError("three finite coordinates for the gripper, finite numbers, positive masses")
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(f"not a simulated scene: {error}") from error
        if sorted(o.shape for o in objects) != sorted(SHAPES) or not all(o.colour in PALETTE for o in objects):
            raise BadInput(f"not a simulated scene: one each of {', '.join(SHAPES)}, colours of {', '.join(PALETTE)}")
        return scene


class SimulatedClip(NamedTuple):
    """`frames` uint8 (T, H, W, 3); `actions` float32 (T, 4), row t applied between frames t and t + 1; `positions`
    float32 (T, 3), the gripper at frame t in metres."""

    frames: np.ndarray
    actions: np.ndarray
    positions: np.ndarray
    scene: Scene


def find_arm() -> Path:
    """The folder of gymnasium-robotics' asset files."""
    return find_assets("gymnasium_robotics", "envs/assets", "fetch/robot.xml")


def require_simulator() -> None:
    """Raises BadInput, with the line to install, when clips cannot be simulated here."""
    find_arm()
    require_engine()


def draw_scene(rng: np.random.Generator, key: tuple[int, int, int]) -> Scene:
    """A random start: four objects that overlap neither each other nor the gripper, with hidden mass and friction."""
    low, high = REACH_LOW + 0.01, REACH_HIGH - 0.01
    gripper = rng.uniform(low, [*high[:2], TABLE_CENTRE[2] + 0.08])
    taken = [gripper[:2]]
    while len(taken) < 1 + len(SHAPES):
        place = rng.uniform(low[:2] - [0.01, 0.02], high[:2] + [0.01, 0.02])
        if all(np.linalg.norm(place - other) > 2 * OBJECT_RADIUS for other in taken):
            taken.append(place)
    colours = rng.permutation(list(PALETTE))[: len(SHAPES)]
    objects = tuple(
        PushObject(
            shape=shape,
            colour=str(colour),
            x=float(x),
            y=float(y),
            yaw=float(rng.uniform(-np.pi, np.pi)),
            mass=float(np.exp(rng.uniform(np.log(0.05), np.log(1.5)))),
            friction=float(rng.uniform(0.12, 0.8)),
        )
        for shape, colour, (x, y) in zip(SHAPES, colours, taken[1:], strict=True)
    )
    return Scene(key, objects, tuple(float(v) for v in gripper), float(rng.integers(2)))


class RobotPush:
    """The arm, the table and four objects, stepped frame by frame. Compile once, `reset` for every clip.

    Usable as a context manager; any thread may call it, one at a time.
    """

    def __init__(self) -> None:
        require_simulator()
        mujoco = load_mujoco()
        self._mujoco = mujoco
        self._model = self._compile()
        self._data = mujoco.MjData(self._model)
        self._body_mass = self._model.body_mass.copy()
        self._body_inertia = self._model.body_inertia.copy()
        self._frame_steps = round(FRAME_SECONDS / self._model.opt.timestep)
        self._pictures = PictureMaker(mujoco, self._model)

    def _compile(self):
        mujoco = self._mujoco
        spec = mujoco.MjSpec.from_string(SCENE_XML.format(assets=escape(str(find_arm()), {'"': "&quot;"})))
        for body in spec.bodies:
            if body.name.startswith("robot0:"):
                body.gravcomp = 1.0  # motors that hold the arm's weight: otherwise the gripper sags below its target
        model = spec.compile()
        for index in range(model.ngeom):
            body = model.body(model.geom_bodyid[index]).name
            if body in UNSEEN_BODIES:
                model.geom_group[index] = 4
            if body in ARM_COLOURS:
                model.geom_rgba[index, :3] = ARM_COLOURS[body]
            if body.startswith("robot0:") and "gripper" not in body:  # only the hand touches things
                model.geom_contype[index] = model.geom_conaffinity[index] = 0
        # The hand follows its target as a spring would, softer than contacts are: a blocked hand stops at the object.
        model.eq_data[0] = [0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]
        model.eq_solref[0] = [0.03, 1]
        model.eq_solimp[0, :3] = [0.9, 0.95, 0.001]
        # A light arm feels the objects' mass; the asset's own joints and fingers are sluggish, for another controller.
        for link in ARM_COLOURS:
            if model.body(link).jntnum[0]:
                dof = model.jnt_dofadr[model.body(link).jntadr[0]]
                model.dof_armature[dof], model.dof_damping[dof] = (0.2, 10.0) if "finger" in link else (0.1, 5.0)
            if "finger" in link:
                model.body_mass[model.body(link).id] = 0.1
                model.body_inertia[model.body(link).id] = 1e-4
        # A spring on the one joint that the gripper's place leaves free: the elbow's place follows from the gripper's.
        model.joint("robot0:upperarm_roll_joint").stiffness[0] = 400.0
        return model

    def reset(self, scene: Scene) -> None:
        """Puts the arm and the objects where the scene has them, at rest."""
        mujoco, model, data = self._mujoco, self._model, self._data
        for item in scene.objects:
            body = model.body(item.shape)
            scale = item.mass / self._body_mass[body.id]
            model.body_mass[body.id] = self._body_mass[body.id] * scale
            model.body_inertia[body.id] = self._body_inertia[body.id] * scale
            geoms = slice(body.geomadr[0], body.geomadr[0] + body.geomnum[0])
            model.geom_friction[geoms, 0] = item.friction
            model.geom_rgba[geoms, :3] = PALETTE[item.colour]
        mujoco.mj_resetData(model, data)
        mujoco.mj_setConst(model, data)
        # setConst also measures the scene anew, and shadows and clipping planes are scaled by that.
        model.stat.extent, model.stat.center = SCENE_EXTENT, TABLE_CENTRE
        mujoco.mj_resetData(model, data)
        self._settle_arm(np.array(scene.gripper, float), scene.finger)
        for item in scene.objects:
            height = TABLE_CENTRE[2] + HEIGHTS[item.shape] / 2
            turn = [np.cos(item.yaw / 2), 0.0, 0.0, np.sin(item.yaw / 2)]
            data.joint(item.shape).qpos[:] = [item.x, item.y, height, *turn]
        data.qvel[:] = data.qacc_warmstart[:] = 0.0
        mujoco.mj_forward(model, data)

    def _settle_arm(self, position: np.ndarray, finger: float) -> None:
        """Moves the arm to its start and lets it come to rest, through everything that stands in its way."""
        for name, value in HOME.items():
            self._data.joint(name).qpos[0] = value
        self._data.mocap_quat[0] = [np.sqrt(0.5), 0.0, np.sqrt(0.5), 0.0]  # pointing down
        self._data.ctrl[:] = FINGER_RANGE * finger
        self._target = position
        self._set_mocap(position)
        options = self._model.opt
        options.disableflags = int(self._mujoco.mjtDisableBit.mjDSBL_CONTACT)
        for _ in range(200):
            self._mujoco.mj_step(self._model, self._data)
        options.disableflags = 0

    def _set_mocap(self, grip: np.ndarray) -> None:
        self._data.mocap_pos[0] = grip + [0.0, 0.0, 0.02]  # the grip point lies 2 cm below the hand's own origin

    @property
    def position(self) -> np.ndarray:
        """The gripper's place in the world, (3,), metres."""
        return self._data.site("robot0:grip").xpos.copy()

    def object_positions(self) -> dict[str, np.ndarray]:
        """Each object's centre by shape, (3,), metres."""
        return {shape: self._data.body(shape).xpos.copy() for shape in SHAPES}

    def step(self, action: np.ndarray) -> None:
        """One frame's time. `action` (4,): displacement in metres (clamped), finger 0 closed to 1 open (clamped)."""
        with np.errstate(over="ignore"):
            action = np.asarray(action, np.float32)  # the CSV's precision: stepping from the file repeats the clip
        if action.shape != (4,):
            raise BadInput(
                f"an action is 4 numbers (three displacements, finger), not an array of shape {action.shape}"
            )
        action = np.nan_to_num(action.astype(np.float64))
        move = np.clip(action[:3], -MAX_DISPLACEMENT, MAX_DISPLACEMENT)
        # From the last target, so that displacements add up exactly; but never far from the hand, when it is blocked.
        start = np.clip(self._target, self.position - 0.02, self.position + 0.02)
        self._target = np.clip(start + move, REACH_LOW, REACH_HIGH)
        self._data.ctrl[:] = FINGER_RANGE * np.clip(action[3], 0.0, 1.0)
        for i in range(self._frame_steps):
            # A spring trails a moving target by a fixed time: running ahead by as much puts the hand on time.
            share = (i + 1) / self._frame_steps + LEAD_SECONDS / FRAME_SECONDS
            self._set_mocap(start + share * (self._target - start))
            self._mujoco.mj_step(self._model, self._data)

    def render(self, size: int = 64) -> np.ndarray:
        """The picture, uint8 (size, size, 3): rendered larger and averaged."""
        scale = 3 if size <= 256 else 1  # smooth edges by averaging, cheaper here than the renderer's own samples
        return self._pictures.render(self._data, "front", size, size, scale)

    def close(self) -> None:
        """Frees the renderer; the interpreter's end does it too."""
        self._pictures.close()

    def __enter__(self) -> "RobotPush":
        return self

    def __exit__(self, *_) -> None:
        self.close()


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


def simulate_clip(
    simulator: RobotPush, seed: int, split: str, index: int, n_frames: int = 30, size: int = 64
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
