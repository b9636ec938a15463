// PSNR and SSIM of a small drawn scene, by scores.mjs, which stands before this.
const SIZE = 64;

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
  return image.data;
}

function draw() {
  const amount = Number(part("amount").value);
  part("amount-text").textContent = amount;
  const a = paint("truth", scene(0)), b = paint("changed", changed(part("kind").value, amount));
  paint("error", COLOURS.map((c) => Array.from({ length: SIZE * SIZE }, (_, i) => 4 * Math.abs(a[4 * i + c] - b[4 * i + c]))));
  const { PSNR, SSIM } = scorer([a, a], 1, { width: SIZE, height: SIZE }, "finn")(1, floats(b));
  part("psnr").textContent = Number.isFinite(PSNR) ? PSNR.toFixed(2) + " dB" : "∞ dB";
  part("ssim").textContent = SSIM.toFixed(3);
}

part("kind").addEventListener("change", draw);
part("amount").addEventListener("input", draw);
draw();
