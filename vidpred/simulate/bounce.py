"""Shapes that fly straight over a dark ground and leave every wall in a random new direction and speed.

The case that a learned prior is for, as Stochastic Moving MNIST is in Denton & Fergus 2018: between walls everything
about the next frame is known, at a wall nothing is. Needs no optional package.
"""

import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vidpred.simulate.engine import RECORD_FILE, SPLIT_NUMBERS, average_down

SIMULATOR_VERSION = "bounce-2"
GROUND = (18, 20, 28)
COLOURS = ((236, 94, 80), (86, 178, 232), (246, 200, 68), (110, 204, 120), (214, 130, 224), (240, 240, 240))
RADIUS = 10.0  # of the circle around a shape, in pixels of a frame of 64
SPEED = (2.0, 4.5)  # pixels a frame, of a frame of 64
SPREAD = math.radians(70)  # largest angle to a wall's normal at which a shape leaves it
CORNERS = (0, 4, 3)  # of the kinds of shapes; 0: a disc
SCALE = 4  # drawn so much larger, and averaged down


class BounceClip(NamedTuple):
    """frames: (T, size, size, 3) uint8. bounces: of each shape, the frames that are the first to show a new direction:
    what happens in them was not to be known."""

    frames: np.ndarray
    bounces: list[list[int]]


def simulate_clip(seed: int, split: str, index: int, frames: int, size: int = 64, shapes: int = 2) -> BounceClip:
    """The clip of this number; it depends on (seed, split, index) and the settings alone."""
    name = seed, SPLIT_NUMBERS[split], index
    random = np.random.default_rng(name)
    unit = size / 64
    colours = random.permutation(len(COLOURS))[:shapes]
    kinds = random.integers(len(CORNERS), size=shapes)
    turns = random.uniform(0, 2 * math.pi, shapes)
    paths = [_path(np.random.default_rng((*name, shape)), frames) for shape in range(shapes)]
    drawn = []
    for t in range(frames):
        large = np.empty((size * SCALE, size * SCALE, 3), np.uint8)
        large[:] = GROUND
        for (places, _), colour, kind, turn in zip(paths, colours, kinds, turns):
            inside = _inside(size * SCALE, places[t] * unit * SCALE, RADIUS * unit * SCALE, CORNERS[kind], turn)
            large[inside] = COLOURS[colour]
        drawn.append(average_down(large, SCALE))
    return BounceClip(np.stack(drawn), [bounces for _, bounces in paths])


def bounces_of(clip: Path) -> list[int] | None:
    """The frames of a simulated clip's folder in which a shape shows a new direction; None for other clips."""
    try:
        return sorted({frame for shape in json.loads((clip / RECORD_FILE).read_text())["bounces"] for frame in shape})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _path(random: np.random.Generator, frames: int) -> tuple[np.ndarray, list[int]]:
    """Places (T, 2) of a shape, across and down in a frame of 64, and its bounces."""
    low, high = RADIUS, 64 - RADIUS
    place, angle = random.uniform(low, high, 2), random.uniform(0, 2 * math.pi)
    velocity = random.uniform(*SPEED) * np.array([math.cos(angle), math.sin(angle)])
    places, bounces = [place], []
    for t in range(1, frames):
        place = place + velocity
        inwards = (place < low).astype(float) - (place > high)  # of the walls that were reached
        place = np.clip(place, low, high)
        places.append(place)
        if inwards.any():  # it is seen at the wall, and leaves it in the next frame
            normal = math.atan2(inwards[1], inwards[0])
            spread = SPREAD if np.count_nonzero(inwards) == 1 else SPREAD / 2  # in a corner, away from both walls
            angle = normal + random.uniform(-spread, spread)
            velocity = random.uniform(*SPEED) * np.array([math.cos(angle), math.sin(angle)])
            if t + 1 < frames:
                bounces.append(t + 1)
    return np.stack(places), bounces


def _inside(side: int, centre: np.ndarray, radius: float, corners: int, turn: float) -> np.ndarray:
    """Which pixels (side, side) lie in a disc, or in a regular polygon within it."""
    y, x = np.ogrid[:side, :side]
    x, y = x + 0.5 - centre[0], y + 0.5 - centre[1]
    if not corners:
        return x**2 + y**2 <= radius**2
    inner = radius * math.cos(math.pi / corners)  # from the centre to a side
    sides = turn + 2 * math.pi * np.arange(corners) / corners
    return np.all([x * math.cos(a) + y * math.sin(a) <= inner for a in sides], axis=0)
