"""What an action does to the gripper, as the clips themselves show it."""

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vidpred.config import ACTION_DIM

STRONG = 0.95  # the share of the clips' commands that are weaker than the pad's strongest


class Law(NamedTuple):
    """How the gripper follows commands, as the clips of a folder show it: position' = position + gain * action, no
    further than `low` and `high`. On the bundled clips it errs by 0.06 mm at the median (where nothing blocks the arm).

    strongest: what the pad sends at most along each axis; fingers: the command that closes and the one that opens.
    """

    gain: np.ndarray
    low: np.ndarray
    high: np.ndarray
    strongest: np.ndarray
    fingers: tuple[float, float]

    def after(self, position: np.ndarray, action: np.ndarray) -> np.ndarray:
        """The gripper's next position (3,)."""
        return np.clip(position + self.gain * action[:3], self.low, self.high).astype(np.float32)

    def command(self, position: np.ndarray, move: list[float], fingers: float) -> np.ndarray:
        """The action (4,) for a move in [-1, 1] along each axis and fingers from 0 (closed) to 1 (open).

        At the edge only what can be carried out: no clip commands the arm into the wall.
        """
        wanted = np.asarray(move) * self.strongest
        way = self.after(position, wanted) - position
        possible = np.divide(way, self.gain, out=wanted.copy(), where=self.gain != 0)
        closed, opened = self.fingers
        return np.array([*possible, closed + fingers * (opened - closed)], np.float32)


def measure_law(clips: list[np.ndarray]) -> Law:
    """The law from the conditions (T, 7) of each clip: the median of displacement / command where commands are strong,
    which a blocked arm and the table's edges leave alone (least squares is 8 % off along the height)."""
    rows = np.concatenate(clips)
    pairs = [np.concatenate([c[:-1, :3], np.diff(c[:, ACTION_DIM:], axis=0)], 1) for c in clips]
    actions, moved = np.split(np.concatenate(pairs), 2, axis=1)
    strongest = np.quantile(abs(actions), STRONG, axis=0)
    gain = np.zeros(3)
    for axis in range(3):
        strong = abs(actions[:, axis]) >= max(strongest[axis] / 2, 1e-9)
        if strong.any():
            gain[axis] = np.median(moved[strong, axis] / actions[strong, axis])
    places, fingers = rows[:, ACTION_DIM:], rows[:, ACTION_DIM - 1]
    return Law(gain, places.min(0), places.max(0), strongest, (float(fingers.min()), float(fingers.max())))


@functools.lru_cache(maxsize=16)
def law_of(root: Path, split: str) -> Law:
    """The law of a split's clips."""
    from vidpred.data.batches import open_split

    packed = open_split(root, split)
    return measure_law(np.split(packed.conditions, packed.offsets[1:-1]))
