"""The tab of curves and schedules: handlers, layout, wiring."""

import hashlib
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from vidpred.explorer import schedule_tab, training
from vidpred.explorer.chart import chart
from vidpred.explorer.events import once
from vidpred.explorer.library import Library
from vidpred.explorer.links import Link
from vidpred.explorer.player import next_request
from vidpred.explorer.predict_tab import friendly

REFRESH_SECONDS = 5


class Handlers:
    """What the widgets call. Every field is checked again: the raw API enforces nothing."""

    def __init__(self, library: Library):
        self.library = library

    @friendly
    def curves(self, runs: list[str]) -> dict:
        """The curves of runs as they are on disk now: for each run a list with an object per epoch, the lines of its
        metrics.jsonl (epoch, step, seconds, loss, mse, kld, beta, tfr, val_psnr, …); null where there is no number."""
        return training.plain_rows(self.library, runs)

    def restore(self, runs: Any, curves: Any) -> dict[str, Any]:
        """The widgets of a view, by name."""
        return {"runs": training.run_names(self.library, runs), "curves": training.curve_names(curves)}

    @friendly
    def draw(self, runs: Any, curves: Any, axis: Any, smoothing: Any, log: Any) -> tuple[dict, dict, list, None]:
        """Curves of a set of runs; how far the unfinished ones have got."""
        return *self._drawn(runs, curves, axis, smoothing, log), None

    @friendly
    def zoom(self, runs: Any, curves: Any, axis: Any, smoothing: Any, log: Any, event: gr.EventData) -> tuple:
        """The same with all the points of what is looked at."""
        window = getattr(event, "x_lim", None)
        return *self._drawn(runs, curves, axis, smoothing, log, window), window

    @friendly
    def refresh(self, runs: Any, curves: Any, axis: Any, smoothing: Any, log: Any, window: Any, seen: Any) -> tuple:
        """The same again, if an epoch has ended since."""
        if training.signature(self.library, training.run_names(self.library, runs)) == seen:
            return gr.skip(), gr.skip(), gr.skip()
        return self._drawn(runs, curves, axis, smoothing, log, window)

    def live(self, on: Any) -> dict:
        """The timer, which runs only while someone has asked for it."""
        return gr.Timer(active=on is True)

    @friendly
    def figure(self, runs: Any, figure: Any) -> tuple[str, dict]:
        """A figure of the reports as a PNG: to look at, and to download."""
        path = _saved(training.figure(self.library, runs, figure), figure)
        return path, gr.update(value=path, interactive=True)

    def _drawn(self, runs: Any, curves: Any, axis: Any, smoothing: Any, log: Any, window: Any = None) -> tuple:
        request = next_request()
        value = training.training_value(self.library, runs, curves, axis, smoothing, log, request, window)
        names = training.run_names(self.library, runs)
        told = training.progress(self.library, names)
        return value, gr.update(value=told, visible=bool(told)), training.signature(self.library, names)


def _saved(picture: Any, kind: str) -> str:
    """A picture as a file in Gradio's cache, named by its pixels."""
    from vidpred.render import save_png

    name = hashlib.blake2b(picture.tobytes(), digest_size=20).hexdigest()
    path = Path(get_upload_folder()) / name / f"{kind.lower().replace(' ', '-')}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_png(path, picture)
    return str(path)


def build(library: Library, demo: gr.Blocks) -> dict[str, Any]:
    """Lay the tab out inside `demo` and wire it. Returns what another tab may set before it opens this one."""
    with gr.Tabs() as views:
        with gr.Tab("Curves", id="curves"):
            widgets = _build_curves(library)
        with gr.Tab("Schedule designer", id="designer"):
            widgets |= schedule_tab.build(library, demo)
    return {"views": views, **widgets}


def _build_curves(library: Library) -> dict[str, Any]:
    handlers = Handlers(library)
    first = {"runs": training.first_runs(library), "curves": list(training.CURVES)}
    runs_dd = gr.Dropdown(
        list(library.runs),
        value=first["runs"],
        multiselect=True,
        max_choices=training.MOST_RUNS,
        label="Runs",
    )
    with gr.Row(equal_height=True):
        axis_radio = gr.Radio(list(training.AXES), value="epochs", label="x axis", scale=2, min_width=320)
        smoothing_slider = gr.Slider(
            0, training.MOST_SMOOTHING, value=0, step=0.02, label="Smoothing", scale=2, min_width=220
        )
        with gr.Column(scale=1, min_width=200):
            log_check = gr.Checkbox(False, label="Logarithmic scale")
            live_check = gr.Checkbox(False, label="Follow a training")
    curves_check = gr.CheckboxGroup(
        list(training.CURVES), value=first["curves"], show_label=False, container=False, elem_classes="chips"
    )
    progress_md = gr.Markdown(visible=False, elem_classes="about")
    curves_html = chart(elem_id="training-chart")
    with gr.Accordion("The reports' figures, as PNG", open=False):
        with gr.Row(equal_height=True):
            figure_radio = gr.Radio(
                list(training.FIGURES), value="Dashboard", show_label=False, container=False, scale=3, min_width=300
            )
            figure_btn = gr.Button("Draw", variant="primary", scale=1, min_width=120)
            download_btn = gr.DownloadButton("Download PNG", interactive=False, scale=1, min_width=120)
        figure_image = gr.Image(format="png", show_label=False, interactive=False, buttons=["fullscreen"])
    live_timer = gr.Timer(REFRESH_SECONDS, active=False)
    window_state, seen_state = gr.State(), gr.State([])

    chosen = {
        "runs": runs_dd,
        "curves": curves_check,
        "axis": axis_radio,
        "smoothing": smoothing_slider,
        "log": log_check,
    }
    drawn = [curves_html, progress_md, seen_state]
    private = {"api_visibility": "private", "show_progress": "hidden", "trigger_mode": "always_last"}
    drawing = once(handlers.draw, chosen, [*drawn, window_state], **private)
    curves_html.select(handlers.zoom, list(chosen.values()), [*drawn, window_state], **private)
    gr.on(
        [live_timer.tick],
        handlers.refresh,
        inputs_kwargs={**chosen, "window": window_state, "seen": seen_state},
        outputs=drawn,
        **private,
    )
    live_check.change(handlers.live, live_check, live_timer, queue=False, **private)
    figure_btn.click(
        handlers.figure,
        [runs_dd, figure_radio],
        [figure_image, download_btn],
        api_visibility="private",
        concurrency_id="figure",
        concurrency_limit=1,
    )
    gr.api(handlers.curves, api_name="curves")
    fields = {"runs": runs_dd, "curves": curves_check}
    link = Link(fields, first, handlers.restore)
    changed = [([widget.change for widget in chosen.values()], [drawing])]
    return {**fields, "log": log_check, "link": link, "opened": [[drawing]], "changed": changed}
