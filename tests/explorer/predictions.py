"""Predictions that tests ask for, by the names of run and clip."""

import math

from vidpred.explorer.runs.prediction import Prediction, predict_clip
from vidpred.explorer.runs.validate import MAX_SEED

ROBOT = {"run": "tiny", "clip": "traj_0_to_255/2", "seed": 3, "n_future": 4, "samples": 3}
DANCE = {"run": "dance", "clip": "test/1", "seed": 3, "n_future": 6, "samples": 2}
# What its fields refuse, for a robot clip of 16 frames.
BAD = [
    *[("seed", value) for value in (None, 1.7, -1, MAX_SEED + 1, math.nan, math.inf, "3", True, [3], 10**30, 10**400)],
    *[("temperature", value) for value in (None, -0.1, 2.1, math.nan, -math.inf, "hot", False)],
    *[("n_future", value) for value in (0, 15, 2.5, math.nan, "4", [4])],
    *[("n_past", value) for value in (0, 11, 1.5, math.nan, "2", True)],
    *[("samples", value) for value in (None, 0, 21, 2.5, math.nan, "4")],
    *[("prior", value) for value in ("prior", "", 1, ["learned"])],
    *[("sweep", value) for value in (None, 1, "yes")],
]


def predicted(library, run, clip, **fields) -> Prediction:
    """What a run predicts for a clip."""
    return predict_clip(library, library.run(run), library.clip(clip), **fields)
