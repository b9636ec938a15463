"""The page: header, tabs, theme."""

from collections.abc import Callable, Sequence

import gradio as gr
from fastapi.exceptions import RequestValidationError
from fastapi.middleware import Middleware
from fastapi.responses import JSONResponse

from vidpred.explorer.compare import tab as compare_tab
from vidpred.explorer.drive import tab as drive_tab
from vidpred.explorer.findings import tab as findings_tab
from vidpred.explorer.latents import tab as latents_tab
from vidpred.explorer.learn import tab as learn_tab
from vidpred.explorer.predict import tab as predict_tab
from vidpred.explorer.runs.library import Library
from vidpred.explorer.server.estimates import tell_progress
from vidpred.explorer.server.gate import MOST_UPLOADED, UNREADABLE, Gate
from vidpred.explorer.server.storage import storage
from vidpred.explorer.server.visitors import MOST_VISITORS, MOST_WAITING
from vidpred.explorer.training import tab as training_tab
from vidpred.explorer.ui import accessible, chart, deep_links, glossary, heat_map, player, run_table, waiting
from vidpred.explorer.ui.drive_widget import DRIVE
from vidpred.explorer.ui.handlers import still_wanted
from vidpred.explorer.ui.tab_parts import TabParts
from vidpred.explorer.your_data import tab as your_data_tab

SCRIPTS = (deep_links, glossary, accessible, waiting)
WIDGETS = (chart.CHART, player.PLAYER, run_table.RUN_TABLE, heat_map.HEAT_MAP, DRIVE)
HEADER = """# vidpred
A few frames are given, the model imagines the rest: compare its future with what really happened, frame by frame."""

# Tabs in their order: id, title, build(library, demo).
TABS = (
    ("predict", "Predict", predict_tab.build),
    ("compare", "Compare", compare_tab.build),
    ("training", "Training", training_tab.build),
    ("drive", "Drive", drive_tab.build),
    ("latents", "Latents", latents_tab.build),
    ("yours", "Your data", your_data_tab.build),
)
# And those with doors into the others: id, title, build(library, all tabs, parts of the others).
LEADING = (("findings", "Findings", findings_tab.build), ("learn", "Learn", learn_tab.build))

CSS = """
.gradio-container { width: 100%; max-width: 1280px !important; margin: 0 auto !important; }
.header { position: relative; }
.header .copy-block { position: absolute; top: 0; right: 0; width: auto; }
.header h1 { margin: 0; font-size: 26px; line-height: 1.2; }
.header p { margin: 4px 0 0; color: var(--body-text-color-subdued); font-size: 15px; }
.about, .about p, .about em { font-size: 13px; line-height: 1.45; color: var(--body-text-color-subdued); }
.about strong { color: var(--body-text-color); }
.about p { margin: 0 0 4px; }
.about blockquote { border-left: 3px solid #d97706; padding: 2px 0 2px 10px; margin: 8px 0 0; }
[role="tab"][aria-selected="true"] { color: var(--primary-700) !important; }
.dark [role="tab"][aria-selected="true"] { color: var(--primary-400) !important; }
.section { margin-top: 8px; }
#player .html-container, .drawn .html-container { padding: 0; }
.drawn .html-container.pending { opacity: 0.5; transition: opacity 0.2s 0.6s; }
.drawn > [data-testid="status-tracker"]:has(> .progress-text) { visibility: hidden; } /* the bar says it */
/* Gradio's own rule for the mouse is stronger than the one for what is chosen: it would be white */
input[type="radio"]:checked:hover:not([disabled]):not(:focus) {
  background-color: var(--checkbox-background-color-selected); border-color: var(--checkbox-border-color-selected);
}
.chips label { padding: 4px 10px !important; font-size: 13px; }
@media (min-width: 900px) and (min-height: 700px) {
  #schedule-chart { position: sticky; top: 0; z-index: 10; background: var(--body-background-fill); padding: 6px 0; }
}
.page { max-width: 800px; margin: 0 auto; gap: 18px; }
.page.wide { max-width: 1040px; }
.lesson { font-size: 16px; line-height: 1.6; }
.lesson h2 { font-size: 24px; }
:is(.lesson, .figures) table { font-size: 13px; display: block; overflow-x: auto; border: 0 !important; }
:is(.lesson, .figures) :is(th, td) {
  padding: 6px 9px !important; border: 0 !important; border-bottom: 1px solid var(--border-color-primary) !important;
  word-break: normal; overflow-wrap: normal;
}
:is(.lesson, .figures) tr { border: 0 !important; }
.lesson td code, .figures :is(th, td) { white-space: nowrap; }
.figures td { font-variant-numeric: tabular-nums; }
.figures td:is(:first-child, :last-child) { white-space: normal; min-width: 9em; }
#command textarea { font-family: var(--font-mono); font-size: 13px; }
.lesson .katex-display { overflow-x: auto; overflow-y: hidden; padding: 4px 0; }
.door { align-self: flex-start; width: auto !important; flex-grow: 0 !important; margin: 8px 0 24px; }
.gradio-container input[role="combobox"] { text-overflow: ellipsis; padding-right: 28px; }
.gradio-container .token { font-size: 13px; line-height: 1.3; max-width: 100%; }
.answer small, .figures small { color: var(--body-text-color-subdued); }
@media (min-width: 641px) and (max-width: 900px) { /* settings beside what they change, and no wider than they need */
  .column:has(+ .player-column) { min-width: 220px !important; }
}
@media (max-width: 640px) {
  .player-column { order: -1; }
  .column.yours { display: contents; }
  .column.yours > :has(#yours-file), .column.yours > #yours-file { order: -2; width: 100%; }
}
"""


