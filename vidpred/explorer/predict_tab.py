"""The tab that compares a prediction with what really happened: handlers, layout, wiring."""

import functools
from collections.abc import Callable
from typing import Any

import gradio as gr
import pandas as pd

from vidpred.errors import BadInput
from vidpred.explorer import fields
from vidpred.explorer.curves import describe_run, run_curves
from vidpred.explorer.library import Library
from vidpred.explorer.player import clip_player, next_request, player_value
from vidpred.explorer.predict import MAX_SEED, MAX_TEMPERATURE, predict_clip

MODEL_QUEUE = {"concurrency_id": "model", "concurrency_limit": 1}
PLOT_HEIGHT = 230


def friendly(handler: Callable) -> Callable:
    """BadInput becomes one line in front of the visitor; what is on the page stays."""

    @functools.wraps(handler)
    def checked(*args, **kwargs):
        try:
            return handler(*args, **kwargs)
        except BadInput as error:
            raise gr.Error(str(error), print_exception=False, duration=6) from None

    return checked


class Handlers:
    """What the widgets call. Every field is checked again: the raw API enforces nothing."""

    def __init__(self, library: Library):
        self.library = library

    @friendly
    def predict(self, run: Any, clip: Any, seed: Any, temperature: Any, n_future: Any) -> dict:
        """Predict the future of a clip; the value of the player, with the scores and the sheet of all frames."""
        request = next_request()
        return player_value(predict_clip(self.library, run, clip, seed, temperature, n_future), request)

    @friendly
    def curves(self, run: Any) -> tuple[str, pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """A run in words, and its KL, beta, teacher forcing and validation PSNR over the epochs."""
        curves = run_curves(self.library, run)
        return (
            describe_run(self.library, run),
            pd.DataFrame(curves.kl, columns=["epoch", "nats"]),
            pd.DataFrame(curves.beta, columns=["epoch", "beta"]),
            pd.DataFrame(curves.teacher_forcing, columns=["epoch", "share", "series"]),
            pd.DataFrame(curves.psnr, columns=["epoch", "dB"]),
        )

    @friendly
    def limit_frames(self, run: Any, clip: Any, n_future: Any) -> dict:
        """The slider of predicted frames, as far as this run can go in this clip."""
        longest = self.library.longest_future(run, clip)
        return gr.update(
            maximum=longest, value=min(fields.whole_number(n_future, "Predicted frames", 1, 10**6), longest)
        )

    @friendly
    def another_seed(self, seed: Any) -> int:
        """The next seed, so that one can also go back."""
        try:
            return (fields.whole_number(seed, "The seed", 0, MAX_SEED) + 1) % (MAX_SEED + 1)
        except BadInput:
            return 0


def build(library: Library, demo: gr.Blocks) -> None:
    """Lay the tab out inside `demo` and wire it."""
    handlers = Handlers(library)
    run, clip = next(iter(library.runs)), next(iter(library.clips))
    # what the API lets through for any run and clip; on the page limit_frames narrows it
    longest = max(entry.frames for entry in library.clips.values())
    longest -= min(library.config(name).data.n_past for name in library.runs)
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=280):
            run_dd = gr.Dropdown(list(library.runs), value=run, label="Run", info="a trained model")
            about_md = gr.Markdown(elem_classes="about")
            clip_dd = gr.Dropdown(list(library.clips), value=clip, label="Clip", info="none of them was trained on")
            n_future_slider = gr.Slider(
                1,
                longest,
                value=min(library.config(run).data.n_future, library.longest_future(run, clip)),
                step=1,
                label="Predicted frames",
                info="a longer future keeps the earlier frames",
            )
            temperature_slider = gr.Slider(
                0, MAX_TEMPERATURE, value=1, step=0.1, label="Temperature", info="scales the noise; 0 takes the means"
            )
            with gr.Group():
                # no bounds here: Gradio's own check would answer in its words and print a traceback
                seed_number = gr.Number(0, label="Seed", step=1)
                seed_btn = gr.Button("Another seed", variant="primary")
        with gr.Column(scale=3, min_width=320, elem_classes="player-column"):
            player_html = clip_player(elem_id="player")
    gr.Markdown("### How this run was trained", elem_classes="section")
    with gr.Row():
        options = {"x": "epoch", "height": PLOT_HEIGHT, "show_label": False, "min_width": 240, "x_axis_format": "d"}
        kl_plot = gr.LinePlot(y="nats", title="KL per clip (nats)", y_title=" ", y_lim=[0, None], **options)
        beta_plot = gr.LinePlot(
            y="beta", title="beta, the weight of the KL", y_title=" ", y_lim=[0, None], y_axis_format="~g", **options
        )
        forcing_plot = gr.LinePlot(
            y="share", color="series", color_title=" ", title="Teacher forcing", y_title=" ", y_lim=[0, 1], **options
        )
        psnr_plot = gr.LinePlot(y="dB", title="Validation PSNR (dB)", y_title=" ", **options)

    fields_of_prediction = {
        "run": run_dd,
        "clip": clip_dd,
        "seed": seed_number,
        "temperature": temperature_slider,
        "n_future": n_future_slider,
    }
    predicting = {
        "fn": handlers.predict,
        "inputs_kwargs": fields_of_prediction,
        "outputs": player_html,
        "trigger_mode": "always_last",
        "show_progress": "minimal",
        **MODEL_QUEUE,
    }
    gr.on(
        [demo.load, seed_number.change, temperature_slider.change, n_future_slider.change],
        api_name="predict",
        **predicting,
    )
    gr.on(
        [demo.load, run_dd.change],
        handlers.curves,
        inputs_kwargs={"run": run_dd},
        outputs=[about_md, kl_plot, beta_plot, forcing_plot, psnr_plot],
        api_name="curves",
        show_progress="hidden",
    )
    limited = gr.on(
        [run_dd.change, clip_dd.change],
        handlers.limit_frames,
        inputs_kwargs={"run": run_dd, "clip": clip_dd, "n_future": n_future_slider},
        outputs=n_future_slider,
        api_visibility="private",
        show_progress="hidden",
    )
    limited.success(api_visibility="private", **predicting)
    seed_btn.click(
        handlers.another_seed, seed_number, seed_number, api_visibility="private", show_progress="hidden", queue=False
    )
