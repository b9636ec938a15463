// The exported page: stored predictions, and the model itself in a worker. What is looked at stands in the address.
import { Futures, givenTo, readClip } from "./imagine.mjs";
import { prepareDrive } from "./drive.mjs";
import { readJson } from "./fetching.mjs";

const byId = (id) => document.getElementById(id);
const asked = new URLSearchParams(location.search);
const SIMD = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11]);
const MOST_OTHERS = 3; // runs beside the chosen one
const SLOW = 300; // milliseconds after which it is said what is waited for
const megabytes = (bytes) => (bytes / 1e6).toFixed(1) + " MB";

// What Gradio hands to a component's script: its element, its value, and a way to be told of new ones.
function mount(name, trigger = () => {}, server = {}) {
  const listeners = [], props = { value: null };
  new Function("element", "props", "watch", "trigger", "server", byId(name + "-code").value)(
    byId(name + "-host"), props, (what, listener) => listeners.push(listener), trigger, server);
  return (value) => { props.value = value; listeners.forEach((listener) => listener()); };
}
const showClip = mount("player");
export const showCurves = mount("chart");

// --- the worker -----------------------------------------------------------------------------------------------------

let worker = null, messages = 0;
const waiting = new Map(); // id -> {resolve, reject, told}
const loaded = new Set(); // folders of runs

function discard(reason) { // a worker that did not come up stays so: the next question starts another
  worker.terminate();
  worker = null;
  loaded.clear();
  for (const one of waiting.values()) one.reject(new Error(reason));
  waiting.clear();
}

function ask(what, data = {}, told = () => {}) {
  if (!worker) {
    worker = new Worker("live/worker.mjs", { type: "module" });
    worker.onmessage = ({ data: { id, ...rest } }) => {
      const one = waiting.get(id);
      if (!one) return;
      if (!("answer" in rest) && !("error" in rest)) return one.told(rest);
      if (rest.useless) return discard(rest.error);
      waiting.delete(id);
      if ("error" in rest) one.reject(new Error(rest.error)); else one.resolve(rest.answer);
    };
    worker.onerror = (event) => discard(event.message || "the worker could not start");
  }
  const id = ++messages;
  return new Promise((resolve, reject) => { waiting.set(id, { resolve, reject, told }); worker.postMessage({ id, what, ...data }); });
}

async function load(run, wanted = () => true) { // wanted: whether the visitor still waits for it
  if (loaded.has(run.folder)) return;
  requireOwn();
  const whole = run.bytes + (loaded.size ? 0 : menuOfRuntime.bytes), began = performance.now();
  say("Loading " + run.name + ", " + megabytes(whole) + " …", "passing");
  await ask("load", { folder: new URL(run.folder, location.href).href }, ({ received }) => {
    if (wanted()) progress(megabytes(received) + " of " + megabytes(run.bytes));
  });
  loaded.add(run.folder);
  document.body.dataset.loaded = ((performance.now() - began) / 1000).toFixed(2); // seconds, for tests and measurements
  weigh();
}

// --- menus and the address ------------------------------------------------------------------------------------------

let menu = null, menuOfRuntime = null, request = 0, views = 0, clips = new Map(), busy = 0;
let landed = null; // frame of the stored film that stands in for a later one, which the address names
const progress = (text) => { byId("live-progress").textContent = text; }; // not for screen readers, which would read each
function say(text, kind = "") { // "passing": of what is under way; "problem"
  byId("live-status").textContent = text;
  byId("live-status").className = kind;
  progress("");
}
const unsay = () => { if (byId("live-status").className) say(""); }; // what was asked for is there
const run = () => ({ name: byId("run").value, ...menu[byId("run").value], ...menu[byId("run").value].live });
const usual = ({ kind, n_future, longest }) => ({ seed: 0, temperature: 1, samples: kind === "poses" ? 1 : 5, frames: Math.min(n_future, longest) });
const numbers = () => Object.fromEntries(["seed", "temperature", "samples", "frames"].map((name) => [name, Number(byId(name).value)]));
const compared = () => [...byId("compare").querySelectorAll("input:checked")].map((box) => ({ name: box.value, ...menu[box.value].live }));

