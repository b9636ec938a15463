"""The app on ZeroGPU: `script.py RUN RUN DATA DATA`, a robot's run and a dancer's; prints what was seen as JSON."""

import json
import sys
from pathlib import Path

import app  # first: it sees to the order of the others

# isort: split
import numpy as np
import spaces  # the one beside this file

from tests.explorer.test_zero import CALLERS, begin_drive
from vidpred.errors import BadInput
from vidpred.explorer.runs import gpu_lease
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.prediction import warm_up

folders = [Path(folder) for folder in sys.argv[1:]]


def library():
    return Library(folders[:2], folders[2:])


def answers(library):
    asked = [(run, library.clips_for(run)[-1], call) for run in library.runs for call in CALLERS.values()]
    return [call(library, run, clip) for run, clip, call in asked]


def same(a, b):
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


seen = {"before": sorted(spaces.IMPORTED_BEFORE), "lent": gpu_lease.LENT, "events": len(app.demo.fns)}
server = library()
warm_up(server)
seen["warming up"] = list(spaces.lent_to)
lent = answers(server)
seen["questions"], seen["models in the server"] = list(spaces.lent_to), len(server._models)

drive = begin_drive(server, "tiny", server.clips_for("tiny")[0])
drive.step([1, 0, 0], 1)
seen["driving"], seen["frames"] = spaces.lent_to[len(seen["questions"]) :], drive.steps

gpu_lease.LENT = False
seen["same"] = same(lent, answers(library()))

gpu_lease.LENT = True
(folders[1] / "model.safetensors").write_bytes(b"damaged")
try:
    CALLERS["traversal"](server, "dance", "test/0")
except BadInput as error:
    seen["refused"] = str(error)
print(json.dumps(seen))
