// Driving a model: a press asks the server for one more frame; pictures come as raw pixels. Text goes through textContent only.
// Presses call a server function: Gradio's events take a queue and a stream more, three times as long as the model does.
const part = (name) => element.querySelector('[data-part="' + name + '"]');
const drive = element.querySelector(".drive");
const PACE = 100; // milliseconds between steps while a key is held: the arm's own time
const PATIENCE = 15000, QUEUE = 2; // milliseconds until an answer is given up; presses kept while one is on its way
const GUTTER = 46, COLUMN = [26, 58], TRACE = 56, TALLEST = 384;
const KEYS = {
  ArrowUp: [-1, 0, 0], ArrowDown: [1, 0, 0], ArrowLeft: [0, -1, 0], ArrowRight: [0, 1, 0], PageUp: [0, 0, 1], w: [0, 0, 1],
  PageDown: [0, 0, -1], s: [0, 0, -1], " ": [0, 0, 0],
};

let latest = 0, seat = null, frames = []; // newest answer; what does not change within a drive; the drive so far
let view = 0, open = 1, column = COLUMN[1], playing = 0; // frame on screen, fingers
let sent = 0, waiting = false, queue = [], timer = 0;
const held = new Map(); // key or button -> its move

// --- values ---------------------------------------------------------------------------------------------------------

function accept(value) {
  if (!value || value.request <= latest) return; // none yet, or a late answer
  latest = value.request;
  waiting = false;
  part("refusal").textContent = value.refusal || "";
  if (value.refusal) { queue = []; letGo(); element.dataset.request = latest; return; }
  if (value.message) return refuse(value.message);
  if (value.since > frames.length) return ask("look"); // an answer was lost: everything again
  if (value.seat) { seat = value.seat; held.clear(); queue = []; }
  const fresh = value.since === 0;
  frames.length = value.since;
  for (const one of value.frames) frames.push({ ...one, model: picture(one.model), physics: one.physics && picture(one.physics) });
  if (value.seat) open = frames[last()].fingers >= 0.5 ? 1 : 0;
  if (value.gif) save(value.gif);
  if (fresh || value.frames.length || view > last()) { stop(); view = last(); }
  part("message").textContent = "";
  part("content").hidden = false;
  part("note").textContent = value.note;
  const twins = frames.some((f) => f.physics);
  if (value.seat || part("truth").hidden === twins) resize();
  else draw();
  const reel = part("reel");
  if (value.frames.length) reel.scrollLeft = reel.scrollWidth;
  element.dataset.request = value.request; // what is on screen now, for tests
  if (value.starting) setTimeout(() => latest === value.request && !waiting && ask("look"), 700);
  else if (twins && frames.some((f) => !f.physics)) ask("look"); // the physics has caught up with what was driven before
  if (!held.size) tell();
  next();
}

function refuse(text) {
  frames = []; seat = null; stop(); held.clear(); queue = [];
  part("content").hidden = true;
  part("message").textContent = text;
  element.dataset.request = latest;
}

function picture(base64) { // raw RGB
  const raw = atob(base64), [w, h] = seat.size, image = new ImageData(w, h);
  for (let i = 0, j = 0; i < raw.length; i++) {
    image.data[j++] = raw.charCodeAt(i);
    if (i % 3 === 2) image.data[j++] = 255;
  }
  const small = document.createElement("canvas");
  small.width = w; small.height = h;
  small.getContext("2d").putImageData(image, 0, 0);
  return small;
}

function save(gif) {
  const link = document.createElement("a");
  link.href = gif.url; link.download = gif.orig_name || "drive.gif";
  link.click();
}

const last = () => frames.length - 1;
const isGiven = (t) => t < seat.n_past;
const steps = () => frames.length - (seat ? seat.n_past : 0);

// --- asking ---------------------------------------------------------------------------------------------------------

