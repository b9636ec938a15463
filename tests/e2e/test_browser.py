"""The page in a real browser: what is drawn is what was computed, and nothing goes wrong or out on the way."""

import numpy as np
import pytest

from tests.e2e.page import SHOWN, answered, close, drawn
from vidpred import render
from vidpred.data.batches import open_split
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.prediction import predict_clip
from vidpred.explorer.runs.validate import MAX_SEED

ANSWERED = "document.querySelector('#player [data-answered]')?.dataset.answered"


@pytest.fixture(scope="module")
def clips(tiny_data):
    return open_split(tiny_data, "test")


def counter(page):
    return page.locator("#player [data-part=counter]").inner_text()


def message(page):
    return page.locator("#player [data-part=message]").inner_text()


@pytest.fixture(scope="module")
def expected(tiny_run, tiny_data):
    library = Library([tiny_run], [tiny_data])
    run = library.run("tiny")
    return predict_clip(library, run, library.clip("traj_0_to_255/1"), samples=run.own_samples)


def test_what_is_drawn_is_what_was_computed(open_page, clips, expected):
    page = open_page()
    truth, (future,) = clips.window(0, 0, 6)[0], expected.futures
    assert counter(page) == "frame 2 of 5"
    for frame in (2, 3):
        assert np.array_equal(drawn(page, "Truth"), truth[frame])
        prediction = drawn(page, "Prediction")
        assert close(prediction, future.samples[0, frame])
        assert close(drawn(page, "Spread"), render.heat(future.spread[frame, ..., 0], 4))
        levels = render.error_levels(prediction[None], truth[frame : frame + 1])
        assert close(drawn(page, "Error"), render.heat(levels, 4)[0])
        page.get_by_role("button", name="Next frame").click()
    assert counter(page) == "frame 4 of 5"
    page.get_by_role("slider", name="Gain of error and spread").fill("16")
    levels = render.error_levels(drawn(page, "Prediction")[None], truth[4:5])
    assert close(drawn(page, "Error"), render.heat(levels, 16)[0])
    page.get_by_role("slider", name="Frame", exact=True).fill("0")
    for tile in ("Truth", "Prediction"):
        assert np.array_equal(drawn(page, tile), truth[0])
    assert not drawn(page, "Error").any()


def test_samples_best_and_mean_without_a_new_request(open_page, expected):
    page, (future,) = open_page(), expected.futures
    before = page.evaluate(SHOWN)
    which = page.get_by_role("combobox", name="Which future is shown")
    for key, clip in (("3", future.samples[3]), ("best", future.samples[future.best]), ("mean", future.mean)):
        which.select_option(key)
        assert close(drawn(page, "Prediction"), clip[2])
    assert "PSNR, mean picture" in page.locator("#player [data-part=numbers]").inner_text()
    page.locator(".player").focus()
    for key, label in (("ArrowDown", "sample 0"), ("ArrowDown", "sample 1"), ("ArrowUp", "sample 0")):
        page.keyboard.press(key)
        assert page.locator("#player figcaption", has_text="Prediction").inner_text().endswith(label)
    page.get_by_role("combobox", name="Score in the trace").select_option("SSIM")
    legend = page.locator("#player .legend").inner_text()
    assert f"{future.scores['SSIM'][0, 0]:.3f}" in legend
    assert page.evaluate(SHOWN) == before


def test_tiles_are_switched_on_and_off(open_page):
    page = open_page()
    tiles = page.locator("#player figure")
    assert tiles.count() == 4
    page.get_by_role("button", name="Error", exact=True).click()
    page.get_by_role("button", name="Spread", exact=True).click()
    assert tiles.count() == 2
    assert page.get_by_role("slider", name="Gain of error and spread").is_hidden()
    answered(page, page.get_by_role("button", name="Another seed").click)
    assert tiles.count() == 2  # kept


