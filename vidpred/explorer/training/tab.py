"""The tab of curves and schedules: handlers, layout, wiring."""

from typing import Any

import gradio as gr

from vidpred.explorer.runs import curves
from vidpred.explorer.runs.curves import progress
from vidpred.explorer.runs.library import Library, names
from vidpred.explorer.runs.run import Run
from vidpred.explorer.training import schedule_tab
from vidpred.explorer.ui.cached_file import cached_file
from vidpred.explorer.ui.chart import chart
from vidpred.explorer.ui.events import once
from vidpred.explorer.ui.handlers import PRIVATE, QUIET, Handlers, toast_refusals
from vidpred.explorer.ui.player import next_request
from vidpred.explorer.ui.run_colors import COLOURS
from vidpred.explorer.ui.run_table import TICK_JS, run_table, run_table_value
from vidpred.explorer.ui.tab_parts import Link, Pages, TabParts
from vidpred.explorer.ui.training_chart import (
    AXES,
    CURVES,
    MOST_RUNS,
    MOST_SMOOTHING,
    chosen_curves,
    chosen_runs,
    first_runs,
    training_chart,
)
from vidpred.files import without_infinity

REFRESH_SECONDS = 5


LEAD = (
    "**How each run was trained, curve by curve.** Tick runs in the table to see theirs; a click on a heading sorts it."
)


class CurveHandlers(Handlers):
    @toast_refusals
    def curves(self, runs: list[str]) -> dict:
        """The curves of runs as they are on disk now: for each run a list with an object per epoch, the lines of its
        metrics.jsonl (epoch, step, seconds, loss, mse, kld, beta, tfr, val_psnr, …); null where there is no number."""
        return {run.name: without_infinity(curves.metrics_rows(run)) for run in chosen_runs(self.library, runs)}

    def restore(self, runs: Any, curves: Any) -> dict[str, Any]:
        """The widgets of a view, by name."""
        return {"runs": names(chosen_runs(self.library, runs)), "curves": chosen_curves(curves)}

    @toast_refusals
    def draw(self, **fields: Any) -> tuple[dict, dict, list, None]:
        """Curves of a set of runs; how far the unfinished ones have got."""
        return *self._drawn(**fields), None

    @toast_refusals
    def zoom(
        self, runs: Any, curves: Any, axis: Any, smoothing: Any, log: Any, seeds: Any, event: gr.EventData
    ) -> tuple:
        """The same with all the points of what is looked at."""
        window = getattr(event, "x_lim", None)
        return *self._drawn(runs, curves, axis, smoothing, log, seeds, window), window

    @toast_refusals
    def refresh(self, runs: Any, seen: Any, **fields: Any) -> tuple:
        """The same again, of the runs that are still there, and the table, if an epoch has ended since."""
        there = names(self.library.all_runs())
        if isinstance(runs, list):
            runs = [name for name in runs if name in there]
        if self.progress(runs) == seen:
            return (gr.skip(),) * 4
        return *self._drawn(runs, **fields), self.table(runs)

    def progress(self, runs: Any, **fields: Any) -> list[list[int]]:
        """Changes when an epoch has ended in one of the runs."""
        return _stamps(chosen_runs(self.library, runs))

    def table(self, runs: Any) -> dict:
        """Every run there is, with what it scores and took; those that are drawn are ticked."""
        chosen = [name for name in runs if isinstance(name, str)] if isinstance(runs, list) else []
        return run_table_value(self.library.all_runs(), chosen, next_request())

    @toast_refusals
    def tick(self, event: gr.EventData) -> list[str]:
        """The runs that are ticked in the table."""
        return names(chosen_runs(self.library, getattr(event, "runs", None)))

    def live(self, on: Any, runs: Any) -> tuple[dict, dict, dict, dict]:
        """The timer, which runs only while someone has asked for it; and then, of the runs, those that train now, and
        the table, in which they may be new."""
        if on is not True:
            text = progress([run for run in self.library.all_runs() if isinstance(runs, list) and run.name in runs])
            return gr.Timer(active=False), gr.skip(), gr.update(value=text, visible=bool(text)), gr.skip()
        self.library.rescan()
        now = names(curves.training_now(self.library.all_runs())[:COLOURS])
        none = "No run is training now: what is drawn is drawn again as soon as an epoch ends."
        said = progress([self.library.run(name) for name in now]) if now else none
        chosen = gr.update(choices=list(self.library.runs), **({"value": now} if now else {}))
        return gr.Timer(active=True), chosen, gr.update(value=said, visible=True), self.table(now or runs)

    @toast_refusals
    def figure(self, runs: Any, figure: Any) -> tuple[str, dict]:
        """A figure of the reports as a PNG: to look at, and to download."""
        path = _saved(curves.figure(chosen_runs(self.library, runs), figure), figure)
        return path, gr.update(value=path, interactive=True)

    def _drawn(
        self, runs: Any, curves: Any, axis: Any, smoothing: Any, log: Any, seeds: Any, window: Any = None
    ) -> tuple:
        request, chosen, shown = next_request(), chosen_runs(self.library, runs), chosen_curves(curves)
        seen = _stamps(chosen)  # before they are read: what ends meanwhile is drawn the next time
        value = training_chart(self.library, chosen, shown, request, axis, smoothing, log, window, seeds)
        text = progress(chosen)
        return value, gr.update(value=text, visible=bool(text)), seen