function ask(what, data = {}) {
  if (waiting && performance.now() - sent < PATIENCE) {
    if (queue.length < QUEUE && what !== "look") queue.push([what, data]);
    return;
  }
  waiting = true;
  sent = performance.now();
  if (what === "begin") trigger("submit", {});
  else if (what === "save") trigger("save", {});
  else server.press({ drive: seat.drive, what, ...data }).then(
    (value) => { waiting = false; accept(value); },
    () => { waiting = false; accept({ request: latest + 1, refusal: "The server could not be reached. Please try again." }); },
  );
}

function go(move) {
  const stride = Number(part("stride").value);
  stop();
  ask("step", { move: move.map((x) => Math.max(-1, Math.min(1, x)) * stride), fingers: open });
}

function next() {
  clearTimeout(timer);
  if (queue.length) return ask(...queue.shift());
  if (held.size) timer = setTimeout(() => { if (held.size && !waiting) go(sum()); }, Math.max(0, PACE - (performance.now() - sent)));
}

const sum = () => [...held.values()].reduce((a, b) => a.map((x, i) => x + b[i]), [0, 0, 0]);

function hold(name, move) {
  if (!seat || held.has(name)) return;
  held.set(name, move);
  paintHeld();
  if (!waiting) { // the second arrow of a diagonal comes a moment later
    clearTimeout(timer);
    timer = setTimeout(() => go(held.size ? sum() : move), name.startsWith("Arrow") && held.size === 1 ? 30 : 0);
  } else if (held.size === 1) ask("step", { move: move.map((x) => x * Number(part("stride").value)), fingers: open });
}

function release(name) { if (held.delete(name)) { paintHeld(); if (!held.size && !waiting) tell(); } }

function letGo() { held.clear(); paintHeld(); }

function paintHeld() {
  const now = held.size ? sum().map(Math.sign).join() : "";
  for (const button of drive.querySelectorAll("[data-move]")) button.classList.toggle("held", button.dataset.move === now);
}

function fingers() { if (seat) { open = 1 - open; go([0, 0, 0]); } }

document.addEventListener("drive-refused", () => { // the reason is on the page already
  if (!element.isConnected) return;
  waiting = false; queue = []; letGo();
});

// --- drawing --------------------------------------------------------------------------------------------------------

const colours = new Map(); // until the theme changes: looking them up takes longer than drawing

function colour(name) {
  if (!colours.has(name)) colours.set(name, getComputedStyle(drive).getPropertyValue(name).trim() || "#888");
  return colours.get(name);
}

function size(target, width, height) { // device pixels; what was drawn is gone
  const ratio = window.devicePixelRatio || 1;
  if (target.width === width && target.height === height) return target.getContext("2d").clearRect(0, 0, width, height);
  target.width = width;
  target.height = height;
  target.style.width = width / ratio + "px";
  target.style.height = height / ratio + "px";
}

