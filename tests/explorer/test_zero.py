"""Where models compute: on a GPU if there is one, and on ZeroGPU in another process."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vidpred.explorer.drive import session, what_if
from vidpred.explorer.drive.simulator import Physics
from vidpred.explorer.latents import analysis
from vidpred.explorer.runs import gpu_lease, prediction
from vidpred.explorer.runs.library import Library

ROOT = Path(__file__).parents[2]


# --- a GPU ------------------------------------------------------------------------------------------------------------


class OneDevice(TorchDispatchMode):
    """What a GPU insists on: tensors that meet lie on one device, single numbers and the places of an index aside."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        met = {x.device.type for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor) and x.dim()}
        assert len(met) < 2 or function.overloadpacket in (torch.ops.aten.copy_, torch.ops.aten.index), function
        return function(*args, **(kwargs or {}))


CALLERS = {
    "predict": lambda library, run, clip: prediction.predict_clip(library, run, clip, n_future=3, samples=2),
    "lens": lambda library, run, clip: analysis.look(library, run, clip, 0),
    "traversal": lambda library, run, clip: analysis.traversal(library, run, clip, 0),
    "what if": lambda library, run, clip: what_if.what_if(library, Physics(), run, clip, "reversed", n_future=3),
}


def begin_drive(library, run, clip):
    return session.Drives(library, Physics()).begin(run, clip, 0, 1.0)[1]


ASKED = [(run, call) for run in ("tiny", "dance") for call in CALLERS.values()]
ASKED += [("tiny", lambda *named: begin_drive(*named).step([1, 0, 0], 1))]


@pytest.mark.parametrize(("run", "call"), ASKED)
def test_models_and_what_they_are_given_go_to_the_gpu(
    tiny_run, tiny_data, dance_run, tiny_dance, monkeypatch, run, call
):
    """On torch's meta device, which holds no numbers: all goes well until the first one is looked at."""
    library = Library([tiny_run, dance_run], [tiny_data, tiny_dance])
    monkeypatch.setattr(gpu_lease, "device", lambda: "meta")
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # knows no such device
    with OneDevice(), pytest.raises(RuntimeError, match="cannot be called on meta tensors"):
        call(library, run, library.clips_for(run)[0])


def test_the_device_is_the_gpu_where_there_is_one(monkeypatch):
    for there in (True, False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert gpu_lease.device() == ("cuda" if there else "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(gpu_lease, "LENT", True)
    assert gpu_lease.device() == "cpu"  # in ZeroGPU's server that answer is not true


# --- ZeroGPU ----------------------------------------------------------------------------------------------------------


def test_nothing_happens_without_the_package():
    assert not gpu_lease.LENT
    assert gpu_lease._lent is gpu_lease._answer


def test_every_question_to_a_model_goes_by_the_library():
    """But for Drive, which keeps a model's state in the server."""
    files = Path(prediction.__file__).parent.glob("*.py")
    assert {file.stem for file in files if "library.model(" in file.read_text()} == {"drive"}


def test_on_zero_gpu_questions_go_to_another_process_and_answers_are_the_same(
    tiny_run, tiny_data, dance_run, tiny_dance, tmp_path
):
    dance = shutil.copytree(dance_run, tmp_path / "dance")
    done = subprocess.run(
        [sys.executable, Path(__file__).parent / "zero_gpu" / "script.py", tiny_run, dance, tiny_data, tiny_dance],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["before"] == ["gradio", "torch"]
    assert seen["lent"] and seen["events"] > 20
    assert seen["warming up"] == []  # a GPU is lent to visitors
    asked = ["_imagine", "_measure", "_imagine", "_traverse", "_predict"]  # the lens scores samples too
    assert seen["questions"] == 2 * asked
    assert seen["same"]
    assert seen["models in the server"] == 0
    assert seen["driving"] == [] and seen["frames"] == 1
    assert "not a safetensors file" in seen["refused"]
