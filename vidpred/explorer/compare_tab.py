"""The tab that sets runs side by side: handlers, layout, wiring."""

import functools
from typing import Any

import gradio as gr

from vidpred.explorer import compare, training
from vidpred.explorer.chart import chart
from vidpred.explorer.events import again, chain, once
from vidpred.explorer.library import Library
from vidpred.explorer.links import Link
from vidpred.explorer.player import clip_player, next_request, player_value
from vidpred.explorer.predict import MAX_TEMPERATURE
from vidpred.explorer.predict_tab import MODEL_QUEUE, friendly
from vidpred.explorer.tables import literal, table

NUMBERS = ["run", "PSNR (dB)", "best of N", "SSIM", "KL per step (nats)", "protocol"]
ALIKE = "Nothing: every setting is the same."


class Handlers:
    """What the widgets call. Every field is checked again: the raw API enforces nothing."""

    def __init__(self, library: Library):
        self.library = library

    @friendly
    def compare(
        self, runs: list[str], clip: str, seed: float = 0, temperature: float = 1.0, samples: float = 3
    ) -> dict:
        """Predict a clip with each of two to four runs of one family, with the same noise. The answer is like that of
        /predict, with a tile for every run."""
        request = next_request()
        names = compare.chosen_runs(self.library, runs)
        return player_value(compare.compare_clip(self.library, names, clip, seed, temperature, samples), request)

    @friendly
    def explain(self, runs: Any) -> tuple[str, str, dict]:
        """What sets the runs apart, what they score, and their curves in one picture."""
        names = compare.chosen_runs(self.library, runs)
        rows = compare.differences(self.library, names)
        value = training.training_value(self.library, names, compare.CURVES, "epochs", 0, False, next_request())
        numbers = compare.evaluated_numbers(self.library, names)
        return _table(["setting", *names], rows) if rows else ALIKE, _table(NUMBERS, numbers), value

    @friendly
    def follow_runs(self, runs: Any, clip: Any) -> dict:
        """The clips that fit these runs; the chosen one stays where it does."""
        names = compare.chosen_runs(self.library, runs)
        clips = self.library.clips_for(names[0])
        return gr.update(choices=clips, value=clip if clip in clips else next(iter(clips), None))

    def restore(self, runs: Any, clip: Any, **asked: Any) -> dict[str, Any]:
        """The widgets of a view, by name."""
        names = compare.chosen_runs(self.library, runs)
        compare.ask_each(self.library, names, clip, **asked)
        return {"runs": names, "clip": gr.update(choices=self.library.clips_for(names[0]), value=clip), **asked}


def _table(headers: list[str], rows: list[list[str]]) -> str:
    return table([literal(header) for header in headers], [[literal(cell) for cell in row] for row in rows])


def build(library: Library, demo: gr.Blocks) -> dict[str, Any]:
    """Lay the tab out inside `demo` and wire it."""
    handlers = Handlers(library)
    gr.api(handlers.compare, api_name="compare", **MODEL_QUEUE)  # first: the page's own event would take its name
    runs = compare.first_runs(library)
    if not runs:
        gr.Markdown("Comparing needs two runs of one family: start the app with `--runs DIR`.")
        return {}
    groups, first = compare.groups(library), compare.first_view(library, runs[0])
    with gr.Row():
        group_btns = [gr.Button(group.title, size="sm", min_width=240) for group in groups]
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=280):
            runs_dd = gr.Dropdown(
                list(library.runs),
                value=runs,
                multiselect=True,
                max_choices=compare.MOST_RUNS,
                label="Runs",
                info=f"two to {compare.MOST_RUNS} of one family",
            )
            clip_dd = gr.Dropdown(library.clips_for(runs[0]), value=first["clip"], label="Clip")
            temperature_slider = gr.Slider(
                0, MAX_TEMPERATURE, value=first["temperature"], step=0.1, label="Temperature"
            )
            samples_slider = gr.Slider(
                1, compare.MOST_SAMPLES, value=first["samples"], step=1, label="Samples of each run"
            )
            seed_number = gr.Number(first["seed"], label="Seed", step=1, info="the same noise for every run")
            compare_btn = gr.Button("Compare", variant="primary")
        with gr.Column(scale=3, min_width=320, elem_classes="player-column"):
            player_html = clip_player(elem_id="compare-player")
    gr.Markdown("### What sets them apart", elem_classes="section")
    differences_md = gr.Markdown(elem_classes="figures")
    gr.Markdown("### What they score", elem_classes="section")
    numbers_md = gr.Markdown(elem_classes="figures")
    gr.Markdown("### How they were trained", elem_classes="section")
    curves_html = chart(elem_id="compare-chart")

    asked = {
        "runs": runs_dd,
        "clip": clip_dd,
        "seed": seed_number,
        "temperature": temperature_slider,
        "samples": samples_slider,
    }
    busy = {"show_progress": "minimal", **MODEL_QUEUE}
    predicting = once(handlers.compare, asked, player_html, **busy)
    explained = [differences_md, numbers_md, curves_html]
    explaining = once(handlers.explain, {"runs": runs_dd}, explained, show_progress="hidden")
    following = {
        "fn": handlers.follow_runs,
        "inputs_kwargs": {"runs": runs_dd, "clip": clip_dd},
        "outputs": clip_dd,
        "show_progress": "hidden",
    }
    chain(compare_btn.click, again(predicting))
    chain(runs_dd.input, following, explaining, predicting)
    for button, group in zip(group_btns, groups):
        grouping = {"fn": lambda names=group.runs: names, "outputs": runs_dd, "show_progress": "hidden", "queue": False}
        chain(button.click, grouping, following, explaining, predicting)
    link = Link(asked, {"runs": runs, **first}, handlers.restore, functools.partial(compare.first_view, library))
    return {"runs": runs_dd, "link": link, "opened": [[explaining], [predicting]]}