def _stamps(chosen: list[Run]) -> list[list[int]]:
    return [list(curves.metrics_stamp(run)) for run in chosen]


def _saved(picture: Any, kind: str) -> str:
    """A picture as a file in Gradio's cache, named by its pixels."""
    from vidpred.render import save_png

    path = cached_file(f"{kind.lower().replace(' ', '-')}.png", picture.tobytes())
    save_png(path, picture)
    return str(path)


def build(library: Library, demo: gr.Blocks) -> TabParts:
    """Lay the tab out inside `demo` and wire it."""
    with gr.Tabs(overflow_behavior="wrap") as views:
        with gr.Tab("Curves", id="curves") as curves_tab:
            parts = _build_curves(library)
        with gr.Tab("Schedule designer", id="designer") as designer_tab:
            designer = schedule_tab.build(library, demo)
    widgets = {"views": views, **parts.widgets, **designer.widgets}
    pages = Pages(views, {"curves": curves_tab, "designer": designer_tab})
    return parts._replace(widgets=widgets, menus={**parts.menus, **designer.menus}, pages=pages)


def _build_curves(library: Library) -> TabParts:
    handlers = CurveHandlers(library)
    first = {"runs": names(first_runs(library)), "curves": list(CURVES)}
    gr.Markdown(LEAD, elem_classes="about")
    table_html = run_table(elem_id="training-table")
    runs_dd = gr.Dropdown(
        list(library.runs), value=first["runs"], multiselect=True, max_choices=MOST_RUNS, label="Runs"
    )
    with gr.Row(equal_height=True):
        axis_radio = gr.Radio(list(AXES), value="epochs", label="x axis", scale=2, min_width=320)
        smoothing_slider = gr.Slider(0, MOST_SMOOTHING, value=0, step=0.02, label="Smoothing", scale=2, min_width=220)
        with gr.Column(scale=1, min_width=200):
            log_check = gr.Checkbox(False, label="Logarithmic scale")
            live_check = gr.Checkbox(False, label="Follow a training")
            seeds_check = gr.Checkbox(True, label="Seeds as mean and band")
    curves_check = gr.CheckboxGroup(
        list(CURVES), value=first["curves"], show_label=False, container=False, elem_classes="chips"
    )
    progress_md = gr.Markdown(visible=False, elem_classes="about")
    curves_html = chart(elem_id="training-chart")
    with gr.Accordion("The reports' figures, as PNG", open=False):
        with gr.Row(equal_height=True):
            figure_radio = gr.Radio(
                list(curves.FIGURES), value="Dashboard", show_label=False, container=False, scale=3, min_width=300
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
        "seeds": seeds_check,
    }
    drawn = [curves_html, progress_md, seen_state]
    following = {"trigger_mode": "always_last", **QUIET}
    drawing = once(handlers.draw, chosen, [*drawn, window_state], version=handlers.progress, **following)
    curves_html.select(handlers.zoom, list(chosen.values()), [*drawn, window_state], **following)
    gr.on(
        [live_timer.tick],
        handlers.refresh,
        inputs_kwargs={**chosen, "window": window_state, "seen": seen_state},
        outputs=[*drawn, table_html],
        **following,
    )
    live = [live_timer, runs_dd, progress_md, table_html]
    live_check.change(handlers.live, [live_check, runs_dd], live, queue=False, **following)
    table_html.select(handlers.tick, None, runs_dd, queue=False, **following)
    runs_dd.change(None, runs_dd, None, js=TICK_JS, **PRIVATE)
    listing = {"fn": handlers.table, "inputs_kwargs": {"runs": runs_dd}, "outputs": table_html, **QUIET}
    figure_btn.click(
        handlers.figure,
        [runs_dd, figure_radio],
        [figure_image, download_btn],
        concurrency_id="figure",
        concurrency_limit=1,
        **PRIVATE,
    )
    gr.api(handlers.curves, api_name="curves")
    fields = {"runs": runs_dd, "curves": curves_check}
    changed = [([widget.change for widget in chosen.values()], [drawing])]
    menus = {runs_dd: lambda: list(library.runs)}
    link = Link(fields, first, handlers.restore)
    return TabParts({**fields, "log": log_check}, link, [[listing], [drawing]], changed, menus)
