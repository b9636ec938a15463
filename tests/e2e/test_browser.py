"""The page in a real browser: what is drawn is what was computed, and nothing goes wrong or out on the way."""

import numpy as np
import pytest

from vidpred.data.batches import open_split
from vidpred.explorer.library import Library
from vidpred.explorer.predict import predict_clip

REQUEST = "document.querySelector('#player [data-request]')?.dataset.request"
# One sample from the middle of every pixel of a tile, as drawn on the canvas.
PIXELS = """tile => {
  const canvas = document.querySelector('#player [data-part=canvas]'), zoom = Number(canvas.dataset.zoom);
  const [x, y] = JSON.parse(canvas.dataset.tiles)[tile], half = Math.floor(zoom / 2);
  const {data} = canvas.getContext('2d').getImageData(x, y, 64 * zoom, 64 * zoom);
  const at = i => 4 * ((Math.floor(i / 64) * zoom + half) * 64 * zoom + (i % 64) * zoom + half);
  return Array.from({length: 64 * 64}, (_, i) => [...data.slice(at(i), at(i) + 3)]);
}"""


@pytest.fixture(scope="module")
def clips(tiny_data):
    return open_split(tiny_data, "test")


@pytest.fixture
def open_page(browser, app_url):
    """Open the app in a window of its own; afterwards: no error, and no request to another host."""
    contexts, problems, hosts = [], [], set()

    def open_(query="", **window):
        contexts.append(browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **window}))
        page = contexts[-1].new_page()
        page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda r: hosts.add(r.url.split("/")[2]) if r.url.startswith(("http", "ws")) else None)
        page.goto(app_url + query)
        page.wait_for_function(REQUEST, timeout=60_000)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert problems == []
    assert hosts == {app_url.split("/")[2]}


def drawn(page, tile):
    return np.array(page.evaluate(PIXELS, tile), np.uint8).reshape(64, 64, 3)


def counter(page):
    return page.locator("[data-part=counter]").inner_text()


def test_what_is_drawn_is_what_was_computed(open_page, clips, tiny_run, tiny_data):
    page = open_page()
    truth = clips.window(0, 0, 6)[0]
    expected = predict_clip(Library([tiny_run], [tiny_data]), "tiny", "traj_0_to_255/1", 0, 1.0, 4).prediction
    assert counter(page) == "frame 2 of 5"
    for frame in (2, 3):
        assert np.array_equal(drawn(page, 0), truth[frame])
        # another process may round the last bit of a prediction otherwise
        assert np.abs(drawn(page, 1).astype(int) - expected[frame]).max() <= 1
        page.get_by_role("button", name="Next frame").click()
    assert counter(page) == "frame 4 of 5"
    page.get_by_role("slider", name="Frame", exact=True).fill("0")
    assert np.array_equal(drawn(page, 0), truth[0])
    assert np.array_equal(drawn(page, 1), truth[0])


def test_another_seed_keeps_the_frame_and_changes_the_answer(open_page):
    page = open_page()
    before, line = page.evaluate(REQUEST), page.locator("[data-part=now-prediction]").inner_text()
    page.get_by_role("button", name="Next frame").click()
    page.get_by_role("button", name="Another seed").click()
    page.wait_for_function(f"{REQUEST} !== '{before}'")
    assert page.get_by_label("Seed", exact=True).input_value() == "1"
    assert counter(page) == "frame 3 of 5"
    assert page.locator("[data-part=now-prediction]").inner_text().endswith(" dB")
    assert line.endswith(" dB")


def test_keys_film_strip_and_playing(open_page):
    page = open_page()
    page.locator(".player").focus()
    for key, expected in (("ArrowRight", 3), ("ArrowLeft", 2), ("Home", 0), ("ArrowLeft", 0), ("End", 5)):
        page.keyboard.press(key)
        assert counter(page) == f"frame {expected} of 5"
    page.keyboard.press(" ")  # in a loop: on to the first frame
    page.wait_for_function("document.querySelector('#player [data-frame]').dataset.frame === '1'", timeout=5000)
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Loop").click()
    strip = page.locator("[data-part=strip]")
    strip.click(position={"x": strip.bounding_box()["width"] * 4.5 / 6, "y": 20})
    assert counter(page) == "frame 4 of 5"
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function("document.querySelector('[data-part=play]').getAttribute('aria-label') === 'Play'")
    assert counter(page) == "frame 5 of 5"


def test_a_bad_seed_loses_nothing(open_page):
    page = open_page()
    before = page.evaluate(REQUEST)
    page.get_by_label("Seed", exact=True).fill("1.5")
    page.get_by_text("The seed must be a whole number").wait_for()
    assert page.evaluate(REQUEST) == before
    assert page.locator("[data-part=canvas]").is_visible()
    page.get_by_label("Seed", exact=True).fill("2")
    page.wait_for_function(f"{REQUEST} !== '{before}'")


@pytest.mark.parametrize("scale", [1, 2.5])
def test_phone_in_the_dark(open_page, clips, scale):
    page = open_page("?__theme=dark", viewport={"width": 400, "height": 800}, device_scale_factor=scale)
    assert np.array_equal(drawn(page, 0), clips.window(0, 0, 3)[0][2])
    page.locator(".vega-embed").nth(3).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