def test_another_seed_keeps_the_frame_and_changes_the_answer(open_page):
    page = open_page()
    page.get_by_role("button", name="Next frame").click()
    answered(page, page.get_by_role("button", name="Another seed").click)
    assert page.get_by_label("Seed", exact=True).input_value() == "1"
    assert counter(page) == "frame 3 of 5"
    assert "seed 1" in page.locator("#player [data-part=protocol]").inner_text()
    seed = page.get_by_label("Seed", exact=True)
    for typed, after in (("1.5", "0"), (str(MAX_SEED), "0"), (str(MAX_SEED - 1), str(MAX_SEED))):
        answered(page, lambda typed=typed: seed.fill(typed), ANSWERED)
        answered(page, page.get_by_role("button", name="Another seed").click, ANSWERED)
        assert seed.input_value() == after


def test_keys_film_strip_and_playing(open_page):
    page = open_page()
    page.locator(".player").focus()
    for key, frame in (("ArrowRight", 3), ("ArrowLeft", 2), ("Home", 0), ("ArrowLeft", 0), ("End", 5)):
        page.keyboard.press(key)
        assert counter(page) == f"frame {frame} of 5"
    page.keyboard.press(" ")  # in a loop: on to the first frame
    page.wait_for_function("document.querySelector('#player [data-frame]').dataset.frame === '1'")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Loop").click()
    strip = page.locator("#player [data-part=strip]")
    strip.click(position={"x": strip.bounding_box()["width"] * 4.5 / 6, "y": 20})
    assert counter(page) == "frame 4 of 5"
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function("document.querySelector('#player [data-part=play]').getAttribute('aria-label') === 'Play'")
    assert counter(page) == "frame 5 of 5"


def test_scrolling_by_keys_goes_on_past_a_player(open_page):
    """The player takes the keys when its tab opens, not whenever it comes into sight."""
    page = open_page(viewport={"width": 900, "height": 400})
    page.evaluate("document.activeElement.blur()")
    for top in ("document.body.scrollHeight", "0"):
        page.evaluate(f"window.scrollTo(0, {top})")
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.evaluate("document.activeElement.tagName") == "BODY"


def test_a_bad_number_is_said_and_the_picture_marked_as_the_earlier_one(open_page):
    page = open_page()
    before, seed = page.evaluate(SHOWN), page.get_by_label("Seed", exact=True)
    answered(page, lambda: seed.fill("1.5"), ANSWERED)
    assert message(page).startswith("The seed must be a whole number from 0 to")
    assert message(page).endswith("Below is still the earlier prediction.")
    assert page.locator("#player .stale").count() == 1
    assert page.evaluate(SHOWN) == before
    answered(page, lambda: seed.fill("2"))
    assert message(page) == ""
    assert page.locator("#player .stale").count() == 0
    frames = page.get_by_label("number input for Predicted frames")
    answered(page, lambda: frames.fill("99"), ANSWERED)
    assert "must be a whole number from 1 to 14" in message(page)
    answered(page, frames.blur)  # the widget goes back to its end, and the picture with it
    assert (frames.input_value(), counter(page)) == ("14", "frame 2 of 15")


def test_temperatures_side_by_side(open_page):
    page = open_page()
    answered(page, page.get_by_label("Side by side").check)
    captions = page.locator("#player figcaption b").all_inner_texts()
    assert captions == ["Truth", "T = 0", "T = 0.5", "T = 1", "T = 1.5", "T = 2"]
    assert page.locator("#player table tr").count() == 7


def test_downloads(open_page, tmp_path):
    page = open_page()
    for kind in ("csv", "gif"):
        with page.expect_download() as waiting:
            page.locator(f"#save-{kind}").click()
        assert waiting.value.suggested_filename == f"tiny-traj-0-to-255-1-seed-0.{kind}"
        waiting.value.save_as(tmp_path / kind)
    assert (tmp_path / "csv").read_text().startswith("run,clip,seed")
    assert (tmp_path / "gif").read_bytes()[:6] == b"GIF89a"


