// The clip player: one lossless sprite sheet, drawn frame by frame. Text goes through textContent only.
const part = (name) => element.querySelector('[data-part="' + name + '"]');
const player = element.querySelector(".player");
const canvas = part("canvas"), strip = part("strip"), gutter = part("gutter"), scrub = part("scrub");
const COLUMN = [20, 68]; // narrowest and widest column of the film strip, CSS pixels
const GUTTER = 46, ROW_GAP = 4, BAR = 3, TRACE = 100, TRACE_GAP = 10, TALLEST = 320;

let latest = 0; // newest request whose answer has come
let shown = null; // {value, image}
let frame = 0, playing = false, timer = 0, column = COLUMN[1];
let stage = null; // where the two tiles lie on the canvas, device pixels

// --- values ---------------------------------------------------------------------------------------------------------

function accept() {
  const value = props.value;
  if (!value || !value.sheet || value.request <= latest) return; // none yet, or a late answer to an older request
  latest = value.request;
  const image = new Image();
  image.src = value.sheet.url;
  image.decode().then(
    () => { if (value.request === latest) show(value, image); },
    () => { if (value.request === latest) say("The pictures could not be loaded. Please try again."); },
  );
}

function say(text) { part("message").textContent = text; }

function show(value, image) {
  const first = shown === null;
  shown = { value, image };
  frame = first ? Math.min(value.n_past, last()) : Math.min(frame, last());
  say("");
  part("content").hidden = false;
  const numbers = part("numbers");
  numbers.replaceChildren(...value.numbers.map(([name, text], i) => {
    const box = document.createElement("span"), big = document.createElement("b");
    big.textContent = text;
    box.append(big, name);
    if (i === value.numbers.length - 1) box.className = "quiet";
    return box;
  }));
  part("protocol").textContent = value.protocol;
  value.labels.forEach((label, i) => { part("caption-" + i).textContent = label; });
  scrub.max = last();
  resize();
  element.dataset.request = value.request; // what is on screen now, for tests
}

const last = () => shown.value.layout.frames - 1;
const isGiven = (t) => t < shown.value.n_past;
const decibel = (x) => (x === null || x === undefined ? "–" : x + " dB");

// --- drawing --------------------------------------------------------------------------------------------------------

function colour(name) { return getComputedStyle(player).getPropertyValue(name).trim() || "#888"; }

