"""A browser, and the apps that it opens."""

import contextlib
import json
import os
import shutil
from collections import defaultdict
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from tests.e2e.page import DEADLINE, NOTE_EVENTS, SHOWN
from tests.explorer.serving import served
from train.benchmark.browser import served_folder
from train.benchmark.chromium import open_browser
from train.benchmark.served_app import serve
from vidpred import checkpoint, runs
from vidpred.data.dance import video_folders, write_pair
from vidpred.errors import BadInput
from vidpred.explorer.__main__ import make_demo

TWIN = "push-free-learned-cyclical"  # a run of the Learn pages' doors
DESKTOP = {"width": 1280, "height": 900}
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium. Where there is none, its tests are skipped; in CI that is a failure."""
    try:
        with contextlib.ExitStack() as stack:
            browser = stack.enter_context(open_browser())
            yield browser
    except BadInput as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))


@pytest.fixture(scope="session")
def free_windows():
    """Windows that tests have left: their pages go to an address in less than half the time, because the scripts are
    there and compiled. By app, and by options of the window that cannot be changed afterwards."""
    return defaultdict(list)


@pytest.fixture
def open_page(browser, free_windows, request):
    """Open an app in a window that no other visitor has and wait for the player, or click a tab; afterwards: no error,
    and no request to another host. app: the fixture that holds its address. new: a window of this test alone.
    complains: its console may name errors."""
    taken, problems, hosts, addresses = [], [], set(), set()
    failed_before = request.session.testsfailed
    listeners = {
        "console": lambda message: problems.append(message.text) if message.type == "error" else None,
        "pageerror": lambda error: problems.append(str(error)),
        "request": lambda r: hosts.add(r.url.split("/")[2]) if r.url.startswith(("http", "ws")) else None,
    }

    def open_(
        query="",
        app="app_url",
        tab=None,
        until=SHOWN,
        new=False,
        complains=False,
        viewport=DESKTOP,
        color_scheme="light",
        **window,
    ):
        url = request.getfixturevalue(app)
        addresses.add(url.split("/")[2])
        free = None if new else free_windows[app, json.dumps(window)]
        page = free.pop() if free else new_window(browser, **window)
        taken.append((page, free))
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=color_scheme)
        for event, listener in listeners.items():
            if event != "console" or not complains:
                page.on(event, listener)
        page.goto(url + query)
        if tab:
            page.get_by_role("tab", name=tab, exact=True).click()
        else:
            page.wait_for_function(until)
        return page

    yield open_
    for page, free in taken:
        if free is None or request.session.testsfailed > failed_before:
            page.context.close()
        else:
            for event, listener in listeners.items():
                page.remove_listener(event, listener)
            leave(page)
            free.append(page)
    assert problems == []
    assert hosts == addresses


def new_window(browser, **options):
    """The page of a new window."""
    context = browser.new_context(**options)
    context.set_default_timeout(DEADLINE)
    page = context.new_page()
    page.add_init_script(NOTE_EVENTS)
    return page


def leave(page):
    """Go away from an address, and take along what it has left in the window."""
    page.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
    page.mouse.move(0, 0)
    page.goto("about:blank")
    page.context.clear_cookies()
    page.context.clear_permissions()
    protocol = page.context.new_cdp_session(page)
    protocol.send("Page.resetNavigationHistory")
    protocol.detach()


@pytest.fixture(scope="session")
def linked_library(tiny_run, tiny_data, dance_run, tiny_dance, tmp_path_factory):
    """The tiny run, another one that sees other futures, and a dancer; what is predicted is noted in `asked`."""
    from vidpred.explorer.runs.library import Library
    from vidpred.explorer.runs.prediction import Settings

    class NotingLibrary(Library):
        asked: ClassVar = []

        def cached(self, key, make, size):
            self.asked.extend([key] if isinstance(key, Settings) else [])
            return super().cached(key, make, size)

    twin = shutil.copytree(tiny_run, tmp_path_factory.mktemp("twins") / TWIN)
    weights = checkpoint.load_tensors(twin / runs.WEIGHTS)
    changed = {name: 1.1 * value if value.is_floating_point() else value for name, value in weights.items()}
    checkpoint.save_tensors(twin / runs.WEIGHTS, changed)
    return NotingLibrary([tiny_run, twin, dance_run], [tiny_data, tiny_dance])


@pytest.fixture(scope="session")
def linked_url(linked_library):
    """An app in this process, whose predictions are noted."""
    from vidpred.explorer.page import build_demo

    with served(build_demo(linked_library)) as address:
        yield address


@contextlib.contextmanager
def served_here(*options):
    """The address of `python app.py options`, in this process, which has torch and Gradio loaded."""
    demo, *_ = make_demo([*map(str, options)])
    with served(demo) as address:
        yield address


@pytest.fixture(scope="session")
def app_url(tiny_run, tiny_data):
    """The app with the tiny run and its clips."""
    with served_here("--runs", tiny_run, "--data", tiny_data) as address:
        yield address


@pytest.fixture(scope="session")
def site_url(exported_site):
    """Address of the exported page that holds its models, from Python's own web server. Where the runtime cannot be
    fetched, its tests are skipped; in CI that is a failure."""
    folder, missing = exported_site
    if missing:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    with served_folder(folder) as address:
        yield address


@pytest.fixture(scope="session")
def bundled_url():
    """The app with everything that is bundled, as a person starts it."""
    with serve() as (url, _):
        yield url


@pytest.fixture(scope="session")
def long_dance(tmp_path_factory):
    """A video as long as the published ones, of a square that wanders through shades of grey."""
    root = tmp_path_factory.mktemp("long")
    for t in range(630):
        frame, pose = np.full((32, 64, 3), t % 200, np.uint8), np.zeros((32, 64, 3), np.uint8)
        frame[10:20, t % 50 : t % 50 + 12] = pose[10:20, t % 50 : t % 50 + 12] = 255 - t % 200
        write_pair(video_folders(root, "validate"), t, frame, pose)
    return root


@pytest.fixture(scope="session")
def dance_url(dance_run, long_dance):
    """The app with a dance run and a video of 630 frames."""
    with served_here("--runs", dance_run, "--data", long_dance) as address:
        yield address
