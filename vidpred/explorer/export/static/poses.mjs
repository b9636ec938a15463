// A dancer that follows poses: a skeleton to drag, drawn as the pose pictures of the clips are drawn.
import { readJson } from "./fetching.mjs";
import { givenTo } from "./imagine.mjs";

const byId = (id) => document.getElementById(id);

export function preparePoses({ ask, load, clipOf, numbers, valid, clip, say, unsay, inTurn, step }) {
  let chosen = null, film = null, skeleton = null, points = {}, below = {}, held = null, busy = false, moved = false, following = 0, steps = 0;
  const failed = (error) => say("This did not work: " + error.message, "problem");
  const board = byId("pose-board"), picture = byId("pose-picture"), joint = byId("pose-joint");

  // The pose picture, RGBA: limbs and round ends drawn large, then averaged down.
  function drawn() {
    const { width, height } = film, s = skeleton.scale, large = new OffscreenCanvas(width * s, height * s);
    const context = large.getContext("2d", { willReadFrequently: true });
    context.fillStyle = "black";
    context.fillRect(0, 0, large.width, large.height);
    context.lineCap = "round";
    context.lineWidth = skeleton.limb_width * s;
    for (const [start, end, colour] of skeleton.limbs) {
      context.strokeStyle = "rgb(" + colour.join() + ")";
      context.beginPath();
      context.moveTo(points[start][0] * s, points[start][1] * s);
      context.lineTo(points[end][0] * s, points[end][1] * s);
      context.stroke();
    }
    const from = context.getImageData(0, 0, large.width, large.height).data, out = new Uint8ClampedArray(4 * width * height).fill(255);
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) for (let c = 0; c < 3; c++) {
      let sum = 0;
      for (let v = 0; v < s; v++) for (let u = 0; u < s; u++) sum += from[4 * ((y * s + v) * large.width + x * s + u) + c];
      out[4 * (y * width + x) + c] = sum / s ** 2;
    }
    return out;
  }

  function paint(canvas, rgba) {
    canvas.width = film.width;
    canvas.height = film.height;
    canvas.getContext("2d").putImageData(new ImageData(rgba, film.width, film.height), 0, 0);
  }

  function paintBoard(pose) {
    const zoom = 8, context = board.getContext("2d"), small = new OffscreenCanvas(film.width, film.height);
    small.getContext("2d").putImageData(new ImageData(pose, film.width, film.height), 0, 0);
    board.width = film.width * zoom;
    board.height = film.height * zoom;
    context.imageSmoothingEnabled = false;
    context.drawImage(small, 0, 0, board.width, board.height);
    if (following) return;
    for (const [name, [x, y]] of Object.entries(points)) {
      context.beginPath();
      context.arc(x * zoom, y * zoom, 6, 0, 7);
      context.fillStyle = name === joint.value ? "white" : "rgb(255 255 255 / 0.35)";
      context.fill();
      context.strokeStyle = "black";
      context.stroke();
    }
  }

  async function imagine(pose) {
    const began = performance.now(), made = await step(pose);
    paint(picture, made.pixels);
    steps += 1;
    picture.dataset.steps = steps; // for tests
    byId("pose-note").textContent = "frame " + steps + ", " + (1000 / (performance.now() - began)).toFixed(0) + " a second";
  }

  function follow() { // the newest pose, as fast as the model goes
    moved = true;
    if (busy) return;
    busy = true;
    inTurn(async () => {
      while (moved && !following) {
        moved = false;
        const pose = drawn();
        paintBoard(pose);
        await imagine(pose);
        await new Promise(requestAnimationFrame);
      }
    }).catch(failed).finally(() => { busy = false; });
  }

  function followClip() {
    if (following) { following = 0; return; }
    const mine = (following = performance.now());
    byId("pose-follow").textContent = "Stop";
    inTurn(async () => {
      for (let t = 1; t < film.poses.length && following === mine; t++) {
        paintBoard(film.poses[t]);
        await imagine(film.poses[t]);
        await new Promise(requestAnimationFrame);
      }
    }).catch(failed).finally(() => {
      if (following && following !== mine) return; // pressed once more meanwhile
      following = 0;
      byId("pose-follow").textContent = "Follow the clip";
      if (chosen) follow(); // board and picture are of the skeleton again
    });
  }

  function shift(name, dx, dy) { // a joint and all that hangs on it
    for (const one of [name, ...below[name]])
      points[one] = [Math.min(film.width, Math.max(0, points[one][0] + dx)), Math.min(film.height, Math.max(0, points[one][1] + dy))];
    follow();
  }

  function restart() {
    following = 0;
    const { seed, temperature } = numbers(), run = chosen;
    points = structuredClone(skeleton.points);
    return inTurn(async () => {
      await ask("drive", { act: "begin", folder: new URL(run.folder, location.href).href, given: givenTo(film), seed, temperature });
      if (run !== chosen) return;
      steps = 0;
      paint(picture, film.pictures[0]);
      byId("poses").hidden = false;
      follow();
    });
  }

  const place = (event) => {
    const box = board.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * film.width, ((event.clientY - box.top) / box.height) * film.height];
  };
  board.addEventListener("pointerdown", (event) => {
    if (following || held || event.button !== 0) return; // one finger has one joint
    const [x, y] = place(event), far = ([u, v]) => Math.hypot(u - x, v - y);
    held = { pointer: event.pointerId, name: Object.keys(points).reduce((a, b) => (far(points[b]) < far(points[a]) ? b : a)), x, y };
    joint.value = held.name;
    board.setPointerCapture(event.pointerId);
  });
  board.addEventListener("pointermove", (event) => {
    if (held?.pointer !== event.pointerId) return;
    const [x, y] = place(event);
    shift(held.name, x - held.x, y - held.y);
    Object.assign(held, { x, y });
  });
  for (const end of ["pointerup", "pointercancel"]) board.addEventListener(end, (event) => { if (held?.pointer === event.pointerId) held = null; });
  board.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!move || following || event.ctrlKey || event.altKey || event.metaKey) return;
    shift(joint.value, ...move);
    event.preventDefault();
  });
  joint.addEventListener("change", () => { if (!following) paintBoard(drawn()); });
  byId("pose-follow").addEventListener("click", followClip);
  byId("pose-restart").addEventListener("click", () => { if (valid()) restart().catch(failed); });

  return {
    hide() { chosen = held = null; following = 0; byId("poses").hidden = true; },
    async begin(run) {
      chosen = run;
      const gone = () => run !== chosen;
      try {
        const opened = await clipOf(run, clip());
        skeleton ??= await readJson("live/skeleton.json");
        await load(run, () => !gone());
        if (gone()) return;
        film = opened;
        const beside = (name) => skeleton.limbs.flatMap(([a, b]) => (a === name ? [b] : b === name ? [a] : []));
        const hanging = (name, from) => beside(name).filter((one) => one !== from).flatMap((one) => [one, ...hanging(one, name)]);
        const order = (name, from) => [[name, hanging(name, from)], ...beside(name).filter((one) => one !== from).flatMap((one) => order(one, name))];
        below = Object.fromEntries(order("pelvis", null));
        joint.replaceChildren(...Object.keys(below).map((name) => new Option(name.replace("_", " "), name)));
        joint.value = "right_hand";
        unsay();
        await restart();
      } catch (error) {
        if (gone()) return;
        failed(error);
        byId("drive-start").hidden = false;
      }
    },
  };
}
