"""The tab for what a visitor brings: a film, pictures or a run of one's own. Handlers, layout, wiring."""

import functools
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import gradio as gr

from vidpred.data.video import FILMS
from vidpred.errors import BadInput
from vidpred.explorer.runs import comparison, curves, prediction, validate
from vidpred.explorer.runs.library import Library, names
from vidpred.explorer.runs.run import Clip, Run
from vidpred.explorer.runs.summary import describe_run
from vidpred.explorer.ui.chart import chart
from vidpred.explorer.ui.events import chain, once
from vidpred.explorer.ui.fields import seed_field, temperature_field
from vidpred.explorer.ui.handlers import BUSY, PRIVATE, QUIET, Handlers, toast_refusals
from vidpred.explorer.ui.player import clip_player, next_request, player_refusal, player_value
from vidpred.explorer.ui.prediction_tiles import comparison_tiles, prediction_tiles
from vidpred.explorer.ui.run_menu import run_menu
from vidpred.explorer.ui.tab_parts import TabParts
from vidpred.explorer.ui.training_chart import COMPARED, training_chart
from vidpred.explorer.your_data import upload
from vidpred.explorer.your_data.sessions import About, Session, Sessions
from vidpred.hub import fetch_run

MOST_EVERY = 10
WELCOME = (
    "Hand in a **film** (MP4, MOV, WebM), a **GIF**, or a **zip**: of pictures (`0.png`, `1.png`, … and, for runs that "
    "know actions, `actions.csv` and `endeffector_positions.csv`), of a folder of frames and one of poses, or of a "
    "**run** (weights as safetensors). The centre is cropped to the model's shape. Nobody else sees it; it is deleted "
    "five minutes after you have left, and when the app stops."
)
STRANGE = (
    "> The bundled runs were trained on a simulated robot arm and a simulated dancer. On other pictures their futures "
    "show how far that carries, not how good the models are."
)


