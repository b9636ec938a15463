// What the worker imagines, as values of the clip player: tiles, sheets drawn here, the choice of samples, the scores.
import { psnr } from "./scores.mjs";

const COLUMNS = 25; // cells of a row in a sheet

// A clip as the worker and the player take it: {id, frames: RGBA pictures, poses, conditions, sheet …}.
export async function readClip(path) {
  const clip = await (await fetch(path)).json();
  const cells = async (sheet) => {
    const image = new Image();
    image.src = sheet.url;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height), context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    const at = (t) => [(t % sheet.columns) * clip.width, Math.floor(t / sheet.columns) * clip.height, clip.width, clip.height];
    return Array.from({ length: sheet.frames }, (_, t) => context.getImageData(...at(t)).data);
  };
  clip.pictures = await cells(clip.sheet);
  clip.poses = clip.pose_sheet ? await cells(clip.pose_sheet) : null;
  return clip;
}

export const givenTo = (clip) => ({ id: clip.id, frames: clip.pictures, conditions: clip.poses ?? clip.conditions });

function sheetOf(pictures, width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = COLUMNS * width;
  canvas.height = Math.ceil(pictures.length / COLUMNS) * height;
  const context = canvas.getContext("2d"), sheet = { image: canvas, columns: COLUMNS, drawn: 0 };
  sheet.add = (more) => more.forEach((rgba) => {
    const t = sheet.drawn++;
    context.putImageData(new ImageData(rgba, width, height), (t % COLUMNS) * width, Math.floor(t / COLUMNS) * height);
  });
  sheet.add(pictures.filter(Boolean));
  return sheet;
}

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const text = (values) => {
  const known = values.filter((v) => v !== null);
  return !known.length ? "–" : mean(known) === Infinity ? "∞" : mean(known).toFixed(2) + " dB";
};

const overSamples = (lines) => ({
  ["PSNR, average of " + lines.length]: text(lines.flat()),
  ["best of " + lines.length]: text(lines.reduce((a, b) => (mean(b) > mean(a) ? b : a))),
});

// The words that tell runs apart, as vidpred.explorer.runs.comparison.short_names has them.
function shortNames(names) {
  const words = names.map((name) => name.split("-")), shared = words[0].filter((word) => words.every((others) => others.includes(word)));
  const short = words.map((each, i) => each.filter((word) => !shared.includes(word)).join("-") || names[i]);
  return new Set(short).size === names.length ? short : names;
}

// The futures of several runs for one clip, while they grow and when they are done.
export class Futures {
  constructor(clip, runs, { seed, temperature, samples, frames }) {
    Object.assign(this, { clip, runs, seed, temperature, frames, n_past: runs[0].n_past, protocol: runs[0].protocol });
    const count = temperature > 0 ? samples : 1, whole = this.n_past + frames, given = clip.pictures.slice(0, this.n_past);
    const sheet = (pictures) => { const made = sheetOf(Array(whole).fill(null), clip.width, clip.height); made.add(pictures); return made; };
    this.known = clip.pictures.length >= whole;
    this.truth = this.known ? sheet(clip.pictures.slice(0, whole)) : null;
    this.poses = clip.poses ? sheet(clip.poses.slice(0, whole)) : null;
    this.each = runs.map((run) => ({ run, samples: Array.from({ length: count }, () => ({ sheet: sheet(given), pictures: [], psnr: [] })) }));
    const area = clip.width * clip.height, last = given.at(-1), floats = new Float32Array(3 * area);
    for (let c = 0; c < 3; c++) for (let i = 0; i < area; i++) floats[c * area + i] = last[4 * i + c] / 255;
    this.copied = this.known ? clip.pictures.slice(this.n_past, whole).map((frame) => psnr(floats, frame, area, this.protocol)) : [];
  }

  add(number, made) {
    made.forEach(({ pixels, psnr }, k) => {
      const sample = this.each[number].samples[k];
      sample.sheet.add([pixels]);
      sample.pictures.push(pixels);
      sample.psnr.push(psnr);
    });
  }

