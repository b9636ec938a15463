"""The page: header, tabs, theme."""

import gradio as gr

from vidpred.explorer import predict_tab
from vidpred.explorer.library import Library

HEADER = """# vidpred
A few frames are given, the model imagines the rest: compare its future with what really happened, frame by frame."""

CSS = """
.gradio-container { max-width: 1280px !important; margin: 0 auto !important; }
.header h1 { margin: 0; font-size: 26px; line-height: 1.2; }
.header p { margin: 4px 0 0; color: var(--body-text-color-subdued); font-size: 15px; }
.about, .about p, .about em { font-size: 13px; line-height: 1.45; color: var(--body-text-color-subdued); }
.about strong { color: var(--body-text-color); }
.about p { margin: 0 0 4px; }
.about blockquote { border-left: 3px solid #d97706; padding: 2px 0 2px 10px; margin: 8px 0 0; }
.section { margin-top: 8px; }
#player .html-container { padding: 0; }
#player .html-container.pending { opacity: 0.5; transition: opacity 0.2s 0.6s; }
@media (max-width: 640px) { .player-column { order: -1; } }
"""


def build_demo(library: Library) -> gr.Blocks:
    """The whole app. Files that were drawn are deleted after a day."""
    with gr.Blocks(title="vidpred", analytics_enabled=False, delete_cache=(3600, 86400)) as demo:
        gr.Markdown(HEADER, elem_classes="header")
        predict_tab.build(library, demo)
    # closed: the plain HTTP routes would skip the queue and its limits
    return demo.queue(api_open=False, max_size=16)


def launch_options() -> dict:
    """Options of `launch()`, host and port aside."""
    return {
        "theme": theme(),
        "css": CSS,
        "footer_links": ["api", "settings"],
        "run_history": False,
        "enable_monitoring": False,
        "show_error": False,
        "max_file_size": "20mb",
    }


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
        button_primary_background_fill_hover="*primary_600",
    )
