"""What the model in the exported page takes: one run, Chromium, Python's own web server, no special headers."""

import contextlib
import functools
import http.server
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from tqdm import tqdm

from train.benchmark import harness
from train.benchmark.chromium import open_browser
from train.cli import Json, require_at_least
from vidpred.errors import BadInput

SHOWN = "document.querySelector('#player-host').dataset.request"
PREDICTED = "document.body.dataset.predicted || document.querySelector('#live-status.problem')"
DRIVEN = "document.querySelector('#drive-host').dataset.request"
# Milliseconds from an arrow key to the frame that the model has drawn for it.
PRESS = """() => new Promise(resolve => {
  const host = document.querySelector('#drive-host'), drive = host.querySelector('.drive');
  const before = host.dataset.request, start = performance.now();
  new MutationObserver((_, observer) => {
    if (host.dataset.request === before) return;
    observer.disconnect();
    resolve(performance.now() - start);
  }).observe(host, {attributes: true, attributeFilter: ['data-request']});
  for (const kind of ['keydown', 'keyup'])
    drive.dispatchEvent(new KeyboardEvent(kind, {key: 'ArrowRight', code: 'ArrowRight', bubbles: true}));
})"""
# Frames a second while an arrow key is held for two seconds, after one that is not counted.
HOLD = """() => new Promise(resolve => {
  const drive = document.querySelector('#drive-host .drive'), host = document.querySelector('#drive-host');
  const key = kind => drive.dispatchEvent(
    new KeyboardEvent(kind, {key: 'ArrowLeft', code: 'ArrowLeft', bubbles: true}));
  const steps = () => Number(host.querySelector('[data-part=counter]').textContent.match(/of (\\d+)/)?.[1] ?? 0);
  key('keydown');
  setTimeout(() => {
    const start = performance.now(), before = steps();
    setTimeout(() => {
      const found = 1000 * (steps() - before) / (performance.now() - start);
      key('keyup');
      resolve(found);
    }, 2000);
  }, 1000);
})"""


FIGURES = {
    "weight": harness.Figure("page, runtime and run, gzipped", "MB", 12),
    "load": harness.Figure("a run loads, its bytes there", "s", 3),
    "press": harness.Figure("a press of Drive, key to drawn", "ms", 50),
    "drive": harness.Figure("frames of Drive while a key is held", "/s", 30, more=True),
    "samples": harness.Figure("10 samples of 10 frames", "s", 2),
    "memory": harness.Figure("memory of the tab", "MB", 400),
}


def browser(
    run: Path = harness.ROOT / "assets/runs/long-push-learned-cyclical",
    data: Path = harness.CLIPS,
    rounds: int = 3,
    json: Json = False,
) -> None:
    """The model in the exported page: load, press to picture, frames a second, ten samples, memory.

    Args:
        run: run folder, of robot clips
        data: clips that it continues
        rounds: loads, drives and predictions; presses are repeated more often, and medians count
    """
    require_at_least(1, rounds=rounds)
    with tqdm(desc="browser", bar_format="{desc}") as bar:
        values = measure(run, data, rounds, lambda name: bar.set_description_str(f"browser: {name}"))
    harness.report_figures(FIGURES, values, json, run=run.name, rounds=rounds)


def measure(
    run: Path, data: Path, rounds: int, progress: Callable[[str], None] = lambda name: None
) -> dict[str, list[float]]:
    """The values of each of FIGURES."""
    values: dict[str, list[float]] = {name: [] for name in FIGURES}
    with tempfile.TemporaryDirectory() as folder, open_browser() as chromium:
        progress("the page is exported")
        options = ["--clips", "1", "--runs", run.resolve(), "--data", data.resolve()]
        command = [sys.executable, "-m", "vidpred.explorer.export", folder, *map(str, options)]
        done = subprocess.run(command, cwd=harness.ROOT, capture_output=True, text=True, check=False)
        if done.returncode or not list(Path(folder).glob("models/*/model.json")) or "npm" in done.stderr:
            raise BadInput(done.stderr.strip().splitlines()[-1])
        with served_folder(Path(folder)) as url, contextlib.closing(chromium.new_context()) as context:
            for turn in range(rounds + 1):  # the first one fetches
                progress("load")
                page = context.new_page()
                page.set_default_timeout(120_000)
                page.goto(f"{url}?samples=10&frames=10")
                page.wait_for_function(SHOWN)
                values["weight"] = [_megabytes(page.locator("#weight").inner_text())] if turn == 0 else values["weight"]
                page.click("#drive-start")
                page.wait_for_function(DRIVEN)
                if turn == 0:
                    page.close()
                    continue
                values["load"].append(float(page.evaluate("document.body.dataset.loaded")))
                progress("drive")
                values["press"] += [page.evaluate(PRESS) for _ in range(5)]
                values["drive"].append(page.evaluate(HOLD))
                progress("samples")
                page.click("#predict")
                page.wait_for_function(PREDICTED)
                values["samples"].append(float(page.evaluate("document.body.dataset.took")))
                values["memory"].append(_memory(chromium))
                page.close()
    return values


@contextlib.contextmanager
def served_folder(folder: Path) -> Iterator[str]:
    """The address of a folder, by Python's own web server."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def _megabytes(said: str) -> float:
    """What the page says that it will load, compressed."""
    return float(re.search(r"\(([\d.]+) MB", said)[1])


def _memory(chromium) -> float:
    """Anonymous memory of the largest renderer, MB (Linux): the tab, its worker and the models."""
    processes = chromium.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    renderers = [process["id"] for process in processes if process["type"] == "renderer"]
    return max((harness.memory_of(pid, "RssAnon") or 0 for pid in renderers), default=0) / 1e6
