"""What Gradio leaves out for people who use keys or a screen reader."""

from pathlib import Path

HEAD = f"<script>{(Path(__file__).parent / 'static' / 'accessible.js').read_text()}</script>"
