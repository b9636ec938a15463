// The clip player: lossless sprite sheets, drawn frame by frame. Text goes through textContent only.
function part(name) { return element.querySelector('[data-part="' + name + '"]'); }
const player = element.querySelector(".player");
const stage = part("stage"), scrub = part("scrub"), gain = part("gain"), choices = part("choice");
const BORDER = 3, GAP = 12, CAPTION = 32, TALLEST = 320, TALL = 470, NARROWEST = 96, FLOATING = 130; // CSS pixels: a tile, and all of them
const COLOURS = 8; // of the palette

let latest = 0; // newest request whose answer has come
let shown = null; // {value, images, tiles: of the canvases}
let frame = 0, playing = false, timer = 0;
let wanted = "0"; // the choice, by its key: kept over new values
const switched = {}; // tile -> on or off, where someone has said so

// --- values ---------------------------------------------------------------------------------------------------------

function accept() {
  const value = props.value;
  if (!value || value.request <= latest) return; // none yet, or a late answer to an older request
  latest = value.request;
  if (value.message) {
    refuse(value.message);
    element.dataset.answered = value.request;
    return;
  }
  const images = value.sheets.map(() => null);
  const current = () => value.request === latest || (shown && shown.value === value);
  const load = (i) => {
    if (value.sheets[i].image) { images[i] = value.sheets[i].image; return Promise.resolve(); } // drawn in this page
    const image = new Image();
    image.src = value.sheets[i].file.url;
    return image.decode().then(() => { images[i] = image; });
  };
  const failed = "The pictures could not be loaded. Please try again.";
  load(0).then(() => {
    if (!current()) return;
    show(value, images);
    // the others one after the other: what is looked at comes first
    let chain = Promise.resolve();
    for (let i = 1; i < images.length; i++)
      chain = chain.then(() => (current() ? load(i) : null)).then(() => { if (shown && shown.value === value) draw(true); });
    chain.catch(() => { if (current()) say(failed, true); });
  }, () => { if (current()) refuse(failed); });
}

function say(text, problem = false) {
  part("message").textContent = text;
  part("message").classList.toggle("problem", problem);
}

function refuse(text) {
  say(text + (shown ? " Below is still the earlier prediction." : ""), true);
  part("content").classList.add("stale");
}

function show(value, images) {
  const first = shown === null;
  shown = { value, images };
  const linked = first ? window.links?.at(element.closest("[id$=player]")?.id) : null; // the frame that the address names
  frame = Math.min(value.at ?? linked ?? (first ? value.n_past : frame), last()); // at: the frame to begin with, if a certain one
  say("");
  part("content").hidden = false;
  part("content").classList.remove("stale");
  part("protocol").textContent = value.protocol;
  part("note").textContent = value.note;
  scrub.max = last();
  const names = value.choices.map((choice) => {
    const option = document.createElement("option");
    option.value = choice.key;
    option.textContent = choice.label;
    return option;
  });
  choices.replaceChildren(...names);
  choices.value = value.choices.some((choice) => choice.key === wanted) ? wanted : value.choices[0].key;
  part("choice-box").hidden = value.choices.length < 2;
  measures();
  toggles();
  arrange();
  if (value.at !== undefined) followCursor();
  if (!playing) tellFrame();
  element.dataset.request = element.dataset.answered = value.request; // what is on screen now, for tests
}

const last = () => shown.value.frames - 1;
const isGiven = (t) => t < shown.value.n_past;
const isOn = (tile) => switched[tile.label] ?? tile.on;
const chosen = () => Math.max(0, choices.selectedIndex);
const ofChoice = (list) => list[Math.min(chosen(), list.length - 1)];
const predictions = () => shown.value.tiles.filter((tile) => tile.kind === "prediction");
const lineColour = (tile) => "--c" + ((tile.colour ?? predictions().indexOf(tile)) % COLOURS);

