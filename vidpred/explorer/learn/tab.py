"""The pages that explain: Markdown with pictures to move, curves of the bundled runs, and a door into the explorer."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from vidpred import runs
from vidpred.explorer.cli import ASSETS
from vidpred.explorer.runs.library import Library
from vidpred.explorer.ui.chart import chart
from vidpred.explorer.ui.doors import wire_door
from vidpred.explorer.ui.html_component import STATIC
from vidpred.explorer.ui.markdown import table
from vidpred.explorer.ui.player import next_request
from vidpred.explorer.ui.tab_parts import Pages, TabParts
from vidpred.explorer.ui.training_chart import training_chart

PAGES_FOLDER = Path(__file__).parent / "pages"
BUNDLED = ASSETS / "runs"
LATEX = [{"left": "$$", "right": "$$", "display": True}, {"left": "$", "right": "$", "display": False}]
SHARED_JS = (PAGES_FOLDER / "figure.js").read_text()
BEFORE = {"scores": (STATIC / "scores.mjs").read_text().replace("export ", "")}  # a page's script, what it calls
MARK = re.compile(r"^\[(picture|chart|table): (\w+)\]$", re.MULTILINE)

FREE = [f"push-free-learned-{schedule}" for schedule in ("cyclical", "monotonic", "none")]
COLLAPSED_RUN = "push-free-learned-collapsed"
KNOWN = ["push-fixed-cyclical", "push-learned-cyclical"]
CALIBRATED = ["push-learned-cyclical", "push-learned-calibrated"]
BOUNCING = ["bounce-learned-monotonic", "bounce-fixed-monotonic"]
PRIORS = ["push-free-fixed-cyclical", "push-free-learned-cyclical"]  # z carries something, so that they differ


class Page(NamedTuple):
    """A page: its text (learn/<id>.md), and what its button opens: a tab, and values of widgets there."""

    title: str
    button: str
    tab: str
    sets: dict[str, Any]


PAGES = {
    "bound": Page(
        "The bound",
        "See both terms in a training",
        "training",
        {"views": "curves", "runs": FREE[:1], "curves": ["KL", "beta", "Loss", "MSE"]},
    ),
    "noise": Page("Noise with a slope", "Change seed and temperature of a prediction", "predict", {"run": FREE[0]}),
    "priors": Page(
        "Fixed and learned prior", "Compare two priors in training", "training", {"views": "curves", "runs": PRIORS}
    ),
    "walls": Page("Walls", "Look into z at the walls", "latents", {"run": BOUNCING[0], "clip": "bounce_0_to_255/7"}),
    "forcing": Page(
        "Teacher forcing",
        "See the ratio fall in a training",
        "training",
        {"views": "curves", "runs": KNOWN[1:], "curves": ["Teacher forcing", "Loss", "MSE", "PSNR"]},
    ),
    "annealing": Page("Annealing", "Design a schedule", "training", {"views": "designer", "start": "small"}),
    "scores": Page("PSNR and SSIM", "Score a prediction", "predict", {}),
    "wrong": Page(
        "What went wrong?", "See a silent z: no seed changes it", "predict", {"run": COLLAPSED_RUN, "sweep": True}
    ),
}

# Curves on the pages: runs, then which panels of the training tab.
CHARTS = {
    "terms": (FREE[:1], ["KL", "MSE"]),
    "forcing": (KNOWN[1:], ["Teacher forcing", "PSNR"]),
    "annealing": (FREE, ["KL", "beta"]),
    "wrong": ([FREE[0], COLLAPSED_RUN], ["KL", "Active units", "PSNR"]),
    "vanishing": (KNOWN, ["KL", "Active units"]),
    "calibrated": (CALIBRATED, ["KL", "beta"]),
}


def blocks(page: str) -> list[tuple[str, str]]:
    """A page as pairs of (text, the text), (picture, name), (chart, name), (table, name), in order."""
    text, found, end = (PAGES_FOLDER / f"{page}.md").read_text(), [], 0
    for mark in MARK.finditer(text):
        found += [("text", text[end : mark.start()].strip()), (mark[1], mark[2])]
        end = mark.end()
    return [block for block in [*found, ("text", text[end:].strip())] if block[1]]


def bundled() -> Library | None:
    """The runs that come with the project, whatever was opened; None where they have been removed."""
    return Library([BUNDLED], []) if any(BUNDLED.glob(f"*/{runs.CONFIG}")) else None


def page_chart(library: Library, name: str) -> dict | None:
    """Value of a page's chart; None where none of its runs is there."""
    wanted, panels = CHARTS[name]
    there = [library.run(run) for run in wanted if run in library.runs]
    return training_chart(library, there, panels, next_request()) if there else None


