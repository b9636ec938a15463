// The film strip and the trace of scores below it: drawn once, with the cursor on a canvas above them.
const COLUMN = [20, 68]; // narrowest and widest column of a frame, CSS pixels
const MOST_COLUMNS = 40; // frames that still have a column each; of longer clips the film shows some
const FILM_COLUMN = 46; // of such a film
const GUTTER = [50, 120], LINE = 12, ROW_GAP = 4, BAR = 3, TRACE = 110, TRACE_GAP = 12;
const strip = part("strip"), cursor = part("cursor"), gutter = part("gutter"), measure = part("measure"), reel = part("reel");
let film = null; // where things lie: per (CSS pixels a frame), columns and their width, the trace, its scale and lines

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

const isNumber = (x) => typeof x === "number";
const withUnit = (x) => {
  const { units, digits } = shown.value;
  if (x === null || x === undefined) return "–";
  return ((isNumber(x) ? x.toFixed(digits[measure.value]) : x) + " " + units[measure.value]).trim();
};

function measures() {
  const before = measure.value, names = Object.keys(predictions()[0]?.scores ?? {});
  measure.replaceChildren(...names.map((name) => make("option", name)));
  if (names.includes(before)) measure.value = before;
  part("measure-box").hidden = names.length === 0;
}

// Every line of the trace: of each prediction that is switched on, and of the last frame copied.
function series() {
  const { value } = shown, name = measure.value;
  const lines = predictions().filter((tile) => isOn(tile) && tile.scores[name]).map((tile) => {
    const samples = tile.scores[name].slice(0, value.samples);
    const band = value.samples < 2 || samples.length < 2 ? null : samples[0].map((_, t) => {
      const values = samples.map((line) => line[t]).filter(isNumber);
      return values.length ? [Math.min(...values), Math.max(...values)] : null;
    });
    return { tile, values: ofChoice(tile.scores[name]), band, paint: colour(lineColour(tile)) };
  });
  return { lines, copied: lines.length ? (value.copied[name] ?? null) : null };
}

function drawFilm() {
  const { value } = shown, frames = value.frames, all = reel.parentElement.clientWidth, shape = value.tile_height / value.tile_width;
  const rows = value.tiles.filter((tile) => isOn(tile) && ["pose", "truth", "prediction"].includes(tile.kind));
  const least = Math.min(COLUMN[1], Math.max(COLUMN[0], (all - GUTTER[1]) / frames)) * shape; // height of a row beside the widest labels
  const labels = labelled(rows.map((tile) => (tile.label === "Prediction" ? "Model" : tile.label)), least), room = all - labels.width;
  const whole = Math.floor(room / frames), thinned = whole < COLUMN[0] && frames > MOST_COLUMNS;
  const per = thinned ? room / frames : Math.min(COLUMN[1], Math.max(COLUMN[0], whole));
  const columns = thinned ? Math.max(1, Math.floor(room / FILM_COLUMN)) : frames, width = per * frames, column = width / columns;
  const w = column - 4, h = Math.round((w * value.tile_height) / value.tile_width);
  const tops = rows.map((_, i) => i * (h + BAR + ROW_GAP));
  const { lines, copied } = series(), traced = lines.length ? TRACE : 0;
  const trace = rows.length * (h + BAR + ROW_GAP) + (traced ? TRACE_GAP : 0), total = trace + traced + 2;
  const scale = traced ? scoreScale(lines, copied, trace) : null, quiet = colour("--quiet"), text = colour("--body-text-color");
  const context = fit(strip, width, total);
  film = { per, columns, column, width, trace, traced, total, scale, lines, copied, quiet, text, overlay: fit(cursor, width, total) };
  context.imageSmoothingEnabled = w < value.tile_width;
  context.imageSmoothingQuality = "high";
  const [given, predicted, line] = ["--given", "--predicted", "--line"].map(colour);
  for (let i = 0; i < columns; i++) {
    const t = Math.floor((i * frames) / columns);
    rows.forEach((tile, row) => {
      drawCell(context, ofChoice(tile.clips), t, i * column + 2, tops[row], w, h);
      if (tile.kind === "pose") return;
      context.fillStyle = isGiven(t) ? given : tile.kind === "prediction" ? predicted : line;
      context.fillRect(i * column + 2, tops[row] + h, w, BAR);
    });
  }
  if (traced) drawTrace(context);
  drawGutter(labels, tops.map((y) => y + h / 2));
  legend();
}

