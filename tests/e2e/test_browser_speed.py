"""How long a person waits, and what the app weighs: the bundled runs, a cold start, a real browser.

The limits are those of two idle cores. With `-s` every test says what it measured.
"""

import re
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.e2e.conftest import ROOT, serve
from tests.e2e.page import SCRUB, SHOWN
from vidpred.explorer.runs.library import Library

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
WEIGHT = """['navigation', 'resource'].flatMap(kind => performance.getEntriesByType(kind))
  .reduce((sum, entry) => sum + entry.transferSize, 0)"""
FOUR = [f"push-free-{name}" for name in ("fixed-cyclical", "learned-cyclical", "learned-monotonic", "learned-none")]


@pytest.fixture(scope="module")
def cold():
    """When the command was given, and the address of the app with everything that is bundled."""
    started = time.monotonic()
    with serve() as url:
        yield started, url


@pytest.fixture
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


def until_drawn(page, act, player, times=5, prepare=lambda i: None):
    """Milliseconds from an act to the picture, the median."""
    waited = []
    for i in range(times):
        prepare(i)
        page.wait_for_timeout(300)  # nothing of the act before is still to come
        waited.append(page.evaluate(UNTIL_DRAWN, [act, player]))
    return sorted(waited)[times // 2]


def is_under(what, value, limit, unit):
    """Whether a figure is within its limit; it is told either way."""
    print(f"\n{what}: {value:.3g} {unit} (limit {limit:g})")
    return value < limit


def test_first_view_after_a_cold_start(cold, open_view):
    _, page = open_view()
    assert is_under("command to first view", time.monotonic() - cold[0], 20, "s")
    assert page.locator("#player canvas").first.is_visible()


def test_the_page_loads(open_view):
    waited, _ = open_view(until="document.querySelector('#player')")
    assert is_under("page load", waited, 2, "s")


def test_the_page_is_light(open_view):
    """Page, scripts, style and the first picture, as they come over the wire."""
    _, page = open_view()
    weight = page.evaluate(WEIGHT)
    assert is_under("page", weight / 1e6, 1.5, "MB")


def test_click_to_drawn_of_one_run(open_view):
    _, page = open_view()
    assert page.get_by_label("number input for Samples").first.input_value() == "10"
    assert page.get_by_label("number input for Predicted frames").first.input_value() == "10"
    assert is_under("click to drawn, 1 run", until_drawn(page, CLICK.format("Another seed"), "#player"), 1000, "ms")


def test_scrubbing(open_view):
    _, page = open_view()
    assert is_under("scrubbing, a frame", page.evaluate(SCRUB), 5, "ms")


def test_click_to_drawn_of_four_runs(open_view):
    player = SHOWN.replace("#player", "#compare-player")
    _, page = open_view(f"?tab=compare&runs={quote(','.join(FOUR))}", player)
    assert page.locator("#compare-player figure").count() == 5
    seed = page.get_by_label("Seed", exact=True).locator("visible=true")
    waited = until_drawn(page, CLICK.format("Compare"), "#compare-player", 3, lambda i: seed.fill(str(i + 1)))
    assert is_under("click to drawn, 4 runs", waited, 2500, "ms")


def test_a_step_of_the_drive(open_view):
    _, page = open_view("?tab=drive", SHOWN.replace("#player", "#drive"))
    page.get_by_text("The true physics takes the same actions").wait_for(timeout=60_000)
    assert is_under("a step of Drive", until_drawn(page, PRESS, "#drive", 9), 150, "ms")


def test_memory_with_every_run_opened(browser):
    with serve() as url:
        for run in Library([ROOT / "assets" / "runs"], []).runs:
            page = browser.new_page()
            page.goto(f"{url}?run={run}")
            page.wait_for_function(SHOWN, timeout=60_000)
            assert page.get_by_label("Run", exact=True).first.input_value() == run
            page.close()
        assert is_under("memory with every run opened", peak(url) / 1e9, 1.5, "GB")
