"""The tab that drives a model like a simulator: what the component draws, handlers, layout, wiring."""

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
from vidpred.explorer.drive.drivable import checked_noise, drivable_runs, require_drivable, robot_runs
from vidpred.explorer.drive.session import Drive, Drives
from vidpred.explorer.drive.simulator import Physics
from vidpred.explorer.runs.library import Library, names
from vidpred.explorer.ui.drive_widget import drive_widget
from vidpred.explorer.ui.events import again, once
from vidpred.explorer.ui.fields import TEMPERATURE_INFO, seed_field, temperature_field
from vidpred.explorer.ui.handlers import PRIVATE, QUIET, Handlers, toast_refusals
from vidpred.explorer.ui.player import next_request
from vidpred.explorer.ui.run_menu import run_menu
from vidpred.explorer.ui.tab_parts import Link, Pages, TabParts
from vidpred.render import frame_border, save_gif, side_by_side, upscale

LEAD = (
    "**You press, the model imagines the next frame.** Try the arrow keys or the pad, and see where it departs from "
    "the true physics beside it."
)
REFUSED = {"fn": None, "js": "() => { document.dispatchEvent(new CustomEvent('drive-refused')); }", **PRIVATE}
DRIVE_QUEUE = {"concurrency_id": "drive", "concurrency_limit": 2, **QUIET}
MOST_PRESSES = 8  # at once, of all visitors; each waits for the model
GIF_ZOOM, GIF_FPS = 3, 10.0


def drive_value(drive: Drive, since: int) -> dict:
    """What the component draws, as JSON values: the frames from `since` on, raw RGB, and all that belongs to them.

    It forgets the frames from `since` on that it had. Answers are numbered when they are ready, not when they were
    asked for: a drive that begins slowly comes after the last one's steps.
    """
    value = {"request": next_request(), "since": since, "note": _note(drive), "starting": drive.awaits_physics}
    value["frames"] = [_frame(drive, t) for t in range(since, len(drive.frames))]
    return value


def setup(drive: Drive, drive_id: str) -> dict:
    """What does not change within a drive, and the id by which presses name it."""
    height, width = drive.frames[0].image.shape[:2]
    return {
        "drive": drive_id,
        "size": [width, height],
        "n_past": drive.n_past,
        "clip_frames": len(drive.conditions),
        "low": drive.gripper_model.low.tolist(),
        "high": drive.gripper_model.high.tolist(),
    }


def recording(drive: Drive) -> np.ndarray:
    """The drive as a clip (T, H, W, 3): given frames framed green, predicted ones red; the simulator's at its side."""
    clips = [frame_border(upscale(np.stack([frame.image for frame in drive.frames]), GIF_ZOOM), drive.n_past)]
    true = [_true_image(drive, t) for t in range(len(drive.frames))]
    if all(image is not None for image in true):
        clips.append(frame_border(upscale(np.stack(true), GIF_ZOOM), len(true)))
    return side_by_side(clips, gap=4)


def _true_image(drive: Drive, t: int) -> np.ndarray | None:
    """What the simulator shows; the given frames are its own."""
    return drive.frames[t].image if t < drive.n_past and drive.has_physics else drive.frames[t].true_image


def _frame(drive: Drive, t: int) -> dict:
    frame, true = drive.frames[t], _true_image(drive, t)
    psnr = None if t < drive.n_past or true is None else _psnr(frame.image, true)
    true_position = frame.true_position
    if true_position is None and true is not None:
        true_position = frame.position
    filmed = drive.camera is not None
    return {
        "press": frame.press,
        "model": _raw(frame.image),
        "physics": None if true is None else _raw(true),
        "position": frame.position.tolist(),
        "true_position": None if true_position is None else true_position.tolist(),
        "pixel": drive.camera.pixel(frame.position) if filmed else None,
        "true_pixel": drive.camera.pixel(true_position) if filmed and true_position is not None else None,
        "fingers": frame.fingers,
        "psnr": psnr if psnr is not None and math.isfinite(psnr) else None,
        "psnr_text": None if psnr is None else f"{psnr:.1f}" if math.isfinite(psnr) else "∞",
    }


