// What the drive looks like: pictures with the gripper's path, the map of the table, the film strip with the PSNR.
const GUTTER = 46, COLUMN = [26, 58], TRACE = 56, TALLEST = 384; // CSS pixels
const styles = new Map(); // until the theme changes: looking them up takes longer than drawing
let column = COLUMN[1]; // of the film strip

function style(name) {
  if (!styles.has(name)) styles.set(name, getComputedStyle(drive).getPropertyValue(name).trim());
  return styles.get(name);
}

function size(target, width, height) { // device pixels; what was drawn is gone
  const ratio = window.devicePixelRatio || 1;
  if (target.width === width && target.height === height) return target.getContext("2d").clearRect(0, 0, width, height);
  target.width = width;
  target.height = height;
  target.style.width = width / ratio + "px";
  target.style.height = height / ratio + "px";
}

function fit(target, width, height) {
  const ratio = window.devicePixelRatio || 1, context = target.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  size(target, Math.round(width * ratio), Math.round(height * ratio));
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

function resize() {
  if (!setup || !frames.length || !element.isConnected || part("views").clientWidth === 0) return;
  const ratio = window.devicePixelRatio || 1, screens = frames.some((f) => f.physics) ? 2 : 1, [w, h] = setup.size;
  const gap = parseFloat(getComputedStyle(part("views")).columnGap) || 0, border = Math.max(2, Math.round(3 * ratio));
  part("truth").hidden = screens === 1;
  const room = ((part("views").clientWidth - gap * (screens - 1)) * ratio) / screens - 2 * border;
  // whole device pixels per pixel: nothing is ever interpolated
  const zoom = Math.max(1, Math.floor(Math.min(room / w, (TALLEST * ratio) / h)));
  for (const name of ["model", "model-path", "physics", "physics-path"]) {
    const target = part(name);
    size(target, w * zoom + 2 * border, h * zoom + 2 * border);
    Object.assign(target.dataset, { zoom, border });
  }
  part("views").style.minHeight = (h * zoom + 2 * border) / ratio + 26 + "px";
  draw();
}

function draw() {
  if (!setup || !frames.length) return;
  const now = frames[view], given = isGiven(view), started = performance.now();
  for (const [name, image, place] of [["model", now.model, "pixel"], ["physics", now.physics, "true_pixel"]]) {
    const target = part(name), context = target.getContext("2d"), border = Number(target.dataset.border);
    context.fillStyle = style(given ? "--given" : name === "model" ? "--predicted" : "--line");
    context.fillRect(0, 0, target.width, target.height);
    context.imageSmoothingEnabled = false;
    const side = [target.width - 2 * border, target.height - 2 * border];
    if (image) context.drawImage(image, border, border, ...side);
    else context.clearRect(border, border, ...side);
    target.dataset.frame = view;
    target.setAttribute("aria-label", (name === "model" ? "What the model imagines" : "What the physics does") + ", frame " + view);
    drawPath(part(name + "-path"), place, border, side);
  }
  part("tag").textContent = given ? "given" : "imagined";
  part("tag").className = "tag" + (given ? " given" : "");
  part("psnr").textContent = now.psnr_text ? "model is at " + now.psnr_text + " dB" : "";
  const [x, y, z] = now.position.map((v) => v.toFixed(2));
  part("place").textContent = "x " + x + " · y " + y + " · height " + z;
  part("counter").textContent = given ? "given frame " + view : "step " + (view - setup.n_past + 1) + " of " + steps();
  part("fingers").setAttribute("aria-pressed", String(open === 1));
  drive.querySelector("[data-do=undo]").disabled = drive.querySelector("[data-do=save]").disabled = part("play").disabled = steps() < 1;
  drive.querySelector("[data-do=replay]").disabled = frames.length >= setup.clip_frames;
  if (drive.querySelector("button:focus:disabled")) drive.focus({ preventScroll: true }); // else keys would drive no more
  if (!setup.free) drawMap();
  drawFilm();
  element.dataset.took = (performance.now() - started).toFixed(1); // milliseconds
}

function line(context, points, paint, width, dash = []) {
  context.strokeStyle = paint;
  context.lineWidth = width;
  context.lineJoin = context.lineCap = "round";
  context.setLineDash(dash);
  context.beginPath();
  points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.stroke();
  context.setLineDash([]);
}

function dot(context, [x, y], radius, fill, edge) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  if (fill) { context.fillStyle = fill; context.fill(); }
  context.strokeStyle = edge;
  context.lineWidth = radius / 2.5;
  context.stroke();
}

function drawPath(target, place, border, [w, h]) {
  const context = target.getContext("2d"), unit = window.devicePixelRatio || 1;
  context.clearRect(0, 0, target.width, target.height);
  if (part("path").getAttribute("aria-pressed") !== "true") return;
  const path = frames.slice(0, view + 1).map((f) => f[place]);
  if (path.some((p) => !p)) return;
  const at = path.map(([u, v]) => [border + u * w, border + v * h]);
  context.globalAlpha = 0.75;
  line(context, at, "white", 3.5 * unit);
  context.globalAlpha = 1;
  line(context, at.slice(0, setup.n_past), style("--given"), 1.75 * unit);
  if (view >= setup.n_past) line(context, at.slice(setup.n_past - 1), style("--predicted"), 1.75 * unit);
  dot(context, at[view], 4.5 * unit, "white", style(isGiven(view) ? "--given" : "--predicted"));
}