function make(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function swatch(tile) {
  const dot = make("i", "", "swatch");
  dot.style.background = "var(" + lineColour(tile) + ")";
  return dot;
}

// --- what surrounds the tiles ---------------------------------------------------------------------------------------

function toggles() {
  part("toggles").replaceChildren(...shown.value.tiles.map((tile) => {
    const button = make("button", tile.label);
    button.type = "button";
    button.setAttribute("aria-pressed", String(isOn(tile)));
    button.addEventListener("click", () => {
      switched[tile.label] = !isOn(tile);
      button.setAttribute("aria-pressed", String(isOn(tile)));
      arrange();
    });
    return button;
  }));
}

function numbers() {
  const { value } = shown, scored = predictions().filter((tile) => Object.keys(tile.scores).length);
  const box = (name, text, className) => {
    const made = make("span", "", className);
    made.append(make("b", text), name);
    return made;
  };
  const copied = Object.entries(value.copied_means);
  if (scored.length < 2) {
    const choice = value.choices.length > 1 ? ", " + value.choices[chosen()].label : "";
    part("numbers").replaceChildren(
      ...scored.flatMap((tile) => Object.entries(tile.means).map(([name, means]) => box(name + choice, ofChoice(means), "main"))),
      ...value.numbers.map(([name, text]) => box(name, text, "")),
      ...copied.slice(0, 1).map(([, text]) => box("last frame copied", text, "quiet")),
    );
    return;
  }
  const row = (cells, tag) => {
    const made = make("tr");
    made.append(...cells.map((cell) => { const made = make(tag); made.append(cell); return made; }));
    return made;
  };
  const table = make("table"), names = Object.keys(scored[0].scores);
  const also = [...new Set(scored.flatMap((tile) => Object.keys(tile.over_samples)))]; // one sample is luck
  table.append(row([value.choices.length > 1 ? value.choices[chosen()].label : "", ...names, ...also], "th"));
  for (const tile of scored) {
    const label = make("span");
    label.append(swatch(tile), tile.label);
    table.append(row([label, ...names.map((name) => ofChoice(tile.means[name])), ...also.map((name) => tile.over_samples[name] || "")], "td"));
  }
  const repeated = names.map((name) => value.copied_means[name]);
  if (copied.length) table.append(row(["last frame copied", ...repeated, ...also.map(() => "")], "td"));
  part("numbers").replaceChildren(table);
}

// --- tiles ----------------------------------------------------------------------------------------------------------

// whole device pixels per pixel: nothing is ever interpolated
function arrange() {
  if (!shown || !element.isConnected || stage.clientWidth === 0) return;
  const { value } = shown, ratio = window.devicePixelRatio || 1, on = value.tiles.filter(isOn);
  let best = { zoom: 0 };
  for (let columns = 1; columns <= Math.max(1, on.length); columns++) {
    const rows = Math.ceil(on.length / columns);
    const across = (stage.clientWidth - (columns - 1) * GAP) / columns - 2 * BORDER;
    if (columns > 1 && across < Math.max(NARROWEST, value.tile_width / ratio)) break; // the last ones would be cut off
    const down = Math.min(TALLEST, TALL / rows - CAPTION - 2 * BORDER);
    const zoom = Math.max(1, Math.floor(Math.min((across * ratio) / value.tile_width, (down * ratio) / value.tile_height)));
    if (zoom > best.zoom || (zoom === best.zoom && rows < best.rows)) best = { zoom, rows, columns };
  }
  stage.style.gridTemplateColumns = "repeat(" + best.columns + ", max-content)";
  stage.dataset.zoom = best.zoom;
  shown.tiles = on.map((tile) => {
    const figure = make("figure"), canvas = make("canvas"), caption = make("figcaption");
    canvas.width = value.tile_width * best.zoom;
    canvas.height = value.tile_height * best.zoom;
    canvas.style.width = canvas.width / ratio + "px";
    canvas.style.height = canvas.height / ratio + "px";
    canvas.dataset.tile = tile.label;
    canvas.setAttribute("role", "img");
    caption.style.maxWidth = Math.max(NARROWEST, canvas.width / ratio) + 2 * BORDER + "px";
    figure.append(canvas, caption);
    return { tile, figure, canvas, caption };
  });
  stage.replaceChildren(...shown.tiles.map((one) => one.figure));
  part("gain-box").hidden = !on.some((tile) => tile.kind === "error" || tile.kind === "spread");
  draw(true);
}

const scratch = document.createElement("canvas"), paper = scratch.getContext("2d", { willReadFrequently: true });

const sheetOf = (clip) => shown.images[shown.value.clips[clip][0]]; // null: on its way

function drawCell(context, clip, t, x, y, width, height) {
  const { value } = shown, [sheet, first] = value.clips[clip];
  if (!sheetOf(clip)) return context.clearRect(x, y, width, height);
  const columns = value.sheets[sheet].columns, cell = first + t, w = value.tile_width, h = value.tile_height;
  context.drawImage(sheetOf(clip), (cell % columns) * w, Math.floor(cell / columns) * h, w, h, x, y, width, height);
}

function pixels(clip) {
  drawCell(paper, clip, frame, 0, 0, scratch.width, scratch.height);
  return paper.getImageData(0, 0, scratch.width, scratch.height);
}

// As vidpred.render does it: mean of the channels, times the gain, from black over red and yellow to white.
function drawHeat(context, tile) {
  const { value } = shown, factor = Number(gain.value) / 765, truth = value.tiles.find((other) => other.kind === "truth");
  const clips = tile.kind === "error" ? [ofChoice(value.tiles[tile.of].clips), truth.clips[0]] : [ofChoice(tile.clips)];
  if (!clips.every(sheetOf)) return context.clearRect(0, 0, context.canvas.width, context.canvas.height);
  scratch.width = value.tile_width;
  scratch.height = value.tile_height;
  const [out, other] = clips.map(pixels), a = out.data, b = other?.data;
  for (let i = 0; i < a.length; i += 4) {
    const sum = b ? Math.abs(a[i] - b[i]) + Math.abs(a[i + 1] - b[i + 1]) + Math.abs(a[i + 2] - b[i + 2]) : 3 * a[i];
    const share = 3 * Math.min(1, factor * sum);
    for (let c = 0; c < 3; c++) a[i + c] = Math.round(255 * Math.max(0, Math.min(1, share - c)));
  }
  paper.putImageData(out, 0, 0);
  context.drawImage(scratch, 0, 0, context.canvas.width, context.canvas.height);
}

function draw(everything = false) {
  if (!shown || !shown.tiles) return;
  const { value } = shown, given = isGiven(frame), kind = given ? "given" : "predicted", several = predictions().length > 1;
  const choice = value.choices[chosen()].label;
  for (const { tile, figure, canvas, caption } of shown.tiles) {
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    if (tile.kind === "error" || tile.kind === "spread") drawHeat(context, tile);
    else drawCell(context, ofChoice(tile.clips), frame, 0, 0, canvas.width, canvas.height);
    const frames = tile.kind === "prediction" ? kind : tile.kind === "truth" && given ? "given" : "";
    if (figure.className !== frames || everything) {
      figure.className = frames;
      const told = tile.kind === "prediction" && tile.clips.length > 1 && !several ? choice : frames;
      caption.replaceChildren(...(several && tile.kind === "prediction" ? [swatch(tile)] : []), make("b", tile.label), " ", make("i", told));
    }
    canvas.setAttribute("aria-label", tile.label + ", frame " + frame + (frames ? ", " + frames : ""));
  }
  scrub.value = frame;
  scrub.style.setProperty("--done", (100 * frame) / Math.max(1, last()) + "%");
  scrub.setAttribute("aria-valuetext", "frame " + frame + ", " + kind);
  part("counter").textContent = "frame " + frame + " of " + last();
  stage.dataset.frame = frame;
  if (everything) {
    numbers();
    part("gain-text").textContent = "×" + gain.value + ", white ≥ " + (1 / Number(gain.value)).toFixed(2);
    remember();
    drawFilm();
  }
  drawCursor();
}

// What is looked at, as downloads are asked for (vidpred.explorer.player.View).
function remember() {
  const { value } = shown, tiles = value.tiles.map((tile, i) => (isOn(tile) ? i : -1)).filter((i) => i >= 0);
  const view = { tiles, choice: chosen(), gain: Number(gain.value), fps: Number(part("speed").value) };
  player.dataset.view = JSON.stringify(view);
}

// --- moving ---------------------------------------------------------------------------------------------------------

function seek(t, follow = true) {
  if (!shown) return;
  frame = Math.max(0, Math.min(last(), t));
  draw();
  if (follow) followCursor();
  if (!playing) tellFrame();
}

// Where the player stands is part of the address, but not while it plays.
function tellFrame() {
  if (shown) window.links?.frame(element.closest("[id$=player]")?.id, frame, Math.min(shown.value.n_past, last()));
}

function setPlaying(on) {
  playing = on && shown !== null;
  clearTimeout(timer);
  part("play").classList.toggle("playing", playing);
  part("play").setAttribute("aria-label", playing ? "Pause" : "Play");
  if (!playing) return tellFrame();
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

function choose(by) {
  if (!shown) return;
  const count = shown.value.choices.length;
  choices.selectedIndex = (chosen() + by + count) % count;
  wanted = choices.value;
  draw(true);
}

part("play").addEventListener("click", () => setPlaying(!playing));
part("previous").addEventListener("click", () => step(-1));
part("next").addEventListener("click", () => step(1));
part("choice-previous").addEventListener("click", () => choose(-1));
part("choice-next").addEventListener("click", () => choose(1));
choices.addEventListener("change", () => choose(0));
gain.addEventListener("input", () => draw(true));
part("speed").addEventListener("change", () => { if (shown) remember(); });
part("loop").addEventListener("click", () => part("loop").setAttribute("aria-pressed", String(!loops())));
scrub.addEventListener("input", () => { setPlaying(false); seek(Number(scrub.value)); });
window.takeKeys?.(player);
stage.addEventListener("click", () => player.focus());
player.addEventListener("keydown", (event) => {
  const tag = event.target.tagName;
  if (tag === "SELECT" || event.target === gain || event.ctrlKey || event.altKey || event.metaKey || !shown) return;
  const moves = {
    ArrowLeft: () => step(-1), ArrowRight: () => step(1), ArrowUp: () => choose(-1), ArrowDown: () => choose(1),
    Home: () => step(-frame), End: () => step(last() - frame),
  };
  if (event.key === " " && tag !== "BUTTON") setPlaying(!playing);
  else if (moves[event.key]) moves[event.key]();
  else return;
  event.preventDefault();
});

// On a phone the tiles stay in sight while the settings below the player are changed.
const row = element.closest(".player-column")?.parentElement, seen = new Map();
function float() {
  const away = !seen.get(player) && player.getBoundingClientRect().bottom <= FLOATING;
  const floats = away && seen.get(row) && shown !== null && matchMedia("(max-width: 640px)").matches;
  if (floats === stage.classList.contains("floating")) return;
  part("place").style.height = floats ? stage.offsetHeight + "px" : "";
  stage.classList.toggle("floating", floats);
  arrange();
}
if (row) {
  const eyes = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) seen.set(target, isIntersecting);
    float();
  }, { rootMargin: `-${FLOATING}px 0px 0px` });
  for (const watched of [player, row]) eyes.observe(watched);
}

const sizes = new ResizeObserver(() => arrange());
sizes.observe(player);
new MutationObserver(() => draw(true)).observe(document.body, { attributes: true, attributeFilter: ["class"] });
watch("value", accept);
accept();
window.waiting?.player(element, (waits, cancelled) => {
  const again = part("message").textContent.startsWith("Cancelled");
  if (cancelled && (waits || !shown)) say("Cancelled. " + (shown ? "This is still the earlier prediction." : "Ask again whenever you like."), true);
  else if (waits && again) say(shown ? "" : "The prediction is on its way …");
});
