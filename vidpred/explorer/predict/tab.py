"""The tab that compares predictions with what really happened: handlers, layout, wiring."""

import functools
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData

from vidpred.errors import BadInput
from vidpred.explorer.predict.downloads import KINDS, write_download
from vidpred.explorer.runs import prediction, validate
from vidpred.explorer.runs.library import Library, names
from vidpred.explorer.runs.prediction import MAX_SAMPLES, first_run
from vidpred.explorer.runs.run import Run
from vidpred.explorer.ui.events import chain, once
from vidpred.explorer.ui.fields import TEMPERATURE_INFO, seed_field, temperature_field
from vidpred.explorer.ui.handlers import BUSY, MODEL_QUEUE, PRIVATE, QUIET, Handlers, toast_refusals
from vidpred.explorer.ui.player import clip_player, next_request, player_refusal, player_value, read_view
from vidpred.explorer.ui.prediction_tiles import PRIORS, prediction_tiles
from vidpred.explorer.ui.run_menu import run_about, run_menu
from vidpred.explorer.ui.tab_parts import Link, TabParts

STATIC = Path(__file__).parent / "static"
LEAD = (
    "**What happened, and what the model imagines of it.** Press play, then *Another seed* for another future; "
    "*Side by side* shows what the temperature does."
)
# The player knows what is switched on, chosen and how fast: a download shows the same.
VIEW_JS = "(view, ...rest) => [document.querySelector('#player .player')?.dataset.view ?? '', ...rest]"


class PredictHandlers(Handlers):
    @toast_refusals
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
        """Predict the future of a clip: sheets of all frames, and PSNR, SSIM and sharpness of every sample and frame.

        n_future, n_past, prior ("learned" or "standard"): null takes the run's own. sweep: the temperatures 0, 0.5, 1,
        1.5 and 2 instead of one. The answer: tiles, with scores and the places of their clips; clips, each a sheet and
        the cell where it begins; sheets, lossless, cells of tile_width x tile_height in rows of so many columns.
        """
        fields = {"seed": seed, "temperature": temperature, "n_future": n_future, "n_past": n_past}
        return self.draw(run, clip, **fields, samples=samples, prior=prior, sweep=sweep)

    def draw(self, run: Any, clip: Any, **fields: Any) -> dict:
        """The same for the page, which says what is wrong where the picture is."""
        request = next_request()
        return player_value(prediction_tiles(self._predict(run, clip, **fields)), request)

    @toast_refusals
    def choose_run(self, run: Any, clip: Any, n_past: Any, n_future: Any, samples: Any) -> tuple:
        """What a run is, where its z can come from, and the other fields as far as this run can go."""
        chosen = self.library.run(run)
        return run_about(chosen), _prior(chosen, chosen.own_prior), *self.fit(run, clip, n_past, n_future, samples)

    @toast_refusals
    def describe(self, run: Any) -> str:
        """What a run is, as it stands on disk now."""
        return run_about(self.library.run(run))

    @toast_refusals
    def fit(self, run: Any, clip: Any, n_past: Any, n_future: Any, samples: Any) -> tuple[dict, dict, dict, Any]:
        """Clip, context, horizon and samples for a run: kept where they fit, else as the run has them at first."""
        run = self.library.run(run)
        clips, fitting = self.fitting_clips(run, clip)
        low, high = run.past_limits
        if fitting is None:  # the player says it
            past = gr.update(value=run.n_past, maximum=max(high, 2), visible=high > low)
            return gr.update(choices=[], value=None), past, gr.skip(), run.own_samples
        entry, stays = self.library.clip(fitting), fitting == clip
        if stays:
            n_past = validate.within(n_past, low, min(high, entry.frames - 1), run.n_past)
        else:
            n_past, samples = run.n_past, run.own_samples
        longest, first = run.longest_future(entry, n_past), run.first_future(entry, n_past)
        return (
            gr.update(choices=clips, value=fitting),
            gr.update(value=n_past, maximum=max(high, 2), visible=high > low),
            gr.update(value=validate.within(n_future, 1, longest, first) if stays else first, maximum=longest),
            samples,
        )

    def restore(self, **values: Any) -> dict[str, Any]:
        """The widgets of a view, by name. The run's own number of predicted frames stands for what a clip has of it."""
        run = self.library.run(values["run"])
        self.require_clips(run, values["clip"])
        fields = {name: value for name, value in values.items() if name not in ("run", "clip")}
        if fields["n_future"] == run.own_future:
            fields["n_future"] = None
        settings = prediction.checked(run, self.library.clip(values["clip"]), **fields)
        fitted = self.fit(run.name, settings.clip.name, settings.n_past, settings.n_future, settings.samples)
        return {
            **values,
            **dict(zip(("clip", "n_past", "n_future", "samples"), fitted)),
            "seed": settings.seed,
            "prior": _prior(run, settings.prior),
        }

    def limit_future(self, run: Any, clip: Any, n_past: Any, n_future: Any) -> dict:
        """The slider of predicted frames for so many given ones; what is wrong with them is said by the player."""
        try:
            run = self.library.run(run)
            n_past = validate.whole_number(n_past, "Context frames", *run.past_limits)
            longest = run.longest_future(self.library.clip(clip), n_past)
        except BadInput:
            return gr.skip()
        return gr.update(value=validate.within(n_future, 1, longest, longest), maximum=longest)

    def lock_temperature(self, sweep: Any) -> dict:
        """Side by side all temperatures are drawn, whatever the slider says: it is off."""
        return gr.update(interactive=not sweep)

    def save(self, view: Any, kind: Any, run: Any, clip: Any, **fields: Any) -> dict:
        """A file that shows what the player shows."""
        request = next_request()
        try:
            predicted = self._predict(run, clip, **fields)
            display = prediction_tiles(predicted)
            path = write_download(predicted, display, read_view(view, display), kind)
        except BadInput as error:
            return {"request": request, "message": f"{error}."}
        return {"request": request, "name": path.name, "file": FileData(path=str(path)).model_dump()}

    def _predict(self, run: Any, clip: Any, **fields: Any) -> prediction.Prediction:
        run = self.library.run(run)
        self.require_clips(run, clip)
        return prediction.predict_clip(self.library, run, self.library.clip(clip), **fields)


