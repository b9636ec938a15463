"""The start of a clip: four objects on the table and the gripper over it, drawn at random."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from vidpred.errors import BadInput
from vidpred.simulate.engine import RECORD_FILE

TABLE_CENTRE = np.array([1.30, 0.75, 0.40])  # metres; z is the table's top
# What the gripper may reach, relative to the table's centre. The margin to the walls (at +-0.22 and +-0.27) lets an
# object fit between gripper and wall, so that nothing is ever crushed.
REACH_LOW = TABLE_CENTRE + [-0.15, -0.20, 0.03]
REACH_HIGH = TABLE_CENTRE + [0.15, 0.20, 0.16]

SHAPES = ("cube", "cylinder", "prism", "cross")
PALETTE = {
    "red": (0.86, 0.12, 0.12),
    "green": (0.10, 0.62, 0.22),
    "yellow": (0.98, 0.78, 0.06),
    "violet": (0.55, 0.20, 0.72),
    "orange": (0.98, 0.45, 0.05),
    "turquoise": (0.05, 0.68, 0.70),
}
OBJECT_RADIUS = 0.045  # metres; a circle that holds any of the objects


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


def scene_of(clip: Path) -> Scene | None:
    """The scene of a simulated clip's folder; None for other clips."""
    try:
        return Scene.from_dict(json.loads((clip / RECORD_FILE).read_text())["scene"])
    except (OSError, ValueError, KeyError, TypeError, BadInput):
        return None