def build_demo(library: Library, tabs: Sequence[tuple[str, str, Callable[..., TabParts]]] = TABS) -> gr.Blocks:
    """The whole app. Files that were drawn are deleted after a day."""
    storage()
    library.wanted, library.progressed = still_wanted, tell_progress
    with gr.Blocks(title="vidpred", analytics_enabled=False, delete_cache=(3600, 86400)) as demo:
        with gr.Row(elem_classes="header"):
            gr.Markdown(HEADER)
            deep_links.copy_button()
        places, parts = {}, {}
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as all_tabs:
            for name, title, build in tabs:
                with gr.Tab(title, id=name) as places[name]:
                    parts[name] = build(library, demo)
            for name, title, build in LEADING:
                with gr.Tab(title, id=name) as places[name]:
                    parts[name] = build(library, all_tabs, parts)
        deep_links.wire(library, demo, all_tabs, places, parts)
        waiting.waiting_bar(demo)
    # closed: the plain HTTP routes would skip the queue and its limits
    demo.queue(api_open=False, max_size=MOST_WAITING)
    # seconds; with Gradio's own, a tenth of these, an idle app takes several percent of a core
    demo._queue.sleep_when_free, demo._queue.progress_update_sleep_when_free = 0.01, 0.1
    return demo


def launch_options() -> dict:
    """Options of `launch()`, host and port aside."""
    return {
        "theme": theme(),
        "css": CSS + findings_tab.CSS,
        "head": "".join(each.head for each in WIDGETS) + "".join(each.HEAD for each in SCRIPTS),
        "footer_links": ["api", "settings"],
        "run_history": False,
        "enable_monitoring": False,
        "show_error": False,
        "max_file_size": MOST_UPLOADED,
        "state_session_capacity": MOST_VISITORS + 6,  # the gate keeps to its own number before
        "app_kwargs": {
            "middleware": [Middleware(Gate)],
            "exception_handlers": {RequestValidationError: _unreadable},
        },
        "_frontend": False,  # no look at its own address, which gives up after three seconds of a busy machine
    }


async def _unreadable(request: object, error: RequestValidationError) -> JSONResponse:
    """Instead of FastAPI's answer, which holds what was sent."""
    return JSONResponse({"detail": UNREADABLE}, 422)


def theme() -> gr.themes.Base:
    """Calm colours and the system's own fonts: no request leaves for another host."""
    return gr.themes.Default(
        primary_hue="teal",
        secondary_hue="teal",
        neutral_hue="slate",
        # Gradio bundles subsets of fonts only, and letters from two fonts do not go together
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "Consolas", "monospace"],
    ).set(  # quiet text and white on colour stay readable
        body_text_color_subdued="*neutral_500",
        block_info_text_color="*neutral_500",
        color_accent="*primary_600",
        slider_color="*primary_600",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
    )
