"""What a test reads from the page."""

import json
from weakref import WeakKeyDictionary

import numpy as np

HANG = 180_000  # milliseconds after which a test that waits has failed, on however busy a machine
SHOWN = "document.querySelector('#player [data-request]')?.dataset.request"
# One sample from the middle of every pixel of a tile, as drawn on its canvas.
PIXELS = """tile => {
  const canvas = document.querySelector(`#player canvas[data-tile="${tile}"]`);
  const zoom = Number(document.querySelector('#player [data-part=stage]').dataset.zoom), half = Math.floor(zoom / 2);
  const {width, height} = canvas, {data} = canvas.getContext('2d').getImageData(0, 0, width, height), rows = [];
  for (let y = half; y < height; y += zoom) {
    const row = [];
    for (let x = half; x < width; x += zoom) row.push([...data.slice(4 * (y * width + x), 4 * (y * width + x) + 3)]);
    rows.push(row);
  }
  return rows;
}"""
# What began to move has come to rest.
STILL = """() => Promise.all(document.getAnimations()
  .filter(move => move.playState === 'running' && move.effect.getComputedTiming().iterations !== Infinity)
  .map(move => move.finished.catch(() => {})))"""
IDLE = "() => new Promise(done => requestAnimationFrame(() => requestIdleCallback(done)))"
_events = WeakKeyDictionary()  # page -> its requests that belong to events, and those of them that are under way


def note_events(page):
    """Before a page is opened: for `settled`."""
    sent, under_way = _events[page] = [], set()

    def begin(request):
        if "/queue/" in request.url:
            sent.append(request)
            under_way.add(request)

    page.on("request", begin)
    for end in ("requestfinished", "requestfailed"):
        page.on(end, lambda request: under_way.discard(request))


def settled(page):
    """Wait until the page has been answered and sends no further event."""
    (sent, under_way), before = _events[page], -1
    while under_way or len(sent) != before:
        before = len(sent)
        page.evaluate(IDLE)


def drawn(page, tile):
    """A tile of the player (H, W, 3), as it is on screen."""
    return np.array(page.evaluate(PIXELS, tile), np.uint8)


def close(a, b):
    """Another process may round the last bit of a prediction otherwise."""
    return np.abs(a.astype(int) - b).max() <= 1


def answered(page, change, what=SHOWN):
    """Wait for the answer to a change."""
    before = page.evaluate(what)
    change()
    page.wait_for_function(f"{what} !== {json.dumps(before)}", timeout=HANG)
