// The model in the visitor's browser, away from the page: ONNX Runtime, the noise, the scores, and the state of a drive.
// Asked by messages {id, what, …}; every answer carries the id. A newer prediction ends an older one.
import { fetched, readJson } from "./fetching.mjs";
import { keyOf, normals } from "./philox.mjs";
import { diversity, floats, meanAndSpread, rgba, scorer } from "./scores.mjs";

const RUNTIME = new URL("../runtime/", import.meta.url).href;
let ort = null, works = false, predicting = 0, drive = null; // works: a model has been opened
const models = new Map(); // folder -> promise of {about, context, step}, so that two who ask load once

async function runtime() {
  if (ort) return ort;
  ort = await import(RUNTIME + "ort.wasm.bundle.min.mjs");
  ort.env.wasm.numThreads = 1; // more would need headers that plain hosting does not send
  ort.env.wasm.wasmPaths = RUNTIME;
  return ort;
}

async function bytes(url, told) {
  const parts = [], reader = (await fetched(url)).body.getReader();
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    parts.push(value);
    told(value.length);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

function load(folder, told) {
  if (!models.has(folder)) {
    models.set(folder, open(folder, told));
    models.get(folder).catch(() => models.delete(folder)); // a network may come back
  }
  return models.get(folder);
}

async function open(folder, told) {
  const about = await readJson(folder + "model.json"), files = Object.values(about.files)[0], sessions = {};
  const { InferenceSession } = await runtime();
  let received = 0;
  for (const [name, file] of Object.entries(files)) {
    const graph = await bytes(folder + file.file, (count) => told(received += count));
    sessions[name] = await InferenceSession.create(graph, { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
    works = true;
  }
  return { about, ...sessions };
}

// --- tensors --------------------------------------------------------------------------------------------------------

function joined(each) {
  const data = new Float32Array(each.length * each[0].length);
  each.forEach((one, i) => data.set(one, i * one.length));
  return data;
}

const batch = (each, shape) => new ort.Tensor("float32", joined(each), [each.length, ...shape]);

const sizeOf = (about) => about.z_shape.reduce((a, b) => a * b);
const drawn = (about, { seed, sample, clip, temperature }, draw) =>
  normals(keyOf(seed, sample, clip), draw, sizeOf(about)).map((v) => v * temperature);

// The state of futures of one clip after its context, which is looked at once for all of them.
// futures: [{seed, sample, clip, temperature}]; given: {frames, conditions: of the frames}
async function begin(model, given, futures) {
  const { about } = model, wanted = model.context.inputNames, warm = about.n_past - 1;
  const feeds = { rows: new ort.Tensor("int64", new BigInt64Array(futures.length), [futures.length]) };
  feeds.frames = batch([joined(given.frames.slice(0, about.n_past).map((picture) => floats(picture)))], [about.n_past, ...pictureShape(about)]);
  if (wanted.includes("eps"))
    feeds.eps = batch(futures.map((future) => joined(Array.from({ length: warm }, (_, t) => drawn(about, future, t)))), [warm, ...about.z_shape]);
  if (wanted.includes("conditions")) feeds.conditions = batch([given.conditions.slice(0, warm).flat()], [warm, 7]);
  return model.context.run(feeds);
}

const pictureShape = ({ frame: { channels, height, width } }) => [channels, height, width];

// The next frames and the state after them. known: what is known about the step (numbers, or an RGBA picture of a pose);
// eps: of each future. What comes back of each: {frame, mu, logvar}.
async function step(model, state, known, eps) {
  const { about } = model, { kind } = about.conditions, feeds = { ...state, eps: batch(eps, about.z_shape) };
  if (kind === "actions") feeds.conditions = batch(eps.map(() => known), [7]);
  if (kind === "poses") { const pose = floats(known); feeds.conditions = batch(eps.map(() => pose), pictureShape(about)); }
  const made = await model.step.run(feeds), after = { ...state };
  for (const name of Object.keys(state)) if (made["next_" + name]) after[name] = made["next_" + name];
  const part = (name, i) => made[name]?.data.subarray((i * made[name].size) / eps.length, ((i + 1) * made[name].size) / eps.length);
  return { each: eps.map((_, i) => ({ frame: part("frame", i), mu: part("mu", i), logvar: part("logvar", i) })), state: after };
}

const pause = () => new Promise((done) => { // lets messages in
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => { port1.close(); done(); };
  port2.postMessage(0);
});

// --- what is asked for ----------------------------------------------------------------------------------------------

async function predict(id, { folder, given, seed, temperature, samples, frames }) {
  const mine = (predicting = id), model = await load(folder, () => {}), { about } = model;
  const area = about.frame.height * about.frame.width, count = temperature > 0 ? samples : 1;
  const futures = Array.from({ length: count }, (_, sample) => ({ seed, sample, clip: given.id, temperature })), groups = [];
  for (let i = 0; i < count; i += about.at_once) groups.push({ futures: futures.slice(i, i + about.at_once) });
  for (const group of groups) group.state = await begin(model, given, group.futures);
  const score = scorer(given.frames, about.n_past, about.frame, about.protocol), last = floats(given.frames[about.n_past - 1]);
  for (let t = about.n_past; t < about.n_past + frames; t++) {
    const made = [], known = given.conditions && given.conditions[t - about.conditions.lag];
    for (const group of groups) {
      const { each, state } = await step(model, group.state, known, group.futures.map((future) => drawn(about, future, t - 1)));
      group.state = state;
      made.push(...each.map(({ frame }) => frame));
    }
    const samples = made.map((frame) => ({ pixels: rgba(frame, area), scores: score(t, frame) })), copied = score(t, last);
    let together = null; // what several samples are
    if (count > 1) {
      const { average, spread } = meanAndSpread(samples.map(({ pixels }) => pixels));
      together = { mean: { pixels: average, scores: score(t, floats(average)) }, spread, diversity: diversity(made) };
    }
    await pause();
    if (predicting !== mine) return { ended: true };
    postMessage({ id, t, samples, together, copied }, samples.map(({ pixels }) => pixels.buffer));
  }
  return {};
}

async function drives(id, { act, folder, given, seed, temperature, known, pushed }) {
  if (act === "begin") {
    const model = await load(folder, () => {}), future = { seed, sample: 0, clip: given.id, temperature };
    drive = { model, future, steps: 0, states: [await begin(model, given, [future])] };
    return;
  }
  const { model, future, states } = drive, { about } = model;
  if (act === "undo") { if (states.length > 1) { states.pop(); drive.steps -= 1; } return; }
  const eps = drawn(about, future, about.n_past - 1 + drive.steps);
  const each = eps.length / about.z_shape[0];
  for (const [dimension, sigmas] of Object.entries(pushed ?? {})) eps.fill(sigmas, dimension * each, (Number(dimension) + 1) * each);
  const { each: [made], state } = await step(model, states.at(-1), known, [eps]), area = about.frame.height * about.frame.width;
  states.push(state);
  drive.steps += 1;
  if (about.conditions.kind === "poses") states.shift(); // a dancer is dragged without an end and without undo
  const average = (values) => values && Array.from({ length: about.z_shape[0] }, (_, d) =>
    values.subarray(d * each, (d + 1) * each).reduce((a, b) => a + b) / each);
  const sigma = made.logvar && average(made.logvar.map((v) => Math.exp(v / 2)));
  return { pixels: rgba(made.frame, area), mu: average(made.mu), sigma, eps: average(eps) };
}

const ACTS = {
  load: async (id, { folder }) => { await load(folder, (received) => postMessage({ id, received })); },
  predict,
  drive: drives,
  stop: async () => { predicting = 0; },
};
let before = Promise.resolve(); // a drive's steps come one after the other
onmessage = ({ data: { id, what, ...rest } }) => {
  const run = () => ACTS[what](id, rest).then((answer) => postMessage({ id, answer }), (error) => postMessage({ id, error: String(error.message ?? error), useless: !works })); // the runtime keeps a failed start
  if (what === "drive") before = before.then(run);
  else run();
};