  get done() { return Math.min(...this.each.map(({ samples }) => samples[0].psnr.length)); }

  // The mean picture of the samples, rounded to nearest even, and its score.
  average({ samples }) {
    const { width, height } = this.clip, area = width * height, pictures = [], scores = [];
    for (let t = 0; t < samples[0].pictures.length; t++) {
      const out = new Uint8ClampedArray(4 * area).fill(255), floats = new Float32Array(3 * area);
      for (let i = 0; i < area; i++) for (let c = 0; c < 3; c++) {
        out[4 * i + c] = mean(samples.map((sample) => sample.pictures[t][4 * i + c])); // a clamped array rounds ties to even
        floats[c * area + i] = out[4 * i + c] / 255;
      }
      pictures.push(out);
      scores.push(this.known ? psnr(floats, this.clip.pictures[this.n_past + t], area, this.protocol) : null);
    }
    const sheet = sheetOf(Array(this.n_past + pictures.length).fill(null), width, height);
    sheet.add([...this.clip.pictures.slice(0, this.n_past), ...pictures]);
    return { sheet, psnr: scores };
  }

  // What the player draws. Frames that some run has not yet imagined are left out.
  value(request, at) {
    const { clip, n_past } = this, shown = this.done, finished = shown === this.frames, tiles = [], sheets = [], clips = [];
    const place = ({ image, columns }) => { sheets.push({ image, columns }); clips.push([sheets.length - 1, 0]); return clips.length - 1; };
    const still = (kind, label, sheet) => tiles.push({ kind, label, clips: [place(sheet)], of: null, on: true, colour: null, scores: {}, means: {}, over_samples: {} });
    if (this.poses) still("pose", "Pose", this.poses);
    if (this.truth) still("truth", "Truth", this.truth);
    const count = this.each[0].samples.length, several = finished && count > 1;
    const labels = shortNames(this.runs.map(({ name }) => name));
    for (const [number, { run, samples }] of this.each.entries()) {
      const each = [...samples];
      if (several) {
        const score = ({ psnr }) => mean(psnr.map((v) => v ?? 0));
        each.push(samples.reduce((a, b) => (score(b) > score(a) ? b : a)), this.average({ samples }));
      }
      const lines = each.map(({ psnr }) => psnr.slice(0, shown)), scored = this.known;
      tiles.push({
        kind: "prediction", label: this.runs.length > 1 ? labels[number] : "Prediction", clips: each.map(({ sheet }) => place(sheet)), of: null, on: true,
        colour: this.runs.length > 1 ? run.colour : null,
        scores: scored ? { PSNR: lines.map((line) => [...Array(n_past).fill(null), ...line]) } : {},
        means: scored ? { PSNR: lines.map(text) } : {}, over_samples: scored && count > 1 ? overSamples(lines.slice(0, count)) : {},
      });
    }
    if (this.truth && this.runs.length === 1)
      tiles.push({ kind: "error", label: "Error", clips: [], of: tiles.length - 1, on: true, colour: null, scores: {}, means: {}, over_samples: {} });
    const choices = Array.from({ length: count }, (_, k) => ({ key: String(k), label: "sample " + k }));
    if (several) choices.push({ key: "best", label: "best of " + count }, { key: "mean", label: "mean picture" });
    const copied = this.copied.slice(0, shown), last = n_past + shown - 1;
    return {
      request, at, sheets, clips, tiles, choices, samples: count, n_past, frames: n_past + shown, tile_width: clip.width, tile_height: clip.height,
      copied: this.known ? { PSNR: [...Array(n_past).fill(null), ...copied] } : {}, copied_means: this.known ? { PSNR: text(copied) } : {},
      units: { PSNR: "dB" }, digits: { PSNR: 2 }, numbers: [], note: this.known ? "" : "The true frames of this sequence are not known: nothing to compare with.",
      protocol: (this.protocol === "finn" ? "finn: per channel" : "joint: all channels together") + ", frames " + n_past + "…" + last
        + "; seed " + this.seed + ", temperature " + this.temperature + "; imagined in this page",
    };
  }
}
