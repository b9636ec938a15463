"""Lines, dots and swatches as they are on screen: each is there, in the colour of its run, by day and by night."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from tests.e2e.page import STILL, settled
from vidpred.explorer.runs.library import Library
from vidpred.explorer.ui.run_colors import CSS
from vidpred.explorer.ui.training_chart import CURVES, training_chart

LIGHT, DARK = (
    [bytes.fromhex(digits if len(digits) == 6 else "".join(2 * digit for digit in digits)) for digits in found]
    for found in (re.findall(r"--c\d: #(\w+)", part) for part in CSS.split(".dark &"))
)
THEMES = pytest.mark.parametrize(("theme", "colours"), [("light", LIGHT), ("dark", DARK)])
LINES = ["path.curve.solid", "path.curve.dashed", "path.curve.faint", "circle.dot", ".runs button i"]  # of one run
KEYS = [".keys i.solid", ".keys i.dashed", ".keys i.dots"]
PLAYER = [f".legend .key.{kind}" for kind in ("line", "band", "copy", "given", "predicted")]


def picture(page, box):
    taken = page.screenshot(clip=box, animations="disabled")
    return np.asarray(Image.open(io.BytesIO(taken)).convert("RGB")).astype(int)


def painted(element):
    """The pixels that an element alone paints, and what is there without it: (N, 3) each. What comes back is its own;
    what else has moved meanwhile is not."""
    element.scroll_into_view_if_needed()
    page = element.page
    page.evaluate(STILL)
    box = element.bounding_box()
    box = {"x": box["x"] - 3, "y": box["y"] - 3, "width": box["width"] + 6, "height": box["height"] + 6}
    pictures = [picture(page, box)]
    for visibility in ("hidden", ""):
        element.evaluate("(element, value) => { element.style.visibility = value; }", visibility)
        pictures.append(picture(page, box))
    drawn, without, again = pictures
    changed = (drawn == again).all(-1) & (np.abs(drawn - without).max(-1) > 12)
    return drawn[changed], without[changed]


def check(element, colour=None):
    """An element is painted so that one sees it, in a run's colour where one is given."""
    pixels, without = painted(element)
    assert len(pixels) >= 4, "nothing is drawn"
    if colour is not None:
        colour = np.frombuffer(colour, np.uint8).astype(int)
        away = ((pixels - without) * (colour - without)).sum(-1)
        assert (away > 0).mean() > 0.9  # from the ground towards the colour
        if not {"faint", "band"} & set((element.get_attribute("class") or "").split()):
            assert np.abs(pixels - colour).max(-1).min() < 24


def check_player(player, colour):
    """Its legend, and the trace of the scores, which is drawn on a canvas."""
    for part in PLAYER:
        check(player.locator(part).first, colour if "line" in part or "band" in part else None)
    strip = player.locator("[data-part=strip]")
    strip.scroll_into_view_if_needed()
    away = np.abs(picture(strip.page, strip.bounding_box()) - np.frombuffer(colour, np.uint8)).max(-1)
    assert (away < 12).sum() >= 20


def check_chart(chart, colour):
    """Every kind of line."""
    settled(chart.page)
    for part in [*LINES, *KEYS]:
        check(chart.locator(part).first, colour if part in LINES else None)


@THEMES
def test_the_app(open_page, theme, colours):
    page = open_page(f"?__theme={theme}")
    player, chart = page.locator("#player"), page.locator("#training-chart")
    check_player(player, colours[0])
    page.get_by_label("Side by side").check()
    swatches = player.locator("figcaption .swatch")
    swatches.nth(4).wait_for()
    for i in range(5):
        check(swatches.nth(i), colours[i])
    page.get_by_role("tab", name="Training", exact=True).click()
    chart.locator("path.curve").first.wait_for(state="attached")
    page.get_by_label("number input for Smoothing").fill("0.8")
    page.keyboard.press("Enter")
    chart.locator("path.curve.faint").first.wait_for(state="attached")
    check_chart(chart, colours[0])


@THEMES
def test_the_exported_page(open_page, tiny_run, theme, colours):
    page = open_page(app="site_url", until="document.querySelector('#player-host').dataset.request", color_scheme=theme)
    player, chart = page.locator("#player-host"), page.locator("#chart-host")
    chart.locator("path.curve").first.wait_for(state="attached")  # a level one has no height
    settled(page)  # what comes later moves the player, which draws itself anew
    check_player(player, colours[0])
    library = Library([tiny_run], [])
    smoothed = training_chart(library, library.all_runs(), list(CURVES), 2, smoothing=0.8)
    page.evaluate("async value => (await import('./live/page.mjs')).showCurves(value)", smoothed)  # every kind of line
    chart.locator("path.curve.faint").first.wait_for(state="attached")
    check_chart(chart, colours[0])
