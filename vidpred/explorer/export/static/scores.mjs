// Pictures and their score, as vidpred.frames and vidpred.metrics make them.

// A frame (C, H, W) as RGBA bytes: clamped, rounded to nearest even, as vidpred.frames.to_uint8 does it.
export function rgba(frame, area) {
  const out = new Uint8ClampedArray(4 * area).fill(255);
  for (let c = 0; c < 3; c++) for (let i = 0; i < area; i++) {
    const v = Math.fround(Math.min(1, Math.max(0, frame[c * area + i])) * 255), low = Math.floor(v), rest = v - low;
    out[4 * i + c] = rest > 0.5 || (rest === 0.5 && low % 2) ? low + 1 : low;
  }
  return out;
}

// PSNR in dB by the named protocol of vidpred.metrics; null where the truth is not known
export function psnr(frame, truth, area, protocol) {
  if (!truth) return null;
  const errors = [0, 1, 2].map((c) => {
    let sum = 0;
    for (let i = 0; i < area; i++) sum += (frame[c * area + i] - Math.fround(truth[4 * i + c] / 255)) ** 2;
    return sum / area;
  });
  const decibel = (mse) => 10 * Math.log10(1 / mse), mean = (xs) => xs.reduce((a, b) => a + b) / xs.length;
  return protocol === "finn" ? mean(errors.map(decibel)) : decibel(mean(errors));
}
