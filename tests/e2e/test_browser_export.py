"""The exported page in a real browser, from Python's own web server."""

import subprocess
import sys

import pytest

from vidpred.explorer.export.site import export
from vidpred.explorer.runs.library import Library


@pytest.fixture
def site_url(tiny_run, tiny_data, dance_run, tiny_dance, tmp_path):
    """Address of an exported page."""
    export(Library([tiny_run, dance_run], [tiny_data, tiny_dance]), tmp_path, 1)
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    yield f"http://127.0.0.1:{server.stdout.readline().split('port ')[1].split()[0]}/"
    server.terminate()
    server.wait(10)


def test_it_works_from_any_web_server(open_page):
    drawn = "document.querySelector('#player-host').dataset.request === '{}'"
    page = open_page("?run=dance", app="site_url", until=drawn.format(1), viewport={"width": 400, "height": 800})
    assert page.locator("#player-host canvas").first.is_visible()
    assert "run=dance&clip=" in page.url
    page.select_option("#run", "tiny")
    page.wait_for_function(drawn.format(2), timeout=30_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