def _psnr(image: np.ndarray, true: np.ndarray) -> float:
    from vidpred.frames import to_float
    from vidpred.metrics import psnr

    return psnr(to_float(image[None]), to_float(true[None]), "finn").item()


def _raw(image: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(image).tobytes()).decode()


def _note(drive: Drive) -> str:
    if drive.scene is None:
        return "No true physics beside it: this clip was not simulated here, its scene is unknown."
    if drive.awaits_physics:
        return "The true physics is starting …"
    if drive.physics.missing:
        return f"No true physics beside it: {drive.physics.missing}"
    return "The true physics takes the same actions from the same scene: see where the model departs from it."


class DriveHandlers(Handlers):
    def __init__(self, library: Library, physics: Physics):
        super().__init__(library)
        self.drives = Drives(library, physics)
        self._presses = threading.Semaphore(MOST_PRESSES)

    def begin(self, session: Any, run: Any, clip: Any, seed: Any, temperature: Any) -> tuple[str, dict]:
        """A new drive in place of this visitor's last one: its id, and what the component draws. A run or clip that
        cannot be driven is BadInput and ends the last one: its picture would stand for the wrong run."""
        try:
            run, clip = self.library.run(run), self.library.clip(clip)
            require_drivable(self.library, run, clip)
            run.require_weights()
        except BadInput:
            self.drives.end(session)
            raise
        drive_id, drive = toast_refusals(self.drives.begin)(run, clip, seed, temperature, instead_of=session)
        return drive_id, drive_value(drive, 0) | {"setup": setup(drive, drive_id)}

    def restore(self, run: Any, clip: Any, seed: Any, temperature: Any) -> dict[str, Any]:
        """The widgets of a view, by name."""
        seed, temperature = checked_noise(
            self.library, self.library.run(run), self.library.clip(clip), seed, temperature
        )
        return {"run": run, "clip": clip, "seed": seed, "temperature": temperature}

    def press(self, sent: Any) -> dict:
        """A press on the drive of the id `drive`: `what` is step (with `move` and `fingers`), replay, undo or refresh.

        Called past Gradio's queue, so that it keeps a limit of its own; a refusal is one line for the component.
        """
        if not self._presses.acquire(blocking=False):
            return {"request": next_request(), "refusal": "Many are driving at once: please press again"}
        try:
            return self._press(sent if isinstance(sent, dict) else {})
        except BadInput as error:
            return {"request": next_request(), "refusal": str(error)}
        finally:
            self._presses.release()

    @toast_refusals
    def save(self, session: Any) -> dict:
        """The drive as a GIF, which the component downloads; it draws nothing new."""
        with self.drives.use(session) as drive:
            return drive_value(drive, len(drive.frames)) | {"gif": _saved(drive, session)}

    def _press(self, sent: dict) -> dict:
        with self.drives.use(sent.get("drive")) as drive:
            since = len(drive.frames)
            if (what := sent.get("what")) == "step":
                drive.step(sent.get("move"), sent.get("fingers"))
            elif what == "replay":
                drive.replay()
            elif what == "undo":
                drive.undo()
                since -= 1
            elif what == "refresh":
                drive.catch_up()
                since = 0
            else:
                raise BadInput("A press is step, replay, undo or refresh")
            return drive_value(drive, since)


