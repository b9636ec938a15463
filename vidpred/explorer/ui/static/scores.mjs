// Pictures and their scores, as vidpred.frames, vidpred.render and vidpred.metrics make them.

const COLOURS = [0, 1, 2];
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

// A frame (C, H, W) as RGBA bytes: clamped, rounded to nearest even, as vidpred.frames.to_uint8 does it.
export function rgba(frame, area) {
  const out = new Uint8ClampedArray(4 * area).fill(255);
  for (let c = 0; c < 3; c++) for (let i = 0; i < area; i++) {
    const v = Math.fround(Math.min(1, Math.max(0, frame[c * area + i])) * 255), low = Math.floor(v), rest = v - low;
    out[4 * i + c] = rest > 0.5 || (rest === 0.5 && low % 2) ? low + 1 : low;
  }
  return out;
}

// RGBA bytes as a frame (C, H, W) in [0, 1]
export function floats(picture, area = picture.length / 4) {
  const out = new Float32Array(3 * area);
  for (let c = 0; c < 3; c++) for (let i = 0; i < area; i++) out[c * area + i] = picture[4 * i + c] / 255;
  return out;
}

// Of the RGBA pictures of several samples their mean, and their standard deviation, the mean of the channels, in grey.
export function meanAndSpread(pictures) {
  const average = new Uint8ClampedArray(pictures[0].length).fill(255), spread = average.slice(), count = pictures.length;
  for (let i = 0; i < average.length; i += 4) {
    let deviation = 0;
    for (const c of COLOURS) {
      let sum = 0, squares = 0;
      for (const picture of pictures) { sum += picture[i + c]; squares += picture[i + c] ** 2; }
      average[i + c] = sum / count; // a clamped array rounds ties to even
      deviation += Math.sqrt(Math.max(0, squares * count - sum * sum)) / count;
    }
    for (const c of COLOURS) spread[i + c] = deviation / 3;
  }
  return { average, spread };
}

// RMSE between two of several frames, the mean of all pairs
export function diversity(frames) {
  const pairs = frames.flatMap((a, k) => frames.slice(k + 1).map((b) => {
    let sum = 0;
    for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
    return Math.sqrt(sum / a.length);
  }));
  return mean(pairs);
}

// A function of t and a frame (C, H, W) that scores it against the known RGBA picture t of a clip, by the named PSNR
// protocol: {PSNR, SSIM, Sharpness}, NaN where there is none, Infinity for the truth itself; null where the truth is not known.
export function scorer(pictures, n_past, { width, height }, protocol) {
  const area = width * height, before = floats(pictures[n_past - 1], area);
  const planes = (frame) => COLOURS.map((c) => frame.subarray(c * area, (c + 1) * area));
  let of = -1, truth = null; // what is known of the last t that was asked for: all samples need it
  return (t, frame) => {
    if (!pictures[t]) return null;
    if (of !== t) {
      const x = planes(floats(pictures[t], area)), where = moving(x, planes(before), width, height);
      truth = { x, local: x.map((plane) => moments(plane, width, height)), where, edges: edges(x, where, width, height) };
      of = t;
    }
    const x_pred = planes(frame);
    return {
      PSNR: psnr(x_pred, truth.x, protocol),
      SSIM: mean(x_pred.map((plane, c) => ssim(plane, truth.x[c], truth.local[c], width, height))),
      Sharpness: truth.edges ? edges(x_pred, truth.where, width, height) / truth.edges : NaN,
    };
  };
}

function psnr(x_pred, x, protocol) {
  const errors = x_pred.map((plane, c) => {
    let sum = 0;
    for (let i = 0; i < plane.length; i++) sum += (plane[i] - x[c][i]) ** 2;
    return sum / plane.length;
  });
  const decibel = (mse) => -10 * Math.log10(mse);
  return protocol === "finn" ? mean(errors.map(decibel)) : decibel(mean(errors));
}

