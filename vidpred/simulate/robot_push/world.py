"""The world that every clip shows, as MuJoCo compiles it: the arm, the walled table with its objects, the camera."""

import math
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import numpy as np

from vidpred.simulate.engine import find_assets

WORLD_XML = """
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


def find_arm() -> Path:
    """The folder of gymnasium-robotics' asset files."""
    return find_assets("gymnasium_robotics", "envs/assets", "fetch/robot.xml")


def compile_world(mujoco: ModuleType) -> Any:
    """The MjModel."""
    spec = mujoco.MjSpec.from_string(WORLD_XML.format(assets=escape(str(find_arm()), {'"': "&quot;"})))
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


class Camera(NamedTuple):
    """Where clips are filmed from: place (3,), rows of axes to the right, up and backwards, and the tangent of half the
    field of view."""

    place: np.ndarray
    axes: np.ndarray
    half: float

    def pixel(self, position: np.ndarray) -> list[float]:
        """Where a point of the world lies in the picture: shares of its width and height from the top left."""
        right, up, back = self.axes @ (np.asarray(position, float) - self.place)
        return [float(0.5 - right / back / self.half / 2), float(0.5 + up / back / self.half / 2)]


def front_camera() -> Camera:
    """The camera that films every clip."""
    found = ElementTree.fromstring(WORLD_XML).find(".//camera[@name='front']")
    axes = np.array(found.get("xyaxes").split(), float).reshape(2, 3)
    right, up = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    half = math.tan(math.radians(float(found.get("fovy"))) / 2)
    return Camera(np.array(found.get("pos").split(), float), np.stack([right, up, np.cross(right, up)]), half)
