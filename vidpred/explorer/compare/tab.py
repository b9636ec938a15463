"""The tab that sets runs side by side: handlers, layout, wiring."""

import functools
from typing import Any

import gradio as gr

from vidpred.errors import BadInput
from vidpred.explorer.runs import comparison, curves, validate
from vidpred.explorer.runs.library import Library, names
from vidpred.explorer.runs.run import Run
from vidpred.explorer.runs.summary import sentence_case, title
from vidpred.explorer.ui.chart import chart, chart_value
from vidpred.explorer.ui.events import again, chain, once
from vidpred.explorer.ui.fields import temperature_field
from vidpred.explorer.ui.handlers import BUSY, MODEL_QUEUE, QUIET, Handlers, toast_refusals
from vidpred.explorer.ui.markdown import literal, table
from vidpred.explorer.ui.player import clip_player, next_request, player_refusal, player_value
from vidpred.explorer.ui.prediction_tiles import comparison_tiles
from vidpred.explorer.ui.run_menu import run_menu
from vidpred.explorer.ui.tab_parts import Link, TabParts
from vidpred.explorer.ui.training_chart import COMPARED, training_chart

NUMBERS = ["run", "PSNR (dB)", "best of N", "SSIM", "KL per step (nats)", "protocol"]
SURE = (
    "*±: 95 % interval of the mean over the same clips, all samples averaged. It is one training of each: another seed "
    "may fall out otherwise. The clip below is a single one, and may say the opposite.*"
)
LEAD = (
    "**Several runs, the same clip, the same noise.** Choose a question: below it stands which run is better, and how "
    "sure that is; then play the clip."
)
ALIKE = "Nothing: every setting is the same."
NOTHING = "Nothing to compare."


class CompareHandlers(Handlers):
    def groups(self) -> dict[str, comparison.Group]:
        """By their keys, of the runs that are there now."""
        return {group.key: group for group in comparison.groups(self.library)}

    @toast_refusals
    def choose(self, question: Any) -> list[str]:
        """The runs that answer a question."""
        groups = self.groups()
        return names(groups[validate.choice(question, "question", groups)].runs)

    def questions(self, runs: Any) -> dict:
        """What can be asked, and the question that these runs answer; None where they answer none."""
        groups = self.groups()
        chosen = {name for name in runs if isinstance(name, str)} if isinstance(runs, list) else set()
        asked = next((key for key, group in groups.items() if chosen == set(names(group.runs))), None)
        choices = [*zip(comparison.titles(groups.values()), groups)]
        return gr.update(choices=choices, value=asked, visible=bool(groups))

    def compare(
        self, runs: list[str], clip: str, seed: float = 0, temperature: float = 1.0, samples: float = 3
    ) -> dict:
        """Predict a clip with each of two to four runs of one family, with the same noise. The answer is like that of
        /predict, with a tile for every run."""
        return toast_refusals(self.draw)(runs, clip, seed=seed, temperature=temperature, samples=samples)

    def draw(self, runs: Any, clip: Any, **fields: Any) -> dict:
        """The same for the page."""
        request = next_request()
        chosen = comparison.chosen_runs(self.library, runs)
        predictions = comparison.predict_each(self.library, chosen, self.library.clip(clip), **fields)
        return player_value(comparison_tiles(self.library, predictions), request)

    def weights(self, runs: Any, **fields: Any) -> list[int | None]:
        """What the pictures depend on beside the fields: an epoch may have ended since."""
        return [run.weights for run in comparison.chosen_runs(self.library, runs)]

    def explain(self, runs: Any) -> tuple[str, str, str, dict]:
        """Which of the runs is better, what sets them apart, what they score, and their curves in one picture."""
        chosen = comparison.chosen_runs(self.library, runs)
        rows, headers = comparison.difference_rows(chosen), ["setting", *names(chosen)]
        curves = training_chart(self.library, chosen, COMPARED, next_request())
        settings = _table(headers, rows) if rows else ALIKE
        return _answer(chosen), settings, _score_table(chosen), curves

    def refuse(self, error: BadInput) -> tuple[str, str, str, dict]:
        """The same where nothing can be said: what was said of other runs must not stay."""
        return "", NOTHING, NOTHING, chart_value([], "", next_request(), message=NOTHING)

    def progress(self, runs: Any) -> list[Any]:
        """What tables and curves depend on beside the choice."""
        chosen = comparison.chosen_runs(self.library, runs)
        return [(run.evaluation, curves.metrics_stamp(run)) for run in chosen]

    def follow_runs(self, runs: Any, clip: Any) -> dict:
        """The clips that fit all of these runs; the chosen one stays where it does. What is wrong with the runs is
        said by the player."""
        try:
            clips = names(comparison.common_clips(self.library, comparison.chosen_runs(self.library, runs)))
        except BadInput:
            return gr.skip()
        return gr.update(choices=clips, value=clip if clip in clips else next(iter(clips), None))

    def restore(self, runs: Any, clip: Any, **fields: Any) -> dict[str, Any]:
        """The widgets of a view, by name."""
        chosen = comparison.chosen_runs(self.library, runs)
        comparison.checked_each(chosen, self.library.clip(clip), **fields)
        return {"runs": names(chosen), "clip": self.follow_runs(runs, clip), **fields}


