// KL of two Gaussians, as a price.
const NAMES = ["mu_q", "sigma_q", "mu_p", "sigma_p"], BASE = 182, SPAN = 5;
const x = (value) => 350 + (value * 340) / SPAN;

function bell(mu, sigma, style) {
  const height = Math.min(170, 95 / Math.sqrt(sigma));
  let path = "M" + x(-SPAN) + " " + BASE;
  for (let i = -SPAN * 40; i <= SPAN * 40; i++) path += "L" + x(i / 40).toFixed(1) + " " + (BASE - height * Math.exp(-(((i / 40 - mu) / sigma) ** 2) / 2)).toFixed(1);
  make("path", { d: path + "L" + x(SPAN) + " " + BASE + "Z", class: "area-" + style });
  make("path", { d: path, class: "line-" + style });
}

function draw() {
  const [mq, sq, mp, sp] = NAMES.map((name) => Number(part(name).value));
  NAMES.forEach((name) => { part(name + "-text").textContent = Number(part(name).value).toFixed(2).replace("-", "−"); });
  part("plot").replaceChildren();
  bell(mp, sp, "a");
  bell(mq, sq, "b");
  make("line", { x1: x(-SPAN), x2: x(SPAN), y1: BASE, y2: BASE, class: "axis" });
  for (let tick = -4; tick <= 4; tick += 2) make("text", { x: x(tick), y: BASE + 18, "text-anchor": "middle", class: "quiet" }, String(tick).replace("-", "−"));
  const kl = 0.5 * (Math.log((sp / sq) ** 2) + (sq ** 2 + (mq - mp) ** 2) / sp ** 2 - 1);
  part("says").replaceChildren("KL = ", Object.assign(document.createElement("b"), { textContent: Math.abs(kl).toFixed(2) + " nats" }),
    kl < 0.02 ? ": the frame told nothing new." : " for this dimension at this step, " + (kl / Math.log(2)).toFixed(1) + " bits.");
}

function set(values) { NAMES.forEach((name) => { if (name in values) part(name).value = values[name]; }); draw(); }

NAMES.forEach((name) => part(name).addEventListener("input", draw));
part("fixed").addEventListener("click", () => set({ mu_p: 0, sigma_p: 1 }));
part("learned").addEventListener("click", () => set({ mu_p: Number(part("mu_q").value) - 0.3, sigma_p: Math.min(2, Number(part("sigma_q").value) + 0.1) }));
draw();
