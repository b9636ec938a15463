"""The tab that looks into z: handlers, layout, wiring."""

import functools
from typing import Any

import gradio as gr

from vidpred.errors import BadInput
from vidpred.explorer.latents import analysis
from vidpred.explorer.runs import validate
from vidpred.explorer.runs.library import Library, names
from vidpred.explorer.runs.prediction import first_run
from vidpred.explorer.runs.run import Clip, Run
from vidpred.explorer.ui.chart import chart, chart_value
from vidpred.explorer.ui.events import again, chain, once
from vidpred.explorer.ui.handlers import BUSY, QUIET, Handlers, toast_refusals
from vidpred.explorer.ui.heat_map import heat_map, heat_map_message, heat_map_value
from vidpred.explorer.ui.player import clip_player, next_request, player_refusal, player_value
from vidpred.explorer.ui.run_menu import run_menu
from vidpred.explorer.ui.tab_parts import Link, TabParts

LEAD = (
    "**What z says, and where.** See how far the future depends on it; then push one dimension, below, and watch what "
    "changes."
)
SOURCES = (
    "Where z comes from: the **posterior** has seen each true frame; the **prior** guesses; **zero** leaves z out; "
    "**shuffled** takes the posterior's z of other steps. The further the first lies above the others, the more z says."
)

BEST_TICKS = (1, 2, 5, 10, 15, 20, 50, 100)  # numbers of samples that people ask for
NOTHING = "Nothing to draw."
BOUNCES = "Dotted: a shape has just left a wall in a new direction, which nobody could know."


class LatentHandlers(Handlers):
    def latents(self, run: Any, clip: Any, seed: Any, dimension: Any = None, of_run: Any = None) -> tuple:
        """What z carries on a clip: a note, the heat map, what is imagined with each z, three charts, the dimensions,
        those that carry most first, and the run. The chosen dimension stays while its run (of_run) does. A seed that
        is none is said, and the page stays; of a run or clip that cannot be looked into nothing else may be shown."""
        seed = toast_refusals(validate.seed)(seed)
        run, clip = self._chosen(run, clip)
        found = analysis.analyse(self.library, run, clip, seed)
        pictures = player_value(found.pictures, next_request())
        unit = "channel" if run.config.model.z_is_map else "dimension"
        heat = heat_map_value(found.kld, f"{unit} of z", "step", "nats", next_request())
        charts = [
            chart_value(
                plot.panels,
                plot.x_title,
                next_request(),
                plot.legend,
                whole=True,
                hint=BOUNCES if plot.marks else "",
                marks=plot.marks,
                x_ticks=BEST_TICKS if plot is found.best else (),
            )
            for plot in (found.sources, found.gaussians, found.best)
        ]
        menu = analysis.dimension_menu(found.kld, unit)
        stays = run.name == of_run and dimension in [value for _, value in menu]
        chosen = gr.update(choices=menu, value=dimension if stays else menu[0][1])
        return found.note, heat, pictures, *charts, chosen, run.name

    def refuse(self, error: BadInput) -> tuple:
        """The same where there is nothing to look into: pictures and charts of another run or clip must not stay."""
        request = next_request()
        charts = [chart_value([], "", request, message=NOTHING)] * 3
        heat, pictures = heat_map_message(NOTHING, request), player_refusal(error)
        return f"**{error}.**", heat, pictures, *charts, gr.update(choices=[], value=None), None

    def known(self, run: Any, **fields: Any) -> tuple:
        """What all of that depends on beside the fields: an epoch may have ended since, or the run been evaluated."""
        run = self.library.run(run)
        return run.weights, run.evaluation

    def traverse(self, run: Any, clip: Any, dimension: Any) -> dict:
        """One dimension of z pushed up and down; the value of the player."""
        request = next_request()
        return player_value(analysis.traversal(self.library, *self._chosen(run, clip), dimension), request)

    @toast_refusals
    def follow_run(self, run: Any, clip: Any) -> dict:
        """The clips that fit the run; the chosen one stays where it does."""
        return self.clip_menu(self.library.run(run), clip, known=True)

    def restore(self, run: Any, clip: Any, seed: Any) -> dict[str, Any]:
        """The widgets of a view, by name."""
        seed, _, _ = analysis.checked_window(*self._chosen(run, clip), seed)
        return {"run": run, "clip": self.follow_run(run, clip), "seed": seed}

    def _chosen(self, run: Any, clip: Any) -> tuple[Run, Clip]:
        run = self.library.run(run)
        self.require_clips(run, clip, known=True)
        return run, self.library.clip(clip)


