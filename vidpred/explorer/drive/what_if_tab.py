"""What if the arm, or the dancer, did something else? Handlers, layout, wiring; part of the Drive tab."""

from concurrent import futures
from typing import Any

import gradio as gr

from vidpred.errors import BadInput
from vidpred.explorer.drive.session import drivable_runs
from vidpred.explorer.drive.simulator import Physics
from vidpred.explorer.drive.what_if import (
    CHANGED,
    CHANGES,
    MOST_POSES,
    OF_POSES,
    ORIGINAL,
    POSES,
    REALLY,
    SPEEDS,
    Answer,
    Segment,
    clips_of,
    follow_poses,
    runs_of,
    what_if,
)
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.prediction import MAX_TEMPERATURE
from vidpred.explorer.ui.handlers import Handlers
from vidpred.explorer.ui.player import Display, Tile, clip_player, next_request, player_value

PIECES = 3
PATIENCE = 8.0  # seconds that the first answer waits for the simulator
NOTHING = "–"
ASKING = {
    "concurrency_id": "model",
    "concurrency_limit": 1,
    "show_progress": "minimal",
    "trigger_mode": "always_last",
    "api_visibility": "private",
}
CHANGE_LABELS = [(label.capitalize(), change) for change, label in CHANGES.items()]


def shown(answer: Answer, note: str = "") -> Display:
    """What the player shows: the true clip, what was imagined, the error of the last prediction; poses or physics."""
    truth, *others = answer.clips
    tiles = [Tile("truth", truth, (answer.clips[truth],))]
    for name in others:
        kind = "prediction" if name in answer.scores else "pose" if name == POSES else "truth"
        scores = {score: [values] for score, values in answer.scores.get(name, {}).items()}
        tiles.append(Tile(kind, name, (answer.clips[name],), scores=scores))
    for i, tile in enumerate(tiles[:]):
        if tile.kind == "prediction":
            tiles.append(Tile("error", f"Error, {tile.label[0].lower()}{tile.label[1:]}", of=i, shown=False))
    first, last = answer.n_past, len(answer.clips[truth]) - 1
    protocol = f"{answer.protocol}: frames {first}…{last}, one sample, against “{truth}”"
    return Display(tiles, answer.n_past, copied=answer.copied, protocol=protocol, note=note)


class WhatIfHandlers(Handlers):
    """What the widgets of this tab call."""

    def __init__(self, library: Library, physics: Physics):
        self.library, self.physics = library, physics

    @toast_refusals
    def what_if(
        self,
        run: Any,
        clip: Any,
        change: Any,
        other: Any,
        shuffle_seed: Any,
        seed: Any,
        temperature: Any,
        n_future: Any,
    ) -> dict:
        """The prediction with changed actions or poses, beside the one with the clip's own."""
        request = next_request()
        if run in runs_of(self.library, "robot"):
            futures.wait([self.physics.warm_up()], timeout=PATIENCE)
        answer = what_if(
            self.library, self.physics, run, clip, change, other, shuffle_seed, seed, temperature, n_future
        )
        what = "poses" if POSES in answer.clips else "actions"
        note = (
            f"“{ORIGINAL}” knows the clip's own {what}, “{CHANGED}” the changed ones; both start from the same frames "
            f"and the same noise, and both are compared with what really happened."
        )
        if REALLY in answer.clips:
            note += f" “{REALLY}”: what the changed actions would really have done."
        return player_value(shown(answer, note), request)

    @toast_refusals
    def follow(self, run: Any, seed: Any, temperature: Any, *fields: Any) -> dict:
        """What a run imagines for a plan of poses; fields: clip, first, last, speed, backwards of each piece."""
        request = next_request()
        if len(fields) % len(Segment._fields):
            raise BadInput("A piece of a plan is a sequence, its first and last frame, a speed and backwards or not")
        pieces = [Segment(*fields[i : i + 5]) for i in range(0, len(fields), len(Segment._fields))]
        pieces = [piece for piece in pieces if piece.clip != NOTHING]
        return player_value(shown(follow_poses(self.library, run, pieces, seed, temperature)), request)

    @toast_refusals
    def limit(self, run: Any, clip: Any, change: Any, n_future: Any) -> tuple[dict, dict, dict, dict]:
        """The widgets of clip, change, lending clip and length, as they suit a run."""
        clips = clips_of(self.library, "dance" if run in runs_of(self.library, "dance") else "robot")
        poses = run in runs_of(self.library, "dance")
        if not clips:
            return gr.update(), gr.update(), gr.update(), gr.update()
        clip = clip if clip in clips else clips[0]
        known = self.library.clip(clip).known - self.library.config(run).data.n_past
        longest = max(1, min(known, self.library.longest_future(run, clip), MOST_POSES))
        n_future = n_future if isinstance(n_future, (int, float)) and 1 <= n_future <= longest else min(10, longest)
        changes = [pair for pair in CHANGE_LABELS if not poses or pair[1] in OF_POSES]
        change = change if change in dict(map(reversed, changes)) else changes[0][1]
        others = [name for name in clips if name != clip]
        return (
            gr.update(choices=clips, value=clip),
            gr.update(choices=changes, value=change),
            gr.update(choices=others, value=others[0] if others else None, visible=change == "other"),
            gr.update(maximum=longest, value=n_future),
        )


