"""Widgets of our own in gr.HTML: what they are made of is in the page once, however many of them there are."""

import json
from collections.abc import Sequence
from pathlib import Path

import gradio as gr

from vidpred.explorer.ui import run_colors

STATIC = Path(__file__).parent / "static"


class Widget:
    """A kind of widget: static/NAME.html, static/NAME.css and scripts, which see element, props, watch, trigger and
    server as a gr.HTML hands them out."""

    def __init__(self, name: str, scripts: Sequence[str]):
        self.name = name
        self.markup = (STATIC / f"{name}.html").read_text()
        self.style = (STATIC / f"{name}.css").read_text() + run_colors.CSS
        self.script = "\n".join((STATIC / f"{part}.js").read_text() for part in scripts)

    @property
    def head(self) -> str:
        """What the page holds of it, once."""
        markup = json.dumps(self.markup).replace("</", r"<\/")  # inside of a script
        return (
            f"<style>.{self.name}-widget {{\n{self.style}}}</style>"
            f"<script>(window.widgets ??= {{}}).{self.name} = (element, props, watch, trigger, server) => {{\n"
            f"element.innerHTML = {markup};\n{self.script}\n}};</script>"
        )

    def component(self, **options) -> gr.HTML:
        """One of them. A factory, because a subclass would write a .pyi file beside its source."""
        return gr.HTML(
            value=options.pop("value", None),
            html_template="",
            js_on_load=f"widgets.{self.name}(element, props, watch, trigger, server);",
            apply_default_css=False,
            elem_classes=["drawn", f"{self.name}-widget"],
            **options,
        )
