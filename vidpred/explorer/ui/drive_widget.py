"""What one drives with: pictures, the map, keys and buttons. Whoever shows it answers its presses."""

from vidpred.explorer.ui.html_component import STATIC

TEMPLATE, CSS = (STATIC / "drive.html").read_text(), (STATIC / "drive.css").read_text()
JS = "\n".join((STATIC / f"{part}.js").read_text() for part in ("drawing", "drive"))
