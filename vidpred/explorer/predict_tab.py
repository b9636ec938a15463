"""The tab that compares predictions with what really happened: handlers, layout, wiring."""

import functools
from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.data_classes import FileData

from vidpred.errors import BadInput
from vidpred.explorer import fields, predict
from vidpred.explorer.curves import describe_run
from vidpred.explorer.downloads import KINDS, write_download
from vidpred.explorer.events import chain, once
from vidpred.explorer.library import Library
from vidpred.explorer.links import Link
from vidpred.explorer.player import clip_player, next_request, player_message, player_value, read_view
from vidpred.explorer.predict import MAX_PAST, MAX_SAMPLES, MAX_SEED, MAX_TEMPERATURE, predict_clip
from vidpred.explorer.predict_tiles import PRIORS, shown
from vidpred.explorer.widget import STATIC

MODEL_QUEUE = {"concurrency_id": "model", "concurrency_limit": 1}
# Of a field that holds none: the first one. So that one can also go back, seeds follow one another.
NEXT_SEED_JS = f"seed => Number.isInteger(seed) && seed >= 0 && seed < {MAX_SEED} ? seed + 1 : 0"
# The player knows what is switched on, chosen and how fast: a download shows the same.
VIEW_JS = "(view, ...rest) => [document.querySelector('#player .player')?.dataset.view ?? '', ...rest]"


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
    def predict(
        self,
        run: str,
        clip: str,
        seed: float = 0,
        temperature: float = 1.0,
        n_future: float = None,  # noqa: RUF013 -- to the types of what may be left out Gradio's docs add None
        n_past: float = None,  # noqa: RUF013
        samples: float = 1,
        prior: str = None,  # noqa: RUF013
        sweep: bool = False,
    ) -> dict:
        """Predict the future of a clip: sheets of all frames, and PSNR and SSIM of every sample and frame.

        n_future, n_past, prior ("learned" or "standard"): null takes the run's own. sweep: the temperatures 0, 0.5, 1,
        1.5 and 2 instead of one. The answer: tiles, with scores and the places of their clips; clips, each a sheet and
        the cell where it begins; sheets, lossless, cells of tile_width x tile_height in rows of so many columns.
        """
        return self._value(run, clip, seed, temperature, n_future, n_past, samples, prior, sweep)

    def draw(self, **asked: Any) -> dict:
        """The same for the page: what is wrong is said where the picture is."""
        request = next_request()
        try:
            return self._value(**asked, request=request)
        except BadInput as error:
            return player_message(f"{error}.", request)

    def _value(self, *asked: Any, request: int | None = None, **named: Any) -> dict:
        request = request or next_request()
        return player_value(shown(predict_clip(self.library, *asked, **named)), request)

    @friendly
    def choose_run(self, run: Any, clip: Any, n_past: Any, n_future: Any, samples: Any) -> tuple:
        """What a run is, where its z can come from, and the other fields as far as this run can go."""
        prior = self._prior(run, predict.own_prior(self.library.config(run)))
        return describe_run(self.library, run), prior, *self.fit(run, clip, n_past, n_future, samples)

    @friendly
    def describe(self, run: Any) -> str:
        """What a run is, as it stands on disk now."""
        return describe_run(self.library, run)

    @friendly
    def fit(self, run: Any, clip: Any, n_past: Any, n_future: Any, samples: Any) -> tuple[dict, dict, dict, Any]:
        """Clip, context, horizon and samples for a run: kept where they fit, else as the run has them at first."""
        library, config = self.library, self.library.config(run)
        clips = library.clips_for(run)
        if not clips:
            raise BadInput(f"None of the clips here is for {run}: open others with --data")
        low, high = predict.past_limits(config)
        if stays := clip in clips:
            n_past = fields.within(n_past, low, min(high, library.clip(clip).frames - 1), config.data.n_past)
        else:
            clip, n_past, samples = clips[0], config.data.n_past, predict.first_samples(library, run)
        longest = library.longest_future(run, clip, n_past)
        first = predict.first_future(library, run, clip, n_past)
        return (
            gr.update(choices=clips, value=clip),
            gr.update(value=n_past, maximum=max(high, 2), visible=high > low),
            gr.update(value=fields.within(n_future, 1, longest, first) if stays else first, maximum=longest),
            samples,
        )

    def restore(self, **values: Any) -> dict[str, Any]:
        """The widgets of a view, by name. The run's own number of predicted frames stands for what a clip has of it."""
        own = predict.own_future(self.library.config(values["run"]))
        some = None if values["n_future"] == own else values["n_future"]
        asked = predict.ask(self.library, **{**values, "n_future": some})
        fitted = self.fit(asked.run, asked.clip, asked.n_past, asked.n_future, asked.samples)
        return {
            **values,
            **dict(zip(("clip", "n_past", "n_future", "samples"), fitted)),
            "seed": asked.seed,
            "prior": self._prior(asked.run, asked.prior),
        }

    def limit_future(self, run: Any, clip: Any, n_past: Any, n_future: Any) -> dict:
        """The slider of predicted frames for so many given ones; what is wrong with them is said by the player."""
        try:
            fields.whole_number(n_past, "Context frames", *predict.past_limits(self.library.config(run)))
            longest = self.library.longest_future(run, clip, n_past)
        except BadInput:
            return gr.skip()
        return gr.update(value=fields.within(n_future, 1, longest, longest), maximum=longest)

    def _prior(self, run: str, value: str) -> dict:
        return gr.update(value=value, visible=len(predict.priors(self.library.config(run))) > 1)

    def save(self, view: Any, kind: Any, **asked: Any) -> dict:
        """A file that shows what the player shows."""
        request = next_request()
        try:
            prediction = predict_clip(self.library, **asked)
            showing = shown(prediction)
            path = write_download(prediction, showing, read_view(view, showing), kind)
        except BadInput as error:
            return {"request": request, "message": f"{error}."}
        return {"request": request, "name": path.name, "file": FileData(path=str(path)).model_dump()}


