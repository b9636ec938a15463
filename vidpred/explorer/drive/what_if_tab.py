"""What if the arm, or the dancer, did something else? Handlers, layout, wiring; part of the Drive tab."""

import contextlib
import functools
from collections.abc import Callable
from concurrent import futures
from typing import Any

import gradio as gr

from vidpred.errors import BadInput
from vidpred.explorer.drive.drivable import drivable_runs, require_drivable
from vidpred.explorer.drive.simulator import Physics
from vidpred.explorer.drive.what_if import (
    CHANGED,
    CHANGES,
    ORIGINAL,
    POSE_CHANGES,
    POSES,
    SIMULATED,
    SPEEDS,
    Piece,
    ScoredClips,
    follow_poses,
    longest_future,
    what_if,
)
from vidpred.explorer.runs import validate
from vidpred.explorer.runs.library import Library, names
from vidpred.explorer.runs.run import Run
from vidpred.explorer.ui.events import chain
from vidpred.explorer.ui.fields import temperature_field
from vidpred.explorer.ui.handlers import BUSY, QUIET, WAITING_QUEUE, Handlers, toast_refusals
from vidpred.explorer.ui.player import Display, Tile, clip_player, next_request, player_value
from vidpred.explorer.ui.run_menu import run_menu
from vidpred.explorer.ui.tab_parts import Link
from vidpred.simulate.robot_push.scene import scene_of

PIECES = 3
FUTURE = 10  # predicted frames at first
STARTUP_SECONDS = 8.0  # that the first question waits for the simulator
LEAD = (
    "**The same start and the same noise, but another movement.** Choose one: does the model follow it as the physics "
    "does?"
)
POSES_LEAD = (
    "**A dance of your own.** Piece by piece, choose a sequence and which of its poses the dancer is to take; the run "
    "draws the frames, from one true frame on."
)
NO_CLIP = "–"
NAMED = "if_"  # what the fields' names begin with in the address: Drive has a run and a clip of its own
CHANGE_LABELS = [(label.capitalize(), change) for change, label in CHANGES.items()]

Menus = dict[gr.blocks.Block, Callable[[], list[tuple[str, str]]]]


def what_if_tiles(scored: ScoredClips, note: str = "") -> Display:
    """The true clip, the predictions, the simulator's frames or the poses, and the error of each prediction."""
    truth, *others = scored.clips
    tiles = [Tile("truth", truth, (scored.clips[truth],))]
    for name in others:
        kind = "prediction" if name in scored.scores or name == CHANGED else "pose" if name == POSES else "truth"
        scores = {score: [values] for score, values in scored.scores.get(name, {}).items()}
        tiles.append(Tile(kind, name, (scored.clips[name],), scores=scores))
    for i, tile in enumerate(tiles[:]):
        if tile.kind == "prediction" and tile.label != CHANGED:  # what was changed never happened
            tiles.append(Tile("error", f"Error, {tile.label[0].lower()}{tile.label[1:]}", of=i, on=False))
    first, last = scored.n_past, len(scored.clips[truth]) - 1
    simulated = f" and “{SIMULATED}”" if SIMULATED in scored.clips else ""
    protocol = f"{scored.protocol}: frames {first}…{last}, one sample, against “{truth}”{simulated}"
    return Display(tiles, scored.n_past, copied=scored.copied, protocol=protocol, note=note)


