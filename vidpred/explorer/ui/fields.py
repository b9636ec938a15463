"""Fields that stand in several tabs."""

import gradio as gr

from vidpred.explorer.runs.validate import MAX_SEED, MAX_TEMPERATURE
from vidpred.explorer.ui.handlers import PRIVATE

TEMPERATURE_INFO = "scales the noise; 0 takes the means"
# Of a field that holds none: the first one. So that one can also go back, seeds follow one another.
NEXT_SEED_JS = f"seed => Number.isInteger(seed) && seed >= 0 && seed < {MAX_SEED} ? seed + 1 : 0"


def temperature_field(value: float = 1.0, info: str | None = None) -> gr.Slider:
    """The temperature of the noise."""
    return gr.Slider(0, MAX_TEMPERATURE, value=value, step=0.1, label="Temperature", info=info)


def seed_field(value: int = 0, variant: str = "primary") -> gr.Number:
    """A seed, and a button below it that takes the next one."""
    with gr.Group():
        # no bounds: Gradio's own check would answer in its words and print a traceback
        number = gr.Number(value, label="Seed", step=1)
        next_btn = gr.Button("Another seed", variant=variant)
    next_btn.click(None, number, number, js=NEXT_SEED_JS, **PRIVATE)
    return number