function drawMap() {
  const { low, high } = setup, wide = high[1] - low[1] || 1, deep = high[0] - low[0] || 1, tall = high[2] - low[2] || 1;
  const W = Math.min(part("map").parentElement.parentElement.clientWidth, 220), bar = 14, gap = 12, pad = 8;
  const w = W - bar - gap, h = Math.max(60, Math.min(190, (w * deep) / wide)), context = fit(part("map"), W, h);
  const at = (p) => [pad + ((p[1] - low[1]) / wide) * (w - 2 * pad), pad + ((p[0] - low[0]) / deep) * (h - 2 * pad)];
  const level = (p) => h - pad - ((p[2] - low[2]) / tall) * (h - 2 * pad);
  const given = style("--given"), driven = style("--predicted"), quiet = style("--quiet"), edge = style("--line");
  context.clearRect(0, 0, W, h);
  context.strokeStyle = edge;
  context.lineWidth = 1;
  context.strokeRect(0.5, 0.5, w - 1, h - 1);
  context.strokeRect(w + gap + 0.5, 0.5, bar - 1, h - 1);
  const path = frames.slice(0, view + 1), now = path[view];
  const real = path.filter((f) => f.true_position).map((f) => at(f.true_position));
  if (real.length > 1) line(context, real, quiet, 1.5, [3, 3]);
  line(context, path.slice(0, setup.n_past).map((f) => at(f.position)), given, 2);
  if (view >= setup.n_past) line(context, path.slice(setup.n_past - 1).map((f) => at(f.position)), driven, 2);
  const paint = isGiven(view) ? given : driven;
  dot(context, at(now.position), 4 + 2 * now.fingers, now.fingers >= 0.5 ? null : paint, paint);
  context.fillStyle = paint;
  context.fillRect(w + gap + 2, level(now.position) - 2, bar - 4, 4);
  part("map").setAttribute("aria-label", "The gripper from above: " + Math.round((100 * (now.position[1] - low[1])) / wide)
    + " % of the way from left to right, " + Math.round((100 * (now.position[0] - low[0])) / deep) + " % towards the front, "
    + Math.round((100 * (now.position[2] - low[2])) / tall) + " % of the height");
}

function drawFilm() {
  const ratio = setup.size[1] / setup.size[0], hasPhysics = !part("truth").hidden, room = part("reel").parentElement.clientWidth - GUTTER;
  column = Math.min(COLUMN[1], Math.max(COLUMN[0], Math.floor(room / Math.max(frames.length, 12))));
  const w = column - 4, h = Math.round(w * ratio), rows = hasPhysics ? [0, h + 7] : [0];
  const trace = rows[rows.length - 1] + h + 13, total = trace + (hasPhysics ? TRACE + 16 : 4);
  const context = fit(part("strip"), column * frames.length, total);
  const text = style("--body-text-color"), quiet = style("--quiet"), font = "11px " + style("font-family");
  context.fillStyle = text;
  context.globalAlpha = 0.1;
  context.fillRect(view * column, 0, column, total);
  context.globalAlpha = 1;
  context.imageSmoothingQuality = "high";
  frames.forEach((f, t) => {
    [f.model, f.physics].slice(0, rows.length).forEach((image, i) => {
      if (image) context.drawImage(image, t * column + 2, rows[i], w, h);
      context.fillStyle = style(isGiven(t) ? "--given" : i ? "--line" : "--predicted");
      context.fillRect(t * column + 2, rows[i] + h, w, 3);
    });
  });
  const scores = frames.map((f) => f.psnr), all = scores.filter((x) => x !== null);
  const low = all.length ? Math.floor(Math.min(...all) / 5) * 5 : 10, high = all.length ? Math.max(Math.ceil(Math.max(...all) / 5) * 5, low + 5) : 30;
  const at = (value) => trace + 6 + (TRACE - 12) * (1 - (value - low) / (high - low));
  if (hasPhysics) {
    for (const tick of [low, high]) line(context, [[0, at(tick)], [column * frames.length, at(tick)]], style("--line"), 1);
    const points = scores.flatMap((x, t) => (x === null ? [] : [[(t + 0.5) * column, at(x)]]));
    if (points.length) line(context, points, style("--color-accent"), 2);
    points.forEach((p) => dot(context, p, 1.5, style("--color-accent"), style("--color-accent")));
    context.font = font;
    context.textAlign = "center";
    context.fillStyle = quiet;
    const every = Math.ceil(22 / column);
    frames.forEach((_, t) => { if (t % every === 0) context.fillText(t, (t + 0.5) * column, total - 3); });
  }
  const side = fit(part("gutter"), GUTTER, total);
  Object.assign(side, { font, fillStyle: quiet, textAlign: "right", textBaseline: "middle" });
  ["model", "physics"].slice(0, rows.length).forEach((name, i) => side.fillText(name, GUTTER - 6, rows[i] + h / 2));
  if (hasPhysics) for (const tick of [low, high]) side.fillText(tick + " dB", GUTTER - 6, at(tick));
}
