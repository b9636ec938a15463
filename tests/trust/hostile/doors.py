"""Where input comes in: commands, the app's options, and what the app's widgets call."""

import contextlib
import io
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import gradio as gr
import numpy as np
import torch
from PIL import Image

from tests.commands import lines_said
from train.cli import one_line_errors
from vidpred import runs
from vidpred.checkpoint import save_weights
from vidpred.data.dance import video_folders, write_pair
from vidpred.data.robot_push import write_clip
from vidpred.errors import BadInput
from vidpred.explorer.__main__ import open_library
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.prediction import predict_clip
from vidpred.explorer.your_data.tab import YourDataHandlers
from vidpred.models import build_model
from vidpred.presets import preset

FRAMES = 8
CLIP = "g/1"  # group and clip


class Said(NamedTuple):
    """What a door answered: refused, or taken with nothing to say; complaint: why the answer is no good one."""

    refused: bool
    text: str
    complaint: str = ""


class Case(NamedTuple):
    """ask(doors, folder): hand the input in, made in a folder of its own. says: what every refusal has in it; None: the
    input is good, however strange it looks; "": it may be taken or refused."""

    family: str
    name: str
    ask: Callable[["Doors", Path], Iterator[Said]]
    says: str | None


class Doors:
    """Good input to break copies of, and every way in."""

    def __init__(self, root: Path):
        self.root = root
        self.data, self.dance, self.run, self.dancer = (root / name for name in ("data", "dance", "run", "dancer"))
        random = np.random.default_rng(0)
        for split in ("train", "validate", "test"):
            frames = random.integers(0, 256, (FRAMES, 64, 64, 3), np.uint8)
            write_clip(self.data / split / CLIP, frames, np.zeros((FRAMES, 4)), np.zeros((FRAMES, 3)))
        for split in ("train", "validate", "test"):
            folders = video_folders(self.dance, split, 0)
            for t, frame in enumerate(random.integers(0, 256, (FRAMES, 32, 64, 3), np.uint8)):
                write_pair(folders, t, frame, frame)
        start = preset("debug")
        small = replace(start, data=replace(start.data, n_future=3), train=replace(start.train, epochs=2))
        _write_run(self.run, small)
        _write_run(self.dancer, preset("pose-debug"))
        free = replace(small, model=replace(small.model, condition="none"))
        _write_run(root / "free", free)
        self.library = Library([self.run, root / "free"], [self.data])
        self.handlers = YourDataHandlers(self.library)

    def copy(self, what: str, folder: Path) -> Path:
        """A copy of good input that may be broken: data, dance, run or dancer."""
        return shutil.copytree(getattr(self, what), folder / what, ignore=shutil.ignore_patterns(".packed"))

    def command(self, function: Callable, *args, **options) -> Said:
        """A command's function as the command line calls it, once it has been parsed."""
        out, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            try:
                with one_line_errors("python -m train.training_command"):
                    function(*args, **options)
            except SystemExit as stop:
                return _ended(stop, errors.getvalue())
        return Said(False, out.getvalue())

    def line(self, main: Callable[[list[str]], None], *words) -> Said:
        """A whole command line."""
        out, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            try:
                main([str(word) for word in words])
            except SystemExit as stop:
                return _ended(stop, errors.getvalue())
        return Said(False, out.getvalue())

    def app(self, *words) -> Said:
        """The options of the app."""
        with contextlib.redirect_stderr(io.StringIO()) as errors:
            try:
                open_library([str(word) for word in words])
            except SystemExit as stop:
                return _ended(stop, errors.getvalue())
        return Said(False, "opened")

    def upload(self, file: Path, every=1) -> Said:
        """A file in the tab "Your data"."""
        sent = {"path": str(file), "meta": {"_type": "gradio.FileData"}}
        return self.described(self.handlers.upload("", sent, every, [], "")[1])

    def described(self, text: str) -> Said:
        """What stands where a file is described."""
        refused = text.startswith("> ") and text.endswith("What is drawn is still what was there before.")
        return self.message(text) if refused else Said(False, text)

    def zipped(self, folder: Path) -> Said:
        """A folder, zipped and uploaded; what is no file in it is left out."""
        with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
            for path in sorted(folder.rglob("*")):
                if path.is_file() and path.stat().st_size < 10**8 and path.resolve().is_relative_to(self.root):
                    archive.write(path, path.relative_to(folder))
        return self.upload(folder.with_suffix(".zip"))

    def asked(self, handler: Callable, *args, **fields) -> Said:
        """What a widget, the address or the API calls."""
        try:
            handler(*args, **fields)
        except BadInput as error:
            return self.message(str(error))
        except gr.Error as error:
            return self.message(error.message)
        return Said(False, "")

    def message(self, text: str) -> Said:
        """One line for a visitor, that tells nothing of this machine."""
        complaint = "" if text.isprintable() and len(text) < 500 else "not one line of reasonable length"
        return Said(True, text, "where the server keeps its files" if str(self.root) in text else complaint)

    def picture(self) -> np.ndarray:
        """What the app predicts: the same before and after whatever it was given."""
        clip = self.library.clips_for(self.library.run("run"))[0]
        return predict_clip(self.library, self.library.run("run"), clip, n_future=2).futures[0].samples


def _ended(stop: SystemExit, errors: str) -> Said:
    lines = lines_said(errors)
    complaint = "" if stop.code == 2 else f"exit code {stop.code}"
    return Said(True, errors, complaint or ("" if len(lines) == 1 and len(lines[0]) < 1000 else "not one line"))


def _write_run(folder: Path, config) -> None:
    torch.manual_seed(0)
    save_weights(folder / runs.WEIGHTS, build_model(config.model))
    runs.write_config(folder, config, {})
    row = {"loss": 0.5, "mse": 0.4, "kld": 1.0, "train_psnr": 20.0, "teacher_forced": 1.0, "beta": 1e-4, "tfr": 1.0}
    row |= {"lr": 0.002, "val_loss": 0.1, "val_psnr": 20.0, "val_ssim": 0.8, "active_units": 1, "skipped_steps": 0}
    runs.write_metrics(folder, [{"epoch": i, "step": i + 1, "seconds": i + 1.0, **row} for i in range(2)])
    ways = {"protocol": "finn", "split": "test", "clips": 1, "samples": 1, "temperature": 1.0, "n_past": 2}
    frames = {"psnr": [20.0] * 3, "copy_last_psnr": [18.0] * 3}
    numbers = {"psnr": 20.0, "n_future": 3, "per_frame": frames, "kld_map": [[0.1, 0.2], [0.3, 0.4]]}
    runs.write_json(folder / runs.EVAL, {**ways, **numbers})


def png(size=(64, 64), mode="RGB", **options) -> bytes:
    """A good picture of a (width, height)."""
    file = io.BytesIO()
    Image.new(mode, size).save(file, "PNG", **options)
    return file.getvalue()
