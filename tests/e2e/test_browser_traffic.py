"""What the page costs: bytes, requests, calls. How long it takes is measured by `python -m train.benchmark app`."""

from collections import Counter
from urllib.parse import urlsplit

import pytest

from tests.e2e.page import SHOWN, answered, settled

WEIGHT = """['navigation', 'resource'].flatMap(kind => performance.getEntriesByType(kind))
  .reduce((sum, entry) => sum + entry.transferSize, 0)"""
# Every frame of the clip is looked at once.
SCRUB = """() => {
  const scrub = document.querySelector('#player [data-part=scrub]');
  for (let frame = 0; frame <= Number(scrub.max); frame++) {
    scrub.value = frame;
    scrub.dispatchEvent(new Event('input', {bubbles: true}));
  }
}"""


@pytest.fixture
def requests_of(open_page):
    """Opens a view; what a page then asks the server for while something is done, by kind."""

    def open_(query="", until=SHOWN):
        page = open_page(query, app="bundled_url", until=until)

        def count(act):
            settled(page)
            seen = Counter()
            page.on("request", note := lambda request: seen.update([kind(urlsplit(request.url).path)]))
            act()
            settled(page)
            page.remove_listener("request", note)
            return dict(seen)

        return page, count

    return open_


def kind(path):
    """What a request is for."""
    kinds = {"/queue/join": "join", "/queue/data": "stream", "/file=": "sheet", "component_server": "press"}
    return next((name for part, name in kinds.items() if part in path), path)


def test_the_page_is_light(open_page):
    """Page, scripts, style and the first picture, as they come over the wire."""
    page = open_page(app="bundled_url", new=True)  # nothing of it is there yet
    settled(page)
    assert page.evaluate(WEIGHT) < 1.5e6


def test_another_seed_is_one_call_and_one_sheet(requests_of):
    page, count = requests_of()
    seen = count(lambda: answered(page, page.get_by_role("button", name="Another seed").locator("visible=true").click))
    assert seen.pop("sheet") == 1
    # the picture; the address asks nothing, and a stream that is still open is used again
    assert seen.pop("join") <= 2 and seen.pop("stream", 0) <= 2
    assert seen == {}


def test_looking_at_frames_asks_the_server_for_nothing(requests_of):
    page, count = requests_of()
    assert count(lambda: page.evaluate(SCRUB)) == {}


def test_four_runs_are_one_call(requests_of):
    player = SHOWN.replace("#player", "#compare-player")
    page, count = requests_of("?tab=compare", player)
    page.get_by_label("Seed", exact=True).locator("visible=true").fill("5")
    button = page.get_by_role("button", name="Compare", exact=True).locator("visible=true")
    seen = count(lambda: answered(page, button.click, player))
    assert seen.pop("sheet") >= 1
    assert seen.pop("join") == 1 and seen.pop("stream", 0) <= 1
    assert seen == {}


def test_a_key_of_the_drive_is_one_request(requests_of):
    drive = SHOWN.replace("#player", "#drive")
    page, count = requests_of("?tab=drive", drive)
    page.get_by_text("The true physics takes the same actions").wait_for()
    assert count(lambda: answered(page, lambda: page.locator(".drive").press("ArrowRight"), drive)) == {"press": 1}