def evaluated(library: Library) -> str:
    """The bundled robot runs' scores as a Markdown table, from their eval.json: one protocol for all of them."""
    scored = [run for run in library.all_runs() if run.evaluation and not run.takes_poses]
    results = {run: run.evaluation for run in scored if not run.evaluation.has_bounces}
    if not results:
        return ""
    rows = [
        [
            f"`{run.name}`",
            run.prior,
            "frames, actions" if run.takes_actions else "frames only",
            f"{result.text('psnr', '.2f')} dB",
            f"{result.text('psnr_best', '.2f')} dB",
            result.text("ssim", ".3f"),
            f"{result.text('kld_per_step', '.2f')} nats",
        ]
        for run, result in results.items()
    ]
    first = next(iter(results.values()))
    headers = ["run", "prior", "knows", "PSNR", f"best of {first.samples}", "SSIM", "KL per step"]
    note = (
        f"*{first.scored_clips}, {first.scored_frames}, {first.samples} samples, "
        f"temperature {first.text('temperature')}, protocol {first.protocol}; "
        f"the last frame copied: {first.text('copy_last_psnr', '.2f')} dB*"
    )
    return f"{table(headers, rows)}\n\n{note}"


def at_walls(library: Library) -> str:
    """What the bundled runs know of walls, as a Markdown table."""
    rows = []
    for run in library.all_runs():
        if run.evaluation and (n := run.evaluation.bounces):
            kld = f"{n['kld_at']:.1f} : {n['kld_between']:.1f} nats"
            sigma = f"{n['prior_sigma_at']:.2f} : {n['prior_sigma_between']:.2f}"
            spread = f"{n['diversity_before']:.3f} : {n['diversity_after']:.3f}"
            rows.append([f"`{run.name}`", kld, sigma, spread])
    headers = ["run", "KL, at a wall : elsewhere", "prior's sigma", "spread, before : after"]
    return table(headers, rows) if rows else ""


TABLES = {"evaluated": evaluated, "bounces": at_walls}


def picture(name: str, **options: Any) -> gr.HTML:
    """A drawing with sliders: its own static page, style and script; no value ever gets into the template."""
    script, before = PAGES_FOLDER / f"{name}.js", SHARED_JS + BEFORE.get(name, "")
    return gr.HTML(
        value=None,
        html_template=(PAGES_FOLDER / f"{name}.html").read_text(),
        css_template=(PAGES_FOLDER / "figure.css").read_text(),
        js_on_load=before + script.read_text() if script.exists() else None,
        apply_default_css=False,
        elem_id=f"learn-{name}",
        elem_classes="drawn",
        **options,
    )


def build(library: Library, tabs: gr.Tabs, parts: Mapping[str, TabParts]) -> TabParts:
    """Lay the pages out and wire their doors. parts: of the tabs where these lead."""
    own = bundled()
    places = {}
    with gr.Tabs(overflow_behavior="wrap") as pages:
        for page, what in PAGES.items():
            with gr.Tab(what.title, id=page) as places[page], gr.Column(elem_classes="page"):
                for kind, content in blocks(page):
                    _place(kind, content, own)
                door_btn = gr.Button(f"{what.button} →", variant="primary", elem_classes="door")
            wire_door(door_btn, library, what.tab, what.sets, tabs, parts.get(what.tab, TabParts()))
    return TabParts(pages=Pages(pages, places))


def _place(kind: str, content: str, own: Library | None) -> None:
    if kind == "picture":
        picture(content)
        return
    if kind == "text":
        gr.Markdown(content, latex_delimiters=LATEX, elem_classes="lesson")
    elif own and kind == "table":
        gr.Markdown(TABLES[content](own), elem_classes=["lesson", "figures"])
    elif own and (value := page_chart(own, content)):
        chart(value=value, elem_id=f"learn-chart-{content}")