def _saved(drive: Drive, drive_id: str) -> dict:
    """The GIF as a file in Gradio's cache."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", f"drive-{drive.run.name}-{drive.clip.name}.gif")
    path = Path(get_upload_folder()) / f"drive-{drive_id}" / name
    save_gif(path, recording(drive), GIF_FPS)
    return FileData(path=str(path), orig_name=name, mime_type="image/gif").model_dump()


def build(library: Library, demo: gr.Blocks) -> TabParts:
    """Lay the tab out inside `demo` and wire it. What the page knows of it is the part in which one drives."""
    physics = Physics()
    handlers = what_if_tab.WhatIfHandlers(library, physics)
    places = {}
    with gr.Tabs(overflow_behavior="wrap") as tabs:
        with gr.Tab("Drive the robot", id="drive") as places["drive"]:
            parts = build_drive(library, physics)
        with gr.Tab("What if", id="what-if") as places["what-if"]:
            menus, link = what_if_tab.build_what_if(handlers, places["what-if"])
        with gr.Tab("Choose the poses", id="poses") as places["poses"]:
            menus |= what_if_tab.build_poses(handlers, places["poses"])
    link = _joined_link(parts.link, link)
    return parts._replace(link=link, menus={**parts.menus, **menus}, pages=Pages(tabs, places))


def _joined_link(one: Link | None, other: Link | None) -> Link | None:
    """The fields of both in one address, each restored by its own."""
    if one is None or other is None:
        return one or other

    def restore(**fields: Any) -> dict[str, Any]:
        updates = {}
        for link in (one, other):
            own = {name: fields[name] for name in link.first}
            updates |= link.restore(**own) if own != link.first else own  # as it opens with, whatever that is
        return updates

    widgets, first = {**one.widgets, **other.widgets}, {**one.first, **other.first}
    return Link(widgets, first, restore, instead=lambda: {**one.instead(), **other.instead()})


def first_view(library: Library) -> dict[str, Any]:
    """The fields before anyone has changed them; none where nothing can be driven."""
    for run in drivable_runs(library) or robot_runs(library):
        for clip in library.clips_for(run, known=True)[:1]:
            return {"run": run.name, "clip": clip.name, "seed": 0, "temperature": 1.0}
    return {}


def build_drive(library: Library, physics: Physics) -> TabParts:
    """The part in which one drives: a run predicts a frame for every press."""
    first = first_view(library)
    if not first:
        gr.Markdown("No robot clips are open here: start the app with `--data DIR`.")
        return TabParts()
    handlers = DriveHandlers(library, physics)

    def press(sent):  # a function: Gradio marks what may be called, and methods take no mark
        return handlers.press(sent)

    def listed() -> list[tuple[str, str]]:
        return run_menu(robot_runs(library))

    clips = library.clips_for(library.run(first["run"]), known=True)

    def end_drive(drive_id: str) -> None:  # a function: Gradio would copy what a method belongs to
        handlers.drives.end(drive_id)

    session_state = gr.State("", delete_callback=end_drive)
    gr.Markdown(LEAD, elem_classes="about")
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=240):
            run_dd = gr.Dropdown(listed(), value=first["run"], label="Run", info="one that was trained with actions")
            clip_dd = gr.Dropdown(names(clips), value=first["clip"], label="Clip", info="its first frames are given")
            temperature_slider = temperature_field(first["temperature"], TEMPERATURE_INFO)
            seed_number = seed_field(first["seed"], "secondary")
        with gr.Column(scale=4, min_width=320, elem_classes="player-column"):
            drive_html = drive_widget(elem_id="drive", server_functions=[press])
    asked = {"run": run_dd, "clip": clip_dd, "seed": seed_number, "temperature": temperature_slider}
    beginning = once(
        handlers.begin,
        {"session": session_state, **asked},
        [session_state, drive_html],
        refused=lambda error: ("", {"request": next_request(), "message": str(error)}),
        aside=["session"],
        trigger_mode="always_last",
        **DRIVE_QUEUE,
    )
    drive_html.submit(**again(beginning)).failure(**REFUSED)
    drive_html.download(handlers.save, session_state, drive_html, **DRIVE_QUEUE).failure(**REFUSED)
    changed = [([widget.change for widget in asked.values()], [beginning])]
    link = Link(
        asked, first, handlers.restore, instead=lambda: {} if first["run"] in library.runs else first_view(library)
    )
    return TabParts(asked, link, changed=changed, menus={run_dd: listed})
