"""The exported page in a real browser, from Python's own web server."""

import contextlib
import functools
import http.server
import shutil
import threading

import pytest

from tests.e2e.page import answered
from vidpred.explorer.export.site import export
from vidpred.explorer.runs.library import Library

RUNS = "[...document.querySelectorAll('#run option')].map(option => option.value).join()"
SHOWN = "document.querySelector('#player-host').dataset.request"
NEWER = "document.querySelector('#newer')?.innerText.includes('newer')"


def test_it_works_from_any_web_server(open_page):
    page = open_page("?run=dance", app="site_url", until=SHOWN, viewport={"width": 400, "height": 800})
    assert page.locator("#player-host canvas").first.is_visible()
    assert "run=dance&clip=" in page.url
    answered(page, lambda: page.select_option("#run", "tiny"), SHOWN)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_a_stored_prediction_says_what_it_is_of(open_page):
    """Where the address names something else, which is drawn when one asks for it."""
    stored = "Stored: seed 0, temperature 1, 4 frames. Predict draws what is chosen here."
    for query, said in (("", ""), ("&seed=7", stored), ("&frames=2", stored), ("&samples=1", stored)):
        page = open_page(f"?run=tiny{query}", app="site_url", until=SHOWN)
        page.wait_for_function("said => document.querySelector('#live-status').textContent === said", arg=said)


CHART = """([request, x, y, log]) => import(new URL('live/page.mjs', location.href).href).then(page => page.showCurves({
  request, legend: [], marks: [], hint: '', x_title: 'iterations', x_ticks: [], x_full: x, x_whole: true,
  panels: [{title: 'Loss', unit: '', keys: [], log, lines: [{x, y, name: 'a', label: 'a', colour: 0, style: 'solid'}]}],
}))"""
TWO = """request => import(new URL('live/page.mjs', location.href).href).then(page => page.showCurves({
  request, legend: [], marks: [], hint: '', x_title: 'epoch', x_ticks: [], x_full: [0, 100], x_whole: true,
  panels: [{title: 'Loss', unit: '', keys: [], log: false, lines: [20, 100].map(last => {
    const x = [...Array(last + 1).keys()];
    return {x, y: x, name: `to ${last}`, label: `to ${last}`, colour: 0, style: 'solid'};
  })}],
}))"""
LABELS = """anchor => [...document.querySelectorAll(`#chart-host svg.plot > text[text-anchor=${anchor}]`)]
  .map(text => text.textContent)"""


def test_what_is_read_off_is_of_one_place(open_page):
    """A run that has not got as far has nothing to say there."""
    page = open_page("?run=dance", app="site_url", until=SHOWN)
    page.evaluate(TWO, 7)
    plot = page.locator("#chart-host svg.plot")
    plot.scroll_into_view_if_needed()
    box, tip = plot.bounding_box(), page.locator("#chart-host .tip:not([hidden])")
    for share, said in ((0.9, ["to 100"]), (0.15, ["to 20", "to 100"])):
        page.mouse.move(box["x"] + box["width"] * share, box["y"] + 60)
        heading, *values = tip.locator("b").all_inner_texts()
        assert tip.locator("span").all_inner_texts() == said
        assert {f"epoch {value}" for value in values} == {heading}


def test_axes_of_a_narrow_range_have_labels_that_differ(open_page):
    page = open_page("?run=dance", app="site_url", until=SHOWN)
    for request, (x, y, log, across, up) in enumerate(
        [
            ([123450, 123470], [0.0112, 0.0185], True, ["123450", "123460", "123470"], 4),
            ([0, 3], [123401.5, 123402.5], False, ["0", "1", "2", "3"], 3),
            ([1, 1], [0.5, 3000], True, ["1"], 4),
        ],
        start=100,
    ):
        page.evaluate(CHART, [request, x, y, log])
        heights = page.evaluate(LABELS, "end")[1:]  # after the title
        assert set(across) <= set(page.evaluate(LABELS, "middle"))
        assert len(set(heights)) == len(heights) >= up