function fit(target, width, height) {
  const ratio = window.devicePixelRatio || 1, context = target.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  size(target, Math.round(width * ratio), Math.round(height * ratio));
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

function resize() {
  if (!seat || !frames.length || !element.isConnected || part("views").clientWidth === 0) return;
  const ratio = window.devicePixelRatio || 1, twins = frames.some((f) => f.physics) ? 2 : 1, [w, h] = seat.size;
  const gap = parseFloat(getComputedStyle(part("views")).columnGap) || 0, border = Math.max(2, Math.round(3 * ratio));
  part("truth").hidden = twins === 1;
  const room = ((part("views").clientWidth - gap * (twins - 1)) * ratio) / twins - 2 * border;
  // whole device pixels per pixel: nothing is ever interpolated
  const zoom = Math.max(1, Math.floor(Math.min(room / w, (TALLEST * ratio) / h)));
  for (const name of ["model", "model-path", "physics", "physics-path"]) {
    const target = part(name);
    size(target, w * zoom + 2 * border, h * zoom + 2 * border);
    Object.assign(target.dataset, { zoom, border });
  }
  part("views").style.minHeight = (h * zoom + 2 * border) / ratio + 26 + "px";
  draw();
}

function draw() {
  if (!seat || !frames.length) return;
  const now = frames[view], given = isGiven(view), started = performance.now();
  for (const [name, image, place] of [["model", now.model, "pixel"], ["physics", now.physics, "true_pixel"]]) {
    const target = part(name), context = target.getContext("2d"), border = Number(target.dataset.border);
    context.fillStyle = colour(given ? "--given" : name === "model" ? "--predicted" : "--line");
    context.fillRect(0, 0, target.width, target.height);
    context.imageSmoothingEnabled = false;
    const side = [target.width - 2 * border, target.height - 2 * border];
    if (image) context.drawImage(image, border, border, ...side);
    else context.clearRect(border, border, ...side);
    target.dataset.frame = view;
    target.setAttribute("aria-label", (name === "model" ? "What the model imagines" : "What the physics does") + ", frame " + view);
    drawPath(part(name + "-path"), place, border, side);
  }
  part("tag").textContent = given ? "given" : "imagined";
  part("tag").className = "tag" + (given ? " given" : "");
  part("psnr").textContent = now.psnr_text ? "model is at " + now.psnr_text + " dB" : "";
  const [x, y, z] = now.position.map((v) => v.toFixed(2));
  part("place").textContent = "x " + x + " · y " + y + " · height " + z;
  part("counter").textContent = given ? "given frame " + view : "step " + (view - seat.n_past + 1) + " of " + steps();
  part("fingers").setAttribute("aria-pressed", String(open === 1));
  drive.querySelector("[data-do=undo]").disabled = drive.querySelector("[data-do=save]").disabled = part("play").disabled = steps() < 1;
  drive.querySelector("[data-do=replay]").disabled = frames.length >= seat.own;
  drawMap();
  drawFilm();
  element.dataset.took = (performance.now() - started).toFixed(1); // milliseconds
}

function line(context, points, paint, width, dash = []) {
  context.strokeStyle = paint;
  context.lineWidth = width;
  context.lineJoin = context.lineCap = "round";
  context.setLineDash(dash);
  context.beginPath();
  points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.stroke();
  context.setLineDash([]);
}

function dot(context, [x, y], radius, fill, edge) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  if (fill) { context.fillStyle = fill; context.fill(); }
  context.strokeStyle = edge;
  context.lineWidth = radius / 2.5;
  context.stroke();
}

function drawPath(target, place, border, [w, h]) {
  const context = target.getContext("2d"), unit = window.devicePixelRatio || 1;
  context.clearRect(0, 0, target.width, target.height);
  if (!part("path").getAttribute("aria-pressed") === "true") return;
  const way = frames.slice(0, view + 1).map((f) => f[place]);
  if (way.some((p) => !p)) return;
  const at = way.map(([u, v]) => [border + u * w, border + v * h]);
  context.globalAlpha = 0.75;
  line(context, at, "white", 3.5 * unit);
  context.globalAlpha = 1;
  line(context, at.slice(0, seat.n_past), colour("--given"), 1.75 * unit);
  if (view >= seat.n_past) line(context, at.slice(seat.n_past - 1), colour("--predicted"), 1.75 * unit);
  dot(context, at[view], 4.5 * unit, "white", colour(isGiven(view) ? "--given" : "--predicted"));
}