class WhatIfHandlers(Handlers):
    def __init__(self, library: Library, physics: Physics):
        super().__init__(library)
        self.physics = physics

    def await_physics(self, run: Any, clip: Any) -> None:
        """Give the simulator time to start, where it knows the scene. The model is free meanwhile."""
        with contextlib.suppress(BadInput):  # the prediction will say it
            if self.library.run(run).takes_actions and scene_of(self.library.clip(clip).folder) is not None:
                futures.wait([self.physics.warm_up()], STARTUP_SECONDS)

    @toast_refusals
    def what_if(self, run: Any, clip: Any, change: Any, other: Any, **fields: Any) -> dict:
        """The prediction with changed actions or poses, beside the one with the clip's own."""
        request, run = next_request(), self.library.run(run)
        other = self.library.clip(other) if change == "other" else None
        scored = what_if(self.library, self.physics, run, self.library.clip(clip), change, other, **fields)
        what = "poses" if run.takes_poses else "actions"
        note = (
            f"“{ORIGINAL}” knows the clip's own {what}, “{CHANGED}” the changed ones; both start from the same frames "
            f"and the same noise. “{ORIGINAL}” is scored against what really happened, "
        )
        if SIMULATED in scored.clips:
            note += f"“{CHANGED}” against “{SIMULATED}”: what the changed actions really do in the simulator."
        else:
            note += f"“{CHANGED}” not at all: nobody knows what the changed {what} would have done."
        return player_value(what_if_tiles(scored, note), request)

    def restore(self, **fields: Any) -> dict[str, Any]:
        """The widgets of a view, by their names in the address."""
        view = {name.removeprefix(NAMED): value for name, value in fields.items()}
        run, clip = self.library.run(view["run"]), self.library.clip(view["clip"])
        changes = POSE_CHANGES if run.takes_poses else CHANGES
        change = validate.choice(view["change"], "change", changes)
        if not run.takes_poses:
            require_drivable(self.library, run, clip)
        frames = validate.whole_number(view["n_future"], "The number of predicted frames", 1, longest_future(run, clip))
        for name, text in (("seed", "The seed"), ("shuffle_seed", "The seed of the order")):
            view[name] = validate.seed(view[name], text)
        view["temperature"] = validate.temperature(view["temperature"])
        fitted = dict(zip(("clip", "change", "other", "n_future"), self.fit(run.name, clip.name, change, frames)))
        if change == "other":
            others = [name for name in names(self.library.clips_for(run, known=True)) if name != clip.name]
            fitted["other"]["value"] = validate.choice(view["other"], "clip", others)
        return _named({**view, **fitted})

    @toast_refusals
    def follow(self, run: Any, seed: Any, temperature: Any, *fields: Any) -> dict:
        """What a run predicts for a plan of poses; fields: clip, first, last, speed, backwards of each piece."""
        request, run = next_request(), self.library.run(run)
        size = len(Piece._fields)
        if len(fields) % size:
            raise BadInput("A piece of a plan is a sequence, its first and last frame, a speed and backwards or not")
        chosen = [fields[i : i + size] for i in range(0, len(fields), size) if fields[i] != NO_CLIP]
        sequences = names(self.library.clips_for(run, known=True))
        pieces = [
            Piece(self.library.clip(validate.choice(clip, "sequence", sequences)), *rest) for clip, *rest in chosen
        ]
        return player_value(what_if_tiles(follow_poses(self.library, run, pieces, seed, temperature)), request)

    @toast_refusals
    def fit(self, run: Any, clip: Any, change: Any, n_future: Any, other: Any = None) -> tuple[dict, dict, dict, dict]:
        """Clip, change, other clip and length for a run: kept where they fit."""
        run = self.library.run(run)
        clips, clip = self.require_clips(run, clip, known=True)
        longest = longest_future(run, self.library.clip(clip))
        stays = validate.finite(n_future) is not None and 1 <= n_future <= longest
        changes = change_menu(run)
        change = change if change in [value for _, value in changes] else changes[0][1]
        others = [name for name in clips if name != clip]
        # where nothing is taken from it, it stays: the address would name it
        kept = other if other in others else next(iter(others), None)
        other = {"value": kept} if change == "other" else {}
        return (
            gr.update(choices=clips, value=clip),
            gr.update(choices=changes, value=change),
            gr.update(choices=others, visible=change == "other", **other),
            gr.update(maximum=longest, value=n_future if stays else min(FUTURE, longest)),
        )

    def runs(self) -> list[Run]:
        """Those whose actions or poses can be changed, where there are clips for them."""
        return [*self._with_clips(drivable_runs(self.library)), *self.pose_runs()]

    def pose_runs(self) -> list[Run]:
        """Those that follow poses, where there are clips for them."""
        return self._with_clips([run for run in self.library.all_runs() if run.takes_poses])

    def _with_clips(self, runs: list[Run]) -> list[Run]:
        return [run for run in runs if self.library.clips_for(run, known=True)]


def change_menu(run: Run) -> list[tuple[str, str]]:
    """(label, change) of what can be changed for a run."""
    return [pair for pair in CHANGE_LABELS if not run.takes_poses or pair[1] in POSE_CHANGES]


def first_view(library: Library, run: Run) -> dict[str, Any]:
    """The fields of a run with clips before anyone has changed them."""
    clip, *others = library.clips_for(run, known=True)
    return {
        "run": run.name,
        "clip": clip.name,
        "change": change_menu(run)[0][1] if run.takes_poses else "opposite",
        "other": next(iter(names(others)), None),
        "n_future": min(FUTURE, longest_future(run, clip)),
        "seed": 0,
        "shuffle_seed": 0,
        "temperature": 1,
    }


def _named(fields: dict[str, Any]) -> dict[str, Any]:
    """By their names in the address."""
    return {f"{NAMED}{name}": value for name, value in fields.items()}


