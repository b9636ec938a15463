"""What a test reads from the page."""

import json

import numpy as np

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
    page.wait_for_function(f"{what} !== {json.dumps(before)}", timeout=180_000)