function drawMap() {
  const { low, high } = seat, wide = high[1] - low[1] || 1, deep = high[0] - low[0] || 1, tall = high[2] - low[2] || 1;
  const W = Math.min(part("map").parentElement.parentElement.clientWidth, 220), bar = 14, gap = 12, pad = 8;
  const w = W - bar - gap, h = Math.max(60, Math.min(190, (w * deep) / wide)), context = fit(part("map"), W, h);
  const at = (p) => [pad + ((p[1] - low[1]) / wide) * (w - 2 * pad), pad + ((p[0] - low[0]) / deep) * (h - 2 * pad)];
  const level = (p) => h - pad - ((p[2] - low[2]) / tall) * (h - 2 * pad);
  const given = colour("--given"), driven = colour("--predicted"), quiet = colour("--quiet"), edge = colour("--line");
  context.clearRect(0, 0, W, h);
  context.strokeStyle = edge;
  context.lineWidth = 1;
  context.strokeRect(0.5, 0.5, w - 1, h - 1);
  context.strokeRect(w + gap + 0.5, 0.5, bar - 1, h - 1);
  const way = frames.slice(0, view + 1), now = way[view];
  const real = way.filter((f) => f.true_position).map((f) => at(f.true_position));
  if (real.length > 1) line(context, real, quiet, 1.5, [3, 3]);
  line(context, way.slice(0, seat.n_past).map((f) => at(f.position)), given, 2);
  if (view >= seat.n_past) line(context, way.slice(seat.n_past - 1).map((f) => at(f.position)), driven, 2);
  const paint = isGiven(view) ? given : driven;
  dot(context, at(now.position), 4 + 2 * now.fingers, now.fingers >= 0.5 ? null : paint, paint);
  context.fillStyle = paint;
  context.fillRect(w + gap + 2, level(now.position) - 2, bar - 4, 4);
  part("map").setAttribute("aria-label", "The gripper from above: " + Math.round((100 * (now.position[1] - low[1])) / wide)
    + " % of the way from left to right, " + Math.round((100 * (now.position[0] - low[0])) / deep) + " % towards the front, "
    + Math.round((100 * (now.position[2] - low[2])) / tall) + " % of the height");
}

function drawFilm() {
  const ratio = seat.size[1] / seat.size[0], twins = !part("truth").hidden, room = part("reel").parentElement.clientWidth - GUTTER;
  column = Math.min(COLUMN[1], Math.max(COLUMN[0], Math.floor(room / Math.max(frames.length, 12))));
  const w = column - 4, h = Math.round(w * ratio), rows = twins ? [0, h + 7] : [0];
  const trace = rows[rows.length - 1] + h + 13, total = trace + (twins ? TRACE + 16 : 4);
  const context = fit(part("strip"), column * frames.length, total);
  const text = colour("--body-text-color"), quiet = colour("--quiet"), font = "11px " + colour("font-family");
  context.fillStyle = text;
  context.globalAlpha = 0.1;
  context.fillRect(view * column, 0, column, total);
  context.globalAlpha = 1;
  context.imageSmoothingQuality = "high";
  frames.forEach((f, t) => {
    [f.model, f.physics].slice(0, rows.length).forEach((image, i) => {
      if (image) context.drawImage(image, t * column + 2, rows[i], w, h);
      context.fillStyle = colour(isGiven(t) ? "--given" : i ? "--line" : "--predicted");
      context.fillRect(t * column + 2, rows[i] + h, w, 3);
    });
  });
  const scores = frames.map((f) => f.psnr), all = scores.filter((x) => x !== null);
  const low = all.length ? Math.floor(Math.min(...all) / 5) * 5 : 10, high = all.length ? Math.max(Math.ceil(Math.max(...all) / 5) * 5, low + 5) : 30;
  const at = (value) => trace + 6 + (TRACE - 12) * (1 - (value - low) / (high - low));
  if (twins) {
    for (const tick of [low, high]) line(context, [[0, at(tick)], [column * frames.length, at(tick)]], colour("--line"), 1);
    const points = scores.flatMap((x, t) => (x === null ? [] : [[(t + 0.5) * column, at(x)]]));
    if (points.length) line(context, points, colour("--color-accent"), 2);
    points.forEach((p) => dot(context, p, 1.5, colour("--color-accent"), colour("--color-accent")));
    context.font = font;
    context.textAlign = "center";
    context.fillStyle = quiet;
    const every = Math.ceil(22 / column);
    frames.forEach((_, t) => { if (t % every === 0) context.fillText(t, (t + 0.5) * column, total - 3); });
  }
  const side = fit(part("gutter"), GUTTER, total);
  Object.assign(side, { font, fillStyle: quiet, textAlign: "right", textBaseline: "middle" });
  ["model", "physics"].slice(0, rows.length).forEach((name, i) => side.fillText(name, GUTTER - 6, rows[i] + h / 2));
  if (twins) for (const tick of [low, high]) side.fillText(tick + " dB", GUTTER - 6, at(tick));
}