def test_a_dance_of_630_frames(open_page, long_dance, dance_run):
    page = open_page("?samples=1", app="dance_url")
    assert page.get_by_label("number input for Context frames").count() == 0
    answered(page, lambda: page.get_by_label("number input for Predicted frames").fill("629"))
    page.get_by_role("slider", name="Frame", exact=True).fill("617")
    assert counter(page) == "frame 617 of 629"
    frames, poses = open_split(long_dance, "validate").window(0, 0, 630)
    assert np.array_equal(drawn(page, "Pose"), poses[617])
    assert np.array_equal(drawn(page, "Truth"), frames[617])
    strip = page.locator("#player [data-part=strip]")
    box = strip.bounding_box()
    assert box["width"] <= page.locator("#player [data-part=reel]").bounding_box()["width"]  # to scale, nothing scrolls
    strip.click(position={"x": box["width"] * 300.5 / 630, "y": box["height"] - 20})
    assert counter(page) == "frame 300 of 629"
    assert np.array_equal(drawn(page, "Truth"), frames[300])


BLANK = """tile => {
  const canvas = document.querySelector(`#player canvas[data-tile="${tile}"]`);
  return canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.every(value => value === 0);
}"""


def test_pictures_on_their_way_are_not_shown_as_others(open_page):
    page = open_page("?samples=2", app="dance_url")
    sheets = []
    page.route("**/*.webp", lambda route: (sheets.append(route), len(sheets) > 1 or route.continue_()))
    answered(page, lambda: page.get_by_label("number input for Predicted frames").fill("500"))
    assert not page.evaluate(BLANK, "Prediction")
    page.locator("#player [data-part=choice]").select_option(label="mean picture")
    assert [page.evaluate(BLANK, tile) for tile in ("Truth", "Prediction", "Error")] == [False, True, True]
    sheets[1].continue_()
    page.wait_for_function(f"tile => !({BLANK})(tile)", arg="Prediction")
    page.unroute("**/*.webp")


def test_pictures_that_do_not_come_leave_the_earlier_ones_marked_as_such(open_page):
    page = open_page(complains=True)
    page.route("**/*.webp", lambda route: route.fulfill(status=404))
    page.get_by_role("button", name="Another seed").click()
    page.get_by_text("could not be loaded. Please try again. Below is still the earlier prediction.").wait_for()
    assert page.locator("#player .stale").is_visible()
    page.unroute("**/*.webp")
    answered(page, page.get_by_role("button", name="Another seed").click)
    assert page.locator("#player .stale").count() == 0


@pytest.mark.parametrize("scale", [1, 2.5])
def test_phone_in_the_dark(open_page, clips, scale):
    page = open_page("?__theme=dark", viewport={"width": 400, "height": 800}, device_scale_factor=scale)
    assert np.array_equal(drawn(page, "Truth"), clips.window(0, 0, 3)[0][2])
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    truth, prediction = (
        page.locator(f'#player canvas[data-tile="{t}"]').bounding_box() for t in ("Truth", "Prediction")
    )
    assert truth["y"] == prediction["y"]  # beside each other even here


def test_the_tiles_stay_in_sight_while_a_phone_shows_the_settings(open_page):
    page = open_page(viewport={"width": 390, "height": 800})
    tile, samples = (
        page.locator('#player canvas[data-tile="Prediction"]'),
        page.get_by_label("number input for Samples"),
    )
    samples.evaluate("field => field.scrollIntoView({block: 'center'})")
    page.locator("#player .stage.floating").wait_for()
    answered(page, lambda: samples.fill("2"))
    box = tile.bounding_box()
    assert box["y"] >= 0 and box["y"] + box["height"] < samples.bounding_box()["y"]
    page.evaluate("scrollTo(0, 0)")
    page.locator("#player .stage:not(.floating)").wait_for()
    assert tile.bounding_box()["height"] > box["height"]


def test_six_tiles_are_all_on_a_phone(open_page):
    page = open_page("?sweep=1", viewport={"width": 400, "height": 800})
    tiles = [page.locator("#player canvas[data-tile]").nth(i).bounding_box() for i in range(6)]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 400 for box in tiles)


def test_a_value_read_off_a_heat_map_goes_with_its_map(open_page):
    page = open_page(tab="Latents")
    request = "document.querySelector('#lens-heat [data-request]')?.dataset.request"
    page.wait_for_function(request)
    page.locator("#lens-heat canvas").press("ArrowDown")
    read = page.locator("#lens-heat .read")
    assert " nats" in read.inner_text()
    answered(page, page.get_by_role("button", name="Look into z").click, request)
    assert read.inner_text() == ""