// --- SSIM: an 11 x 11 Gaussian window, where it fits whole ------------------------------------------------------------

const SIDE = 11, BELL = Array.from({ length: SIDE }, (_, i) => Math.exp(-((i - 5) ** 2) / (2 * 1.5 ** 2)));
const WINDOW = BELL.map((weight) => weight / BELL.reduce((a, b) => a + b));

const HALF = WINDOW.slice(0, 6); // it is symmetric

// Local means of a plane, row by row and column by column.
function local(plane, width, height) {
  const across = width - SIDE + 1, down = height - SIDE + 1, rows = new Float64Array(across * height), out = new Float64Array(across * down);
  const [a, b, c, d, e, f] = HALF; // written out: this is most of what scores take
  for (let y = 0; y < height; y++) for (let x = 0; x < across; x++) {
    const i = y * width + x;
    rows[y * across + x] = a * (plane[i] + plane[i + 10]) + b * (plane[i + 1] + plane[i + 9]) + c * (plane[i + 2] + plane[i + 8])
      + d * (plane[i + 3] + plane[i + 7]) + e * (plane[i + 4] + plane[i + 6]) + f * plane[i + 5];
  }
  for (let i = 0; i < out.length; i++) {
    out[i] = a * (rows[i] + rows[i + 10 * across]) + b * (rows[i + across] + rows[i + 9 * across]) + c * (rows[i + 2 * across] + rows[i + 8 * across])
      + d * (rows[i + 3 * across] + rows[i + 7 * across]) + e * (rows[i + 4 * across] + rows[i + 6 * across]) + f * rows[i + 5 * across];
  }
  return out;
}

function product(a, b) {
  const out = new Float64Array(a.length);
  for (let i = 0; i < out.length; i++) out[i] = a[i] * b[i];
  return out;
}

function moments(plane, width, height) {
  const numbers = Float64Array.from(plane);
  return { mu: local(numbers, width, height), square: local(product(numbers, numbers), width, height) };
}

function ssim(x_pred, x, truth, width, height) {
  const c1 = 0.01 ** 2, c2 = 0.03 ** 2, own = moments(x_pred, width, height), both = local(product(x_pred, x), width, height);
  let sum = 0;
  for (let i = 0; i < both.length; i++) {
    const p = own.mu[i], q = truth.mu[i], variances = own.square[i] - p * p + (truth.square[i] - q * q);
    sum += ((2 * p * q + c1) / (p * p + q * q + c1)) * ((2 * (both[i] - p * q) + c2) / (variances + c2));
  }
  return sum / both.length;
}

// --- sharpness: edges where the scene moves -----------------------------------------------------------------------------

const MOVED = 0.1;

// Where a channel differs by more than MOVED from what was there before, and the eight neighbours of such pixels.
function moving(x, before, width, height) {
  const where = new Uint8Array(width * height);
  for (let i = 0; i < where.length; i++) {
    if (!COLOURS.some((c) => Math.abs(x[c][i] - before[c][i]) > MOVED)) continue;
    const row = Math.floor(i / width), column = i % width;
    for (let y = Math.max(0, row - 1); y <= Math.min(height - 1, row + 1); y++)
      for (let at = Math.max(0, column - 1); at <= Math.min(width - 1, column + 1); at++) where[y * width + at] = 1;
  }
  return where;
}

// Sum of the magnitudes of the forward differences of the mean of the channels.
function edges([r, g, b], where, width, height) {
  const grey = (i) => (r[i] + g[i] + b[i]) / 3;
  let sum = 0;
  for (let y = 0; y < height - 1; y++) for (let x = 0; x < width - 1; x++) {
    const i = y * width + x;
    if (!where[i]) continue;
    const here = grey(i), right = grey(i + 1) - here, below = grey(i + width) - here;
    sum += Math.sqrt(right * right + below * below);
  }
  return sum;
}
