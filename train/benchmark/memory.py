"""How much memory a training takes, and what saves some of it."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from tqdm import tqdm

from train.benchmark import harness
from train.cli import Json
from vidpred.data.batches import open_split
from vidpred.errors import BadInput

WAYS = {
    "as it is": (),
    "checkpointed": ("--speed.checkpoint-activations",),
    "accumulation 2": ("--train.accumulation", "2"),
    "accumulation 4": ("--train.accumulation", "4"),
    "checkpointed, accumulation 4": ("--speed.checkpoint-activations", "--train.accumulation", "4"),
}
SHORT = ("--train.epochs=1", "--train.iterations-per-epoch=2", "--train.kl-anneal=none", "--train.gif-every=0")


def memory(data: Path, preset: str = "small-published", json: Json = False) -> None:
    """The most that a process holds that trains two steps with a learned prior, as it is and with what saves memory.

    Args:
        data: folder with train/ and validate/
        preset: of SVG
    """
    for split in ("train", "validate"):
        open_split(data, split, progress=True)  # packed beforehand: that takes memory of its own
    held = {}
    for name, options in tqdm(WAYS.items(), desc="memory", leave=False):
        with tempfile.TemporaryDirectory() as out:
            run = ("--data", str(data.resolve()), "--out", f"{out}/run", "--preset", preset, "--model.learned-prior")
            held[name] = most_held([sys.executable, "-m", "train.svg", *run, *SHORT, *options])
    about = {"device": harness.device_name("cpu"), "preset": preset, "torch": torch.__version__}
    harness.report(about | {"peak_memory_gb": held}, json)


def most_held(command: list[str]) -> float:
    """GB that a process of a command has held at most."""
    with tempfile.TemporaryFile("w+") as said:  # a pipe that nobody reads while it runs would fill
        process = subprocess.Popen(command, cwd=harness.ROOT, stdout=subprocess.DEVNULL, stderr=said)
        held = None
        while process.poll() is None:
            held = harness.memory_of(process.pid, "VmHWM") or held
            time.sleep(0.02)
        said.seek(0)
        lines = said.read().splitlines()
    if process.returncode:
        raise BadInput(lines[-1] if lines else f"a process has ended with {process.returncode}")
    if held is None:
        raise BadInput("what a process has held at most is only told by Linux")
    return held / 1e9