function options(select, names) {
  select.replaceChildren(...names.map((name) => {
    const option = document.createElement("option");
    option.value = option.textContent = name;
    return option;
  }));
}

const stage = () => document.querySelector("#player-host [data-part=stage]");

function keep() {
  const state = { run: byId("run").value, clip: byId("clip").value };
  if (menu[state.run].live) Object.assign(state, numbers());
  const frame = stage().dataset.frame;
  if (frame && frame !== landed) asked.delete("frame"); // someone has moved on
  const kept = asked.get("frame") ?? frame;
  if (kept) state.frame = kept;
  const address = new URLSearchParams(state);
  for (const { name } of compared()) address.append("with", name); // a name may hold any sign
  history.replaceState(null, "", "?" + address);
}

function limit() { // as many as can be told apart
  const full = compared().length >= MOST_OTHERS;
  for (const box of byId("compare").querySelectorAll("input")) box.disabled = full && !box.checked;
}

async function clipOf(chosen, name) {
  const path = chosen.clips[name];
  if (!clips.has(path)) {
    requireOwn();
    clips.set(path, await readClip(path));
  }
  return clips.get(path);
}

function weigh() { // what a run costs, before it is loaded
  if (!menuOfRuntime) return;
  const wanted = [run(), ...compared()].filter((one) => one.folder && !loaded.has(one.folder));
  const bytes = wanted.reduce((sum, one) => sum + one.bytes, 0) + (loaded.size ? 0 : menuOfRuntime.bytes);
  const packed = wanted.reduce((sum, one) => sum + one.gzip_bytes, 0) + (loaded.size ? 0 : menuOfRuntime.gzip_bytes);
  byId("weight").textContent = wanted.length
    ? "Predict loads " + megabytes(bytes) + " (" + megabytes(packed) + " where the server compresses): the runtime once, then each run; kept for next time."
    : "Loaded: nothing more to fetch.";
}

function stored() {
  const mine = ++views, clip = byId("clip").value, current = () => mine === views;
  stop();
  say("");
  keep();
  if (newer) return location.reload();
  let came = false;
  setTimeout(() => { if (current() && !came) showClip({ request: ++request, message: "Loading " + clip + " …" }); }, SLOW);
  readJson(menu[byId("run").value].views[clip]).then((value) => {
    came = true;
    if (!current()) return;
    const named = asked.get("frame"), at = /^\d{1,6}$/.test(named) ? Number(named) : null; // that a link names, once
    landed = at >= value.frames ? String(value.frames - 1) : null;
    if (landed === null) asked.delete("frame");
    showClip({ ...value, request: ++request, ...(at === null ? {} : { at }) });
    if (!run().folder) return;
    const first = usual(run()), chosen = numbers(); // stored is what the app shows at first
    if (compared().length || Object.keys(first).some((name) => chosen[name] !== first[name]))
      say("Stored: seed 0, temperature 1, " + (value.frames - value.n_past) + " frames. Predict draws what is chosen here.");
  }).catch(() => { came = true; if (current()) showClip({ request: ++request, message: "This clip could not be loaded." }); });
}

function chooseRun() {
  const name = byId("run").value, chosen = menu[name], before = byId("clip").value || asked.get("clip");
  options(byId("clip"), Object.keys(chosen.views));
  if (Object.hasOwn(chosen.views, before)) byId("clip").value = before;
  byId("about").textContent = chosen.about;
  byId("live").hidden = !chosen.live;
  drive.choose(chosen.live ? run() : null);
  if (chosen.live) {
    const { samples, frames } = usual(chosen.live);
    byId("frames").max = chosen.live.longest;
    byId("frames").value = asked.get("frames") ?? frames;
    byId("samples").value = asked.get("samples") ?? samples;
    offer(asked.getAll("with").flatMap((other) => (menu[other] ? other : other.split(" ")))); // as older links have them
  }
  stored();
}