def _answer(runs: list[Run]) -> str:
    """Which run is better than the first, and how sure that is."""
    _, apart = comparison.told_apart(runs)
    name = {run: f"{what} ({literal(run.name)})" for run, what in zip(runs, apart)} or {
        r: literal(r.name) for r in runs
    }
    first, *others = runs
    lines, ranked = [], False
    for other in others:
        found = comparison.paired(other, first)
        if found is None:
            lines.append(f"{name[other]} and {name[first]} were not evaluated alike on two clips or more.")
            continue
        best, ranked = comparison.paired(other, first, "psnr_best"), True
        verdict = "not to be told from"
        if found.told_apart:
            verdict = "better than" if found.mean > 0 else "worse than"
        lines.append(
            f"**{sentence_case(name[other]) if apart else name[other]}** is {verdict} {name[first]}: "
            f"PSNR **{found.text}**"
            + (f", best of {other.evaluation.samples} {best.text}" if best else "")
            + f", higher on {found.higher} of {found.clips} clips."
        )
    return "\n\n".join([*lines, SURE] if ranked else lines)


def _score_table(runs: list[Run]) -> str:
    """Scores of the runs, by title and name."""
    return table(
        [literal(header) for header in NUMBERS],
        [[f"**{title(run)}**<br>{literal(run.name)}", *map(literal, comparison.score_texts(run))] for run in runs],
    )


def _table(headers: list[str], rows: list[list[str]]) -> str:
    return table([literal(header) for header in headers], [[literal(cell) for cell in row] for row in rows])


def build(library: Library, demo: gr.Blocks) -> TabParts:
    """Lay the tab out inside `demo` and wire it."""
    handlers = CompareHandlers(library)
    gr.api(handlers.compare, api_name="compare", **MODEL_QUEUE)  # first: the page's own event would take its name
    runs = comparison.first_runs(library)
    if not runs:
        gr.Markdown("Comparing needs two runs of one family: start the app with `--runs DIR`.")
        return TabParts()
    first = comparison.first_view(library, *runs)
    gr.Markdown(LEAD, elem_classes="about")
    questions = handlers.questions(names(runs))
    question_dd = gr.Dropdown(
        questions["choices"],
        value=questions["value"],
        label="A question",
        info="runs that differ in this alone",
        visible=questions["visible"],
        elem_id="compare-question",
    )
    answer_md = gr.Markdown(elem_classes="answer")
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=280):
            runs_dd = gr.Dropdown(
                run_menu(library.all_runs()),
                value=names(runs),
                multiselect=True,
                max_choices=comparison.MOST_RUNS,
                label="Runs",
                info=f"two to {comparison.MOST_RUNS} of one family",
            )
            clip_dd = gr.Dropdown(names(comparison.common_clips(library, runs)), value=first["clip"], label="Clip")
            temperature_slider = temperature_field(first["temperature"])
            samples_slider = gr.Slider(
                1, comparison.MOST_SAMPLES, value=first["samples"], step=1, label="Samples of each run"
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
    predicting = once(
        handlers.draw,
        asked,
        player_html,
        refused=player_refusal,
        version=handlers.weights,
        **BUSY,
    )
    explained = [answer_md, differences_md, numbers_md, curves_html]
    explaining = once(
        handlers.explain,
        {"runs": runs_dd},
        explained,
        refused=handlers.refuse,
        version=handlers.progress,
        **QUIET,
    )
    following = {
        "fn": handlers.follow_runs,
        "inputs_kwargs": {"runs": runs_dd, "clip": clip_dd},
        "outputs": clip_dd,
        **QUIET,
    }
    chain(compare_btn.click, again(predicting))
    chain(runs_dd.input, following, explaining, predicting)
    chosen = {"fn": handlers.choose, "inputs": question_dd, "outputs": runs_dd, "queue": False, **QUIET}
    chain(question_dd.input, chosen, following, explaining, predicting)
    # of runs that answer no question here none is shown
    asking = {"fn": handlers.questions, "inputs_kwargs": {"runs": runs_dd}, "outputs": question_dd, **QUIET}
    chain(runs_dd.change, {**asking, "queue": False})
    view = {"runs": names(runs), **first}
    link = Link(asked, view, handlers.restore, functools.partial(comparison.first_view, library))
    menus = {runs_dd: lambda: run_menu(library.all_runs())}
    return TabParts({"runs": runs_dd}, link, [[asking], [explaining], [predicting]], menus=menus)
