"""Stepping the world: where the arm and the objects are, frame by frame, and what the camera sees of them."""

from typing import NamedTuple

import numpy as np

from vidpred.errors import BadInput
from vidpred.simulate.engine import PictureMaker, load_mujoco, require_engine
from vidpred.simulate.robot_push.scene import PALETTE, REACH_HIGH, REACH_LOW, SHAPES, TABLE_CENTRE, Scene
from vidpred.simulate.robot_push.world import compile_world, find_arm

FRAME_SECONDS = 0.1
MAX_DISPLACEMENT = 0.05  # metres per frame and axis
LEAD_SECONDS = 0.058  # of the hand's target over the hand
FINGER_RANGE = 0.05  # metres that each finger opens
HEIGHTS = {"cube": 0.056, "cylinder": 0.05, "prism": 0.05, "cross": 0.044}  # metres
SCENE_EXTENT = 3.0  # metres; the scale of clipping planes and of the shadow map
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


class SimulationState(NamedTuple):
    """All that a step depends on, as values."""

    scene: Scene
    engine: np.ndarray  # as MuJoCo packs it
    gripper: np.ndarray  # (3,), as the engine last saw it: half a millimetre behind where `engine` has it
    target: np.ndarray  # of the gripper, (3,)


def require_simulator() -> None:
    """Raises BadInput, with the line to install, when clips cannot be simulated here."""
    find_arm()
    require_engine()


class RobotSimulation:
    """The arm, the table and four objects, stepped frame by frame. Compile once, `reset` for every clip.

    Usable as a context manager; any thread may call it, one at a time.
    """

    def __init__(self) -> None:
        require_simulator()
        mujoco = load_mujoco()
        self._mujoco = mujoco
        self._model = compile_world(mujoco)
        self._data = mujoco.MjData(self._model)
        self._body_mass = self._model.body_mass.copy()
        self._body_inertia = self._model.body_inertia.copy()
        self._frame_steps = round(FRAME_SECONDS / self._model.opt.timestep)
        self._pictures = PictureMaker(mujoco, self._model)
        self._scene: Scene | None = None

    def reset(self, scene: Scene) -> None:
        """Puts the arm and the objects where the scene has them, at rest."""
        mujoco, model, data = self._mujoco, self._model, self._data
        self._scene = scene
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

    @property
    def state(self) -> SimulationState:
        """What `restore` goes on from, to the bit."""
        kind = self._mujoco.mjtState.mjSTATE_INTEGRATION
        engine = np.empty(self._mujoco.mj_stateSize(self._model, kind))
        self._mujoco.mj_getState(self._model, self._data, engine, kind)
        return SimulationState(self._scene, engine, self.position, self._target.copy())

    def restore(self, state: SimulationState) -> None:
        """Goes on from a state, whatever was simulated since. Pictures show it after the next step."""
        if self._scene is not state.scene:
            self.reset(state.scene)  # masses, frictions and colours
        self._mujoco.mj_setState(self._model, self._data, state.engine, self._mujoco.mjtState.mjSTATE_INTEGRATION)
        self._data.site("robot0:grip").xpos[:] = state.gripper
        self._target = state.target.copy()

    def render(self, size: int = 64) -> np.ndarray:
        """The picture, uint8 (size, size, 3): rendered larger and averaged."""
        scale = 3 if size <= 256 else 1  # smooth edges by averaging, cheaper here than the renderer's own samples
        return self._pictures.render(self._data, "front", size, size, scale)

    def close(self) -> None:
        """Frees the renderer; the interpreter's end does it too."""
        self._pictures.close()

    def __enter__(self) -> "RobotSimulation":
        return self

    def __exit__(self, *_) -> None:
        self.close()
