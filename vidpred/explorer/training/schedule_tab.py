"""The schedule designer: handlers, layout, wiring."""

from typing import Any

import gradio as gr

from vidpred.errors import BadInput
from vidpred.explorer.runs.library import Library
from vidpred.explorer.training import schedule
from vidpred.explorer.training.schedule import FIELDS, ONLY_WITH, applies
from vidpred.explorer.ui.chart import chart, chart_value
from vidpred.explorer.ui.handlers import QUIET, Handlers, toast_refusals
from vidpred.explorer.ui.player import next_request
from vidpred.explorer.ui.tab_parts import TabParts

FIRST = "small"
AFTERWARDS = (
    "Run it where the project lies, on clips that `python -m train.prepare` makes (`--help` says how); `small` "
    "takes half an hour on two CPU cores. Start the app with `--runs runs`: *Follow a training*, under *Curves*, "
    "draws every epoch as it ends."
)


class DesignHandlers(Handlers):
    def design(self, start: Any, **values: Any) -> tuple[Any, str, str]:
        """beta, teacher forcing and sigma over a training, the design in words, and the command that trains it."""
        request = next_request()
        try:
            made = schedule.design(self.library, start, values)
        except BadInput as error:  # in its place, not as an alarm: half of what is typed on the way makes no sense yet
            return gr.skip(), f"> **This makes no schedule:** {error}", ""
        return chart_value(made.panels, "epoch", request), made.summary, made.command

    @toast_refusals
    def fill(self, start: Any) -> list[Any]:
        """The settings of a preset or a run, as values of the widgets."""
        values = schedule.values_of(schedule.start_config(self.library, start))
        return [gr.update(value=value, visible=applies(name, values)) for name, value in values.items()]

    @toast_refusals
    def apply(self, kl_anneal: Any, tfr_decay: Any) -> list[Any]:
        """Which settings mean something beside these two."""
        values = {name: FIELDS[name].check(value, FIELDS[name].label)
                  for name, value in (("kl_anneal", kl_anneal), ("tfr_decay", tfr_decay))}  # fmt: skip
        return [gr.update(visible=applies(name, values)) for name in ONLY_WITH]


def build(library: Library, demo: gr.Blocks) -> TabParts:
    """Lay the designer out inside `demo` and wire it."""
    handlers = DesignHandlers(library)
    values = schedule.values_of(schedule.start_config(library, FIRST))

    def widget(kind: type, name: str, **options: Any) -> Any:
        options = {"value": values[name], "label": FIELDS[name].label, "visible": applies(name, values), **options}
        return kind(**options, elem_id=f"design-{name.replace('_', '-')}")

    def radio(name: str, **options: Any) -> gr.Radio:
        return widget(gr.Radio, name, choices=schedule.choices(name), **options)

    def number(name: str, **options: Any) -> gr.Number:
        return widget(gr.Number, name, **{"min_width": 120, **options})

    def slider(name: str, **options: Any) -> gr.Slider:
        return widget(gr.Slider, name, **{"minimum": 0, "maximum": 1, "step": 0.01, **options})

    made = {}
    with gr.Row(equal_height=True):
        start_dd = gr.Dropdown(
            list(schedule.starts(library).items()),
            value=FIRST,
            label="Start from",
            info="a preset, or a run",
            scale=2,
            min_width=280,
        )
        made["epochs"] = number("epochs", info="of the whole training")
        made["iterations_per_epoch"] = number("iterations_per_epoch", info="batches; 0: one pass over the data")
    schedule_html = chart(elem_id="schedule-chart")
    summary_md = gr.Markdown(elem_classes="about")
    command_text = gr.Textbox(
        label="The command that trains it", interactive=False, lines=2, buttons=["copy"], elem_id="command"
    )
    gr.Markdown(AFTERWARDS, elem_classes="about")
    with gr.Row(equal_height=False):
        with gr.Column(min_width=320):
            gr.Markdown("### beta, the weight of the KL")
            with gr.Row():
                made["kl_anneal"] = radio("kl_anneal", scale=2, min_width=280)
                made["beta_max"] = number("beta_max", info="multiplies the schedule")
            with gr.Row():
                made["kl_anneal_cycles"] = number("kl_anneal_cycles", info="in the whole training")
                made["kl_anneal_cycle_epochs"] = number("kl_anneal_cycle_epochs", info="0: by their number")
            made["kl_anneal_ratio"] = slider("kl_anneal_ratio", info="part of a cycle in which beta rises")
            made["kl_anneal_shape"] = radio("kl_anneal_shape")
            with gr.Row():
                made["kl_anneal_start"] = number("kl_anneal_start", info="at the foot of a rise")
                made["kl_anneal_stop"] = number("kl_anneal_stop", info="at its top")
            made["kl_anneal_value"] = number("kl_anneal_value", info="times beta_max")
            made["kl_anneal_per"] = radio("kl_anneal_per", label="The schedule moves on with every")
        with gr.Column(min_width=320):
            gr.Markdown("### Teacher forcing")
            made["tfr"] = slider("tfr", info="probability that true frames are fed back; 0: free running")
            made["tfr_decay"] = radio(
                "tfr_decay",
                label="The ratio falls",
                info="by a step an epoch · in a line to 0 at the end · by a step every so many epochs",
            )
            with gr.Row():
                made["tfr_decay_start"] = number("tfr_decay_start", info="epoch (every: epochs between)")
                made["tfr_decay_step"] = number("tfr_decay_step", info="of the ratio, each time")
            made["tfr_floor"] = slider("tfr_floor")
            made["tfr_coin"] = radio("tfr_coin", label="One coin decides for every")
            made["tfr_mix"] = widget(gr.Checkbox, "tfr_mix", label="Mix the true frame with the prediction")
    made = {name: made[name] for name in FIELDS}  # in the order of `fill`

    quiet = {"trigger_mode": "always_last", **QUIET}
    designing = {
        "fn": handlers.design,
        "inputs_kwargs": {"start": start_dd, **made},
        "outputs": [schedule_html, summary_md, command_text],
        **quiet,
    }
    gr.on([demo.load, *(w.input for w in made.values())], **designing)
    filled = start_dd.change(handlers.fill, start_dd, list(made.values()), **quiet)
    filled.success(**designing)
    gr.on(
        [made["kl_anneal"].input, made["tfr_decay"].input],
        handlers.apply,
        inputs=[made["kl_anneal"], made["tfr_decay"]],
        outputs=[made[name] for name in ONLY_WITH],
        queue=False,
        **quiet,
    )
    return TabParts({"start": start_dd}, menus={start_dd: lambda: list(schedule.starts(library).items())})