def test_a_curve_is_read_off_by_a_finger(open_page):
    page = open_page(app="site_url", until=SHOWN, has_touch=True)
    page.locator("#chart-host path.curve").first.wait_for(state="attached")
    page.locator("#chart-host svg.plot[role=img]").first.tap()
    assert "epoch" in page.locator("#chart-host .tip:not([hidden])").inner_text()


@pytest.mark.parametrize(
    ("query", "counter"),
    [
        ("?run=dance&frame=3", "frame 3 of 11"),
        ("?run=dance&frame=abc", "frame 1 of 11"),
        ("?run=dance&frame=-5", "frame 1 of 11"),
        ("?run=dance&clip=constructor&frame=1.5", "frame 1 of 11"),
        ("?run=constructor", "frame 2 of 5"),
    ],
)
def test_an_address_that_names_what_is_not_there_shows_what_is(open_page, query, counter):
    page = open_page(query, app="site_url", until=SHOWN)
    assert page.locator("#player-host [data-part=counter]").inner_text() == counter


def test_a_clip_that_does_not_come_is_said(open_page):
    """And what is shown is not taken for it."""
    page = open_page("?run=dance", app="site_url", until=SHOWN, new=True, service_workers="block")
    page.route("**/views/*", lambda route: route.fulfill(status=200, body="not JSON"))
    page.select_option("#run", "tiny")
    page.get_by_text("This clip could not be loaded. Below is still the earlier prediction.").wait_for()


def test_a_clip_that_is_waited_for_is_said(open_page):
    """Until it is there, what is shown is not taken for it."""
    page = open_page("?run=dance", app="site_url", until=SHOWN, new=True, service_workers="block")
    waiting = []
    page.route("**/views/*", lambda route: waiting.append(route))
    page.select_option("#run", "tiny")
    page.get_by_text("Loading traj_0_to_255/1 … Below is still the earlier prediction.").wait_for()
    assert page.locator("#player-host .stale").count() == 1
    answered(page, waiting[0].continue_, SHOWN)
    assert page.locator("#player-host [data-part=message]").inner_text() == ""
    assert page.locator("#player-host .stale").count() == 0


def test_a_page_whose_menu_does_not_come_says_so(open_page):
    page = open_page("?run=dance", app="site_url", until=SHOWN, new=True, service_workers="block")
    page.route("**/views/menu.json", lambda route: route.fulfill(status=200, body="not JSON"))
    page.reload()
    page.get_by_text("This page could not be opened").wait_for()


def test_where_copying_is_not_possible_the_address_is_shown(open_page):
    page = open_page("?run=dance", app="site_url", until=SHOWN)
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined, configurable: true })")
    page.click("#copy")
    assert page.locator("#address").input_value() == page.url
    assert page.locator("#copy").inner_text() == "Copy link"
    page.evaluate("delete navigator.clipboard")


@pytest.fixture
def host(tmp_path):
    """A folder, as `folder`, and its address, as `url`, from a server that lets browsers keep files for an hour."""

    class Keeping(http.server.SimpleHTTPRequestHandler):
        def end_headers(self):
            self.send_header("Cache-Control", "max-age=3600")
            super().end_headers()

        def send_head(self):
            del self.headers["If-Modified-Since"]  # it counts in seconds, and a test exports twice within one
            return super().send_head()

        def log_message(self, *_):
            pass

    folder = tmp_path / "host"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Keeping, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.folder, server.url = folder, f"http://127.0.0.1:{server.server_address[1]}/"
        yield server
        server.shutdown()


@pytest.fixture
def host_url(host):
    return host.url


@pytest.fixture
def put(host, tiny_run, tiny_data, tmp_path):
    """Export a run by a name into a folder of the host; an earlier export there is replaced."""

    def put_(name, folder=""):
        run = shutil.copytree(tiny_run, tmp_path / name, dirs_exist_ok=True)
        export(Library([run], [tiny_data]), host.folder / folder, 1, live=False)

    return put_