def build_what_if(handlers: WhatIfHandlers, tab: gr.Tab) -> tuple[Menus, Link | None]:
    """Other actions or poses for a clip, beside its own."""
    runs = handlers.runs()
    if not runs:
        gr.Markdown("No run here is told about actions or poses and has clips, so nothing can be changed.")
        return {}, None
    first, changes = first_view(handlers.library, runs[0]), change_menu(runs[0])
    clips = handlers.library.clips_for(runs[0], known=True)
    gr.Markdown(LEAD, elem_classes="about")
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=240):
            run_dd = gr.Dropdown(
                run_menu(runs), value=runs[0].name, label="Run", info="one that knows actions or poses"
            )
            clip_dd = gr.Dropdown(names(clips), value=first["clip"], label="Clip")
            change_radio = gr.Radio(changes, value=first["change"], label="What if it moved …")
            other_dd = gr.Dropdown(names(clips[1:]), value=first["other"], label="Taken from", visible=False)
            n_future_slider = gr.Slider(
                1, longest_future(runs[0], clips[0]), value=first["n_future"], step=1, label="Predicted frames"
            )
            temperature_slider, seed_number, shuffle_number = _noise("Seed of the random order")
            predict_btn = gr.Button("Imagine it", variant="primary")
        with gr.Column(scale=4, min_width=320, elem_classes="player-column"):
            player_html = clip_player(elem_id="what-if")
    asked = {
        "run": run_dd,
        "clip": clip_dd,
        "change": change_radio,
        "other": other_dd,
        "shuffle_seed": shuffle_number,
        "seed": seed_number,
        "temperature": temperature_slider,
        "n_future": n_future_slider,
    }
    waiting = {
        "fn": handlers.await_physics,
        "inputs_kwargs": {"run": run_dd, "clip": clip_dd},
        "show_progress": "minimal",
        "show_progress_on": player_html,
        **WAITING_QUEUE,
    }
    predicting = {"fn": handlers.what_if, "inputs_kwargs": asked, "outputs": player_html, **BUSY}
    fitting = {
        "fn": handlers.fit,
        "inputs_kwargs": {name: asked[name] for name in ("run", "clip", "change", "n_future", "other")},
        "outputs": [clip_dd, change_radio, other_dd, n_future_slider],
        **QUIET,
    }
    chain(functools.partial(gr.on, [tab.select, predict_btn.click, other_dd.input]), waiting, predicting)
    chain(functools.partial(gr.on, [run_dd.input, clip_dd.input, change_radio.input]), fitting, waiting, predicting)

    def instead() -> dict[str, Any]:
        there = [] if first["run"] in handlers.library.runs else handlers.runs()
        return _named(first_view(handlers.library, there[0])) if there else {}

    link = Link(_named(asked), _named(first), handlers.restore, instead=instead)
    return {run_dd: lambda: run_menu(handlers.runs())}, link


def build_poses(handlers: WhatIfHandlers, tab: gr.Tab) -> Menus:
    """A plan of poses, from any sequences, for a run to follow."""
    runs = handlers.pose_runs()
    if not runs:
        missing, options = "None is open: train one with `python -m train.pose_cvae` and", "`--runs` and `--data`"
        if any(run.takes_poses for run in handlers.library.all_runs()):
            missing, options = "There are no clips for it:", "`--data`"
        gr.Markdown(
            "Here a run that draws a dancer from pose pictures follows the poses you choose. "
            f"{missing} start the app with {options} of dance videos."
        )
        return {}
    gr.Markdown(POSES_LEAD, elem_classes="about")
    clips = handlers.library.clips_for(runs[0], known=True)
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=300):
            run_dd = gr.Dropdown(run_menu(runs), value=runs[0].name, label="Run")
            pieces = [_piece(names(clips), clips[0].known - 1, number) for number in range(1, PIECES + 1)]
            temperature_slider, seed_number = _noise()
            predict_btn = gr.Button("Follow the poses", variant="primary")
        with gr.Column(scale=3, min_width=320, elem_classes="player-column"):
            player_html = clip_player(elem_id="poses")
    inputs = [run_dd, seed_number, temperature_slider, *(field for piece in pieces for field in piece)]
    following = {"fn": handlers.follow, "inputs": inputs, "outputs": player_html, **BUSY}
    chain(functools.partial(gr.on, [tab.select, predict_btn.click]), following)
    return {run_dd: lambda: run_menu(handlers.pose_runs())}


def _noise(*more: str) -> list[gr.components.Component]:
    """The widgets of temperature, seed and further seeds."""
    with gr.Accordion("Noise", open=False):
        temperature_slider = temperature_field()
        return [temperature_slider, *(gr.Number(0, label=label, step=1) for label in ("Seed", *more))]


def _piece(clips: list[str], last: int, number: int) -> list[gr.components.Component]:
    """The widgets of a piece of the plan."""
    with gr.Accordion(f"Piece {number}", open=number == 1):
        clip_dd = gr.Dropdown([NO_CLIP, *clips], value=clips[0] if number == 1 else NO_CLIP, label="Sequence")
        with gr.Row():
            first_number = gr.Number(0, label="From frame", step=1, min_width=90)
            last_number = gr.Number(min(29, last), label="To frame", step=1, min_width=90)
        speed_radio = gr.Radio(list(SPEEDS), value="1x", label="Speed")
        backwards_check = gr.Checkbox(False, label="Backwards")
    return [clip_dd, first_number, last_number, speed_radio, backwards_check]