class YourDataHandlers(Handlers):
    def __init__(self, library: Library):
        super().__init__(library)
        self.sessions = Sessions()

    def upload(
        self,
        session_id: Any,
        file: Any,
        every: Any,
        runs: Any,
        clip: Any,
        request: gr.Request = None,
    ) -> tuple:
        """Keep a file and choose what is in it. What is wrong with it is said where its description would stand."""

        def upload(session: Session) -> tuple:
            if not isinstance(file, dict) or not isinstance(file.get("path"), str):
                raise BadInput("Please choose a file first")
            session.take(Path(file["path"]))
            return self._read(session, session.original, every, runs, clip)

        return self._kept(session_id, request, upload)

    def read_again(self, session_id: Any, every: Any, runs: Any, clip: Any) -> tuple:
        """The same for the last file where that is a film, with another step between its frames, in place of the clip
        that was made of it."""

        def read(session: Session) -> tuple:
            film = session.original is not None and session.original.suffix.lower() in FILMS
            if not film or every == session.every:  # a mouse's choice comes twice
                return (gr.skip(),) * 5
            session.every = None  # what is refused leaves the page to that; the step before is read again then
            return self._read(session, session.original, every, runs, clip)

        return self._kept(session_id, None, read)

    def fetch(self, session_id: Any, repository: Any, clip: Any, request: gr.Request = None) -> tuple:
        """The same for a run from the Hub."""

        def fetch(session: Session) -> tuple:
            with session.new_folder() as folder:
                fetched = fetch_run(repository, folder)
            return self._add_run(session, f"{fetched.repository}@{fetched.commit[:7]}", fetched.folder, clip)

        return self._kept(session_id, request, fetch)

    @toast_refusals
    def fit(self, session_id: Any, runs: Any, clip: Any, n_future: Any = None) -> tuple:
        """What a chosen clip is where it is one's own, its crop, and the fields: clips, the runs that can continue it,
        and how far; what was chosen stays where it can."""
        session = self.sessions.find(session_id)
        fitted = self._fitted(session, runs, session.library(self.library).clip(clip), n_future)
        return *_described(session, clip), *fitted

    def limit_future(self, session_id: Any, runs: Any, clip: Any, n_future: Any = None) -> dict:
        """The slider of predicted frames for these runs; what is wrong with them is said by the player."""
        library = self.sessions.find(session_id).library(self.library)
        try:
            chosen, clip = comparison.chosen_runs(library, runs, fewest=1), library.clip(clip)
        except BadInput:
            return gr.skip()
        return _limited_future(chosen, clip, n_future)

    def draw(self, session_id: Any, runs: Any, clip: Any, **fields: Any) -> tuple[dict, dict]:
        """The future of a clip by one run, or by several side by side, and how they were trained."""
        request, session = next_request(), self.sessions.find(session_id)
        library = session.library(self.library)
        chosen = comparison.chosen_runs(library, runs, fewest=1)
        predictions = comparison.predict_each(library, chosen, library.clip(clip), **fields)
        one = len(predictions) == 1
        display = prediction_tiles(predictions[0]) if one else comparison_tiles(library, predictions)
        return player_value(display, request), training_chart(library, chosen, COMPARED, next_request())

    def progress(self, session_id: Any, runs: Any, clip: Any, **fields: Any) -> list[Any]:
        """What picture and curves depend on beside the fields: an epoch may have ended since, or a film have been read
        again."""
        library = self.sessions.find(session_id).library(self.library)
        chosen = comparison.chosen_runs(library, runs, fewest=1)
        return [library.clip(clip).root, *((run.weights, curves.metrics_stamp(run)) for run in chosen)]

    def _kept(self, session_id: Any, request: gr.Request | None, add: Callable[[Session], tuple]) -> tuple:
        """The id of a visitor's session, and what `add` answers. A new session is kept once there is something in it:
        what is refused takes nobody's place."""
        session = self.sessions.find(session_id)
        try:
            answer = add(session)
        except BadInput as error:
            answer = _refused(error)
        if session.runs or session.clips:
            client = request and request.client  # none where a program calls the handler itself
            session_id = self.sessions.keep(session_id, session, client.host if client else "")
        return session_id, *answer

    def _read(self, session: Session, file: Path, every: Any, runs: Any, clip: Any) -> tuple:
        """What is in a file, kept and chosen: description, crop, and the fields as `fit` gives them."""
        every = validate.whole_number(every, "The step between frames", 1, MOST_EVERY)
        if upload.holds_run(file):
            from vidpred.checkpoint import check_run  # torch takes seconds to import

            with session.new_folder() as folder:
                upload.unpack_run(file, folder)
                check_run(folder)
            return self._add_run(session, file.stem, folder, clip)
        with session.new_folder() as folder:
            uploaded = upload.convert_clip(file, folder, every)
        clip, session.every = session.add_clip(uploaded.clip, self.library.clips), every
        description = f"**{clip.name}**: {uploaded.description}\n\n{STRANGE}"
        session.about[clip.name] = About(description, upload.crop_picture(uploaded.footage))
        return *_described(session, clip.name), *self._fitted(session, runs, clip)

    def _add_run(self, session: Session, name: str, folder: Path, clip: Any) -> tuple:
        """The same for a run that lies in a folder of the session."""
        name = session.add_run(name, folder, self.library.runs)
        library = session.library(self.library)
        run = library.run(name)
        clips = {clip.name: clip for clip in library.clips_for(run)}
        if not clips:
            raise BadInput(f"{name} is kept, but none of the clips here is for it: hand one in")
        stays = isinstance(clip, str) and clip in clips
        chosen = clips[clip] if stays else next(iter(clips.values()))
        session.shown = None
        return f"**{name}**: {describe_run(run)}", gr.update(visible=False), *self._fitted(session, [name], chosen)

    def _fitted(self, session: Session, runs: Any, clip: Clip, n_future: Any = None) -> tuple[dict, dict, dict]:
        library = session.library(self.library)
        able = {run.name: run for run in runs_for(library, clip, first=session.runs)}
        if not able:
            raise BadInput(f"None of the runs here can continue {clip.name}")
        stay = [able[name] for name in runs if isinstance(name, str) and name in able] if isinstance(runs, list) else []
        chosen = stay[: comparison.MOST_RUNS] or [prediction.first_run(able.values(), library)]
        clips = sorted(library.clips, key=lambda name: name not in session.clips)  # one's own first
        return (
            gr.update(choices=clips, value=clip.name),
            gr.update(choices=run_menu(able.values()), value=names(chosen)),
            _limited_future(chosen, clip, n_future if stay else None),
        )


def runs_for(library: Library, clip: Clip | None, first: Collection[str] = ()) -> list[Run]:
    """Runs that can continue a clip (None: any run), those of some names before the others."""
    able = [run for run in library.all_runs() if clip is None or not run.lacks(clip)]
    return sorted(able, key=lambda run: run.name not in first)


def _described(session: Session, clip: str) -> tuple[Any, Any]:
    """Description and crop of one's own clip; of another nothing is said, and what stands there of a run stays."""
    before, session.shown = session.shown, clip if clip in session.about else None
    if session.shown:
        description, crop = session.about[clip]
        return description, gr.update(value=crop, visible=True)
    return (WELCOME, gr.update(visible=False)) if before else (gr.skip(), gr.skip())


