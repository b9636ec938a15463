// A pendulum, and a model of it that turns a little too fast and gains a little in every step.
const STEPS = 40, TURN = 0.33, LEFT = 8, WIDTH = 684;
const x = (t) => LEFT + (WIDTH * t) / (STEPS - 1);

function turned([a, b], angle, gain) {
  return [gain * (a * Math.cos(angle) - b * Math.sin(angle)), gain * (a * Math.sin(angle) + b * Math.cos(angle))];
}

function curve(values, y, style) {
  make("path", { d: values.map((value, t) => (t ? "L" : "M") + x(t).toFixed(1) + " " + y(value).toFixed(1)).join(""), class: "line-" + style });
}

function draw() {
  const wrong = Number(part("wrong").value) / 100, given = Number(part("given").value);
  part("wrong-text").textContent = (100 * wrong).toFixed(1) + " %";
  part("given-text").textContent = given;
  const model = (state) => turned(state, TURN * (1 + wrong), 1 + wrong / 12);
  const truth = [[1, 0]], forced = [[1, 0]], free = [[1, 0]];
  for (let t = 1; t < STEPS; t++) {
    truth.push(turned(truth[t - 1], TURN, 1));
    forced.push(t < given ? truth[t] : model(truth[t - 1]));
    free.push(t < given ? truth[t] : model(t === given ? truth[t - 1] : free[t - 1]));
  }
  const error = (states) => states.map(([a, b], t) => Math.hypot(a - truth[t][0], b - truth[t][1]));
  const e = { forced: error(forced), free: error(free) }, highest = Math.max(0.2, ...e.free);
  const position = (value) => 78 - 46 * value, height = (value) => 248 - (80 * value) / highest;
  part("plot").replaceChildren();
  make("rect", { x: LEFT, y: 6, width: x(given - 1) - LEFT + 4, height: 144, class: "area-a" });
  make("text", { x: LEFT + 4, y: 164, class: "quiet" }, "given");
  make("text", { x: LEFT + WIDTH, y: 164, "text-anchor": "end", class: "quiet" }, "position, over 40 steps");
  curve(truth.map((s) => s[0]), position, "q");
  curve(forced.map((s) => s[0]), position, "a");
  curve(free.map((s) => s[0]), position, "b");
  make("line", { x1: LEFT, x2: LEFT + WIDTH, y1: 248, y2: 248, class: "axis" });
  make("text", { x: LEFT + WIDTH, y: 265, "text-anchor": "end", class: "quiet" }, "distance from the truth");
  curve(e.forced, height, "a");
  curve(e.free, height, "b");
  const times = e.free[STEPS - 1] / (e.forced[STEPS - 1] || 1);
  part("says").textContent = wrong === 0 ? "A perfect model needs no teacher."
    : "After 40 steps the free-running model is " + times.toFixed(0) + " times as far off as one step of it is wrong. Trained with teacher forcing alone, it would never have seen that.";
}

part("wrong").addEventListener("input", draw);
part("given").addEventListener("input", draw);
draw();