def build(library: Library, demo: gr.Blocks) -> dict[str, Any]:
    """Lay the tab out inside `demo` and wire it. Returns its widgets by the name of what they feed."""
    handlers, first = Handlers(library), predict.first_view(library)
    run, clip, n_past = first["run"], first["clip"], first["n_past"]
    config, clips = library.config(run), library.clips_for(run)
    low, high = predict.past_limits(config)
    longest = library.longest_future(run, clip) if clips else 1
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=280, elem_classes="fields"):
            run_dd = gr.Dropdown(list(library.runs), value=run, label="Run")
            about_md = gr.Markdown(elem_classes="about")
            clip_dd = gr.Dropdown(clips, value=clip, label="Clip", info="no run was trained on it")
            with gr.Group():
                # no bounds: Gradio's own check would answer in its words and print a traceback
                seed_number = gr.Number(first["seed"], label="Seed", step=1)
                seed_btn = gr.Button("Another seed", variant="primary")
            temperature_slider = gr.Slider(
                0,
                MAX_TEMPERATURE,
                value=first["temperature"],
                step=0.1,
                label="Temperature",
                info="scales the noise; 0 takes the means",
            )
            sweep_check = gr.Checkbox(first["sweep"], label="Side by side: T = 0, 0.5, 1, 1.5, 2", container=False)
            samples_slider = gr.Slider(
                1, MAX_SAMPLES, value=first["samples"], step=1, label="Samples", info="of the same seed"
            )
            n_future_slider = gr.Slider(
                1,
                longest,
                value=min(first["n_future"], longest),
                step=1,
                label="Predicted frames",
                info="a longer future keeps the earlier frames",
            )
            n_past_slider = gr.Slider(
                1, MAX_PAST, value=n_past, step=1, label="Context frames", info="given ones", visible=high > low
            )
            prior_radio = gr.Radio(
                [(name, value) for value, name in PRIORS.items()],
                value=first["prior"],
                label="Prior at test",
                elem_classes="chips",
                visible=len(predict.priors(config)) > 1,
            )
        with gr.Column(scale=3, min_width=320, elem_classes="player-column"):
            player_html = clip_player(elem_id="player")
            with gr.Row(elem_classes="downloads"):
                buttons = {
                    kind: gr.Button(f"Save {name}", size="sm", min_width=90, elem_id=f"save-{kind}")
                    for kind, name in KINDS.items()
                }
            saved_html = gr.HTML(
                html_template=(STATIC / "download.html").read_text(),
                css_template=".saved { margin: 0; font-size: 13px; min-height: 20px; }",
                js_on_load=(STATIC / "download.js").read_text(),
                value=None,
            )
            view_text = gr.Textbox(visible=False)

    asked = {
        "run": run_dd,
        "clip": clip_dd,
        "seed": seed_number,
        "temperature": temperature_slider,
        "n_future": n_future_slider,
        "n_past": n_past_slider,
        "samples": samples_slider,
        "prior": prior_radio,
        "sweep": sweep_check,
    }
    # preprocess=False: Gradio's own checks would answer in their words and print tracebacks; ours come first
    private = {"api_visibility": "private", "preprocess": False}
    quiet = {"show_progress": "hidden", **private}
    busy = {"show_progress": "minimal", **private, **MODEL_QUEUE}
    predicting = once(handlers.draw, asked, player_html, **busy)
    describing = {"fn": handlers.describe, "inputs_kwargs": {"run": run_dd}, "outputs": about_md, **quiet}
    limiting = {
        "fn": handlers.limit_future,
        "inputs_kwargs": {name: asked[name] for name in ("run", "clip", "n_past", "n_future")},
        "outputs": n_future_slider,
        **quiet,
    }
    fitted = [clip_dd, n_past_slider, n_future_slider, samples_slider]
    fitting = {
        "fn": handlers.fit,
        "inputs_kwargs": {name: asked[name] for name in ("run", "clip", "n_past", "n_future", "samples")},
        "outputs": fitted,
        **quiet,
    }
    choosing = {**fitting, "fn": handlers.choose_run, "outputs": [about_md, prior_radio, *fitted]}
    chain(run_dd.input, choosing, predicting)
    chain(clip_dd.input, fitting, predicting)
    # change, not input: a number beyond a slider's end is drawn back to it without input
    changing = (seed_number, temperature_slider, n_future_slider, samples_slider, prior_radio, sweep_check)
    changed = [
        ([widget.change for widget in changing], [predicting]),
        ([n_past_slider.change], [limiting, predicting]),
    ]
    seed_btn.click(None, seed_number, seed_number, js=NEXT_SEED_JS, api_visibility="private")
    for kind, button in buttons.items():
        gr.on(
            [button.click],
            handlers.save,
            inputs_kwargs={"view": view_text, "kind": gr.State(kind), **asked},
            outputs=saved_html,
            js=VIEW_JS,
            concurrency_id="files",
            concurrency_limit=1,
            **private,
        )
    gr.api(handlers.predict, api_name="predict", **MODEL_QUEUE)
    link = Link(asked, first, handlers.restore, functools.partial(predict.first_view, library))
    return {**asked, "link": link, "opened": [[describing], [predicting]], "changed": changed}
