"""The address in a real browser: it opens the view that it names, once, and follows what a visitor looks at."""

import json
import re

import numpy as np
import pytest

from tests.e2e.conftest import TWIN
from tests.e2e.page import SHOWN, answered, drawn, settled
from tests.promise import same_picture
from vidpred.explorer.drive import what_if_tab
from vidpred.explorer.drive.session import Drives
from vidpred.explorer.learn.tab import PAGES
from vidpred.explorer.runs.prediction import checked, first_view, predict

CLIPS = [f"traj_0_to_255/{i}" for i in (1, 2, 3, 4)]
DEEP = f"?tab=predict&run={TWIN}&clip={CLIPS[2]}&seed=7&temperature=1.5"
ADDRESS = "navigator.clipboard.readText()"


@pytest.fixture
def library(linked_library):
    return linked_library


@pytest.fixture
def driven(monkeypatch):
    """What is driven from then on."""
    begun, begin = [], Drives.begin
    monkeypatch.setattr(Drives, "begin", lambda self, *args, **named: begun.append(args) or begin(self, *args, **named))
    return begun


@pytest.fixture
def open_link(open_page, library):
    """Open an address in a window of its own, until it has been answered. What is predicted from then on is noted."""

    def open_(query="", until=SHOWN, **window):
        library.asked.clear()
        page = open_page(query, app="linked_url", until=until, **window)
        settled(page)
        return page

    return open_


def query(page):
    """What the address holds."""
    return page.url.partition("/?")[2]


def selected(page):
    return page.locator("#tabs [role=tab][aria-selected=true]").first.inner_text()


def settings(library, run="tiny", **fields):
    """Of a prediction that the page draws where no other fields are set."""
    run = library.run(run)
    fields = {**first_view(library, run), "n_future": None, **fields}
    return checked(run, library.clip(fields.pop("clip")), **{k: v for k, v in fields.items() if k != "run"})


def sees(page, library, **fields):
    """Whether the first predicted frame on screen is that of a prediction."""
    asked = settings(library, **fields)
    return same_picture(drawn(page, "Prediction"), predict(library, asked).futures[0].samples[0, asked.n_past])


def field(page, label):
    """A field of the tab that is looked at."""
    return page.get_by_label(label, exact=True).locator("visible=true").first


def pick(page, label, name):
    field(page, label).click()
    page.get_by_role("option", name=re.compile(rf"(^|· ){re.escape(name)}$".replace("/", r"\/"))).click()


# --- opening ----------------------------------------------------------------------------------------------------------


def test_the_first_view_is_predicted_once_and_its_address_is_bare(open_link, library, linked_url):
    page = open_link()
    assert library.asked == [settings(library)]
    assert page.url == linked_url


def test_a_link_draws_what_it_names_and_nothing_else(open_link, library, linked_url):
    page = open_link(DEEP)
    view = {"run": TWIN, "clip": CLIPS[2], "seed": 7, "temperature": 1.5}
    assert library.asked == [settings(library, **view)]
    assert sees(page, library, **view)
    assert not sees(page, library, **{**view, "run": "tiny"})
    values = [field(page, name).input_value() for name in ("Run", "Clip", "Seed")]
    assert [value.rpartition(" · ")[2] for value in values] == [TWIN, CLIPS[2], "7"]
    assert page.url == linked_url + DEEP


def test_every_field_of_a_prediction(open_link, library):
    text = f"tab=predict&clip={CLIPS[1]}&samples=3&frames=6&context=3&prior=standard"
    page = open_link(f"?{text}")
    view = {"clip": CLIPS[1], "samples": 3, "n_future": 6, "n_past": 3, "prior": "standard"}
    assert library.asked == [settings(library, **view)]
    assert query(page) == text
    assert page.locator("#player [data-part=counter]").inner_text() == "frame 3 of 8"


def test_a_dance_and_temperatures_side_by_side(open_link, library):
    page = open_link("?run=dance&clip=test/1&sweep=1")
    (asked,) = library.asked
    assert (asked.run.name, asked.clip.name, len(asked.temperatures), asked.n_future) == ("dance", "test/1", 5, 8)
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
def test_a_link_to_every_tab(open_link, library, driven, tab, held, ready, values, predictions):
    """Its values come first, not the tab's own; another tab is drawn when it is looked at."""
    page = open_link(f"?{held}", until=ready)
    assert selected(page) == tab
    assert {label: field(page, label).input_value().rpartition(" · ")[2] for label in values} == values
    assert [(asked.run.name, asked.seed) for asked in library.asked] == predictions
    drives = [(run.name, clip.name, *fields) for run, clip, *fields in driven]
    assert drives == ([(TWIN, CLIPS[1], 5, 0.5)] if tab == "Drive" else [])
    assert query(page) == held
    page.get_by_role("tab", name="Predict", exact=True).click()
    page.wait_for_function(SHOWN)
    assert sees(page, library)
    assert query(page) == ""


