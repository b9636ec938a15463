"""How long a person waits, and what the app weighs: the bundled runs, a cold start, a real browser.

The limits are those of two idle cores.
"""

import re
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.e2e.conftest import ROOT, serve
from tests.e2e.page import SHOWN
from vidpred.explorer.library import Library

# Does something on the page; milliseconds until a player has drawn another answer.
UNTIL_DRAWN = """([act, player]) => new Promise(resolve => {
  const request = () => document.querySelector(`${player} [data-request]`)?.dataset.request, before = request();
  const start = performance.now();
  const look = () => request() !== before ? resolve(performance.now() - start) : requestAnimationFrame(look);
  Function(act)();
  look();
})"""
CLICK = (
    "[...document.querySelectorAll('button:not([role=tab])')]"
    ".find(button => button.offsetParent && button.textContent.trim() === '{}').click()"
)
PRESS = """
  const drive = document.querySelector('.drive');
  for (const kind of ['keydown', 'keyup'])
    drive.dispatchEvent(new KeyboardEvent(kind, {key: 'ArrowRight', code: 'ArrowRight', bubbles: true}));
"""
FOUR = [f"push-free-{name}" for name in ("fixed-cyclical", "learned-cyclical", "learned-monotonic", "learned-none")]


@pytest.fixture(scope="module")
def cold():
    """When the command was given, and the address of the app with everything that is bundled."""
    started = time.monotonic()
    with serve() as url:
        yield started, url


@pytest.fixture(scope="module")
def open_view(browser, cold):
    """Opens a view in a window of its own; seconds until its player has drawn, and the page."""
    contexts = []

    def open_(query="", until=SHOWN):
        contexts.append(browser.new_context(viewport={"width": 1280, "height": 900}))
        page, start = contexts[-1].new_page(), time.monotonic()
        page.goto(cold[1] + query)
        page.wait_for_function(until, timeout=60_000)
        return time.monotonic() - start, page

    yield open_
    for context in contexts:
        context.close()


def peak(url):
    """Most memory that the app has ever held, bytes."""
    port = url.rstrip("/").rsplit(":", 1)[1]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text().split("\0")
            if "app.py" in words and port in words:
                return int(re.search(r"VmHWM:\s+(\d+) kB", (process / "status").read_text())[1]) * 1024
        except OSError:
            continue
    raise AssertionError("the app is not there")


def median(page, act, player, times=5):
    """Milliseconds from an act to the picture."""
    return sorted(page.evaluate(UNTIL_DRAWN, [act, player]) for _ in range(times))[times // 2]


def test_first_view_after_a_cold_start(cold, open_view):
    _, page = open_view()
    waited = time.monotonic() - cold[0]
    assert waited < 20, "seconds"
    assert page.locator("#player canvas").first.is_visible()


def test_the_page_loads(open_view):
    times = sorted(open_view(until="document.querySelector('#player')")[0] for _ in range(3))
    assert times[1] < 2, "seconds"


def test_click_to_drawn_of_one_run(open_view):
    _, page = open_view()
    assert page.get_by_label("number input for Samples").first.input_value() == "10"
    assert page.get_by_label("number input for Predicted frames").first.input_value() == "10"
    assert median(page, CLICK.format("Another seed"), "#player") < 1000


def test_click_to_drawn_of_four_runs(open_view):
    player = SHOWN.replace("#player", "#compare-player")
    _, page = open_view(f"?tab=compare&runs={quote(','.join(FOUR))}", player)
    assert page.locator("#compare-player figure").count() == 5
    times = []
    for seed in "123":
        page.get_by_label("Seed", exact=True).locator("visible=true").fill(seed)
        times.append(page.evaluate(UNTIL_DRAWN, [CLICK.format("Compare"), "#compare-player"]))
    assert sorted(times)[1] < 2500


def test_a_step_of_the_drive(open_view):
    _, page = open_view("?tab=drive", SHOWN.replace("#player", "#drive"))
    assert median(page, PRESS, "#drive", times=9) < 150


def test_memory_with_every_run_opened(browser):
    with serve() as url:
        for run in Library([ROOT / "assets" / "runs"], []).runs:
            page = browser.new_page()
            page.goto(f"{url}?run={run}")
            page.wait_for_function(SHOWN, timeout=60_000)
            assert page.get_by_label("Run", exact=True).first.input_value() == run
            page.close()
        assert peak(url) < 1.5e9
