// Driving a model: a press asks the server for one more frame; pictures come as raw pixels. Text goes through textContent only.
// Presses call a server function: Gradio's events take a queue and a stream more, three times as long as the model does.
const part = (name) => element.querySelector('[data-part="' + name + '"]');
const drive = element.querySelector(".drive");
const PACE = 100; // milliseconds between steps while a key is held: the arm's own time
const TIMEOUT = 15000; // milliseconds until an answer is given up
const KEYS = {
  ArrowUp: [-1, 0, 0], ArrowDown: [1, 0, 0], ArrowLeft: [0, -1, 0], ArrowRight: [0, 1, 0], PageUp: [0, 0, 1], w: [0, 0, 1],
  PageDown: [0, 0, -1], s: [0, 0, -1], " ": [0, 0, 0],
};

let latest = 0, setup = null, frames = []; // newest answer; what does not change within a drive; its frames
let view = 0, open = 1, playing = 0; // frame on screen, fingers
let sent = 0, waiting = "", queue = [], timer = 0; // waiting: what is on its way; queue: what was pressed meanwhile
const held = new Map(); // key or button -> its move

// --- values ---------------------------------------------------------------------------------------------------------

function accept(value) {
  if (!value || value.request <= latest) return; // none yet, or a late answer
  const begun = waiting === "begin";
  latest = value.request;
  waiting = "";
  part("refusal").textContent = value.refusal || "";
  if (value.refusal) { queue = []; releaseAll(); element.dataset.request = latest; return; }
  if (value.message) return refuse(value.message);
  if (value.since > frames.length) return send("refresh"); // an answer was lost: everything again
  if (value.setup) setup = value.setup;
  if (value.setup && !begun) { held.clear(); queue = []; } // of the drive before
  const fresh = value.since === 0, undone = frames.length > value.since && !value.frames.length;
  frames.length = value.since;
  for (const one of value.frames) frames.push({ ...one, model: picture(one.model), physics: one.physics && picture(one.physics) });
  if (value.setup || undone) open = queue.at(-1)?.[1].fingers ?? (frames[last()].fingers >= 0.5 ? 1 : 0);
  if (value.setup) for (const one of drive.querySelectorAll("[data-steers]")) one.hidden = !!setup.free; // free: nothing steers it
  if (value.setup) repeat();
  if (value.gif) save(value.gif);
  if (fresh || value.frames.length || view > last()) { stop(); view = last(); }
  part("message").textContent = "";
  part("content").hidden = false;
  part("note").textContent = value.note;
  part("next").hidden = !setup.free;
  part("path").hidden = !frames.some((f) => f.pixel);
  const hasPhysics = frames.some((f) => f.physics);
  if (value.setup || part("truth").hidden === hasPhysics) resize();
  else draw();
  const reel = part("reel");
  if (value.frames.length) reel.scrollLeft = reel.scrollWidth;
  element.dataset.request = value.request; // what is on screen now, for tests
  if (value.starting) setTimeout(() => latest === value.request && !waiting && send("refresh"), 700);
  else if (hasPhysics && frames.some((f) => !f.physics)) send("refresh"); // the physics has caught up with what was driven before
  if (!held.size) announce();
  if (!queue.length) window.links?.drove(written(frames.slice(setup.n_past)));
  next();
}

function refuse(text) {
  frames = []; setup = null; stop(); held.clear(); queue = [];
  part("content").hidden = true;
  part("message").textContent = text;
  element.dataset.request = latest;
}

