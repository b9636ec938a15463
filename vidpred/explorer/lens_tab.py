"""The latent lens as a tab: handlers, layout, wiring."""

from typing import Any

import gradio as gr

from vidpred.explorer import lens
from vidpred.explorer.chart import chart, chart_value
from vidpred.explorer.library import Library
from vidpred.explorer.player import clip_player, next_request, player_value
from vidpred.explorer.predict import first_run
from vidpred.explorer.predict_tab import MODEL_QUEUE, friendly


class Handlers:
    """What the widgets call. Every field is checked again: the raw API enforces nothing."""

    def __init__(self, library: Library):
        self.library = library

    @friendly
    def latents(self, run: Any, clip: Any, seed: Any) -> tuple:
        """What z carries on a clip: a note, the heat map, three charts, and the dimension that carries most."""
        found = lens.look(self.library, run, clip, seed)
        charts = [
            chart_value(plot.panels, plot.x_title, next_request(), plot.legend, whole=True)
            for plot in (found.sources, found.gaussians, found.best)
        ]
        dimension = gr.update(maximum=found.kld.shape[1] - 1, value=found.dimensions[0])
        return found.note, lens.heat_map(found.kld), *charts, dimension

    @friendly
    def traverse(self, run: Any, clip: Any, dimension: Any) -> dict:
        """One dimension of z pushed up and down; the value of the player."""
        request = next_request()
        return player_value(lens.traversal(self.library, run, clip, dimension), request)

    @friendly
    def follow_run(self, run: Any, clip: Any) -> dict:
        """The clips that fit the run; the chosen one stays where it does."""
        clips = [name for name in self.library.clips_for(run) if self.library.clip(name).known > 1]
        return gr.update(choices=clips, value=clip if clip in clips else next(iter(clips), None))


def build(library: Library, demo: gr.Blocks) -> dict[str, Any]:
    """Lay the tab out inside `demo` and wire it."""
    handlers, run = Handlers(library), first_run(library)
    clips = library.clips_for(run)
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=280):
            run_dd = gr.Dropdown(list(library.runs), value=run, label="Run")
            clip_dd = gr.Dropdown(
                clips, value=next(iter(clips), None), label="Clip", info="its true frames are shown to the posterior"
            )
            seed_number = gr.Number(0, label="Seed", step=1, info="of the prior's samples")
            look_btn = gr.Button("Look into z", variant="primary")
            note_md = gr.Markdown(elem_classes="about")
        with gr.Column(scale=2, min_width=320):
            sources_html = chart(elem_id="lens-sources")
            best_html = chart(elem_id="lens-best")
    gaussians_html = chart(elem_id="lens-gaussians")
    gr.Markdown("### KL of every dimension (rows) and step (columns)", elem_classes="section")
    heat_image = gr.Image(
        format="png", show_label=False, interactive=False, buttons=["fullscreen"], elem_id="lens-heat"
    )
    gr.Markdown("### Push one dimension", elem_classes="section")
    with gr.Row():
        dimension_slider = gr.Slider(0, 63, value=0, step=1, label="Dimension of z", scale=2)
        traverse_btn = gr.Button("Traverse", variant="primary", scale=1)
    player_html = clip_player(elem_id="lens-player")

    looking = {
        "fn": handlers.latents,
        "inputs_kwargs": {"run": run_dd, "clip": clip_dd, "seed": seed_number},
        "outputs": [note_md, heat_image, sources_html, gaussians_html, best_html, dimension_slider],
        "show_progress": "minimal",
        "trigger_mode": "always_last",
        **MODEL_QUEUE,
    }
    traversing = {
        "fn": handlers.traverse,
        "inputs_kwargs": {"run": run_dd, "clip": clip_dd, "dimension": dimension_slider},
        "outputs": player_html,
        "show_progress": "minimal",
        "trigger_mode": "always_last",
        **MODEL_QUEUE,
    }
    gr.on([look_btn.click], api_name="latents", **looking).success(api_visibility="private", **traversing)
    gr.on([traverse_btn.click, dimension_slider.release], api_name="traverse", **traversing)
    following = gr.on(
        [run_dd.change],
        handlers.follow_run,
        inputs=[run_dd, clip_dd],
        outputs=clip_dd,
        api_visibility="private",
        show_progress="hidden",
    )
    following.success(api_visibility="private", **looking).success(api_visibility="private", **traversing)
    return {"run": run_dd, "clip": clip_dd, "opened": [looking, traversing]}
