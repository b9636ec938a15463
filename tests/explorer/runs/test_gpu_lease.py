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

from tests.explorer.runs.model_calls import FUNCTIONS, MODEL_CALLS, begin_drive
from vidpred.explorer.runs import gpu_lease
from vidpred.explorer.runs.library import Library

ROOT = Path(__file__).parents[3]
EXPLORER = ROOT / "vidpred" / "explorer"


# --- a GPU ------------------------------------------------------------------------------------------------------------


class OneDevice(TorchDispatchMode):
    """What a GPU insists on: tensors that meet lie on one device, single numbers and the places of an index aside."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        met = {x.device.type for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor) and x.dim()}
        assert len(met) < 2 or function.overloadpacket in (torch.ops.aten.copy_, torch.ops.aten.index), function
        return function(*args, **(kwargs or {}))


CALLS = [(run, call) for run in ("tiny", "dance") for call in MODEL_CALLS.values()]
CALLS += [("tiny", lambda *things: begin_drive(*things).step([1, 0, 0], 1))]


@pytest.mark.parametrize(("name", "call"), CALLS)
def test_models_and_what_they_are_given_go_to_the_gpu(
    tiny_run, tiny_data, dance_run, tiny_dance, monkeypatch, name, call
):
    """On torch's meta device, which holds no numbers: all goes well until the first one is looked at."""
    library = Library([tiny_run, dance_run], [tiny_data, tiny_dance])
    run = library.run(name)
    monkeypatch.setattr(gpu_lease, "device", lambda: "meta")
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # knows no such device
    with OneDevice(), pytest.raises(RuntimeError, match="cannot be called on meta tensors"):
        call(library, run, library.clips_for(run)[0])


def test_the_device_is_the_gpu_where_there_is_one(monkeypatch):
    for there in (True, False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert gpu_lease.device() == ("cuda" if there else "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(gpu_lease, "ACTIVE", True)
    assert gpu_lease.device() == "cpu"  # in ZeroGPU's server that answer is not true


# --- ZeroGPU ----------------------------------------------------------------------------------------------------------


def test_nothing_happens_without_the_package():
    assert not gpu_lease.ACTIVE
    assert gpu_lease._leased is gpu_lease._computed


def test_every_call_of_a_model_goes_by_the_library():
    """But for Drive, which keeps a model's state in the server."""
    found = {
        file.relative_to(EXPLORER).as_posix() for file in EXPLORER.rglob("*.py") if "library.model(" in file.read_text()
    }
    assert found == {"drive/session.py"}


def test_on_zero_gpu_calls_go_to_another_process_and_answers_are_the_same(
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
    assert seen["imported before"] == ["gradio", "torch"]
    assert seen["active"] and seen["events"] > 20
    assert seen["warming up"] == []  # a GPU is lent to visitors
    assert seen["calls"] == 2 * FUNCTIONS
    assert seen["same"]
    assert seen["models in the server"] == 0
    assert seen["calls of a drive"] == [] and seen["frames"] == 1
    assert "not a safetensors file" in seen["refused"]