function picture(pixels) { // raw RGB in base64, or RGBA
  const raw = typeof pixels === "string" ? atob(pixels) : "", [w, h] = setup.size, image = new ImageData(w, h);
  if (typeof pixels !== "string") image.data.set(pixels);
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
const isGiven = (t) => t < setup.n_past;
const steps = () => frames.length - (setup ? setup.n_past : 0);

// --- presses --------------------------------------------------------------------------------------------------------

function send(what, data = {}) {
  if (waiting && performance.now() - sent < TIMEOUT) {
    if (what !== "refresh") queue.push([what, data]);
    return;
  }
  waiting = what;
  sent = performance.now();
  if (what === "begin") trigger("submit", {});
  else if (what === "save") trigger("download", {});
  else press({ drive: setup.drive, what, ...data });
}

function press(data) {
  server.press(data).then((value) => {
    if (data.drive !== setup?.drive) return; // another drive has begun meanwhile
    waiting = "";
    if (value) return accept(value);
    part("refusal").textContent = "The server could not be reached. Please try again."; // Gradio's client keeps the reason to itself
    queue = [];
    releaseAll();
  });
}

// --- what was driven, in the address: a step is two digits of moves and fingers, or o for the clip's own action; x3: three times

const CODES = {
  step: ({ move, fingers }) => (2 * move.reduce((code, x) => 5 * code + 2 * x + 2, 0) + fingers).toString(16).padStart(2, "0"),
  replay: () => "o",
};

function written(taken) {
  const runs = [];
  for (const code of taken.map(({ press }) => CODES[press.what](press))) if (runs.at(-1)?.[0] === code) runs.at(-1)[1] += 1; else runs.push([code, 1]);
  return runs.map(([code, times]) => code + (times > 1 ? "x" + times : "")).join("-");
}

// Take the steps that the address names, once, from where the drive begins.
function repeat() {
  const text = window.links?.driven(), steps = [];
  if (!text) return;
  for (const [code, times = "1"] of text.split("-").map((run) => run.split("x"))) {
    const number = /^[0-9a-f]{2}$/.test(code) ? parseInt(code, 16) : NaN;
    if (!(code === "o" || number < 250) || !/^\d{1,3}$/.test(times) || steps.length + Number(times) > 120) {
      part("refusal").textContent = "The actions in this address cannot be read.";
      return;
    }
    const move = [50, 10, 2].map((place) => (Math.floor(number / place) % 5) / 2 - 1);
    if (code !== "o") open = number % 2;
    for (let i = 0; i < Number(times); i++) steps.push(code === "o" ? ["replay", {}] : ["step", { move, fingers: number % 2 }]);
  }
  queue = steps;
}

function go(move) {
  const stride = Number(part("stride").value);
  stop();
  send("step", { move: move.map((x) => Math.max(-1, Math.min(1, x)) * stride), fingers: open });
}

function next() {
  clearTimeout(timer);
  if (queue.length) return send(...queue.shift());
  if (held.size) timer = setTimeout(() => { if (held.size && !waiting) go(sum()); }, Math.max(0, (setup.pace ?? PACE) - (performance.now() - sent)));
}

const sum = () => [...held.values()].reduce((a, b) => a.map((x, i) => x + b[i]), [0, 0, 0]);

function hold(name, move) {
  if (!setup || held.has(name)) return;
  held.set(name, move);
  paintHeld();
  if (!waiting) { // the second arrow of a diagonal comes a moment later
    clearTimeout(timer);
    timer = setTimeout(() => go(held.size ? sum() : move), name.startsWith("Arrow") && held.size === 1 ? Math.min(30, setup.pace ?? PACE) : 0);
  } else go(sum());
}

function release(name) { if (held.delete(name)) { paintHeld(); if (!held.size && !waiting) announce(); } }

function releaseAll() { held.clear(); paintHeld(); }

function paintHeld() {
  const now = held.size ? sum().map(Math.sign).join() : "";
  for (const button of drive.querySelectorAll("[data-move]")) button.classList.toggle("held", button.dataset.move === now);
}

function fingers() { if (setup) { open = 1 - open; go([0, 0, 0]); } }

document.addEventListener("drive-refused", () => { // the reason is on the page already
  if (!element.isConnected) return;
  waiting = ""; queue = []; releaseAll();
});

function announce() {
  if (!setup || !frames.length) return;
  const now = frames[last()], [x, y, z] = now.position.map((v) => v.toFixed(2));
  part("status").textContent = "Step " + steps() + "." + (setup.free ? "" : " Gripper at x " + x + ", y " + y + ", height " + z + ", fingers "
    + (now.fingers >= 0.5 ? "open" : "closed") + (now.psnr_text ? "; " + now.psnr_text + " decibel from the true physics." : "."));
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

function restart() { stop(); releaseAll(); queue = []; send("begin"); }

for (const button of drive.querySelectorAll("[data-move]")) {
  const move = button.dataset.move.split(",").map(Number), name = "pad " + button.dataset.move;
  button.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    button.setPointerCapture(event.pointerId);
    hold(name, move);
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) button.addEventListener(end, () => release(name));
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  button.addEventListener("click", (event) => { if (event.detail === 0 && setup) go(move); }); // by keyboard or screen reader
}
for (const button of drive.querySelectorAll("[data-do]"))
  button.addEventListener("click", () => { if (setup) { releaseAll(); send(button.dataset.do); } });
part("fingers").addEventListener("click", fingers);
part("restart").addEventListener("click", restart);
part("play").addEventListener("click", play);
part("path").addEventListener("click", () => {
  part("path").setAttribute("aria-pressed", String(part("path").getAttribute("aria-pressed") !== "true"));
  draw();
});
window.takeKeys?.(drive);
part("views").addEventListener("click", () => drive.focus());
part("strip").addEventListener("click", (event) => {
  stop();
  view = Math.max(0, Math.min(last(), Math.floor((event.clientX - part("strip").getBoundingClientRect().left) / column)));
  draw();
});
drive.addEventListener("keydown", (event) => {
  const tag = event.target.tagName, key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (!setup || tag === "SELECT" || event.ctrlKey || event.altKey || event.metaKey) return;
  if (key === " " && tag !== "DIV") return; // presses the button
  const once = { Backspace: () => send("undo"), r: restart, p: play, ...(setup.free ? {} : { o: () => send("replay"), f: fingers }) };
  if (KEYS[key] && (key === " " || !setup.free)) hold(key, KEYS[key]);
  else if (once[key]) { if (!event.repeat || key === "Backspace" || key === "o") if (!waiting || !event.repeat) once[key](); }
  else return;
  event.preventDefault();
});
drive.addEventListener("keyup", (event) => release(event.key.length === 1 ? event.key.toLowerCase() : event.key));
drive.addEventListener("focusout", (event) => { if (!drive.contains(event.relatedTarget)) releaseAll(); });
window.addEventListener("blur", releaseAll);

let seen = false;
function appear() { // a drive begins when the tab is seen, also where it was refused before
  const visible = drive.clientWidth > 0;
  if (visible && !seen && !setup && !waiting) send("begin");
  seen = visible;
  resize();
}
const sizes = new ResizeObserver(appear);
sizes.observe(drive);
sizes.observe(part("views"));
new MutationObserver(() => { styles.clear(); draw(); }).observe(document.body, { attributes: true, attributeFilter: ["class"] });
watch("value", () => accept(props.value));
accept(props.value);
