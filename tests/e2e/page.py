"""What a test reads from the page."""

import json

import numpy as np

DEADLINE = 180_000  # milliseconds after which what a test waits for is taken to hang, on however busy a machine
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
# On a page on which nothing moves Chromium's idle callback may never come (4 times of some 700): hence a timeout.
IDLE = "() => new Promise(done => requestAnimationFrame(() => requestIdleCallback(done, {timeout: 1000})))"
# Counts a page's events and their answers as Gradio's client sees them. Its answer stream does not tell: it may stay
# open after the last answer.
NOTE_EVENTS = """(() => {
  const plain = window.fetch, events = {sent: 0, joining: 0, open: new Set(), answered: new Set()};
  window.eventsOfTest = events;
  const answer = id => { if (!events.open.delete(id)) events.answered.add(id); };
  // Read on its way to the client: a copy would lose what is unread when the client aborts the stream.
  const watched = stream => {
    const decoder = new TextDecoder();
    let rest = '';
    return stream.pipeThrough(new TransformStream({
      transform(part, out) {
        const lines = (rest + decoder.decode(part, {stream: true})).split('\\n');
        rest = lines.pop();
        for (const line of lines.filter(line => line.startsWith('data:'))) {
          const {msg, event_id} = JSON.parse(line.slice(5));
          if (msg === 'process_completed') answer(event_id);
        }
        out.enqueue(part);
      },
    }));
  };
  window.fetch = async (...request) => {
    const url = String(request[0]?.url ?? request[0]), joins = url.includes('/queue/join');
    if (joins) { events.sent += 1; events.joining += 1; }
    try {
      const response = await plain(...request);
      if (joins && response.ok) {
        const {event_id} = await response.clone().json();
        if (!events.answered.delete(event_id)) events.open.add(event_id);
      }
      return url.includes('/queue/data') ? new Response(watched(response.body), response) : response;
    } finally { if (joins) events.joining -= 1; }
  };
})()"""
ANSWERED = "() => !eventsOfTest.joining && !eventsOfTest.open.size"


def settled(page):
    """Wait until every event of the page (opened with NOTE_EVENTS) is answered and no further one is sent."""
    before = -1
    while (sent := page.evaluate("eventsOfTest.sent")) != before:
        before = sent
        page.wait_for_function(ANSWERED)
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
    page.wait_for_function(f"{what} !== {json.dumps(before)}")


def tap(page, key):
    """A key held for no time: a busy machine lets go of a real one so late that it makes two steps."""
    page.evaluate(
        """key => ["keydown", "keyup"].forEach(type => document.activeElement.dispatchEvent(
          new KeyboardEvent(type, {key, bubbles: true, cancelable: true})))""",
        key,
    )
