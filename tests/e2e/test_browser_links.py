"""The address in a real browser: it opens the view that it names, once, and follows what a visitor looks at."""

import json
import shutil

import numpy as np
import pytest

from tests.e2e.page import SHOWN, answered, drawn
from tests.promise import same_picture
from vidpred import checkpoint, runs
from vidpred.explorer import drive
from vidpred.explorer.learn_tab import FREE, PAGES
from vidpred.explorer.library import Library
from vidpred.explorer.predict import Asked, ask, first_view, predict_clip

TWIN = FREE[0]  # where a door of the Learn pages leads
CLIPS = [f"traj_0_to_255/{i}" for i in (1, 2, 3, 4)]
DEEP = f"?tab=predict&run={TWIN}&clip={CLIPS[2]}&seed=7&temperature=1.5"
ADDRESS = "navigator.clipboard.readText()"
QUIET = 1000  # milliseconds in which a second answer would have been asked for


class NotingLibrary(Library):
    """A library that notes every prediction that it is asked for, also those that it remembers."""

    def __init__(self, *folders):
        super().__init__(*folders)
        self.asked, self.driven = [], []

    def remembered(self, key, make, size):
        self.asked += [part for part in key if isinstance(part, Asked)]
        return super().remembered(key, make, size)


@pytest.fixture(scope="module")
def library(tiny_run, tiny_data, dance_run, tiny_dance, tmp_path_factory):
    """The tiny run, another one that sees other futures, and a dancer."""
    twin = shutil.copytree(tiny_run, tmp_path_factory.mktemp("twins") / TWIN)
    weights = checkpoint.load_tensors(twin / runs.WEIGHTS)
    changed = {name: 1.1 * value if value.is_floating_point() else value for name, value in weights.items()}
    checkpoint.save_tensors(twin / runs.WEIGHTS, changed)
    return NotingLibrary([tiny_run, twin, dance_run], [tiny_data, tiny_dance])


@pytest.fixture(scope="module")
def linked_url(library):
    """An app whose predictions are noted."""
    from vidpred.explorer.layout import build_demo, launch_options

    with pytest.MonkeyPatch.context() as patch:
        begin = drive.Drives.begin
        patch.setattr(drive.Drives, "begin", lambda self, *a, **k: library.driven.append(a) or begin(self, *a, **k))
        demo = build_demo(library)
        _, address, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_options())
        yield address
        demo.close()


@pytest.fixture
def open_link(open_page, library, linked_url):
    """Open an address in a window of its own. What is predicted from then on is noted."""

    def open_(query="", until=SHOWN, **window):
        library.asked.clear()
        library.driven.clear()
        return open_page(query, app="linked_url", until=until, **window)

    return open_


def query(page):
    """What the address holds."""
    return page.url.partition("/?")[2]


def selected(page):
    return page.locator("#tabs [role=tab][aria-selected=true]").first.inner_text()


def sees(page, library, **asked):
    """Whether the first predicted frame on screen is that of a prediction."""
    asked = {**first_view(library, asked.get("run")), "n_future": None, **asked}
    prediction = predict_clip(library, **asked)
    return same_picture(drawn(page, "Prediction"), prediction.futures[0].samples[0, prediction.asked.n_past])


def field(page, label):
    """A field of the tab that is looked at."""
    return page.get_by_label(label, exact=True).locator("visible=true").first


def pick(page, label, name):
    field(page, label).click()
    page.get_by_role("option", name=name, exact=True).click()


# --- opening ----------------------------------------------------------------------------------------------------------


def test_the_first_view_is_predicted_once_and_its_address_is_bare(open_link, library, linked_url):
    page = open_link()
    page.wait_for_timeout(QUIET)
    assert library.asked == [ask(library, **first_view(library) | {"n_future": 4})]
    assert page.url == linked_url


def test_a_link_draws_what_it_names_and_nothing_else(open_link, library, linked_url):
    page = open_link(DEEP)
    page.wait_for_timeout(QUIET)
    (asked,) = library.asked
    assert (asked.run, asked.clip, asked.seed, asked.temperatures) == (TWIN, CLIPS[2], 7, (1.5,))
    view = {"run": TWIN, "clip": CLIPS[2], "seed": 7, "temperature": 1.5}
    assert sees(page, library, **view)
    assert not sees(page, library, **{**view, "run": "tiny"})
    assert [field(page, name).input_value() for name in ("Run", "Clip", "Seed")] == [TWIN, CLIPS[2], "7"]
    assert page.url == linked_url + DEEP