def test_a_link_to_what_if(open_link, monkeypatch):
    """Is drawn once, as it is named, and followed; Back goes to where one came from."""
    imagined, what_if = [], what_if_tab.what_if

    def noting(library, physics, run, clip, change, other, **fields):
        imagined.append((run.name, clip.name, change, fields["n_future"], fields["seed"]))
        return what_if(library, physics, run, clip, change, other, **fields)

    monkeypatch.setattr(what_if_tab, "what_if", noting)
    held = f"tab=drive&part=what-if&if_run={TWIN}&if_clip={CLIPS[2]}&if_change=still&if_frames=3&if_seed=4"
    page = open_link(f"?{held}", until="document.querySelector('#what-if [data-request]')")
    assert imagined == [(TWIN, CLIPS[2], "still", 3, 4)]
    assert query(page) == held
    answered(
        page,
        page.get_by_label("In reverse order").check,
        "document.querySelector('#what-if [data-request]').dataset.request",
    )
    assert query(page) == held.replace("still", "reversed")
    assert imagined[1:] == [(TWIN, CLIPS[2], "reversed", 3, 4)]
    page.get_by_role("tab", name="Learn", exact=True).click()
    page.wait_for_function("location.search === '?tab=learn'")
    page.go_back()
    page.locator("#what-if .player").wait_for()
    assert query(page) == held.replace("still", "reversed")
    assert len(imagined) == 2


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
    assert toast.inner_text().startswith(f"This link cannot be opened. {said}")
    assert "\n" not in toast.inner_text()
    assert library.asked == [settings(library)]
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
    page.wait_for_function(SHOWN)
    settled(page)
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
        settled(page)
    assert len(library.asked) == 3  # of two runs, and of Predict
    field(page, "Seed").fill("9")
    settled(page)
    assert len(library.asked) == 3  # until the button is pressed
    page.get_by_role("button", name="Compare", exact=True).click()
    settled(page)
    assert [asked.seed for asked in library.asked[3:]] == [9, 9]


def test_a_door_of_the_pages_opens_a_view_too(open_link, library):
    page = open_link("?tab=learn", until="document.querySelector('.lesson')")
    page.get_by_role("tab", name=PAGES["noise"].title).click()
    page.get_by_role("button", name=PAGES["noise"].button).click()
    page.wait_for_function(SHOWN)
    settled(page)
    assert [asked.run.name for asked in library.asked] == [TWIN]
    assert sees(page, library, run=TWIN)
    assert query(page) == f"tab=predict&run={TWIN}"


def test_back_returns_to_the_view_before_and_forward_to_the_next(open_link, library):
    """Tabs and those within them, as they were left; no view is drawn again."""
    page = open_link("?tab=learn&part=priors", until="document.querySelector('#learn-priors')")
    priors, designer = page.locator("#learn-priors"), page.get_by_label("Start from")
    priors.wait_for()
    page.get_by_role("tab", name="Training", exact=True).click()
    page.wait_for_function("document.querySelector('#training-chart [data-request]')")
    settled(page)
    page.get_by_role("tab", name="Schedule designer").click()
    page.wait_for_function("location.search === '?tab=training&part=designer'")
    settled(page)
    page.evaluate("window.sameDocument = true")
    page.go_back()
    page.locator("#training-chart").wait_for()
    assert query(page) == "tab=training"
    page.go_back()
    priors.wait_for()
    assert (query(page), selected(page)) == ("tab=learn&part=priors", "Learn")
    page.go_forward()
    page.go_forward()
    designer.wait_for()
    assert query(page) == "tab=training&part=designer"
    assert page.evaluate("window.sameDocument")


def test_back_from_what_if_returns_to_the_drive(open_link):
    page = open_link("?tab=drive", until="document.querySelector('#drive [data-request]')")
    page.get_by_role("tab", name="What if").click()
    page.wait_for_function("location.search === '?tab=drive&part=what-if'")
    settled(page)
    page.go_back()
    settled(page)
    assert page.locator("#drive .drive").is_visible()


def test_back_twice_at_once_leaves_the_way_forward(open_link):
    page = open_link("?tab=learn", until="document.querySelector('.lesson')")
    for tab in ("Training", "Findings"):
        page.get_by_role("tab", name=tab, exact=True).click()
        page.wait_for_function(f"location.search === '?tab={tab.lower()}'")
        settled(page)
    page.evaluate("() => { addEventListener('popstate', () => history.back(), {once: true}); history.back(); }")
    page.wait_for_function("location.search === '?tab=learn'")
    settled(page)
    assert selected(page) == "Learn"
    page.go_forward()
    settled(page)
    assert (query(page), selected(page)) == ("tab=training", "Training")


def test_back_from_a_door_returns_to_the_place_on_the_page(open_link):
    page = open_link("?tab=findings", until="document.querySelector('.claim')")
    door = page.get_by_role("button", name="See it in a training")
    door.scroll_into_view_if_needed()
    place = page.evaluate("scrollY")
    assert place > 0
    door.click()
    page.wait_for_function("location.search.startsWith('?tab=training') && scrollY === 0")
    settled(page)
    page.go_back()
    door.wait_for()
    settled(page)
    assert page.evaluate("scrollY") == pytest.approx(place, abs=2)


def test_a_frame_of_the_player_is_part_of_the_address(open_link, library):
    page = open_link("?tab=predict&frame=4")
    counter = page.locator("#player [data-part=counter]")
    assert counter.inner_text().startswith("frame 4 of ")
    page.locator("#player").get_by_label("Next frame").click()
    page.wait_for_function("location.search === '?tab=predict&frame=5'")
    for _ in range(3):
        page.locator("#player").get_by_label("Previous frame").click()
    page.wait_for_function("location.search === ''")  # where a prediction begins


def test_a_part_that_is_not_there_is_said(open_link):
    page = open_link("?tab=learn&part=nowhere")
    assert "There is no part “nowhere” here" in page.get_by_test_id("toast-text").inner_text()


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