function offer(ticked) { // runs that can continue the same clip from as many frames
  const chosen = run(), clip = byId("clip").value;
  const alike = Object.entries(menu).filter(([name, { live }]) => name !== chosen.name && live && live.n_past === chosen.n_past && Object.hasOwn(live.clips, clip));
  byId("compare").hidden = !alike.length;
  byId("compare").querySelector("div").replaceChildren(...alike.map(([name]) => {
    const label = document.createElement("label"), box = document.createElement("input");
    box.type = "checkbox";
    box.value = name;
    box.checked = ticked.includes(name);
    label.append(box, " " + name);
    return label;
  }));
  limit();
  weigh();
}

// --- predict and compare --------------------------------------------------------------------------------------------

function stop() { busy += 1; if (worker) ask("stop"); byId("predict").textContent = "Predict"; delete byId("predict").dataset.running; }

async function predict() {
  if (byId("predict").dataset.running) {
    stop();
    if (!document.activeElement?.matches("#settings input")) return say("Stopped."); // Enter in a field asks anew
  }
  if (!byId("settings").reportValidity()) return;
  const mine = ++busy, wanted = () => mine === busy, runs = [run(), ...compared().slice(0, MOST_OTHERS)], settings = numbers();
  keep();
  const goal = landed === null ? Infinity : Number(asked.get("frame")); // where a link wants to be
  let newest = null; // frame that the player was put to
  byId("predict").dataset.running = "yes";
  byId("predict").textContent = "Stop";
  try {
    const clip = await clipOf(run(), byId("clip").value);
    settings.frames = Math.min(settings.frames, (clip.poses ?? clip.conditions ?? clip.pictures).length - runs[0].n_past);
    const futures = new Futures(clip, runs, settings);
    for (const one of runs) if (wanted()) await load(one, wanted);
    if (!wanted()) return;
    let drawn = 0, next = 0, seconds = 0;
    const began = performance.now();
    for (const [number, one] of runs.entries()) {
      say("Predicting" + (runs.length > 1 ? " " + one.name : "") + " …", "passing");
      const answer = await ask("predict", { folder: new URL(one.folder, location.href).href, given: givenTo(clip), ...settings }, ({ t, ...made }) => {
        if (!wanted()) return;
        futures.add(number, made);
        progress("frame " + t + " of " + (runs[0].n_past + settings.frames - 1));
        if (number === runs.length - 1 && (performance.now() > next || futures.done === settings.frames)) {
          drawn = performance.now();
          views += 1; // a stored film that comes now comes late
          landed = null;
          const moved = newest !== null && stage().dataset.frame !== String(newest); // someone looks at another frame
          if (!moved) newest = Math.min(goal, futures.n_past + futures.done - 1);
          showClip(futures.value(++request, moved ? undefined : newest));
          // a slow machine's drawing does not take the processor from what is to be drawn
          next = performance.now() + Math.max(100, 4 * (performance.now() - drawn));
        }
      });
      if (answer.ended || !wanted()) return;
    }
    seconds = (performance.now() - began) / 1000;
    const count = runs.length * settings.frames * futures.each[0].samples.length;
    document.body.dataset.took = seconds.toFixed(3);
    say(count + " frames in " + seconds.toFixed(1) + " s, in this page: " + (count / seconds).toFixed(0) + " a second.");
    document.body.dataset.predicted = request; // for tests
  } catch (error) {
    if (wanted()) say("This did not work: " + error.message, "problem");
  } finally {
    if (wanted()) stop();
  }
}

// --- the beginning --------------------------------------------------------------------------------------------------

const drive = prepareDrive({ ask, mount, load, clipOf, say, unsay, numbers, valid: () => byId("settings").reportValidity(), clip: () => byId("clip").value });