function tell() {
  if (!seat || !frames.length) return;
  const now = frames[last()], [x, y, z] = now.position.map((v) => v.toFixed(2));
  part("status").textContent = "Step " + steps() + ". Gripper at x " + x + ", y " + y + ", height " + z + ", fingers "
    + (now.fingers >= 0.5 ? "open" : "closed") + (now.psnr_text ? "; " + now.psnr_text + " decibel from the true physics." : ".");
}

// --- moving ---------------------------------------------------------------------------------------------------------

function stop() { clearInterval(playing); playing = 0; part("play").textContent = "Play back"; }

function play() {
  if (playing) return stop();
  if (steps() < 1) return;
  part("play").textContent = "Stop";
  view = -1;
  playing = setInterval(() => {
    if (!element.isConnected || view >= last()) return stop();
    view += 1;
    draw();
  }, 100);
}

function restart() { stop(); letGo(); queue = []; ask("begin"); }

for (const button of drive.querySelectorAll("[data-move]")) {
  const move = button.dataset.move.split(",").map(Number), name = "pad " + button.dataset.move;
  button.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    button.setPointerCapture(event.pointerId);
    hold(name, move);
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) button.addEventListener(end, () => release(name));
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  button.addEventListener("click", (event) => { if (event.detail === 0 && seat) go(move); }); // by keyboard or screen reader
}
for (const button of drive.querySelectorAll("[data-do]"))
  button.addEventListener("click", () => { if (seat) { letGo(); ask(button.dataset.do); } });
part("fingers").addEventListener("click", fingers);
part("restart").addEventListener("click", restart);
part("play").addEventListener("click", play);
part("path").addEventListener("click", () => {
  part("path").setAttribute("aria-pressed", String(part("path").getAttribute("aria-pressed") !== "true"));
  draw();
});
part("views").addEventListener("click", () => drive.focus());
part("strip").addEventListener("click", (event) => {
  stop();
  view = Math.max(0, Math.min(last(), Math.floor((event.clientX - part("strip").getBoundingClientRect().left) / column)));
  draw();
});
drive.addEventListener("keydown", (event) => {
  const tag = event.target.tagName, key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (!seat || tag === "SELECT" || event.ctrlKey || event.altKey || event.metaKey) return;
  if (key === " " && tag !== "DIV") return; // presses the button
  const once = { Backspace: () => ask("undo"), o: () => ask("replay"), f: fingers, r: restart, p: play };
  if (KEYS[key]) hold(key, KEYS[key]);
  else if (once[key]) { if (!event.repeat || key === "Backspace" || key === "o") if (!waiting || !event.repeat) once[key](); }
  else return;
  event.preventDefault();
});
drive.addEventListener("keyup", (event) => release(event.key.length === 1 ? event.key.toLowerCase() : event.key));
drive.addEventListener("focusout", (event) => { if (!drive.contains(event.relatedTarget)) letGo(); });
window.addEventListener("blur", letGo);

let begun = false;
function appear() { // the first drive begins when the tab is first seen
  if (!begun && drive.clientWidth > 0) { begun = true; ask("begin"); }
  resize();
}
const sizes = new ResizeObserver(appear);
sizes.observe(drive);
sizes.observe(part("views"));
new MutationObserver(() => { colours.clear(); draw(); }).observe(document.body, { attributes: true, attributeFilter: ["class"] });
watch("value", () => accept(props.value));
accept(props.value);
