"""The tab that drives a model like a simulator: what the component shows, handlers, layout, wiring."""

import base64
import math
import re
import threading
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.data_classes import FileData
from gradio.utils import get_upload_folder

from vidpred.errors import BadInput
from vidpred.explorer.drive import what_if_tab
from vidpred.explorer.drive.session import Drive, Drives, ask, drivable_runs, require_drivable
from vidpred.explorer.drive.simulator import Physics
from vidpred.explorer.drive.what_if import clips_of, runs_of
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.prediction import MAX_TEMPERATURE
from vidpred.explorer.ui.deep_links import Link
from vidpred.explorer.ui.events import again, once
from vidpred.explorer.ui.handlers import NEXT_SEED_JS, Handlers
from vidpred.explorer.ui.player import next_request

STATIC = Path(__file__).parent / "static"
from vidpred.render import frame_border, save_gif, side_by_side, upscale

TEMPLATE, CSS, JS = ((STATIC / f"drive.{kind}").read_text() for kind in ("html", "css", "js"))
REFUSED = "() => { document.dispatchEvent(new CustomEvent('drive-refused')); }"
QUEUE = {"concurrency_id": "drive", "concurrency_limit": 2, "show_progress": "hidden", "api_visibility": "private"}
PRESSES = 8  # at once, of all visitors; each waits for the model
GIF_ZOOM, GIF_FPS = 3, 10.0


def drive_value(drive: Drive, since: int) -> dict:
    """What the component draws, as JSON values: the frames from `since` on, raw RGB, and all that belongs to them.

    It forgets the frames from `since` on that it had. Answers are numbered when ready, not when they were
    asked for: a drive that begins slowly comes after the last one's steps.
    """
    value = {"request": next_request(), "since": since, "note": _note(drive), "starting": drive.awaits_physics}
    value["frames"] = [_frame(drive, t) for t in range(since, len(drive.moments))]
    return value


def seat(drive: Drive, name: str) -> dict:
    """What does not change within a drive, and the id by which presses name it."""
    height, width = drive.moments[0].frame.shape[:2]
    return {
        "drive": name,
        "size": [width, height],
        "n_past": drive.n_past,
        "own": len(drive.own),
        "low": drive.law.low.tolist(),
        "high": drive.law.high.tolist(),
    }


def recording(drive: Drive) -> np.ndarray:
    """What was driven as frames (T, H, W, 3): given ones framed green, imagined ones red; the physics at its side."""
    clips = [frame_border(upscale(np.stack([m.frame for m in drive.moments]), GIF_ZOOM), drive.n_past)]
    true = [_true_frame(drive, t) for t in range(len(drive.moments))]
    if all(frame is not None for frame in true):
        clips.append(frame_border(upscale(np.stack(true), GIF_ZOOM), len(true)))
    return side_by_side(clips, gap=4)


def _true_frame(drive: Drive, t: int) -> np.ndarray | None:
    """What the physics shows; the frames that were given are its own."""
    shown = drive.scene is not None and not drive.awaits_physics and not drive.physics.missing
    return drive.moments[t].frame if t < drive.n_past and shown else drive.moments[t].true_frame


def _frame(drive: Drive, t: int) -> dict:
    moment, true = drive.moments[t], _true_frame(drive, t)
    psnr = None if t < drive.n_past or true is None else _psnr(moment.frame, true)
    true_position = moment.true_position
    if true_position is None and true is not None:
        true_position = moment.position
    seen = drive.camera is not None
    return {
        "model": _raw(moment.frame),
        "physics": None if true is None else _raw(true),
        "position": moment.position.tolist(),
        "true_position": None if true_position is None else true_position.tolist(),
        "pixel": drive.camera.pixel(moment.position) if seen else None,
        "true_pixel": drive.camera.pixel(true_position) if seen and true_position is not None else None,
        "fingers": moment.fingers,
        "psnr": psnr if psnr is not None and math.isfinite(psnr) else None,
        "psnr_text": None if psnr is None else f"{psnr:.1f}" if math.isfinite(psnr) else "∞",
    }


def _psnr(frame: np.ndarray, true: np.ndarray) -> float:
    from vidpred.frames import to_float
    from vidpred.metrics import psnr

    return psnr(to_float(frame[None]), to_float(true[None]), "finn").item()


def _raw(frame: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(frame).tobytes()).decode()


def _note(drive: Drive) -> str:
    if drive.scene is None:
        return "No true physics beside it: this clip was not simulated here, its scene is unknown."
    if drive.awaits_physics:
        return "The true physics is starting …"
    if drive.physics.missing:
        return f"No true physics beside it: {drive.physics.missing}"
    return "The true physics takes the same actions from the same scene: see where the model departs from it."