function drawTrace(context) {
  const { scale, lines, copied, per, width } = film, at = (t, y) => [(t + 0.5) * per, scale.y(y)];
  context.lineWidth = 1;
  context.strokeStyle = colour("--line");
  for (const tick of scale.ticks) stroke(context, [[0, scale.y(tick)], [width, scale.y(tick)]]);
  for (const { band, paint } of lines) {
    if (!band) continue;
    const known = band.map((pair, t) => (pair ? [t, ...pair] : null)).filter(Boolean);
    context.beginPath();
    known.forEach(([t, low]) => context.lineTo(...at(t, low)));
    known.reverse().forEach(([t, , high]) => context.lineTo(...at(t, high)));
    context.fillStyle = paint;
    context.globalAlpha = lines.length > 1 ? 0.1 : 0.22;
    context.fill();
    context.globalAlpha = 1;
  }
  const dots = per >= 8;
  const drawLine = (values, paint, thick, dash) => {
    context.strokeStyle = context.fillStyle = paint;
    context.lineWidth = thick;
    context.lineJoin = "round";
    context.setLineDash(dash);
    context.beginPath();
    values.forEach((y, t) => { if (isNumber(y)) isNumber(values[t - 1]) ? context.lineTo(...at(t, y)) : context.moveTo(...at(t, y)); });
    context.stroke();
    context.setLineDash([]);
    if (dots) values.forEach((y, t) => { if (isNumber(y)) dot(context, ...at(t, y), thick * 0.9); });
  };
  if (copied) drawLine(copied, colour("--quiet"), 1.5, [4, 3]);
  const thick = per >= 8 ? 2.5 : 1.5;
  for (const { values, paint } of lines) drawLine(values, paint, thick, []);
}

function drawCursor() {
  if (!film) return;
  const { per, columns, column, trace, traced, scale, total, overlay: context } = film, thinned = columns < shown.value.frames;
  context.clearRect(0, 0, film.width, total);
  context.fillStyle = film.text;
  context.globalAlpha = 0.1;
  const at = Math.floor((frame * columns) / shown.value.frames);
  context.fillRect(at * column, 0, column, thinned && traced ? trace - TRACE_GAP / 2 : total);
  context.globalAlpha = 1;
  if (traced) {
    context.strokeStyle = film.quiet;
    stroke(context, [[(frame + 0.5) * per, trace], [(frame + 0.5) * per, trace + traced]]);
    const lines = film.lines.map((line) => [line.values, line.paint]);
    for (const [values, paint] of film.copied ? [[film.copied, film.quiet], ...lines] : lines) {
      if (!isNumber(values[frame])) continue;
      context.fillStyle = paint;
      dot(context, (frame + 0.5) * per, scale.y(values[frame]), 4);
    }
  }
  film.lines.forEach(({ values, band }, i) => {
    part("lines").querySelector('[data-line="' + i + '"]').textContent = withUnit(values[frame]);
    const range = part("lines").querySelector('[data-band="' + i + '"]'), pair = band?.[frame];
    if (range) range.textContent = pair ? withUnit(pair[0]).replace(/ .*/, "") + " … " + withUnit(pair[1]) : "–";
  });
  if (film.copied) part("lines").querySelector("[data-copied]").textContent = withUnit(film.copied[frame]);
}