def test_every_field_of_a_prediction(open_link, library):
    text = f"tab=predict&clip={CLIPS[1]}&samples=3&frames=6&context=3&prior=standard"
    page = open_link(f"?{text}")
    page.wait_for_timeout(QUIET)
    assert library.asked == [Asked("tiny", CLIPS[1], 0, (1.0,), 3, 6, 3, "standard")]
    assert query(page) == text
    assert page.locator("#player [data-part=counter]").inner_text() == "frame 3 of 8"


def test_a_dance_and_temperatures_side_by_side(open_link, library):
    page = open_link("?run=dance&clip=test/1&sweep=1")
    page.wait_for_timeout(QUIET)
    (asked,) = library.asked
    assert (asked.run, asked.clip, len(asked.temperatures), asked.n_future) == ("dance", "test/1", 5, 8)
    assert page.locator("#player figcaption").count() == 7
    assert query(page) == "tab=predict&run=dance&clip=test/1&sweep=1"


@pytest.mark.parametrize(
    ("tab", "held", "ready", "values", "predictions"),
    [
        (
            "Compare",
            f"tab=compare&runs={TWIN},tiny&clip={CLIPS[2]}&seed=3&temperature=0.5&samples=2",
            "document.querySelector('#compare-player [data-request]')",
            {"Clip": CLIPS[2], "Seed": "3", "number input for Temperature": "0.5"},
            [(TWIN, 3), ("tiny", 3)],
        ),
        (
            "Training",
            f"tab=training&runs={TWIN}&curves=KL,Teacher%20forcing",
            "document.querySelectorAll('#training-chart svg.plot[role=img]').length === 2",
            {},
            [],
        ),
        (
            "Drive",
            f"tab=drive&run={TWIN}&clip={CLIPS[1]}&seed=5&temperature=0.5",
            "document.querySelector('#drive [data-request]')",
            {"Run": TWIN, "Clip": CLIPS[1], "Seed": "5", "number input for Temperature": "0.5"},
            [],
        ),
        (
            "Latents",
            f"tab=latents&run={TWIN}&clip={CLIPS[3]}&seed=2",
            "document.querySelector('#lens-player [data-request]')",
            {"Run": TWIN, "Clip": CLIPS[3], "Seed": "2"},
            [(TWIN, 2)],
        ),
        ("Learn", "tab=learn", "document.querySelector('.lesson')", {}, []),
    ],
)
def test_a_link_to_every_tab(open_link, library, tab, held, ready, values, predictions):
    """Its values come first, not the tab's own; another tab is drawn when it is looked at."""
    page = open_link(f"?{held}", until=ready)
    page.wait_for_timeout(QUIET)
    assert selected(page) == tab
    assert {label: field(page, label).input_value() for label in values} == values
    assert [(asked.run, asked.seed) for asked in library.asked] == predictions
    assert library.driven == ([(TWIN, CLIPS[1], 5, 0.5)] if tab == "Drive" else [])
    assert query(page) == held
    page.get_by_role("tab", name="Predict", exact=True).click()
    page.wait_for_function(SHOWN, timeout=60_000)
    assert sees(page, library)
    assert query(page) == ""


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ("tab=compare&runs=tiny,push-unheard-of", "There is no run “push-unheard-of” here: please choose a run"),
        ("run=%3Cimg src=x onerror=alert(1)%3E", "There is no run “<img src=x onerror=alert(1)>” here"),
        ("tab=latents&clip=validate", "tiny continues robot clips: validate is none"),
    ],
)
def test_a_link_that_cannot_be_opened_is_one_line_over_the_first_view(open_link, library, linked_url, held, said):
    page = open_link(f"?{held}")
    toast = page.get_by_test_id("toast-text")
    assert toast.count() == 1
    assert toast.inner_text().startswith(said)
    assert "\n" not in toast.inner_text()
    page.wait_for_timeout(QUIET)
    assert library.asked == [ask(library, **first_view(library) | {"n_future": 4})]
    assert sees(page, library)
    assert (selected(page), page.url) == ("Predict", linked_url)


# --- following --------------------------------------------------------------------------------------------------------


def test_the_address_follows_and_opens_again(open_link, library):
    page = open_link("?__theme=dark")
    entries = page.evaluate("history.length")
    answered(page, lambda: pick(page, "Run", TWIN))
    answered(page, lambda: pick(page, "Clip", CLIPS[3]))
    answered(page, lambda: field(page, "Seed").fill("12"))
    answered(page, lambda: field(page, "number input for Temperature").fill("0.5"))
    answered(page, lambda: field(page, "number input for Predicted frames").fill("3"))
    held = f"tab=predict&run={TWIN}&clip={CLIPS[3]}&seed=12&temperature=0.5&frames=3&__theme=dark"
    assert query(page) == held
    assert page.evaluate("history.length") == entries
    before = drawn(page, "Prediction")
    library.asked.clear()
    page.reload()
    page.wait_for_function(SHOWN, timeout=60_000)
    page.wait_for_timeout(QUIET)
    assert np.array_equal(drawn(page, "Prediction"), before)
    assert sees(page, library, run=TWIN, clip=CLIPS[3], seed=12, temperature=0.5, n_future=3)
    assert (len(set(library.asked)), query(page)) == (1, held)
    answered(page, page.get_by_role("button", name="Another seed").click)
    assert "seed=13" in query(page)
    answered(page, lambda: field(page, "Seed").fill("0"))
    assert "seed" not in query(page)


