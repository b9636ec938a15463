// Noise above, z = mu + sigma * eps below.
const COUNT = 12, SPAN = 5, MARKED = 8, TOP = 96, BASE = 262;
let seed = 1, noise = [];

function draws() { // a small generator of its own: the first picture is the same for everyone
  let state = (seed * 2654435761) >>> 0;
  const uniform = () => { state = (Math.imul(state, 1664525) + 1013904223) >>> 0; return (state + 0.5) / 4294967296; };
  for (let i = 0; i < 8; i++) uniform();
  return Array.from({ length: COUNT }, () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()))
    .map((value) => Math.max(-2.9, Math.min(2.9, value))).sort((a, b) => a - b);
}

const x = (value) => 350 + (Math.max(-1.1 * SPAN, Math.min(1.1 * SPAN, value)) * 340) / SPAN;

function bell(mu, sigma, base, height, style) {
  let path = "M" + x(mu - 4 * sigma) + " " + base;
  for (let i = -40; i <= 40; i++) path += "L" + x(mu + (i / 10) * sigma).toFixed(1) + " " + (base - height * Math.exp(-((i / 10) ** 2) / 2)).toFixed(1);
  make("path", { d: path + "L" + x(mu + 4 * sigma) + " " + base + "Z", class: "area-" + style });
  make("path", { d: path, class: "line-" + style });
}

function axis(base, name) {
  make("line", { x1: x(-SPAN), x2: x(SPAN), y1: base, y2: base, class: "axis" });
  for (let tick = -4; tick <= 4; tick += 2) make("text", { x: x(tick), y: base + 17, "text-anchor": "middle", class: "quiet" }, String(tick).replace("-", "−"));
  make("text", { x: x(-SPAN), y: base - 10, "font-style": "italic" }, name);
}

function draw() {
  const mu = Number(part("mu").value), sigma = Number(part("sigma").value), text = (v) => v.toFixed(2).replace("-", "−");
  part("mu-text").textContent = text(mu);
  part("sigma-text").textContent = text(sigma);
  part("plot").replaceChildren();
  bell(0, 1, TOP, 70, "a");
  // a narrow bell is a high one; the height follows the square root so that it stays in the picture
  bell(mu, Math.max(sigma, 0.015), BASE, Math.min(112, 58 / Math.sqrt(Math.max(sigma, 0.05))), "b");
  axis(TOP, "ε");
  axis(BASE, "z");
  noise.forEach((eps, i) => {
    const z = mu + sigma * eps, style = i === MARKED ? "strong" : "thin";
    make("line", { x1: x(eps), y1: TOP, x2: x(z), y2: BASE, class: style });
    make("circle", { cx: x(eps), cy: TOP, r: i === MARKED ? 6 : 4, class: "fill-a" });
    make("circle", { cx: x(z), cy: BASE, r: i === MARKED ? 6 : 4, class: "fill-b" });
  });
  const eps = noise[MARKED];
  part("says").textContent = "The marked line: ε = " + text(eps) + ", so z = " + text(mu) + " + " + text(sigma) + " × " + text(eps) + " = " + text(mu + sigma * eps)
    + ". A little more µ moves this z by just as much, a little more σ by " + text(eps) + " times as much.";
}

part("mu").addEventListener("input", draw);
part("sigma").addEventListener("input", draw);
part("again").addEventListener("click", () => { seed += 1; noise = draws(); draw(); });
noise = draws();
draw();