def _limited_future(chosen: list[Run], clip: Clip, n_future: Any) -> dict:
    n_past = max(run.n_past for run in chosen)
    try:
        longest = min(run.longest_future(clip, n_past) for run in chosen)
    except BadInput:  # too short for them
        return gr.skip()
    first = min(run.first_future(clip, n_past) for run in chosen)
    return gr.update(value=validate.within(n_future, 1, longest, first), maximum=longest)


def _refused(error: BadInput) -> tuple:
    """What is said in place of a description; an error of Gradio's would mark every field."""
    return f"> {error}. What is drawn is still what was there before.", *[gr.skip()] * 4


def build(library: Library, demo: gr.Blocks) -> TabParts:
    """Lay the tab out inside `demo` and wire it."""
    handlers = YourDataHandlers(library)
    run = prediction.first_run(library.all_runs(), library)
    clip = next(iter(library.clips_for(run)), None)
    longest = run.longest_future(clip) if clip else 1

    # a function: of a bound method Gradio would copy the object, and with it the library, at each load of the page
    def close_session(session_id: str) -> None:
        handlers.sessions.close(session_id)

    session_state = gr.State("", delete_callback=close_session)
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=280, elem_classes=["fields", "yours"]):
            file_upload = gr.File(
                file_types=list(upload.KINDS), label="Your film, pictures or run", height=170, elem_id="yours-file"
            )
            # no slider: moved by keys it would not say when it stands still
            every_dd = gr.Dropdown(
                list(range(1, MOST_EVERY + 1)),
                value=1,
                label="Every n-th frame",
                info="of a film: a larger step moves faster",
            )
            with gr.Accordion("A run from the Hugging Face Hub", open=False):
                repository_text = gr.Textbox(
                    label="Repository", placeholder="owner/name/folder@revision", info="of a run folder; public ones"
                )
                fetch_btn = gr.Button("Fetch", size="sm")
            clip_dd = gr.Dropdown(list(library.clips), value=clip and clip.name, label="Clip")
            runs_dd = gr.Dropdown(
                run_menu(runs_for(library, clip)),
                value=[run.name],
                multiselect=True,
                max_choices=comparison.MOST_RUNS,
                label="Runs",
                info="that can continue it; several are drawn side by side",
            )
            temperature_slider = temperature_field()
            samples_slider = gr.Slider(1, comparison.MOST_SAMPLES, value=3, step=1, label="Samples of each run")
            n_future_slider = gr.Slider(
                1, longest, value=run.first_future(clip) if clip else 1, step=1, label="Predicted frames"
            )
            seed_number = seed_field()
        with gr.Column(scale=3, min_width=320, elem_classes="player-column"):
            description_md = gr.Markdown(WELCOME, elem_classes="about")
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

    chosen = {"session_id": session_state, "runs": runs_dd, "clip": clip_dd}
    asked = {
        **chosen,
        "seed": seed_number,
        "temperature": temperature_slider,
        "samples": samples_slider,
        "n_future": n_future_slider,
    }
    drawing = once(
        handlers.draw,
        asked,
        [player_html, curves_html],
        refused=lambda error: (player_refusal(error), gr.skip()),
        version=handlers.progress,
        **BUSY,
    )
    fitted = [clip_dd, runs_dd, n_future_slider]
    adding = {
        "outputs": [session_state, description_md, crop_image, *fitted],
        "concurrency_id": "files",
        "concurrency_limit": 1,
        **PRIVATE,
    }
    uploaded = {"file": file_upload, "every": every_dd, **chosen}
    uploading = {"fn": handlers.upload, "inputs_kwargs": uploaded, **adding}
    repository = {"session_id": session_state, "repository": repository_text, "clip": clip_dd}
    fetching = {"fn": handlers.fetch, "inputs_kwargs": repository, **adding}
    reach = {**chosen, "n_future": n_future_slider}
    described = [description_md, crop_image]
    fitting = {"fn": handlers.fit, "inputs_kwargs": reach, "outputs": [*described, *fitted], **QUIET}
    limiting = {"fn": handlers.limit_future, "inputs_kwargs": reach, "outputs": n_future_slider, **QUIET}
    reading = {
        "fn": handlers.read_again,
        "inputs_kwargs": {"session_id": session_state, "every": every_dd, "runs": runs_dd, "clip": clip_dd},
        **adding,
    }
    chain(file_upload.upload, uploading, drawing)
    chain(every_dd.input, reading, drawing)
    chain(functools.partial(gr.on, [fetch_btn.click, repository_text.submit]), fetching, drawing)
    chain(clip_dd.input, fitting, drawing)
    chain(runs_dd.input, limiting, drawing)
    changing = [w.change for w in (seed_number, temperature_slider, samples_slider, n_future_slider)]
    menus = {runs_dd: lambda: run_menu(runs_for(library, clip))}
    return TabParts(opened=[[drawing]], changed=[(changing, [drawing])], menus=menus)