def build_what_if(library: Library, physics: Physics, tab: gr.Tab) -> None:
    """Other actions or poses for a clip, beside its own."""
    handlers = WhatIfHandlers(library, physics)
    runs = [*drivable_runs(library), *(runs_of(library, "dance") if clips_of(library, "dance") else [])]
    clips = clips_of(library, "robot" if runs and runs[0] in runs_of(library, "robot") else "dance") if runs else []
    if not clips:
        gr.Markdown("No run here is told about actions or poses, so nothing can be changed.")
        return
    longest = min(library.longest_future(runs[0], clips[0]), MOST_POSES)
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=240):
            run_dd = gr.Dropdown(runs, value=runs[0], label="Run", info="one that knows actions or poses")
            clip_dd = gr.Dropdown(clips, value=clips[0], label="Clip")
            change_radio = gr.Radio(CHANGE_LABELS, value="opposite", label="What if it moved …")
            other_dd = gr.Dropdown(clips[1:], value=(clips[1:] or [None])[0], label="Taken from", visible=False)
            n_future_slider = gr.Slider(1, longest, value=min(10, longest), step=1, label="Predicted frames")
            with gr.Accordion("Noise", open=False):
                temperature_slider = gr.Slider(0, MAX_TEMPERATURE, value=1, step=0.1, label="Temperature")
                seed_number = gr.Number(0, label="Seed", step=1)
                shuffle_number = gr.Number(0, label="Seed of the random order", step=1)
            ask_btn = gr.Button("Imagine it", variant="primary")
        with gr.Column(scale=4, min_width=320, elem_classes="player-column"):
            player_html = clip_player(elem_id="what-if")
    asking = {
        "fn": handlers.what_if,
        "inputs": [
            run_dd,
            clip_dd,
            change_radio,
            other_dd,
            shuffle_number,
            seed_number,
            temperature_slider,
            n_future_slider,
        ],
        "outputs": player_html,
        **ASKING,
    }
    gr.on([tab.select, ask_btn.click, other_dd.input], **asking)
    gr.on(
        [run_dd.input, clip_dd.input, change_radio.input],
        handlers.limit,
        inputs=[run_dd, clip_dd, change_radio, n_future_slider],
        outputs=[clip_dd, change_radio, other_dd, n_future_slider],
        api_visibility="private",
        show_progress="hidden",
    ).success(**asking)


def build_poses(library: Library, tab: gr.Tab) -> None:
    """A plan of poses, from any sequences, for a run to follow."""
    handlers = WhatIfHandlers(library, Physics())  # never made: nothing is simulated for a dance
    runs, clips = runs_of(library, "dance"), clips_of(library, "dance")
    if not runs or not clips:
        gr.Markdown(
            "Here a run that draws a dancer from pose pictures follows the poses you choose. None is open: train one "
            "with `python -m train.pose_cvae` and start the app with `--runs` and `--data` of dance videos."
        )
        return
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=300):
            run_dd = gr.Dropdown(runs, value=runs[0], label="Run")
            pieces = [_piece(library, clips, number) for number in range(1, PIECES + 1)]
            with gr.Accordion("Noise", open=False):
                temperature_slider = gr.Slider(0, MAX_TEMPERATURE, value=1, step=0.1, label="Temperature")
                seed_number = gr.Number(0, label="Seed", step=1)
            ask_btn = gr.Button("Follow the poses", variant="primary")
        with gr.Column(scale=3, min_width=320, elem_classes="player-column"):
            player_html = clip_player(elem_id="poses")
    inputs = [run_dd, seed_number, temperature_slider, *(field for piece in pieces for field in piece)]
    gr.on([tab.select, ask_btn.click], handlers.follow, inputs=inputs, outputs=player_html, **ASKING)


def _piece(library: Library, clips: list[str], number: int) -> list:
    """The widgets of a piece of the plan."""
    last = library.clip(clips[0]).known - 1
    with gr.Accordion(f"Piece {number}", open=number == 1):
        clip_dd = gr.Dropdown([NOTHING, *clips], value=clips[0] if number == 1 else NOTHING, label="Sequence")
        with gr.Row():
            first_number = gr.Number(0, label="From frame", step=1, min_width=90)
            last_number = gr.Number(min(29, last), label="To frame", step=1, min_width=90)
        speed_radio = gr.Radio(list(SPEEDS), value="1x", label="Speed")
        backwards_check = gr.Checkbox(False, label="Backwards")
    return [clip_dd, first_number, last_number, speed_radio, backwards_check]
