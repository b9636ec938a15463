// What the worker imagines, as values of the clip player: tiles, sheets drawn here, the choice of samples, the scores.
import { readJson } from "./fetching.mjs";

const COLUMNS = 25; // cells of a row in a sheet
// As vidpred.explorer.ui.player has them.
const UNITS = { PSNR: "dB", SSIM: "", Sharpness: "" }, DIGITS = { PSNR: 2, SSIM: 3, Sharpness: 2 };
const SCORES = Object.keys(UNITS), COLOURS = 8;

// A clip as the worker and the player take it: {id, frames: RGBA pictures, poses, conditions, sheet …}.
export async function readClip(path) {
  const clip = await readJson(path);
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
function text(name, values) {
  const known = values.filter((v) => !Number.isNaN(v));
  return !known.length ? "–" : mean(known) === Infinity ? "∞" : (mean(known).toFixed(DIGITS[name]) + " " + UNITS[name]).trim();
}
const best = (lines) => lines.reduce((found, line, k) => (mean(line.PSNR) > mean(lines[found].PSNR) ? k : found), 0);

// The words that tell runs apart, as vidpred.explorer.runs.comparison.short_names has them.
function shortNames(names) {
  const words = names.map((name) => name.split("-")), shared = words[0].filter((word) => words.every((others) => others.includes(word)));
  const short = words.map((each, i) => each.filter((word) => !shared.includes(word)).join("-") || names[i]);
  return new Set(short).size === names.length ? short : names;
}

// As vidpred.explorer.ui.run_colors.run_colours has them: a run's own one, or one that is free.
function coloursOf(runs) {
  const free = Array.from({ length: COLOURS }, (_, colour) => colour).filter((colour) => runs.every((run) => run.colour !== colour));
  return runs.map((run) => run.colour ?? free.shift());
}

// The futures of several runs for one clip, while they grow and when they are done.
export class Futures {
  constructor(clip, runs, { seed, temperature, samples, frames }) {
    Object.assign(this, { clip, runs, seed, temperature, frames, n_past: runs[0].n_past, protocol: runs[0].protocol, copied: [] });
    const count = temperature > 0 ? samples : 1, whole = this.n_past + frames, given = clip.pictures.slice(0, this.n_past);
    const sheet = (pictures) => { const made = sheetOf(Array(whole).fill(null), clip.width, clip.height); made.add(pictures); return made; };
    const film = (pictures) => ({ sheet: sheet(pictures), scores: [] });
    this.known = clip.pictures.length >= whole;
    this.truth = this.known ? sheet(clip.pictures.slice(0, whole)) : null;
    this.poses = clip.poses ? sheet(clip.poses.slice(0, whole)) : null;
    const still = given.map((picture) => picture.map((_, i) => (i % 4 === 3 ? 255 : 0))); // nothing is apart yet
    this.each = runs.map((run) => ({
      run, samples: Array.from({ length: count }, () => film(given)),
      mean: count > 1 ? film(given) : null, spread: count > 1 ? sheet(still) : null, diversity: [],
    }));
  }

  // What the worker has imagined of a frame.
  add(number, { samples, together, copied }) {
    const own = this.each[number], add = (film, { pixels, scores }) => { film.sheet.add([pixels]); film.scores.push(scores); };
    samples.forEach((sample, k) => add(own.samples[k], sample));
    if (together) {
      add(own.mean, together.mean);
      own.spread.add([together.spread]);
      own.diversity.push(together.diversity);
    }
    if (number === 0) this.copied.push(copied);
  }

  get done() { return Math.min(...this.each.map(({ samples }) => samples[0].scores.length)); }

  // What the player draws. Frames that some run has not yet imagined are left out.
  value(request, at) {
    const { clip, n_past, known } = this, shown = this.done, finished = shown === this.frames, tiles = [], sheets = [], clips = [];
    const place = ({ image, columns }) => { sheets.push({ image, columns }); clips.push([sheets.length - 1, 0]); return clips.length - 1; };
    const tile = (kind, label, sheet, more) => tiles.push({ kind, label, clips: sheet ? [place(sheet)] : [], of: null, on: true, colour: null, scores: {}, means: {}, over_samples: {}, ...more });
    const byName = (made) => (known ? Object.fromEntries(SCORES.map((name) => [name, made(name)])) : {});
    const line = (scores) => Object.fromEntries(SCORES.map((name) => [name, scores.slice(0, shown).map((each) => each[name])]));
    // a number of a frame is null where there is none, "∞" where frames are identical
    const overFrames = (values) => [...Array(n_past).fill(null), ...values.map((v) => (Number.isNaN(v) ? null : v === Infinity ? "∞" : v))];
    if (this.poses) tile("pose", "Pose", this.poses);
    if (this.truth) tile("truth", "Truth", this.truth);
    const count = this.each[0].samples.length, several = finished && count > 1, one = this.runs.length === 1, numbers = [];
    const labels = shortNames(this.runs.map(({ name }) => name)), colours = coloursOf(this.runs);
    for (const [number, { samples, mean: average, diversity }] of this.each.entries()) {
      const lines = known ? samples.map(({ scores }) => line(scores)) : [], chosen = known ? best(lines) : 0, overSamples = {};
      if (known && count > 1) {
        overSamples["PSNR, average of " + count] = text("PSNR", lines.flatMap(({ PSNR }) => PSNR));
        overSamples["best of " + count] = text("PSNR", lines[chosen].PSNR);
        overSamples.spread = mean(diversity.slice(0, shown)).toFixed(3);
        if (one) numbers.push(["PSNR, average of " + count, overSamples["PSNR, average of " + count]], ["best of " + count + " (sample " + chosen + ")", overSamples["best of " + count]]);
      }
      if (known && several) lines.push(lines[chosen], line(average.scores));
      const films = several ? [...samples, samples[chosen], average] : samples;
      tile("prediction", one ? "Prediction" : labels[number], null, {
        clips: films.map(({ sheet }) => place(sheet)), colour: one ? null : colours[number], over_samples: overSamples,
        scores: byName((name) => lines.map((each) => overFrames(each[name]))), means: byName((name) => lines.map((each) => text(name, each[name]))),
      });
    }
    if (this.truth && one) tile("error", "Error", null, { of: tiles.length - 1 });
    if (several && one) tile("spread", "Spread", this.each[0].spread);
    const choices = Array.from({ length: count }, (_, k) => ({ key: String(k), label: "sample " + k }));
    if (several) choices.push({ key: "best", label: "best of " + count }, { key: "mean", label: "mean picture" });
    const copied = known ? line(this.copied) : {}, last = n_past + shown - 1;
    return {
      request, at, sheets, clips, tiles, choices, samples: count, n_past, frames: n_past + shown, tile_width: clip.width, tile_height: clip.height,
      copied: byName((name) => overFrames(copied[name])), copied_means: byName((name) => text(name, copied[name])),
      units: UNITS, digits: DIGITS, numbers, note: known ? "" : "The true frames of this sequence are not known: nothing to compare with.",
      protocol: (this.protocol === "finn" ? "finn: per channel" : "joint: all channels together") + ", frames " + n_past + "…" + last
        + "; seed " + this.seed + ", temperature " + this.temperature + "; imagined in this page",
    };
  }
}
