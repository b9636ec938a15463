// Small multiples with one x axis: a zoom or a cursor on one plot is on all. Text goes through textContent only.
const BEHIND = new Set(["faint", "band"]); // styles that are no curve of their own
const part = (name) => element.querySelector('[data-part="' + name + '"]');
const SVG = "http://www.w3.org/2000/svg", LEFT = 54, RIGHT = 10, TOP = 8, BOTTOM = 34, HEIGHT = 190, LEAST_DRAG = 6;

let latest = 0; // newest request whose answer has come
let shown = null, view = null; // the value; what part of the x axis is looked at (null: all)
let plots = []; // {panel, svg, tip, x: scale, y: scale}
let cursor = null, drag = null; // x under the pointer; {plot, from, to} in x values
const hidden = new Set(); // names in the legend that were clicked away

function make(tag, attributes, parent, text) {
  const node = tag.startsWith("svg:") ? document.createElementNS(SVG, tag.slice(4)) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

// --- values ---------------------------------------------------------------------------------------------------------

function accept() {
  const value = props.value;
  if (!value || !value.panels || value.request <= latest) return; // none yet, or a late answer
  if (drag) return; // taken when the drag ends: its plot would go away under it
  latest = value.request;
  if (shown && (shown.x_title !== value.x_title || outside(value.x_full))) view = null;
  shown = value;
  part("message").textContent = value.message || "";
  build();
  element.dataset.request = value.request; // what is on screen now, for tests
  if (view && shown.thinned && String(view) !== String(value.x_lim)) refine();
}

const outside = (full) => view && (view[0] >= full[1] || view[1] <= full[0]);
const range = () => view || shown.x_full;
const paint = (colour) => "--paint: var(--c" + (colour % 8) + ")";
const visible = (line) => !hidden.has(line.name);

function build() {
  const runs = part("runs"), pressed = runs.contains(document.activeElement) && document.activeElement.textContent;
  runs.replaceChildren();
  for (const { name, colour } of shown.legend) {
    const button = make("button", { type: "button", "aria-pressed": !hidden.has(name), style: paint(colour), title: "Show or hide" }, runs);
    make("i", {}, button);
    make("span", {}, button, name);
    button.addEventListener("click", () => {
      if (!hidden.delete(name)) hidden.add(name);
      button.setAttribute("aria-pressed", !hidden.has(name));
      draw();
    });
    if (name === pressed) button.focus({ preventScroll: true });
  }
  part("hint").textContent = shown.panels.length ? shown.hint || "" : "";
  const focused = plots.findIndex((plot) => plot.svg === document.activeElement);
  const panels = part("panels");
  panels.replaceChildren();
  plots = shown.panels.map((panel) => {
    const box = make("section", { class: "panel" }, panels);
    const title = make("h4", {}, box, panel.title);
    make("span", { class: "unit" }, title, panel.unit);
    const keys = make("div", { class: "keys" }, box);
    for (const [label, style] of panel.keys) {
      const key = make("span", {}, keys);
      make("i", { class: style }, key);
      key.append(label);
    }
    const svg = make("svg:svg", { class: "plot", role: "img", tabindex: "0", height: HEIGHT }, box);
    const plot = { panel, svg, box, tip: make("div", { class: "tip", hidden: "" }, box) };
    listen(plot);
    return plot;
  });
  draw();
  if (focused >= 0 && plots[focused]) plots[focused].svg.focus({ preventScroll: true });
}

// --- scales ---------------------------------------------------------------------------------------------------------

function niceStep(span, most) {
  const power = 10 ** Math.floor(Math.log10(span / most));
  return [1, 2, 5, 10].map((s) => s * power).find((s) => span / s <= most);
}

function linearTicks(low, high, most) {
  if (!(high > low)) return [low];
  const step = niceStep(high - low, most), ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(i * step);
  return ticks;
}

function withRoom(ticks, x) { // those that stand apart, the largest first
  return ticks.reduceRight((kept, tick) => (kept.length && x(kept[0]) - x(tick) < 24 ? kept : [tick, ...kept]), []);
}

function logTicks(low, high) {
  const ticks = [], from = Math.floor(low), to = Math.ceil(high), skip = Math.ceil((high - low) / 5);
  for (let power = from; power <= to; power++)
    for (const lead of high - low < 2 ? [1, 2, 5] : [1])
      if (lead > 1 || (power - from) % skip === 0) ticks.push(lead * 10 ** power);
  const within = ticks.filter((tick) => Math.log10(tick) >= low - 1e-9 && Math.log10(tick) <= high + 1e-9);
  return within.length > 1 ? within : linearTicks(10 ** low, 10 ** high, 5).filter((tick) => tick > 0); // between two leads
}

function short(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e7) return String(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(digits - 2).replace(/\.?0+e/, "e").replace("e+", "e");
  return String(Number(value.toPrecision(size >= 1000 ? digits + 1 : digits)));
}

function labels(ticks) { // with as many digits as tell them apart
  let texts = [];
  for (let digits = 4; digits < 16 && new Set(texts).size < ticks.length; digits++) texts = ticks.map((tick) => short(tick, digits));
  return texts;
}

function yScale(panel, height) {
  const [from, to] = range(), log = panel.log, values = [];
  for (const line of panel.lines.filter(visible)) {
    // while zoomed, what enters and leaves at the edges counts too
    for (let i = 0; i < line.x.length; i++) {
      const near = line.x[i] >= from && line.x[i] <= to;
      for (const y of [line.y[i], line.top?.[i] ?? null]) if (near && y !== null && !(log && y <= 0)) values.push(log ? Math.log10(y) : y);
    }
  }
  if (!values.length) return null;
  let low = values.reduce((a, b) => Math.min(a, b)), high = values.reduce((a, b) => Math.max(a, b));
  if (panel.from_zero && !log) low = Math.min(0, low);
  if (panel.y_lim && !log) [low, high] = panel.y_lim;
  else if (high - low < 1e-12 * Math.max(1, Math.abs(high)) || high === low) {
    const room = log ? 0.5 : Math.abs(high) / 2 || 1;
    [low, high] = [panel.from_zero && !log ? Math.min(0, low) : low - room, high + room];
  } else {
    const room = (high - low) * 0.05;
    [low, high] = [panel.from_zero && !log && low === 0 ? 0 : low - room, high + room];
  }
  const at = (value) => TOP + (height - TOP - BOTTOM) * (1 - ((log ? Math.log10(value) : value) - low) / (high - low));
  return { at, ticks: log ? logTicks(low, high) : linearTicks(low, high, 5) };
}

// --- drawing --------------------------------------------------------------------------------------------------------

function draw() {
  if (!shown || !element.isConnected) return;
  part("reset").hidden = view === null;
  for (const plot of plots) drawPlot(plot);
  element.dataset.view = view ? view.join(" ") : ""; // for tests
  drawCursor();
}

function drawPlot(plot) {
  const { panel, svg } = plot, width = svg.clientWidth || svg.parentNode.clientWidth - 20;
  if (width <= LEFT + RIGHT) return;
  const [from, to] = range(), span = to - from || 1, right = width - RIGHT, base = HEIGHT - BOTTOM;
  svg.setAttribute("viewBox", "0 0 " + width + " " + HEIGHT);
  svg.replaceChildren();
  plot.width = width;
  plot.x = (value) => LEFT + ((right - LEFT) * (value - from)) / span;
  plot.back = (pixel) => Math.min(to, Math.max(from, from + ((pixel - LEFT) / (right - LEFT)) * span));
  plot.y = yScale(panel, HEIGHT);
  const asked = shown.x_ticks?.length ? withRoom(shown.x_ticks.filter((tick) => tick >= from && tick <= to), plot.x) : linearTicks(from, to, width / 70);
  const ticks = asked.filter((t) => !shown.x_whole || Number.isInteger(t)), texts = labels(ticks);
  ticks.forEach((tick, i) => {
    make("svg:line", { class: "grid", x1: plot.x(tick), x2: plot.x(tick), y1: base, y2: base + 4 }, svg);
    make("svg:text", { x: plot.x(tick), y: base + 16, "text-anchor": "middle" }, svg, texts[i]);
  });
  make("svg:text", { x: right, y: HEIGHT - 4, "text-anchor": "end" }, svg, shown.x_title);
  const box = make("svg:svg", { x: LEFT, y: 0, width: right - LEFT, height: base + 2, viewBox: LEFT + " 0 " + (right - LEFT) + " " + (base + 2) }, svg);
  if (!plot.y) {
    const text = panel.log && panel.lines.some(visible) ? "nothing above zero here" : "nothing recorded here";
    make("svg:text", { class: "empty", x: (LEFT + right) / 2, y: HEIGHT / 2 - 8, "text-anchor": "middle" }, svg, text);
    describe(plot);
    return;
  }
  const heights = labels(plot.y.ticks);
  plot.y.ticks.forEach((tick, i) => {
    make("svg:line", { class: "grid", x1: LEFT, x2: right, y1: plot.y.at(tick), y2: plot.y.at(tick) }, box);
    make("svg:text", { x: LEFT - 6, y: plot.y.at(tick) + 4, "text-anchor": "end" }, svg, heights[i]);
  });
  for (const mark of shown.marks || []) make("svg:line", { class: "mark", x1: plot.x(mark), x2: plot.x(mark), y1: TOP, y2: base }, box);
  for (const line of panel.lines.filter(visible)) drawLine(plot, line, box);
  describe(plot);
}

function drawLine(plot, line, parent) {
  const drawable = (i) => line.y[i] !== null && line.y[i] !== undefined && !(plot.panel.log && line.y[i] <= 0);
  const style = paint(line.colour);
  if (line.style === "band") {
    const known = line.x.map((_, i) => i).filter((i) => drawable(i) && line.top[i] !== null), at = (i, y) => plot.x(line.x[i]).toFixed(1) + " " + plot.y.at(y[i]).toFixed(1);
    if (known.length) make("svg:path", { class: "band", style, d: "M" + [...known.map((i) => at(i, line.y)), ...known.reverse().map((i) => at(i, line.top))].join("L") + "Z" }, parent);
    return;
  }
  const dot = (i, r) => make("svg:circle", { class: "dot", style, cx: plot.x(line.x[i]), cy: plot.y.at(line.y[i]), r }, parent);
  let path = "";
  for (let i = 0; i < line.x.length; i++) {
    if (!drawable(i)) continue;
    if (line.style === "dots") { dot(i, 2.2); continue; }
    const starts = i === 0 || !drawable(i - 1), ends = i === line.x.length - 1 || !drawable(i + 1);
    if (starts && ends) dot(i, 2.5); // alone between two gaps: a line cannot show it
    path += (starts ? "M" : "L") + plot.x(line.x[i]).toFixed(1) + " " + plot.y.at(line.y[i]).toFixed(1);
  }
  // later runs are thinner: where curves are equal, the ones below stay visible
  const after = shown.legend.length - 1 - shown.legend.findIndex(({ name }) => name === line.name);
  const width = 1.7 + (shown.legend.length ? (1.8 * after) / shown.legend.length : 0);
  if (path) make("svg:path", { class: "curve " + line.style, style: style + "; --width: " + width.toFixed(2), d: path }, parent);
}

function describe(plot) {
  const lasts = plot.panel.lines.filter((l) => visible(l) && !BEHIND.has(l.style) && l.y.length).map((line) => {
    return line.label + " ends at " + short(line.y[line.y.length - 1]);
  });
  plot.svg.setAttribute("aria-label", plot.panel.title + ", " + plot.panel.unit + ": " + (lasts.join("; ") || "nothing recorded"));
}

// --- cursor ---------------------------------------------------------------------------------------------------------

function nearest(line, x) {
  let best = -1;
  for (let i = 0; i < line.x.length; i++)
    if (line.y[i] !== null && (best < 0 || Math.abs(line.x[i] - x) < Math.abs(line.x[best] - x))) best = i;
  return best;
}

// From a point to the farther one of its neighbours: a curve has nothing to say farther away.
const spacing = ({ x }, i) => Math.max(i ? x[i] - x[i - 1] : 0, i + 1 < x.length ? x[i + 1] - x[i] : 0);

function drawCursor(active) {
  for (const plot of plots) {
    plot.svg.querySelectorAll(".cursor, .brush").forEach((node) => node.remove());
    plot.tip.hidden = true;
    if (!plot.x) continue;
    const base = HEIGHT - BOTTOM;
    if (drag) {
      const [a, b] = [plot.x(drag.from), plot.x(drag.to)].sort((p, q) => p - q);
      make("svg:rect", { class: "brush", x: a, y: TOP, width: b - a, height: base - TOP }, plot.svg);
    } else if (cursor !== null && cursor >= range()[0] && cursor <= range()[1]) {
      make("svg:line", { class: "cursor", x1: plot.x(cursor), x2: plot.x(cursor), y1: TOP, y2: base }, plot.svg);
      if (plot === active) drawTip(plot);
    }
  }
}

function drawTip(plot) {
  const { tip } = plot, rows = [];
  for (const line of plot.panel.lines.filter((l) => visible(l) && !BEHIND.has(l.style))) {
    const i = nearest(line, cursor);
    if (i >= 0) rows.push([line, i]);
  }
  if (!rows.length) return;
  const places = rows.map(([line, i]) => line.x[i]);
  const at = places.reduce((a, b) => (Math.abs(b - cursor) < Math.abs(a - cursor) ? b : a));
  tip.replaceChildren();
  const said = [shown.x_title + " " + short(at)];
  make("b", {}, tip, said[0]);
  for (const [line, i] of rows.filter(([line, i]) => Math.abs(line.x[i] - at) <= spacing(line, i))) {
    const row = make("div", { style: paint(line.colour) }, tip);
    make("i", {}, row);
    make("span", {}, row, line.label);
    make("b", {}, row, short(line.y[i]));
    said.push(line.label + " " + short(line.y[i]));
  }
  plot.said = said.join("; ");
  tip.hidden = false;
  const right = plot.x(cursor) + 10, flip = right > plot.width / 2;
  tip.style.left = flip ? Math.max(4, plot.x(cursor) - tip.offsetWidth) + "px" : right + 14 + "px";
  tip.style.top = plot.svg.offsetTop + 6 + "px";
}

// --- zoom -----------------------------------------------------------------------------------------------------------

function zoom(to) {
  if (to) {
    const [low, high] = shown.x_full;
    to = [Math.max(low, to[0]), Math.min(high, to[1])];
    if (!(to[1] - to[0] > (high - low) * 1e-4)) return;
    if (to[0] <= low && to[1] >= high) to = null;
  }
  view = to;
  draw();
  if (shown.thinned) refine();
}

// The points that were left out, for what is looked at.
const refine = () => trigger("select", { x_lim: view });

function listen(plot) {
  const { svg } = plot;
  const pixel = (event) => event.clientX - svg.getBoundingClientRect().left;
  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !plot.x) return;
    cursor = plot.back(pixel(event)); // a finger moves only after it has come
    svg.classList.add("pressed"); // a frame around the plot is for those who came by keyboard
    drag = { from: cursor, to: cursor, start: pixel(event) };
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", (event) => {
    if (!plot.x) return;
    cursor = plot.back(pixel(event));
    if (drag) drag.to = cursor;
    drawCursor(plot);
  });
  svg.addEventListener("pointerup", (event) => {
    if (!drag) return;
    const { from, to, start } = drag;
    drag = null;
    if (Math.abs(pixel(event) - start) >= LEAST_DRAG) zoom([Math.min(from, to), Math.max(from, to)]);
    else drawCursor(plot);
    accept();
  });
  svg.addEventListener("pointercancel", () => { drag = null; drawCursor(); accept(); });
  svg.addEventListener("pointerleave", (event) => { // a finger leaves as soon as it has tapped
    if (!drag && event.pointerType !== "touch") { cursor = null; drawCursor(); }
  });
  svg.addEventListener("dblclick", () => zoom(null));
  svg.addEventListener("blur", () => { svg.classList.remove("pressed"); cursor = null; drawCursor(); });
  const move = (to) => {
    cursor = Math.min(range()[1], Math.max(range()[0], to));
    drawCursor(plot);
    part("read").textContent = plot.tip.hidden ? "" : plot.said;
  };
  svg.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const [from, to] = range(), step = (to - from) / 40, middle = cursor ?? (from + to) / 2;
    const scale = (factor) => zoom([middle - (middle - from) * factor, middle + (to - middle) * factor]);
    const keys = {
      ArrowLeft: () => move(middle - step), ArrowRight: () => move(middle + step),
      "+": () => scale(0.5), "-": () => scale(2), Escape: () => zoom(null),
    };
    if (!keys[event.key]) return;
    keys[event.key]();
    event.preventDefault();
  });
}

part("reset").addEventListener("click", () => zoom(null));
new ResizeObserver(() => draw()).observe(part("panels"));
watch("value", accept);
accept();