def _prior(run: Run, value: str) -> dict:
    return gr.update(value=value, visible=len(run.priors) > 1)


def build(library: Library, demo: gr.Blocks) -> TabParts:
    """Lay the tab out inside `demo` and wire it."""

    def instead() -> dict[str, Any]:
        return (
            {} if run.name in library.runs else prediction.first_view(library, first_run(library.all_runs(), library))
        )

    handlers, run = PredictHandlers(library), first_run(library.all_runs(), library)
    first, clips = prediction.first_view(library, run), library.clips_for(run)
    low, high = run.past_limits
    longest = run.longest_future(clips[0]) if clips else 1
    gr.Markdown(LEAD, elem_classes="about")
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=280, elem_classes="fields"):
            run_dd = gr.Dropdown(run_menu(library.all_runs()), value=run.name, label="Run")
            about_md = gr.Markdown(elem_classes="about")
            clip_dd = gr.Dropdown(names(clips), value=first["clip"], label="Clip", info="no run was trained on it")
            seed_number = seed_field(first["seed"])
            temperature_slider = temperature_field(first["temperature"], TEMPERATURE_INFO)
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
                1, max(high, 2), value=run.n_past, step=1, label="Context frames", info="given ones", visible=high > low
            )
            prior_radio = gr.Radio(
                [(name, value) for value, name in PRIORS.items()],
                value=first["prior"],
                label="Prior at test",
                elem_classes="chips",
                visible=len(run.priors) > 1,
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
    predicting = once(
        handlers.draw,
        asked,
        player_html,
        refused=player_refusal,
        version=handlers.weights,
        **BUSY,
    )
    describing = {"fn": handlers.describe, "inputs_kwargs": {"run": run_dd}, "outputs": about_md, **QUIET}
    limiting = {
        "fn": handlers.limit_future,
        "inputs_kwargs": {name: asked[name] for name in ("run", "clip", "n_past", "n_future")},
        "outputs": n_future_slider,
        **QUIET,
    }
    fitted = [clip_dd, n_past_slider, n_future_slider, samples_slider]
    fitting = {
        "fn": handlers.fit,
        "inputs_kwargs": {name: asked[name] for name in ("run", "clip", "n_past", "n_future", "samples")},
        "outputs": fitted,
        **QUIET,
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
    sweep_check.change(handlers.lock_temperature, sweep_check, temperature_slider, queue=False, **QUIET)
    for kind, button in buttons.items():
        gr.on(
            [button.click],
            handlers.save,
            inputs_kwargs={"view": view_text, "kind": gr.State(kind), **asked},
            outputs=saved_html,
            js=VIEW_JS,
            concurrency_id="files",
            concurrency_limit=1,
            **PRIVATE,
        )
    gr.api(handlers.predict, api_name="predict", **MODEL_QUEUE)
    link = Link(asked, first, handlers.restore, functools.partial(prediction.first_view, library), instead)
    menus = {run_dd: lambda: run_menu(library.all_runs())}
    return TabParts(asked, link, [[describing], [predicting]], changed, menus)
