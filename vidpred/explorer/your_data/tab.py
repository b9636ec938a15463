"""The tab for what a visitor brings: a film, pictures or a run of one's own. Handlers, layout, wiring."""

import functools
from pathlib import Path
from typing import Any

import gradio as gr

from vidpred.errors import BadInput
from vidpred.explorer.runs import comparison, curves, prediction, validate
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.prediction import MAX_TEMPERATURE, predict_clip
from vidpred.explorer.runs.summary import describe_run
from vidpred.explorer.ui.chart import chart
from vidpred.explorer.ui.events import chain, once
from vidpred.explorer.ui.handlers import MODEL_QUEUE, NEXT_SEED_JS, Handlers
from vidpred.explorer.ui.player import clip_player, next_request, player_message, player_value
from vidpred.explorer.ui.prediction_tiles import shown
from vidpred.explorer.your_data import upload
from vidpred.explorer.your_data.sessions import Visit, Visits
from vidpred.hub import fetch_run

MOST_EVERY = 10
SECONDS_KEPT = 4 * 3600  # of a visitor's things, after the last use
WELCOME = (
    "Hand in a **film** (MP4, MOV, WebM), a **GIF**, or a **zip**: of pictures (`0.png`, `1.png`, … and, for runs that "
    "know actions, `actions.csv` and `endeffector_positions.csv`), of a folder of frames and one of poses, or of a "
    "**run** (weights as safetensors). The centre is cropped to the model's shape. Nobody else sees it; it is deleted "
    "when you leave."
)
STRANGE = (
    "> The bundled runs were trained on a simulated robot arm and a simulated dancer. On other pictures their futures "
    "show how far that carries, not how good the models are."
)


class YourDataHandlers(Handlers):
    """What the widgets of this tab call."""

    def __init__(self, library: Library):
        self.visits = Visits(library)

    def take(self, visit: Any, file: Any, every: Any, runs: Any, clip: Any) -> tuple:
        """Keep what was handed in, and choose it; what is wrong with it is said where it would have been told."""
        visit, own = self.visits.find(visit)
        try:
            return visit, *self._taken(visit, own, file, every, runs, clip)
        except BadInput as error:
            return visit, *_refused(error)

    def fetch(self, visit: Any, repository: Any, clip: Any) -> tuple:
        """The same for a run from the Hub."""
        visit, own = self.visits.find(visit)
        try:
            with own.new_folder() as folder:
                fetched = fetch_run(repository, folder)
            name = f"{fetched.repository}@{fetched.commit[:7]}"
            return visit, *self._kept_run(visit, own, name, fetched.folder, clip)
        except BadInput as error:
            return visit, *_refused(error)

    def _taken(self, visit: str, own: Visit, file: Any, every: Any, runs: Any, clip: Any) -> tuple:
        every = validate.whole_number(every, "The step between frames", 1, MOST_EVERY)
        if not isinstance(file, dict) or not isinstance(file.get("path"), str):
            raise BadInput("Please choose a file first")
        file = Path(file["path"])
        if upload.holds_run(file):
            from vidpred.checkpoint import check_run  # torch takes seconds to import

            with own.new_folder() as folder:
                upload.take_run(file, folder)
                check_run(folder)
            return self._kept_run(visit, own, file.stem, folder, clip)
        with own.new_folder() as folder:
            taken = upload.take_clip(file, folder, every)
        name = own.add_clip(file.name, taken.entry, self.visits.library)
        told = f"**{name}**: {taken.told}\n\n{STRANGE}"
        picture = gr.update(value=upload.crop_picture(taken.footage), visible=True)
        return told, picture, *self._fitted(visit, runs, name)

    def _kept_run(self, visit: str, own: Visit, name: str, folder: Path, clip: Any) -> tuple:
        """A run that lies in a folder now, kept and chosen."""
        name = own.add_run(name, folder, self.visits.library)
        library = self.visits.library_of(visit)
        clips = library.clips_for(name)
        if not clips:
            raise BadInput(f"{name} is kept, but none of the clips here is for it: hand one in")
        told = f"**{name}**: {describe_run(library, name)}"
        return told, gr.update(visible=False), *self._fitted(visit, [name], clip if clip in clips else clips[0])

    @toast_refusals
    def fit(self, visit: Any, runs: Any, clip: Any) -> tuple[dict, dict, dict]:
        """Clips, the runs that can continue the chosen one, and how far: what was chosen stays where it can."""
        return self._fitted(visit, runs, clip)

    def _fitted(self, visit: Any, runs: Any, clip: Any) -> tuple[dict, dict, dict]:
        library = self.visits.library_of(visit)
        library.clip(clip)
        able = [name for name in library.runs if clip in library.clips_for(name)]
        if not able:
            raise BadInput(f"None of the runs here can continue {clip}")
        stay = [name for name in runs if name in able] if isinstance(runs, list) else []
        runs = stay[: comparison.MOST_RUNS] or [prediction.first_run(library, able)]
        return (
            gr.update(choices=list(library.clips), value=clip),
            gr.update(choices=able, value=runs),
            self.limit_future(visit, runs, clip),
        )

    def limit_future(self, visit: Any, runs: Any, clip: Any) -> dict:
        """The slider of predicted frames for these runs; what is wrong with them is said by the player."""
        try:
            library = self.visits.library_of(visit)
            names = _chosen(library, runs)
            n_past = max(library.config(name).data.n_past for name in names)
            longest = min(library.longest_future(name, clip, n_past) for name in names)
            first = min(prediction.first_future(library, name, clip, n_past) for name in names)
        except BadInput:
            return gr.skip()
        return gr.update(value=first, maximum=longest)

    def imagine(
        self, visit: Any, runs: Any, clip: Any, seed: Any, temperature: Any, samples: Any, n_future: Any
    ) -> tuple[dict, Any]:
        """The future of a clip by one run, or by several side by side, and how they were trained."""
        request = next_request()
        try:
            library = self.visits.library_of(visit)
            names = _chosen(library, runs)
            if len(names) == 1:
                samples = validate.whole_number(samples, "The number of samples", 1, comparison.MOST_SAMPLES)
                futures = shown(predict_clip(library, *names, clip, seed, temperature, n_future, samples=samples))
            else:
                futures = comparison.compare_clip(library, names, clip, seed, temperature, samples, n_future)
            curves = curves.training_value(library, names, comparison.CURVES, "epochs", 0, False, next_request())
            return player_value(futures, request), curves
        except BadInput as error:
            return player_message(f"{error}.", request), gr.skip()