def test_it_is_the_address_of_the_tab_that_is_looked_at(open_link, library):
    page = open_link("?seed=3")
    for tab, held in (
        *[("Compare", "tab=compare"), ("Training", "tab=training"), ("Drive", "tab=drive"), ("Latents", "tab=latents")],
        *[("Learn", "tab=learn"), ("Predict", "tab=predict&seed=3")],
    ):
        page.get_by_role("tab", name=tab, exact=True).click()
        page.wait_for_function(f"location.search === {json.dumps('?' + held)}")
    page.get_by_role("tab", name="Compare", exact=True).click()
    field(page, "Seed").fill("4")
    page.wait_for_function("location.search === '?tab=compare&seed=4'")
    page.get_by_role("tab", name="Training", exact=True).click()
    page.get_by_label("Loss", exact=True).uncheck()
    page.wait_for_function("location.search.startsWith('?tab=training&curves=KL,beta')")
    assert "Loss" not in query(page)


def test_a_tab_is_filled_again_only_if_something_has_changed(open_link, library):
    page = open_link("?tab=compare", until="document.querySelector('#compare-player [data-request]')")
    for tab in ("Predict", "Compare", "Predict", "Compare"):
        page.get_by_role("tab", name=tab, exact=True).click()
        page.wait_for_timeout(QUIET)
    assert len(library.asked) == 3  # of two runs, and of Predict
    field(page, "Seed").fill("9")
    page.wait_for_timeout(QUIET)
    assert len(library.asked) == 3  # until the button is pressed
    page.get_by_role("button", name="Compare", exact=True).click()
    page.wait_for_timeout(QUIET)
    assert [asked.seed for asked in library.asked[3:]] == [9, 9]


def test_a_door_of_the_pages_opens_a_view_too(open_link, library):
    page = open_link("?tab=learn", until="document.querySelector('.lesson')")
    page.get_by_role("tab", name=PAGES["noise"].title).click()
    page.get_by_role("button", name=PAGES["noise"].button).click()
    page.wait_for_function(SHOWN, timeout=60_000)
    page.wait_for_timeout(QUIET)
    assert [asked.run for asked in library.asked] == [TWIN]
    assert sees(page, library, run=TWIN)
    assert query(page) == f"tab=predict&run={TWIN}"


# --- copying ----------------------------------------------------------------------------------------------------------


def test_the_link_is_copied(open_link, linked_url):
    page = open_link(DEEP)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=linked_url)
    button = page.locator("#copy-link")
    assert button.inner_text() == "Copy link"
    button.click()
    page.wait_for_function("document.querySelector('#copy-link').innerText === 'Copied'")
    assert page.evaluate(ADDRESS) == linked_url + DEEP
    assert page.locator(".copy [role=status]").text_content() == "Link copied"
    page.wait_for_function("document.querySelector('#copy-link').innerText === 'Copy link'")
    page.evaluate("history.replaceState(null, '', '?seed=3&__sign=secret&__theme=dark')")
    button.click()
    page.wait_for_function(f"{ADDRESS}.then(text => text.includes('seed=3'))")
    assert page.evaluate(ADDRESS) == f"{linked_url}?seed=3&__theme=dark"


@pytest.mark.parametrize("width", [1280, 400])
def test_where_copying_is_not_allowed_the_link_is_shown(open_link, width):
    page = open_link(DEEP, viewport={"width": width, "height": 800})
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('not allowed')); }")
    page.locator("#copy-link").click()
    shown = page.get_by_label("The address of this view, to be copied")
    shown.wait_for()
    assert shown.input_value() == page.url
    assert page.evaluate("document.getSelection().toString()") == page.url
    box = shown.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= width
    page.keyboard.press("Escape")
    shown.wait_for(state="hidden")


def test_the_header_fits_a_phone(open_link):
    page = open_link(viewport={"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    button, title = page.locator("#copy-link").bounding_box(), page.locator(".header h1").bounding_box()
    assert button["x"] + button["width"] <= 400
    assert abs(button["y"] - title["y"]) < 20  # beside it
