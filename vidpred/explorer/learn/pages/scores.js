// PSNR and SSIM of a small drawn scene, by the definitions of vidpred.metrics (psnr_finn, ssim_finn).
const SIZE = 64, WINDOW = 11;
const kernel = (() => {
  const weights = Array.from({ length: WINDOW }, (_, i) => Math.exp(-((i - 5) ** 2) / (2 * 1.5 ** 2)));
  const sum = weights.reduce((a, b) => a + b);
  return weights.map((weight) => weight / sum);
})();

function scene(offset) { // numbers in 0 ... 255, [channel][row * 64 + column]
  const channels = [[], [], []];
  for (let y = 0; y < SIZE; y++) {
    for (let x = 0; x < SIZE; x++) {
      const grain = 5 * Math.sin(1.7 * x + 0.4 * y) * Math.sin(0.9 * y);
      let colour = [150 + 0.7 * y + grain, 120 + 0.6 * y + grain, 90 + 0.4 * y + grain]; // table
      if (y < 14) colour = [52 + x / 4, 70 + x / 4, 88 + x / 4]; // wall
      if ((x - 46) ** 2 + (y - 46) ** 2 < 56) colour = [200, 52, 44]; // ball
      if (x > 8 && x < 20 && y > 40 && y < 52) colour = [44, 110, 180]; // box
      const arm = x - offset;
      if ((Math.abs(arm - 32) < 4 && y < 30) || (Math.abs(Math.abs(arm - 32) - 6) < 2 && y >= 26 && y < 40)) colour = [225, 225, 220 - y];
      colour.forEach((value, c) => channels[c].push(value));
    }
  }
  return channels;
}

function blurred(channel, radius) {
  if (radius === 0) return channel;
  const sigma = radius / 3, reach = Math.ceil(2.5 * sigma), at = (v) => Math.min(SIZE - 1, Math.max(0, v));
  const weights = Array.from({ length: 2 * reach + 1 }, (_, i) => Math.exp(-((i - reach) ** 2) / (2 * sigma ** 2)));
  const sum = weights.reduce((a, b) => a + b);
  const along = (values, dx, dy) => values.map((_, i) => weights.reduce((total, weight, k) =>
    total + (weight / sum) * values[at(Math.floor(i / SIZE) + dy * (k - reach)) * SIZE + at((i % SIZE) + dx * (k - reach))], 0));
  return along(along(channel, 1, 0), 0, 1);
}

function changed(kind, amount) {
  if (kind === "shift") return scene(amount);
  const truth = scene(0);
  if (kind === "blur") return truth.map((channel) => blurred(channel, amount));
  if (kind === "light") return truth.map((channel) => channel.map((value) => value + 5 * amount));
  let state = 7;
  const uniform = () => { state = (Math.imul(state, 1664525) + 1013904223) >>> 0; return state / 4294967296; };
  return truth.map((channel) => channel.map((value) => value + 5 * amount * (uniform() + uniform() + uniform() - 1.5) * 2));
}

function paint(name, channels) { // as on any screen: whole numbers from 0 to 255; these are what is scored
  const context = part(name).getContext("2d"), image = context.createImageData(SIZE, SIZE);
  for (let i = 0; i < SIZE * SIZE; i++) {
    channels.forEach((channel, c) => { image.data[4 * i + c] = channel[i]; });
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return channels.map((_, c) => Array.from({ length: SIZE * SIZE }, (_, i) => image.data[4 * i + c] / 255));
}

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

function psnr(a, b) {
  return mean(a.map((channel, c) => -10 * Math.log10(mean(channel.map((value, i) => (value - b[c][i]) ** 2)))));
}

function filtered(values) { // inside the picture only: 54 x 54 places
  const out = SIZE - WINDOW + 1, rows = [], result = [];
  for (let y = 0; y < SIZE; y++)
    for (let x = 0; x < out; x++) rows.push(kernel.reduce((sum, weight, k) => sum + weight * values[y * SIZE + x + k], 0));
  for (let y = 0; y < out; y++)
    for (let x = 0; x < out; x++) result.push(kernel.reduce((sum, weight, k) => sum + weight * rows[(y + k) * out + x], 0));
  return result;
}

function ssim(a, b) {
  return mean(a.map((p, c) => {
    const q = b[c], product = (u, v) => filtered(u.map((value, i) => value * v[i]));
    const mp = filtered(p), mq = filtered(q), pp = product(p, p), qq = product(q, q), pq = product(p, q);
    return mean(mp.map((m, i) => ((2 * m * mq[i] + 0.01 ** 2) * (2 * (pq[i] - m * mq[i]) + 0.03 ** 2))
      / ((m ** 2 + mq[i] ** 2 + 0.01 ** 2) * (pp[i] - m ** 2 + qq[i] - mq[i] ** 2 + 0.03 ** 2))));
  }));
}

function draw() {
  const amount = Number(part("amount").value);
  part("amount-text").textContent = amount;
  const a = paint("truth", scene(0)), b = paint("changed", changed(part("kind").value, amount));
  paint("error", a.map((channel, c) => channel.map((value, i) => 4 * 255 * Math.abs(value - b[c][i]))));
  const decibels = psnr(a, b);
  part("psnr").textContent = Number.isFinite(decibels) ? decibels.toFixed(2) + " dB" : "∞ dB";
  part("ssim").textContent = ssim(a, b).toFixed(3);
}

part("kind").addEventListener("change", draw);
part("amount").addEventListener("input", draw);
draw();
