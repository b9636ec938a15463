"""Headless Chromium, as benchmarks and tests start it."""

import contextlib
import shutil
from collections.abc import Iterator

from vidpred.errors import BadInput

# The first that is there. A window of the headless shell costs a tenth of the processor time: it has no address bar.
BROWSERS = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"]
BROWSER_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextlib.contextmanager
def open_browser() -> Iterator:
    """Headless Chromium."""
    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise BadInput("a browser is driven by playwright: pip install -r requirements-dev.txt") from None
    if chromium is None:
        raise BadInput("no Chromium here: apt-get install -y --no-install-recommends chromium-headless-shell")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, headless=True, args=BROWSER_OPTIONS)
        yield found
        found.close()
