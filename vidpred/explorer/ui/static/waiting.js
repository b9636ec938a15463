// How long an answer will take, and a button that takes the question back. Gradio's own tracker knows it, which stands beside a
// component while its event is under way: "queue: 1/2 | 3.0/8.2s", "120/600 frames | 3.0s", "processing | 3.0/8.2s".
window.waiting = (() => {
  const BEFORE = 1000; // milliseconds until the bar appears
  const SURE = 1500; // milliseconds of frames after which it says how long the others take
  const players = new Map(); // of the page -> how they are told whether they wait, and whether what they wait for was taken back
  const waits = new Set();
  let bar = null, since = 0, timer = 0;
  let first = null; // the count of frames when it was first seen
  const part = (name) => bar.querySelector('[data-part="' + name + '"]');
  const about = (seconds) => seconds >= 90 ? ", about " + Math.round(seconds / 60) + " minutes" : seconds >= 1 ? ", about " + Math.round(seconds) + " s" : "";

  // [what is said, the same for a screen reader without what changes all the time, the share that is done if it is known]
  function told(text) {
    const [, passed = 0, all = 0] = text.match(/([\d.]+)(?:\/([\d.]+))?s$/) ?? [];
    const [, place, waiting] = text.match(/queue: (\d+)\/(\d+)/) ?? [];
    const [, done, frames] = (text.match(/(\d+)\/(\d+) frames/) ?? []).map(Number);
    if (place) {
      const said = "Place " + place + " of " + waiting + " in the queue";
      return [said + about(all - passed), said];
    }
    if (!frames) return ["The model works: " + Math.round(passed) + " s" + (all - passed >= 1 ? " of about " + Math.round(all) + " s" : ""), "The model works"];
    const now = performance.now();
    if (first?.frames !== frames || first.done > done) first = { frames, done, at: now };
    const left = now - first.at > SURE && done > first.done ? (((now - first.at) / (done - first.done)) * (frames - done)) / 1000 : 0;
    return [done < frames ? done + " of " + frames + " frames" + about(left) : frames + " frames, now their scores", "Frames are predicted", done / frames];
  }

  function draw() {
    const seen = [...waits].filter((player) => player.offsetParent); // nothing is said of another tab's
    bar.hidden = !seen.length;
    if (bar.hidden) return;
    const texts = seen.map((player) => player.parentElement.querySelector(".progress-text")?.textContent.trim() || "");
    const [says, status, done] = told(texts.find((text) => text.includes("frames")) || texts.find(Boolean) || "");
    part("says").textContent = says;
    if (part("status").textContent !== status) part("status").textContent = status;
    part("done").hidden = done === undefined;
    part("done").firstElementChild.style.width = 100 * (done ?? 0) + "%";
  }

  function look() {
    clearInterval(timer);
    if (!bar) return;
    if (!waits.size) {
      bar.hidden = true;
      first = null;
      part("status").textContent = "";
      return;
    }
    const begin = () => { draw(); timer = setInterval(draw, 250); };
    timer = setTimeout(begin, Math.max(0, since + BEFORE - performance.now()));
  }

  return {
    player(element, tell) {
      const container = element.closest(".html-container");
      if (!container) return;
      players.set(container, tell);
      const changed = () => {
        const pending = container.classList.contains("pending");
        if (pending === waits.has(container)) return;
        if (pending && !waits.size) since = performance.now();
        if (pending) waits.add(container); else waits.delete(container);
        tell(pending, false);
        look();
      };
      new MutationObserver(changed).observe(container, { attributes: true, attributeFilter: ["class"] });
      changed();
    },

    bar(element, trigger) {
      bar = element.querySelector('[data-part="bar"]');
      part("cancel").addEventListener("click", () => {
        for (const [player, tell] of players) if (player.offsetParent) tell(waits.has(player), true);
        trigger("submit", {});
      });
      look();
    },
  };
})();