// Another export has taken the place of this one, and its files have the same names. A page that nobody has touched opens
// anew, once; one in use says so, and keeps what it shows until something else is chosen.
let newer = false;
const requireOwn = () => { if (newer) throw new Error("there is a newer version of this page, with other files"); };
function replaced() {
  newer = true;
  if (navigator.userActivation?.hasBeenActive === false && !sessionStorage.renewed) {
    sessionStorage.renewed = "yes"; // a host that sends old and new files in turn shall not turn the page round for ever
    location.reload();
    return;
  }
  const button = Object.assign(document.createElement("button"), { type: "button", className: "plain", textContent: "Open it" });
  button.addEventListener("click", () => location.reload());
  byId("newer").replaceChildren("There is a newer version of this page. ", button);
}

async function offline() { // what is fetched from now on is kept, where the page is allowed to keep anything
  if (!navigator.serviceWorker) return;
  const own = new URL("sw.js", location.href).href, controller = () => navigator.serviceWorker.controller?.scriptURL;
  let before = controller(); // none at the first visit, and of a page in a folder of another one's that one's
  navigator.serviceWorker.addEventListener("controllerchange", () => { if (before === own) replaced(); before = controller(); });
  if (!await navigator.serviceWorker.register("sw.js").catch(() => null)) return;
  if (!navigator.serviceWorker.controller) await Promise.race([
    new Promise((done) => navigator.serviceWorker.addEventListener("controllerchange", done, { once: true })),
    new Promise((done) => setTimeout(done, 2000)),
  ]);
}

async function begin() {
  await offline();
  menu = await readJson("views/menu.json");
  if (Object.values(menu).some(({ live }) => live)) menuOfRuntime = await readJson("live/runtime.json");
  if (!WebAssembly.validate(SIMD)) {
    for (const one of Object.values(menu)) delete one.live;
    byId("missing").textContent = "This browser has no WebAssembly SIMD: the model cannot run here. What is shown was computed before.";
  }
  options(byId("run"), Object.keys(menu));
  byId("run").value = Object.hasOwn(menu, asked.get("run")) ? asked.get("run") : Object.keys(menu).find((name) => menu[name].first);
  byId("seed").value = asked.get("seed") ?? 0;
  byId("temperature").value = asked.get("temperature") ?? 1;
  chooseRun();
  byId("run").addEventListener("change", () => { for (const name of ["frames", "samples", "with", "frame"]) asked.delete(name); chooseRun(); });
  byId("clip").addEventListener("change", () => {
    asked.delete("frame");
    if (run().folder) offer(compared().map(({ name }) => name));
    stored();
    drive.choose(run().folder ? run() : null);
  });
  byId("settings").addEventListener("submit", (event) => { event.preventDefault(); predict(); });
  byId("settings").addEventListener("change", () => { limit(); keep(); weigh(); });
  let resting = 0; // not every frame of a film is written: browsers allow few, and each costs
  const rest = () => { clearTimeout(resting); resting = setTimeout(keep, 250); };
  new MutationObserver(rest).observe(stage(), { attributes: true, attributeFilter: ["data-frame"] });
  byId("copy").addEventListener("click", async () => {
    keep();
    const copied = await (navigator.clipboard?.writeText(location.href).then(() => true, () => false) ?? false); // without https there is none
    byId("address").hidden = copied;
    if (copied) {
      byId("copy").textContent = "Copied";
      setTimeout(() => { byId("copy").textContent = "Copy link"; }, 1500);
    } else {
      byId("address").value = location.href;
      byId("address").select();
    }
  });
  byId("address").addEventListener("blur", () => { byId("address").hidden = true; });
  readJson("views/curves.json").then(showCurves, () => { byId("chart-host").textContent = "The curves could not be loaded."; });
}
begin().catch((error) => showClip({ request: ++request, message: "This page could not be opened: " + error.message }));