def test_a_long_name_stays_within_a_phone(open_page, put):
    put("a_run_whose_name_is_longer_than_a_telephone_is_wide_" + "and_" * 12 + "so_on", "site")
    page = open_page("site/", app="host_url", until=SHOWN, new=True, viewport={"width": 400, "height": 800})
    page.wait_for_function("document.querySelector('#chart-host .runs button')")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    named = "#player-host :is(button, figcaption, .legend *, th, td), #chart-host .runs *"
    wide = f"""() => [...document.querySelectorAll('{named}')].filter(one => one.getClientRects().length &&
      one.getBoundingClientRect().right > 400).map(one => one.outerHTML)"""
    assert page.evaluate(wide) == []


def is_shown(page, name):
    """Wait until a page shows a run, whether or not it opens anew meanwhile."""
    page.wait_for_function(f"{RUNS} === '{name}' && {SHOWN}")


def test_a_new_export_takes_the_place_of_the_old_one(open_page, put):
    """Also where the browser may keep the old one's files: the page, as it is opened, opens once more by itself."""
    put("old", "site")
    page = open_page("site/", app="host_url", until=SHOWN, new=True)
    put("new", "site")
    loads = []  # nothing is evaluated meanwhile: to the page that is a visitor who does something
    with page.expect_event("load", lambda _: loads.append(page.url) or len(loads) == 2):
        page.goto(page.url.split("?")[0])
    is_shown(page, "new")
    for _ in range(2):
        page.reload()
        is_shown(page, "new")
    assert not page.evaluate(NEWER)
    page.context.set_offline(True)
    page.reload()
    is_shown(page, "new")


@pytest.fixture
def page_in_use(open_page, put):
    """A page that a visitor has touched and that has learned that another export has taken its place."""
    put("old", "site")
    page = open_page("site/", app="host_url", until=SHOWN, new=True)
    page.click("#player-host [data-part=stage]")
    put("new", "site")
    page.evaluate("navigator.serviceWorker.getRegistration().then(found => found.update())")
    page.wait_for_function(NEWER)
    return page


def test_a_page_in_use_says_that_there_is_a_newer_one(page_in_use):
    """What a visitor has before them stays until they choose something else, and is never mixed with the new files."""
    page = page_in_use
    assert page.evaluate(RUNS) == "old"
    page.click("#newer button")
    is_shown(page, "new")
    assert not page.evaluate(NEWER)


def test_a_page_in_use_opens_anew_before_it_reads_the_newer_ones_files(page_in_use):
    page = page_in_use
    with contextlib.suppress(Exception):  # the page goes away under it
        page.dispatch_event("#clip", "change")
    is_shown(page, "new")


def test_its_other_address_works_without_a_network_too(open_page, put):
    put("one", "one")
    page = open_page("one/", app="host_url", until=SHOWN, new=True)
    page.wait_for_function("navigator.serviceWorker.controller")
    page.reload()  # a busy machine's worker may have come after the pictures
    is_shown(page, "one")
    page.context.set_offline(True)
    page.context.new_cdp_session(page).send("Network.clearBrowserCache")
    page.goto(page.url.split("?")[0] + "index.html?run=one")
    is_shown(page, "one")


def test_two_pages_of_one_host_keep_their_own_files(open_page, put):
    """Each works without a network, also after the other was opened, whatever the browser itself keeps."""
    put("one", "one")
    put("other", "other")
    page = open_page("one/", app="host_url", until=SHOWN, new=True)
    page.goto(page.url.split("one/")[0] + "other/")
    is_shown(page, "other")
    page.context.set_offline(True)
    page.context.new_cdp_session(page).send("Network.clearBrowserCache")
    page.goto(page.url.split("other/")[0] + "one/")
    is_shown(page, "one")
    assert page.locator("#player-host canvas").first.is_visible()