def _refused(error: BadInput) -> tuple:
    """What is told, in place of what was handed in; an error of Gradio's would mark every field."""
    return f"> {error}. What is drawn is still what was there before.", *[gr.skip()] * 4


def _chosen(library: Library, runs: Any) -> list[str]:
    """One known run, or up to four of one family."""
    if isinstance(runs, list) and len(runs) == 1:
        return [validate.choice(runs[0], "run", library.runs)]
    return comparison.chosen_runs(library, runs)


def build(library: Library, demo: gr.Blocks) -> dict[str, Any]:
    """Lay the tab out inside `demo` and wire it."""
    handlers = YourDataHandlers(library)
    run = prediction.first_run(library)
    clip = next(iter(library.clips_for(run)), None)

    # a function: of a bound method Gradio would copy the object, and with it the library, at each load of the page
    def forget(visit: str) -> None:
        handlers.visits.forget(visit)

    visit_state = gr.State("", time_to_live=SECONDS_KEPT, delete_callback=forget)
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=280, elem_classes="fields"):
            file_upload = gr.File(
                file_types=list(upload.KINDS), label="Your film, pictures or run", height=130, elem_id="yours-file"
            )
            every_slider = gr.Slider(
                1, MOST_EVERY, value=1, step=1, label="Every n-th frame", info="of a film: a larger step moves faster"
            )
            with gr.Accordion("A run from the Hugging Face Hub", open=False):
                repository_text = gr.Textbox(
                    label="Repository", placeholder="owner/name/folder@revision", info="of a run folder; public ones"
                )
                fetch_btn = gr.Button("Fetch", size="sm")
            clip_dd = gr.Dropdown(list(library.clips), value=clip, label="Clip")
            runs_dd = gr.Dropdown(
                [name for name in library.runs if clip in library.clips_for(name)],
                value=[run],
                multiselect=True,
                max_choices=comparison.MOST_RUNS,
                label="Runs",
                info="that can continue it; several are drawn side by side",
            )
            temperature_slider = gr.Slider(0, MAX_TEMPERATURE, value=1, step=0.1, label="Temperature")
            samples_slider = gr.Slider(1, comparison.MOST_SAMPLES, value=3, step=1, label="Samples of each run")
            n_future_slider = gr.Slider(1, 20, value=10, step=1, label="Predicted frames")
            with gr.Group():
                seed_number = gr.Number(0, label="Seed", step=1)
                seed_btn = gr.Button("Another seed", variant="primary")
        with gr.Column(scale=3, min_width=320):
            told_md = gr.Markdown(WELCOME, elem_classes="about")
            crop_image = gr.Image(
                format="png",
                label="As it came, and what the model sees",
                interactive=False,
                visible=False,
                height=upload.PREVIEW_HEIGHT + 40,
                buttons=[],
                elem_id="yours-crop",
            )
            player_html = clip_player(elem_id="yours-player")
    gr.Markdown("### How these runs were trained", elem_classes="section")
    curves_html = chart(elem_id="yours-chart")

    chosen = {"visit": visit_state, "runs": runs_dd, "clip": clip_dd}
    asked = {
        **chosen,
        "seed": seed_number,
        "temperature": temperature_slider,
        "samples": samples_slider,
        "n_future": n_future_slider,
    }
    # preprocess=False: Gradio's own checks would answer in their words; ours come first
    drawing = once(
        handlers.imagine, asked, [player_html, curves_html], show_progress="minimal", preprocess=False, **MODEL_QUEUE
    )
    fitted = [clip_dd, runs_dd, n_future_slider]
    keeping = {
        "outputs": [visit_state, told_md, crop_image, *fitted],
        "preprocess": False,
        "concurrency_id": "files",
        "concurrency_limit": 1,
    }
    taking = {"fn": handlers.take, "inputs_kwargs": {"file": file_upload, "every": every_slider, **chosen}, **keeping}
    asked_hub = {"visit": visit_state, "repository": repository_text, "clip": clip_dd}
    fetching = {"fn": handlers.fetch, "inputs_kwargs": asked_hub, **keeping}
    checked = {"inputs_kwargs": chosen, "preprocess": False, "show_progress": "hidden"}
    fitting = {"fn": handlers.fit, "outputs": fitted, **checked}
    limiting = {"fn": handlers.limit_future, "outputs": n_future_slider, **checked}
    chain(functools.partial(gr.on, [file_upload.upload, every_slider.release]), taking, drawing)
    chain(functools.partial(gr.on, [fetch_btn.click, repository_text.submit]), fetching, drawing)
    chain(clip_dd.input, fitting, drawing)
    chain(runs_dd.input, limiting, drawing)
    changing = [w.change for w in (seed_number, temperature_slider, samples_slider, n_future_slider)]
    seed_btn.click(None, seed_number, seed_number, js=NEXT_SEED_JS, api_visibility="private")
    return {"opened": [[drawing]], "changed": [(changing, [drawing])]}