function fit(target, width, height) {
  const ratio = window.devicePixelRatio || 1;
  target.width = Math.round(width * ratio);
  target.height = Math.round(height * ratio);
  target.style.width = target.width / ratio + "px";
  target.style.height = target.height / ratio + "px";
  const context = target.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

function drawTile(context, tile, t, x, y, width, height) {
  const { tile_width: w, tile_height: h, columns, frames } = shown.value.layout;
  const cell = tile * frames + t;
  context.drawImage(shown.image, (cell % columns) * w, Math.floor(cell / columns) * h, w, h, x, y, width, height);
}

function resize() {
  if (!shown || !element.isConnected || part("stage").clientWidth === 0) return;
  const ratio = window.devicePixelRatio || 1, { layout } = shown.value;
  // whole device pixels per pixel: nothing is ever interpolated
  const border = Math.max(2, Math.round(3 * ratio)), gap = Math.round(14 * ratio);
  const across = (part("stage").clientWidth * ratio - gap - 4 * border) / (2 * layout.tile_width);
  const zoom = Math.max(1, Math.floor(Math.min(across, (TALLEST * ratio) / layout.tile_height)));
  const wide = layout.tile_width * zoom + 2 * border, high = layout.tile_height * zoom + 2 * border;
  canvas.width = 2 * wide + gap;
  canvas.height = high;
  canvas.style.width = canvas.width / ratio + "px";
  canvas.style.height = canvas.height / ratio + "px";
  part("captions").style.width = Math.max(canvas.width / ratio, Math.min(300, part("stage").clientWidth)) + "px";
  stage = { zoom, border, tiles: [[border, border], [wide + gap + border, border]], wide, high };
  canvas.dataset.zoom = zoom;
  canvas.dataset.tiles = JSON.stringify(stage.tiles);
  const room = part("stage").clientWidth - GUTTER;
  column = Math.min(COLUMN[1], Math.max(COLUMN[0], Math.floor(room / layout.frames)));
  draw();
}
function draw() {
  if (!shown || !stage) return;
  const { value } = shown, context = canvas.getContext("2d"), given = isGiven(frame);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingEnabled = false;
  stage.tiles.forEach(([x, y], tile) => {
    context.fillStyle = given ? colour("--given") : tile === 1 ? colour("--predicted") : colour("--line");
    context.fillRect(x - stage.border, y - stage.border, stage.wide, stage.high);
    const { tile_width: w, tile_height: h } = value.layout;
    drawTile(context, tile, frame, x, y, w * stage.zoom, h * stage.zoom);
  });
  const kind = given ? "given" : "predicted";
  part("tag-0").textContent = given ? "given" : "not shown to the model";
  part("tag-1").textContent = kind;
  part("tag-0").className = "tag " + (given ? "given" : "");
  part("tag-1").className = "tag " + kind;
  canvas.setAttribute("aria-label", value.labels.join(" and ") + ", frame " + frame + ", " + kind);
  scrub.value = frame;
  scrub.style.setProperty("--done", (100 * frame) / Math.max(1, last()) + "%");
  scrub.setAttribute("aria-valuetext", "frame " + frame + ", " + kind);
  part("counter").textContent = "frame " + frame + " of " + last();
  part("now-prediction").textContent = decibel(value.text.psnr[frame]);
  part("now-copy").textContent = decibel(value.text.copy_last_psnr[frame]);
  canvas.dataset.frame = frame;
  drawFilm();
}

function drawFilm() {
  const { value } = shown, { layout } = value;
  const w = column - 4, h = Math.round((w * layout.tile_height) / layout.tile_width);
  const top = [0, h + BAR + ROW_GAP], trace = top[1] + h + BAR + TRACE_GAP, total = trace + TRACE + 18;
  const context = fit(strip, column * layout.frames, total);
  const text = colour("--body-text-color"), quiet = colour("--quiet"), line = colour("--line");
  const font = "11px " + getComputedStyle(player).fontFamily;
  const scale = decibelScale(trace);
  context.fillStyle = text;
  context.globalAlpha = 0.1;
  context.fillRect(frame * column, 0, column, total);
  context.globalAlpha = 1;
  context.imageSmoothingEnabled = w < layout.tile_width;
  context.imageSmoothingQuality = "high";
  for (let t = 0; t < layout.frames; t++) {
    for (const tile of [0, 1]) {
      drawTile(context, tile, t, t * column + 2, top[tile], w, h);
      context.fillStyle = isGiven(t) ? colour("--given") : tile === 1 ? colour("--predicted") : line;
      context.fillRect(t * column + 2, top[tile] + h, w, BAR);
    }
  }
  context.font = font;
  context.textAlign = "center";
  const every = Math.ceil(22 / column);
  for (let t = 0; t < layout.frames; t++) {
    context.fillStyle = t === frame ? text : quiet;
    const near = every > 1 && t !== frame && Math.abs(t - frame) < every;
    if (t === frame || (t % every === 0 && !near)) context.fillText(t, (t + 0.5) * column, total - 4);
  }
  context.lineWidth = 1;
  context.strokeStyle = line;
  for (const tick of scale.ticks) stroke(context, [[0, scale.y(tick)], [column * layout.frames, scale.y(tick)]]);
  context.strokeStyle = quiet;
  stroke(context, [[(frame + 0.5) * column, trace], [(frame + 0.5) * column, trace + TRACE]]);
  drawSeries(context, value.copy_last_psnr, scale, quiet, 1.5, [4, 3]);
  drawSeries(context, value.psnr, scale, colour("--color-accent"), 2.5, []);
  drawGutter(total, top.map((y) => y + h / 2), trace, scale, font, quiet);
}

function decibelScale(trace) {
  const all = [...shown.value.psnr, ...shown.value.copy_last_psnr].filter((x) => x !== null);
  const low = all.length ? Math.min(...all) : 0, high = all.length ? Math.max(...all) : 1;
  const step = [1, 2, 5, 10, 20, 50].find((s) => (high - low) / s <= 4) || 100;
  const from = Math.floor(low / step) * step, to = Math.max(Math.ceil(high / step) * step, from + step);
  const ticks = [];
  for (let tick = from; tick <= to; tick += step) ticks.push(tick);
  return { ticks, y: (value) => trace + 5 + (TRACE - 10) * (1 - (value - from) / (to - from)) };
}

function stroke(context, points) {
  context.beginPath();
  points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.stroke();
}

function drawSeries(context, values, scale, paint, width, dash) {
  context.strokeStyle = context.fillStyle = paint;
  context.lineWidth = width;
  context.setLineDash(dash);
  const at = (t) => [(t + 0.5) * column, scale.y(values[t])];
  for (let t = 1; t < values.length; t++)
    if (values[t - 1] !== null && values[t] !== null) stroke(context, [at(t - 1), at(t)]);
  context.setLineDash([]);
  for (let t = 0; t < values.length; t++) {
    if (values[t] === null) continue;
    context.beginPath();
    context.arc(...at(t), t === frame ? width + 1.5 : width * 0.9, 0, 2 * Math.PI);
    context.fill();
  }
}

function drawGutter(height, rows, trace, scale, font, quiet) {
  const context = fit(gutter, GUTTER, height);
  context.font = font;
  context.fillStyle = quiet;
  context.textAlign = "right";
  context.textBaseline = "middle";
  ["truth", "model"].forEach((name, i) => context.fillText(name, GUTTER - 8, rows[i]));
  for (const tick of scale.ticks) context.fillText(tick, GUTTER - 8, scale.y(tick));
  context.textAlign = "left";
  context.fillText("dB", 0, (scale.y(scale.ticks[0]) + scale.y(scale.ticks[scale.ticks.length - 1])) / 2);
}

// --- moving ---------------------------------------------------------------------------------------------------------

function seek(t, follow = true) {
  if (!shown) return;
  frame = Math.max(0, Math.min(last(), t));
  draw();
  const reel = part("reel"), x = frame * column;
  if (follow && (x < reel.scrollLeft || x + column > reel.scrollLeft + reel.clientWidth))
    reel.scrollLeft = x - reel.clientWidth / 2;
}

function setPlaying(on) {
  playing = on && shown !== null;
  clearTimeout(timer);
  part("play").classList.toggle("playing", playing);
  part("play").setAttribute("aria-label", playing ? "Pause" : "Play");
  if (!playing) return;
  if (frame === last() && !loops()) seek(0);
  const tick = () => {
    if (!element.isConnected) return setPlaying(false);
    if (frame === last() && !loops()) return setPlaying(false);
    seek(frame === last() ? 0 : frame + 1);
    timer = setTimeout(tick, 1000 / Number(part("speed").value));
  };
  timer = setTimeout(tick, 1000 / Number(part("speed").value));
}

const loops = () => part("loop").getAttribute("aria-pressed") === "true";

function step(by) { setPlaying(false); seek(frame + by); }

part("play").addEventListener("click", () => setPlaying(!playing));
part("previous").addEventListener("click", () => step(-1));
part("next").addEventListener("click", () => step(1));
part("loop").addEventListener("click", () => part("loop").setAttribute("aria-pressed", String(!loops())));
scrub.addEventListener("input", () => { setPlaying(false); seek(Number(scrub.value)); });
strip.addEventListener("click", (event) => {
  setPlaying(false);
  seek(Math.floor((event.clientX - strip.getBoundingClientRect().left) / column), false);
});
canvas.addEventListener("click", () => player.focus());
player.addEventListener("keydown", (event) => {
  const tag = event.target.tagName;
  if (tag === "SELECT" || event.ctrlKey || event.altKey || event.metaKey) return;
  const moves = { ArrowLeft: () => step(-1), ArrowRight: () => step(1), Home: () => step(-frame), End: () => step(last() - frame) };
  if (event.key === " " && tag !== "BUTTON") setPlaying(!playing);
  else if (moves[event.key] && shown) moves[event.key]();
  else return;
  event.preventDefault();
});

const sizes = new ResizeObserver(() => resize());
sizes.observe(part("stage"));
sizes.observe(player);
new MutationObserver(() => draw()).observe(document.body, { attributes: true, attributeFilter: ["class"] });
watch("value", accept);
accept();
