"""The app on ZeroGPU: `script.py RUN RUN DATA DATA`, a robot's run and a dancer's; prints what was seen as JSON."""

import json
import sys
from pathlib import Path

import app  # first: it sees to the order of the others

# isort: split
import numpy as np
import spaces  # the one beside this file

from tests.explorer.runs.model_calls import MODEL_CALLS, begin_drive
from vidpred.errors import BadInput
from vidpred.explorer.runs import gpu_lease
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.prediction import warm_up

folders = [Path(folder) for folder in sys.argv[1:]]


def library():
    return Library(folders[:2], folders[2:])


def answers(library):
    return [
        call(library, run, library.clips_for(run)[-1]) for run in library.all_runs() for call in MODEL_CALLS.values()
    ]


def same(a, b):
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


seen = {"imported before": sorted(spaces.IMPORTED_BEFORE), "active": gpu_lease.ACTIVE, "events": len(app.demo.fns)}
server = library()
warm_up(server)
seen["warming up"] = list(spaces.calls)
leased = answers(server)
seen["calls"], seen["models in the server"] = list(spaces.calls), len(server._models)

robot = server.run("tiny")
drive = begin_drive(server, robot, server.clips_for(robot)[0])
drive.step([1, 0, 0], 1)
seen["calls of a drive"], seen["frames"] = spaces.calls[len(seen["calls"]) :], drive.steps

gpu_lease.ACTIVE = False
seen["same"] = same(leased, answers(library()))

gpu_lease.ACTIVE = True
(folders[1] / "model.safetensors").write_bytes(b"damaged")
try:
    MODEL_CALLS["traversal"](server, server.run("dance"), server.clip("test/0"))
except BadInput as error:
    seen["refused"] = str(error)
print(json.dumps(seen))