def build(library: Library, demo: gr.Blocks) -> TabParts:
    """Lay the tab out inside `demo` and wire it."""

    def instead() -> dict[str, Any]:
        return {} if run.name in library.runs else analysis.first_view(library, first_run(library.all_runs(), library))

    handlers, run = LatentHandlers(library), first_run(library.all_runs(), library)
    first = analysis.first_view(library, run)
    gr.Markdown(LEAD, elem_classes="about")
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=280):
            run_dd = gr.Dropdown(run_menu(library.all_runs()), value=first["run"], label="Run")
            clip_dd = gr.Dropdown(
                names(library.clips_for(run, known=True)),
                value=first["clip"],
                label="Clip",
                info="its true frames are shown to the posterior",
            )
            seed_number = gr.Number(first["seed"], label="Seed", step=1, info="of the prior's samples")
            look_btn = gr.Button("Look into z", variant="primary")
            note_md = gr.Markdown(elem_classes="about")
        with gr.Column(scale=2, min_width=320):
            gr.Markdown(SOURCES, elem_classes="about")
            pictures_html = clip_player(elem_id="lens-pictures")
    with gr.Row(equal_height=False):
        with gr.Column(min_width=320):
            sources_html = chart(elem_id="lens-sources")
        with gr.Column(min_width=320):
            best_html = chart(elem_id="lens-best")
    gr.Markdown("### KL of every dimension and step: bright is where z speaks", elem_classes="section")
    heat_html = heat_map(elem_id="lens-heat")
    gaussians_html = chart(elem_id="lens-gaussians")
    gr.Markdown("### Push one dimension", elem_classes="section")
    dimension_dd = gr.Dropdown([], label="Dimension of z", info="those that carry most come first")
    run_state = gr.State()  # whose dimension that is
    player_html = clip_player(elem_id="lens-player")

    asked = {"run": run_dd, "clip": clip_dd, "seed": seed_number}
    found = [note_md, heat_html, pictures_html, sources_html, gaussians_html, best_html, dimension_dd, run_state]
    pushed = {"run": run_dd, "clip": clip_dd, "dimension": dimension_dd}
    drawn = [heat_html, pictures_html, sources_html, gaussians_html, best_html]
    busy = {"show_progress_on": drawn, **BUSY}
    kept = {"dimension": dimension_dd, "of_run": run_state}
    looking = once(
        handlers.latents, asked | kept, found, refused=handlers.refuse, version=handlers.known, aside=kept, **busy
    )
    traversing = once(
        handlers.traverse,
        pushed,
        player_html,
        refused=player_refusal,
        version=handlers.weights,
        **BUSY,
    )
    following = {
        "fn": handlers.follow_run,
        "inputs_kwargs": {"run": run_dd, "clip": clip_dd},
        "outputs": clip_dd,
        **QUIET,
    }
    chain(functools.partial(gr.on, [look_btn.click, seed_number.submit]), again(looking), traversing)
    chain(clip_dd.input, looking, traversing)
    chain(dimension_dd.input, traversing)
    chain(run_dd.input, following, looking, traversing)
    link = Link(asked, first, handlers.restore, functools.partial(analysis.first_view, library), instead)
    menus = {run_dd: lambda: run_menu(library.all_runs())}
    return TabParts({"run": run_dd, "clip": clip_dd}, link, [[looking, traversing]], menus=menus)