function legend() {
  const { value } = shown, entries = [];
  const choice = value.choices.length > 1 && film.lines.length === 1 ? ", " + value.choices[chosen()].label : "";
  const entry = (key, text, name, i) => {
    const made = make("span"), now = make("b");
    now.dataset[name] = i;
    made.append(key, text + " ", now);
    entries.push(made);
  };
  film.lines.forEach(({ tile, band, paint }, i) => {
    const painted = (kind) => {
      const key = make("i", "", "key " + kind);
      key.style.setProperty("--paint", paint);
      return key;
    };
    entry(painted("line"), tile.label + choice, "line", i);
    if (band && film.lines.length === 1) entry(painted("band"), "all " + value.samples + " samples", "band", i);
  });
  if (film.copied) entry(make("i", "", "key copy"), "last frame copied", "copied", "");
  part("lines").replaceChildren(...entries);
}

function scoreScale(lines, copied, trace) {
  const all = [...lines.flatMap(({ values, band }) => [...values, ...(band ?? []).flat()]), ...(copied ?? [])].filter(isNumber);
  const low = all.length ? Math.min(...all) : 0, high = all.length ? Math.max(...all) : 1;
  const steps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50];
  const step = steps.find((s) => (high - low) / s <= 4) || 100;
  const from = Math.floor(low / step) * step, count = Math.max(1, Math.ceil((high - from) / step - 1e-9));
  const ticks = Array.from({ length: count + 1 }, (_, i) => Number((from + i * step).toFixed(2)));
  return { ticks, y: (value) => trace + 6 + (TRACE - 12) * (1 - (value - from) / (count * step)) };
}

function stroke(context, points) {
  context.beginPath();
  points.forEach(([x, y]) => context.lineTo(x, y));
  context.stroke();
}

function dot(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

const GUTTER_FONT = () => "11px " + getComputedStyle(player).fontFamily;

// The labels beside the rows in as many lines as a row has room for, and the width that takes: no letter is squeezed.
function labelled(names, height) {
  const context = gutter.getContext("2d"), most = Math.max(1, Math.floor(height / LINE));
  context.font = GUTTER_FONT();
  const wide = (text) => context.measureText(text.trim()).width;
  const wrap = (name, width) => name.split(/(?<=[- ])/).reduce((lines, word) => {
    const joined = lines.length ? lines[lines.length - 1] + word : word;
    return lines.length && wide(joined) <= width ? [...lines.slice(0, -1), joined] : [...lines, word];
  }, []);
  const fits = (name, width) => { const lines = wrap(name, width); return lines.length <= most && lines.every((line) => wide(line) <= width); };
  let width = GUTTER[0] - 10;
  while (width < GUTTER[1] - 10 && !names.every((name) => fits(name, width))) width += 5;
  const shorten = (line) => { while (wide(line) > width && line.length > 2) line = line.replace(/.…?$/, "…"); return line; };
  return { width: width + 10, lines: names.map((name) => (fits(name, width) ? wrap(name, width) : [shorten(name)])) };
}

function drawGutter(labels, middles) {
  const context = fit(gutter, labels.width, film.total), right = labels.width - 8;
  context.font = GUTTER_FONT();
  context.fillStyle = colour("--quiet");
  context.textAlign = "right";
  context.textBaseline = "middle";
  labels.lines.forEach((lines, i) => lines.forEach((line, row) => {
    context.fillText(line.trim(), right, middles[i] + (row - (lines.length - 1) / 2) * LINE);
  }));
  gutter.dataset.lines = labels.lines.map((lines) => lines.map((line) => line.trim()).join("|")).join("; "); // what stands there, for tests
  if (!film.traced) return;
  for (const tick of film.scale.ticks) context.fillText(tick, right, film.scale.y(tick));
  context.textAlign = "left";
  context.fillText(shown.value.units[measure.value], 0, film.trace + film.traced / 2);
}

function followCursor() {
  const x = frame * film.per;
  if (x < reel.scrollLeft || x + film.per > reel.scrollLeft + reel.clientWidth) reel.scrollLeft = x - reel.clientWidth / 2;
}

measure.addEventListener("change", () => draw(true));
strip.addEventListener("click", (event) => {
  setPlaying(false);
  seek(Math.floor((event.clientX - strip.getBoundingClientRect().left) / film.per), false);
});
