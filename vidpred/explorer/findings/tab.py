"""The tab that tells which claims hold: intervals, the curves behind them, and doors to runs that show the choice."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from vidpred.explorer.findings.forest import claim_html, summary_html, too_few
from vidpred.explorer.findings.stored import curves_behind, read_findings, seeds_of
from vidpred.explorer.runs import validate
from vidpred.explorer.runs.library import Library
from vidpred.explorer.ui.chart import chart
from vidpred.explorer.ui.doors import wire_door
from vidpred.explorer.ui.events import chain, once
from vidpred.explorer.ui.handlers import QUIET, Handlers, toast_refusals
from vidpred.explorer.ui.markdown import table
from vidpred.explorer.ui.player import next_request
from vidpred.explorer.ui.tab_parts import TabParts

CSS = (Path(__file__).parent / "static" / "findings.css").read_text()
INTRO = """**Does it help?** Each claim of the reports, tested on {runs} small runs that differ in that choice alone,
up to three seeds of each. A dot is the mean difference, its bar the 95 % interval over seeds and clips: right of the
line speaks for the claim, left of it against. A claim *holds* where the whole bar lies right of the line; it *does not
hold* where all of it lies left of what would count, which is 0.1 dB right of the line where scores are compared; else
we *cannot tell*. Where it says that little changes, the whole bar must lie between two lines. A doubling is a factor of
two. The verdict beside a claim is that of its first line, the setting in which it was made. Small and short runs: what
holds here need not hold for large ones, such as the bundled ones that the buttons open, one training of each."""
NOTHING = "There are no findings here: `python -m train.findings RUNS --out assets/findings` writes them."
TABLES = {
    "robot": "PSNR on test clips, two frames given and ten predicted (last frame copied: {} dB)",
    "dance": "PSNR of 629 frames of a validation video, one given (first frame copied: {} dB)",
}

FREE = "push-free-learned-{}"
# Claim -> what its button says, the tab that it opens, and what is set there: bundled runs of that choice.
DOORS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "cyclical-monotonic": (
        "Compare two runs",
        "compare",
        {"runs": [FREE.format("cyclical"), FREE.format("monotonic")]},
    ),
    "annealing-none": ("Compare two runs", "compare", {"runs": [FREE.format("cyclical"), FREE.format("none")]}),
    "kl-jump": (
        "See it in a training",
        "training",
        {"views": "curves", "runs": [FREE.format("cyclical")], "curves": ["KL", "beta"]},
    ),
    "learned-fixed": (
        "Compare two runs",
        "compare",
        {"runs": ["push-free-fixed-cyclical", "push-free-learned-cyclical"]},
    ),
    "late-early": (
        "See the ratio fall in a training",
        "training",
        {"views": "curves", "runs": ["push-learned-cyclical"], "curves": ["Teacher forcing", "Loss", "PSNR"]},
    ),
}


class FindingsHandlers(Handlers):
    def __init__(self, library: Library, claims: list[dict]):
        super().__init__(library)
        self.claims = {claim["says"]: claim for claim in claims}

    @toast_refusals
    def settings(self, claim: Any) -> dict:
        """The settings of a claim; the first one is chosen."""
        first, *_ = settings = self._settings(claim)
        return gr.update(choices=list(settings), value=first)

    @toast_refusals
    def draw(self, claim: Any, setting: Any) -> dict:
        """The curves behind a claim in a setting."""
        settings = self._settings(claim)
        return curves_behind(settings[validate.choice(setting, "setting", settings)], next_request())

    def _settings(self, claim: Any) -> dict[str, dict]:
        found = self.claims[validate.choice(claim, "claim", self.claims)]
        return {setting["setting"]: setting for setting in found["settings"]}


def results_table(lines: list[dict]) -> str:
    """A report's table of results beside ours, as Markdown."""
    rows = [[line["says"], f"{line['psnr']:.2f} dB", _ours(line)] for line in lines]
    return table(["setting", "published", "here (95 % interval)"], rows)


def build(library: Library, tabs: gr.Tabs, parts: Mapping[str, TabParts]) -> TabParts:
    """Lay the tab out and wire its doors. parts: of the tabs where these lead."""
    found = read_findings()
    if found is None:
        gr.Markdown(NOTHING)
        return TabParts()
    claims = found["claims"]
    handlers = FindingsHandlers(library, claims)
    with gr.Column(elem_classes="page wide"):
        gr.Markdown(INTRO.format(runs=found["runs"]), elem_classes="lesson")
        _static(summary_html(claims), "findings-summary")
        for topic in dict.fromkeys(claim["topic"] for claim in claims):
            gr.Markdown(f"## {topic}", elem_classes="lesson")
            for claim in (claim for claim in claims if claim["topic"] == topic):
                _static(claim_html(claim), f"claim-{claim['id']}")
                if claim["id"] in DOORS:
                    says, tab, sets = DOORS[claim["id"]]
                    door_btn = gr.Button(f"{says} →", size="sm", elem_classes="door")
                    wire_door(door_btn, library, tab, sets, tabs, parts.get(tab, TabParts()))
        gr.Markdown("## The runs behind a claim", elem_classes="lesson")
        first = claims[0]
        settings = [setting["setting"] for setting in first["settings"]]
        with gr.Row():
            claim_dd = gr.Dropdown([claim["says"] for claim in claims], value=first["says"], label="Claim")
            setting_dd = gr.Dropdown(settings, value=settings[0], label="Setting")
        curves_html = chart(elem_id="findings-chart")
        gr.Markdown("## The reports' results", elem_classes="lesson")
        for name, lines in found["tables"].items():
            copied = next((f"{line['copied']:.2f}" for line in lines if line["copied"]), "–")
            gr.Markdown(f"{TABLES[name].format(copied)}\n\n{results_table(lines)}", elem_classes=["lesson", "figures"])

    asked = {"claim": claim_dd, "setting": setting_dd}
    following = {"fn": handlers.settings, "inputs_kwargs": {"claim": claim_dd}, "outputs": setting_dd, **QUIET}
    drawing = once(handlers.draw, asked, curves_html, **QUIET)
    chain(claim_dd.input, following, drawing)
    chain(setting_dd.input, drawing)
    return TabParts(opened=[[drawing]])


def _ours(line: dict) -> str:
    ours = line["ours"]
    if ours is None:
        return too_few(seeds_of(line["run"]), "runs")
    return f"{ours['mean']:.2f} dB ({ours['low']:.2f} … {ours['high']:.2f})"


def _static(html: str, elem_id: str) -> gr.HTML:
    return gr.HTML(value=None, html_template=html, apply_default_css=False, elem_id=elem_id, elem_classes="drawn")
