"""How long a person waits, and what the app weighs: a real server, a real browser, the bundled runs."""

import contextlib
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote

from tqdm import tqdm

from train.benchmark import harness
from train.benchmark.chromium import open_browser
from train.benchmark.served_app import serve
from train.cli import Json, require_at_least

DRAWN = "document.querySelector('{} [data-request]')?.dataset.request"
# Does something on the page; milliseconds until a player has drawn another answer.
UNTIL_DRAWN = """([act, player]) => new Promise(resolve => {
  const request = () => document.querySelector(`${player} [data-request]`)?.dataset.request, before = request();
  const start = performance.now();
  const look = () => request() !== before ? resolve(performance.now() - start) : requestAnimationFrame(look);
  Function(act)();
  look();
})"""
CLICK = (
    "[...document.querySelectorAll('button:not([role=tab])')]"
    ".find(button => button.offsetParent && button.textContent.trim() === '{}').click()"
)
PRESS = """
  const drive = document.querySelector('.drive');
  for (const kind of ['keydown', 'keyup'])
    drive.dispatchEvent(new KeyboardEvent(kind, {key: 'ArrowRight', code: 'ArrowRight', bubbles: true}));
"""
WEIGHT = """['navigation', 'resource'].flatMap(kind => performance.getEntriesByType(kind))
  .reduce((sum, entry) => sum + entry.transferSize, 0)"""
# Milliseconds for a frame, everything that follows it drawn.
SCRUB = """() => {
  const scrub = document.querySelector('#player [data-part=scrub]'), times = [];
  for (let i = 0; i < 200; i++) {
    const start = performance.now();
    scrub.value = (7 * i) % (Number(scrub.max) + 1);
    scrub.dispatchEvent(new Event('input', {bubbles: true}));
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[100];
}"""
FOUR_RUNS = ["push-free-fixed-cyclical", *(f"push-free-learned-{name}" for name in ("cyclical", "monotonic", "none"))]


FIGURES = {
    "first_view": harness.Figure("command to first view, browser start included", "s", 20),
    "page_load": harness.Figure("page load", "s", 2),
    "weight": harness.Figure("weight of page and first picture", "MB", 1.5),
    "one_run": harness.Figure("click to drawn: 1 run, 10 samples of 10 frames", "ms", 1000),
    "four_runs": harness.Figure("click to drawn: 4 runs, 3 samples of 10 frames", "ms", 2500),
    "drive": harness.Figure("a step of Drive, true physics beside it, key to drawn", "ms", 150),
    "scrub": harness.Figure("scrubbing, a frame", "ms", 5),
    "memory": harness.Figure("memory with every run opened", "GB", 1.5),
}


def app(rounds: int = 3, json: Json = False) -> None:
    """How long a person waits at the explorer, and what it weighs: real server, real browser, the bundled runs.

    Args:
        rounds: starts and page loads; what is quick is repeated more often, and medians count
    """
    require_at_least(1, rounds=rounds)
    with tqdm(desc="app", bar_format="{desc}") as bar:
        values = measure(rounds, lambda name: bar.set_description_str(f"app: {FIGURES[name].title}"))
    harness.report_figures(FIGURES, values, json, rounds=rounds)


def measure(rounds: int, progress: Callable[[str], None] = lambda name: None) -> dict[str, list[float]]:
    """The values of each of FIGURES, `rounds` of those that start or load something, more of quick ones."""
    values: dict[str, list[float]] = {name: [] for name in FIGURES}
    with open_browser() as chromium:
        for _ in range(rounds):
            progress("first_view")
            start = time.perf_counter()
            with serve() as (url, _pid), _page(chromium, url):
                values["first_view"].append(time.perf_counter() - start)
        with serve() as (url, pid):
            with _page(chromium, url):
                pass  # torch and the first model are loaded
            for _ in range(rounds):
                progress("page_load")
                start = time.perf_counter()
                with _page(chromium, url, until="document.querySelector('#player')"):
                    values["page_load"].append(time.perf_counter() - start)
                with _page(chromium, url) as page:
                    values["weight"].append(page.evaluate(WEIGHT) / 1e6)
            progress("one_run")
            with _page(chromium, url) as page:
                values["one_run"] = _until_drawn(page, CLICK.format("Another seed"), "#player", 2 * rounds)
                values["scrub"] = [page.evaluate(SCRUB) for _ in range(rounds)]
            progress("four_runs")
            runs = quote(",".join(FOUR_RUNS))
            with _page(chromium, f"{url}?tab=compare&runs={runs}", "#compare-player") as page:
                seed = page.get_by_label("Seed", exact=True).locator("visible=true")
                compare = CLICK.format("Compare")
                for number in range(rounds):
                    seed.fill(str(number + 1))
                    values["four_runs"] += _until_drawn(page, compare, "#compare-player", 1)
            progress("drive")
            with _page(chromium, f"{url}?tab=drive", "#drive") as page:
                page.get_by_text("The true physics takes the same actions").wait_for(timeout=60_000)
                values["drive"] = _until_drawn(page, PRESS, "#drive", 3 * rounds)
        progress("memory")
        with serve() as (url, pid):
            for run in sorted(path.parent.name for path in (harness.ROOT / "assets" / "runs").glob("*/config.json")):
                with _page(chromium, f"{url}?run={run}"):
                    pass
            values["memory"].append(harness.memory_of(pid, "VmHWM") / 1e9)
    return values


@contextlib.contextmanager
def _page(chromium, url: str, player: str = "#player", until: str | None = None) -> Iterator:
    """A view in a window of its own, once its player has drawn."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(url)
    page.wait_for_function(until or DRAWN.format(player), timeout=60_000)
    yield page
    context.close()


def _until_drawn(page, act: str, player: str, times: int) -> list[float]:
    """Milliseconds from an act to the picture."""
    waited = []
    for _ in range(times):
        page.wait_for_timeout(300)  # nothing of the act before is still to come
        waited.append(page.evaluate(UNTIL_DRAWN, [act, player]))
    return waited
