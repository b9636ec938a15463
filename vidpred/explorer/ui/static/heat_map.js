// Numbers as colours, black over red and yellow to white as everywhere else; the cell under the pointer, or chosen by keys, is read out.
const part = (name) => element.querySelector('[data-part="' + name + '"]');
const canvas = part("cells"), LEFT = 52, RIGHT = 84, TOP = 6, BOTTOM = 34, TALL = [190, 420], ROW = 12;
let latest = 0, shown = null, cell = null, place = null; // the value; [row, column] that is read out; where things lie

function accept() {
  const value = props.value;
  if (!value || value.request <= latest) return; // none yet, or a late answer
  latest = value.request;
  shown = value.message ? null : value;
  part("message").hidden = !value.message;
  part("message").textContent = value.message;
  canvas.hidden = !!value.message;
  read(null);
  element.dataset.request = value.request; // what is on screen now, for tests
}

const colour = (name) => getComputedStyle(element.firstElementChild).getPropertyValue(name).trim() || "#888";
const heat = (share) => "rgb(" + [0, 1, 2].map((c) => Math.round(255 * Math.max(0, Math.min(1, 3 * share - c)))).join(",") + ")";
const short = (value) => String(Number(value.toPrecision(2)));

function ticks(count, room) { // places of whole numbers, not closer than there is room for
  const step = [1, 2, 5, 10, 20, 50, 100, 200].find((s) => (s * room) / count >= 28) ?? 500;
  return [...Array(count).keys()].filter((i) => i % step === 0);
}

function draw() {
  if (!shown || !element.isConnected || !canvas.clientWidth) return;
  const { values, top } = shown, rows = values.length, columns = values[0]?.length ?? 0, ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = TOP + BOTTOM + Math.min(TALL[1], Math.max(TALL[0], rows * ROW));
  canvas.style.height = height + "px";
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d"), w = (width - LEFT - RIGHT) / columns, h = (height - TOP - BOTTOM) / rows;
  place = { w, h, rows, columns };
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  values.forEach((line, row) => line.forEach((value, column) => {
    context.fillStyle = heat(value / top);
    context.fillRect(LEFT + column * w, TOP + row * h, w + 0.5, h + 0.5);
  }));
  const right = width - RIGHT, base = height - BOTTOM;
  context.font = "11px " + getComputedStyle(canvas).fontFamily;
  context.fillStyle = colour("--body-text-color-subdued");
  context.textAlign = "center";
  context.textBaseline = "top";
  for (const i of ticks(columns, right - LEFT)) context.fillText(i + 1, LEFT + (i + 0.5) * w, base + 5);
  context.textAlign = "right";
  context.fillText(shown.column, right, base + 19);
  context.textBaseline = "middle";
  for (const i of ticks(rows, 1.6 * (base - TOP))) context.fillText(i, LEFT - 6, TOP + (i + 0.5) * h);
  context.save();
  context.translate(10, (TOP + base) / 2);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.fillText(shown.row, 0, 0);
  context.restore();
  for (let y = 0; y < base - TOP; y++) { // the colour bar
    context.fillStyle = heat(1 - y / (base - TOP));
    context.fillRect(right + 16, TOP + y, 14, 1.5);
  }
  context.strokeStyle = colour("--border-color-primary");
  context.strokeRect(LEFT, TOP, right - LEFT, base - TOP);
  context.strokeRect(right + 16, TOP, 14, base - TOP);
  context.fillStyle = colour("--body-text-color-subdued");
  context.textAlign = "left";
  for (const share of [0, 0.25, 0.5, 0.75, 1]) context.fillText(short(share * top), right + 36, Math.max(TOP + 5, TOP + (base - TOP) * (1 - share)));
  context.textBaseline = "top";
  context.fillText(shown.unit, right + 16, base + 5);
  if (cell) {
    context.lineWidth = 2;
    context.strokeStyle = colour("--color-accent");
    context.strokeRect(LEFT + cell[1] * w, TOP + cell[0] * h, w, h);
  }
  const [low, where] = values.reduce((best, line, row) => line.reduce((b, v, column) => (v > b[0] ? [v, [row, column]] : b), best), [-1, [0, 0]]);
  canvas.setAttribute("aria-label", "Heat map, " + rows + " rows (" + shown.row + "), " + columns + " columns (" + shown.column + "): highest "
    + short(Math.max(0, low)) + " " + shown.unit + " in row " + where[0] + ", column " + (where[1] + 1) + ". Arrow keys read off values.");
}

function read(next) {
  cell = next;
  draw();
  part("read").textContent = cell ? shown.column + " " + (cell[1] + 1) + ", " + shown.row + " " + cell[0] + ": " + shown.values[cell[0]][cell[1]].toFixed(3) + " " + shown.unit : "";
}

for (const what of ["pointerdown", "pointermove"]) canvas.addEventListener(what, ({ offsetX, offsetY }) => {
  if (!place) return;
  const row = Math.floor((offsetY - TOP) / place.h), column = Math.floor((offsetX - LEFT) / place.w);
  const inside = row >= 0 && row < place.rows && column >= 0 && column < place.columns;
  if (String(inside ? [row, column] : null) !== String(cell)) read(inside ? [row, column] : null);
});
canvas.addEventListener("pointerleave", ({ pointerType }) => { if (shown && pointerType !== "touch") read(null); });
canvas.addEventListener("keydown", (event) => {
  const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (!move || !place || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  const [row, column] = cell ?? [0, -move[1]], within = (value, most) => Math.max(0, Math.min(most - 1, value));
  read([within(row + move[0], place.rows), within(column + move[1], place.columns)]);
});
new ResizeObserver(() => draw()).observe(element.firstElementChild);
new MutationObserver(() => draw()).observe(document.body, { attributes: true, attributeFilter: ["class"] });
watch("value", accept);
accept();
