"""Who waits is told how long, and can take the question back: the server computes no further."""

import threading

import numpy as np
import pytest

from tests.e2e.page import answered, drawn, settled
from tests.explorer.serving import served
from vidpred import rollout
from vidpred.explorer.page import build_demo
from vidpred.explorer.runs.library import Library

SAMPLES, FRAMES = 12, 4  # of the long question
SAYS = "document.querySelector('.waiting [data-part=says]').textContent"


class Turnstile:
    """Before each frame, while it is closed, whoever predicts waits to be let through."""

    def __init__(self, wanted):
        self._wanted, self._passes, self.closed = wanted, threading.Semaphore(0), True

    def __call__(self):
        if self.closed:
            self._passes.acquire()
        return self._wanted()

    def let(self, frames):
        self._passes.release(frames)

    def open(self):
        self.closed = False
        self.let(1)


@pytest.fixture(scope="module")
def library(tiny_run, tiny_data):
    return Library([tiny_run], [tiny_data])


@pytest.fixture(scope="module")
def slow_url(library):
    with served(build_demo(library)) as address:
        yield address


@pytest.fixture
def calls(monkeypatch):
    """A list that grows with every call of the model."""
    made, step = [], rollout.Stepper.next
    monkeypatch.setattr(rollout.Stepper, "next", lambda self, *args: made.append(1) or step(self, *args))
    return made


@pytest.fixture
def close(slow_url, library):
    """Closes the turnstile before the model."""
    turnstiles, wanted = [], library.wanted

    def closed():
        library.wanted = Turnstile(wanted)
        turnstiles.append(library.wanted)
        return library.wanted

    yield closed
    library.wanted = wanted
    for turnstile in turnstiles:
        turnstile.open()


def waits(page, says):
    page.wait_for_function(f"!document.querySelector('.waiting').hidden && {SAYS}.startsWith({says!r})")


def test_a_visitor_sees_the_place_and_takes_the_question_back(open_page, calls, close):
    first, second = (open_page(app="slow_url", new=True) for _ in range(2))
    for page in (first, second):
        settled(page)
        assert page.locator(".waiting").is_hidden()
    before, turnstile = drawn(first, "Prediction"), close()
    calls.clear()
    first.get_by_label("number input for Samples").fill(str(SAMPLES))
    waits(first, "The model works: ")
    turnstile.let(3)  # the first look at whether it is wanted is before the model is loaded
    waits(first, "1")
    assert first.evaluate(SAYS).endswith(f" of {SAMPLES * FRAMES} frames")
    second.get_by_role("button", name="Another seed").locator("visible=true").click()
    waits(second, "Place 1 of 1 in the queue")
    first.get_by_role("button", name="Cancel").click()
    first.locator(".waiting").wait_for(state="hidden")
    settled(first)
    said = first.locator("#player [data-part=message]")
    assert said.inner_text() == "Cancelled. This is still the earlier prediction."
    assert np.array_equal(drawn(first, "Prediction"), before)
    computed = len(calls)
    answered(second, turnstile.open)
    assert len(calls) == computed + FRAMES  # the second question, ten samples a call, and nothing of the first
    second.locator(".waiting").wait_for(state="hidden")
    answered(first, first.get_by_role("button", name="Another seed").locator("visible=true").click)
    assert said.inner_text() == ""
    assert first.locator("#player [data-part=choice]").inner_text().count("sample ") == SAMPLES


def test_what_follows_from_a_question_is_taken_back_with_it(open_page, calls, close):
    """In Latents the pictures of a pushed dimension come after those of z."""
    page = open_page(app="slow_url", new=True)
    settled(page)
    calls.clear()
    turnstile = close()
    page.get_by_role("tab", name="Latents", exact=True).click()
    waits(page, "The model works: ")
    page.get_by_role("button", name="Cancel").click()
    page.locator(".waiting").wait_for(state="hidden")
    turnstile.open()
    settled(page)
    said = [page.locator(f"#{player} [data-part=message]").inner_text() for player in ("lens-pictures", "lens-player")]
    assert said == ["Cancelled. Ask again whenever you like."] * 2
    assert calls == []
    page.get_by_role("button", name="Look into z").click()
    page.wait_for_function("document.querySelector('#lens-player [data-request]')")
    assert page.locator("#lens-pictures [data-part=message]").inner_text() == ""


def test_nothing_is_said_of_another_tab(open_page, close):
    page = open_page(app="slow_url", new=True)
    settled(page)
    close()
    page.get_by_label("number input for Samples").fill(str(SAMPLES + 1))  # what nobody has asked for yet
    waits(page, "The model works: ")
    page.get_by_role("tab", name="Training", exact=True).click()
    page.locator(".waiting").wait_for(state="hidden")