class DriveHandlers(Handlers):
    """What the component and the widgets of this tab call."""

    def __init__(self, library: Library, physics: Physics):
        self.library, self.drives = library, Drives(library, physics)
        self._room = threading.Semaphore(PRESSES)

    @toast_refusals
    def begin(self, session: Any, run: Any, clip: Any, seed: Any, temperature: Any) -> tuple[str, dict]:
        """A new drive in the place of this visitor's last one: its id, and what the component shows."""
        try:
            require_drivable(self.library, run, clip)
        except BadInput as error:  # stands where the picture would be: another run's would mislead
            self.drives.end(session)
            return "", {"request": next_request(), "message": str(error)}
        name, drive = self.drives.begin(run, clip, seed, temperature, instead_of=session)
        with drive.lock:
            return name, drive_value(drive, 0) | {"seat": seat(drive, name)}

    def restore(self, **values: Any) -> dict[str, Any]:
        """The widgets of a view, by name."""
        seed, temperature = ask(self.library, **values)
        return {**values, "seed": seed, "temperature": temperature}

    def press(self, asked: Any) -> dict:
        """A press on the drive of the id `drive`: `what` is step (with `move` and `fingers`), replay, undo or look.

        Called past Gradio's queue, so that it keeps a limit of its own; a refusal is one line for the component.
        """
        if not self._room.acquire(blocking=False):
            return {"request": next_request(), "refusal": "Many are driving at once: please press again"}
        try:
            return self._press(asked if isinstance(asked, dict) else {})
        except BadInput as error:
            return {"request": next_request(), "refusal": str(error)}
        finally:
            self._room.release()

    @toast_refusals
    def save(self, session: Any) -> dict:
        """What was driven, as a GIF; the component changes nothing and downloads it."""
        drive = self.drives.find(session)
        with drive.lock:
            return drive_value(drive, len(drive.moments)) | {"gif": _saved(drive, session)}

    def _press(self, asked: dict) -> dict:
        drive = self.drives.find(asked.get("drive"))
        with drive.lock:
            since = len(drive.moments)
            if (what := asked.get("what")) == "step":
                drive.step(asked.get("move"), asked.get("fingers"))
            elif what == "replay":
                drive.replay()
            elif what == "undo":
                drive.undo()
                since -= 1
            elif what == "look":
                drive.catch_up()
                since = 0
            else:
                raise BadInput("A press is step, replay, undo or look")
            return drive_value(drive, since)


def _saved(drive: Drive, session: str) -> dict:
    """The GIF as a file in Gradio's cache."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", f"drive-{drive.run}-{drive.clip}.gif")
    path = Path(get_upload_folder()) / f"drive-{session}" / name
    save_gif(path, recording(drive), GIF_FPS)
    return FileData(path=str(path), orig_name=name, mime_type="image/gif").model_dump()


def build(library: Library, demo: gr.Blocks) -> dict[str, Any]:
    """Lay the tab out inside `demo` and wire it. Returns the widgets of the live part by the name of what they feed."""
    physics = Physics()
    with gr.Tabs():
        with gr.Tab("Drive the robot"):
            widgets = build_live(library, physics)
        with gr.Tab("What if") as tab:
            what_if_tab.build_what_if(library, physics, tab)
        with gr.Tab("Choose the poses") as tab:
            what_if_tab.build_poses(library, tab)
    return widgets


def build_live(library: Library, physics: Physics) -> dict[str, Any]:
    """The live part: a run imagines a frame for every press."""
    runs, clips = runs_of(library, "robot"), clips_of(library, "robot")
    if not runs or not clips:
        gr.Markdown("No robot clips are open here: start the app with `--data DIR`.")
        return {}
    handlers = DriveHandlers(library, physics)

    def press(asked):  # a function: Gradio marks what may be called, and methods take no mark
        return handlers.press(asked)

    able = drivable_runs(library)
    first = {"run": (able or runs)[0], "clip": clips[0], "seed": 0, "temperature": 1.0}
    session_state = gr.State("")
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=240):
            run_dd = gr.Dropdown(runs, value=first["run"], label="Run", info="one that was trained with actions")
            clip_dd = gr.Dropdown(clips, value=first["clip"], label="Clip", info="its first frames are given")
            temperature_slider = gr.Slider(
                0,
                MAX_TEMPERATURE,
                value=first["temperature"],
                step=0.1,
                label="Temperature",
                info="scales the noise; 0 takes the means",
            )
            with gr.Group():
                seed_number = gr.Number(first["seed"], label="Seed", step=1)
                seed_btn = gr.Button("Another seed")
        with gr.Column(scale=4, min_width=320, elem_classes="player-column"):
            drive_html = gr.HTML(
                html_template=TEMPLATE,
                css_template=CSS,
                js_on_load=JS,
                apply_default_css=False,
                value=None,
                elem_id="drive",
                server_functions=[press],
            )
    asked = {"run": run_dd, "clip": clip_dd, "seed": seed_number, "temperature": temperature_slider}
    begun = [session_state, drive_html]
    beginning = once(
        handlers.begin, {"session": session_state, **asked}, begun, ["session"], trigger_mode="always_last", **QUEUE
    )
    drive_html.submit(**again(beginning)).failure(None, js=REFUSED, api_visibility="private")
    drive_html.save(handlers.save, session_state, drive_html, **QUEUE).failure(
        None, js=REFUSED, api_visibility="private"
    )
    seed_btn.click(None, seed_number, seed_number, js=NEXT_SEED_JS, api_visibility="private")
    changed = [([widget.change for widget in asked.values()], [beginning])]
    return {**asked, "link": Link(asked, first, handlers.restore), "changed": changed}
