"""The exported page in a real browser, from Python's own web server."""

import subprocess
import sys

import pytest

from tests.commands import ROOT
from vidpred.explorer.export import export
from vidpred.explorer.library import Library


@pytest.fixture
def folder(tiny_run, tiny_data, dance_run, tiny_dance, tmp_path):
    export(Library([tiny_run, dance_run], [tiny_data, tiny_dance]), tmp_path, 1)
    return tmp_path


def test_it_works_from_any_web_server(folder, browser):
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    problems = []
    page = browser.new_page(viewport={"width": 400, "height": 800})
    try:
        port = server.stdout.readline().split("port ")[1].split()[0]
        page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(f"http://127.0.0.1:{port}/?run=dance")
        page.wait_for_selector("#player-host[data-request='1']", timeout=30_000)
        assert page.locator("#player-host canvas").first.is_visible()
        assert "run=dance&clip=" in page.url
        page.select_option("#run", "tiny")
        page.wait_for_selector("#player-host[data-request='2']", timeout=30_000)
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        assert problems == []
    finally:
        page.close()
        server.terminate()
        server.wait(10)
