"""The bar that says how long an answer will take, and takes the question back."""

from pathlib import Path

import gradio as gr

from vidpred.explorer.ui.handlers import MODEL_QUEUE, WAITING_QUEUE

STATIC = Path(__file__).parent / "static"
HEAD = f"<script>{(STATIC / 'waiting.js').read_text()}</script>"
QUEUES = (MODEL_QUEUE["concurrency_id"], WAITING_QUEUE["concurrency_id"])


def waiting_bar(demo: gr.Blocks) -> None:
    """Lay the bar out, over the page, after every event of `demo` that it can take back. It is there while a player
    waits, and not before a second has passed."""
    bar_html = gr.HTML(
        html_template=(STATIC / "waiting.html").read_text(),
        css_template=(STATIC / "waiting.css").read_text(),
        js_on_load="waiting.bar(element, trigger);",
        apply_default_css=False,
        value=None,
        elem_classes=["drawn", "waiting-block"],
    )
    taken_back = [fn.get_config() for fn in demo.fns.values() if fn.concurrency_id in QUEUES and fn.targets]
    bar_html.submit(None, cancels=taken_back, api_visibility="private")
