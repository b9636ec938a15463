// The model as a simulator in this page: a press, or a dragged pose, makes the next frame; z can be pushed by hand.
import { givenTo } from "./imagine.mjs";
import { preparePoses } from "./poses.mjs";
import { gif } from "./gif.mjs";

const MOST_STEPS = 600, DIMENSIONS = 8;
const byId = (id) => document.getElementById(id);

const isFree = (run) => run.kind === "none"; // nothing steers it

export function prepareDrive({ ask, mount, load, clipOf, say, unsay, numbers, valid, clip }) {
  let chosen = null, film = null, law = null, frames = [], taken = [], request = 0, show = null, speed = null;
  const pushed = {}; // dimension -> sigmas
  const folder = () => new URL(chosen.folder, location.href).href;
  const step = (known) => ask("drive", { act: "step", known, pushed: { ...pushed } });

  let turn = Promise.resolve(); // presses, sliders and poses change the worker's one drive: one after the other
  const inTurn = (work) => { const done = turn.then(work); turn = done.catch(() => {}); return done; };

  // --- the gripper, as vidpred.explorer.runs.gripper_model says it -----------------------------------------------------
  const clamp = (v, low, high) => Math.min(high, Math.max(low, v));
  const after = (position, action) => position.map((v, i) => Math.fround(clamp(v + law.gain[i] * action[i], law.low[i], law.high[i])));
  function command(position, move, open) {
    const wanted = move.map((v, i) => v * law.strongest[i]), reached = after(position, wanted), [closed, opened] = law.fingers;
    return [...wanted.map((v, i) => (law.gain[i] ? (reached[i] - position[i]) / law.gain[i] : v)), closed + open * (opened - closed)].map(Math.fround);
  }
  const opening = (action) => (law.fingers[0] === law.fingers[1] ? 0 : (action[3] - law.fingers[0]) / (law.fingers[1] - law.fingers[0]));

  // --- answers to the widget of the app ---------------------------------------------------------------------------------
  const note = () => [
    "Imagined in this page, frame by frame.",
    speed ? speed.toFixed(0) + " frames a second" : "",
  ].join(" ");
  const answer = (since) => ({ request: ++request, since, note: note(), frames: frames.slice(since) });
  const setup = () => ({ drive: "page", size: [film.width, film.height], n_past: chosen.n_past, clip_frames: (film.conditions ?? []).length, low: law.low, high: law.high, pace: 0, free: isFree(chosen) });
  const frame = (model, position, fingers) => ({ model, physics: null, position, true_position: null, pixel: null, true_pixel: null, fingers, psnr: null, psnr_text: null });

  async function begin() {
    const run = chosen, gone = () => run !== chosen;
    if (!valid()) return show({ request: ++request, refusal: "Please correct the numbers above first." });
    try {
      const opened = await clipOf(run, clip());
      await load(run, () => !gone());
      if (gone()) return;
      film = opened;
      law = film.gripper ?? { gain: [0, 0, 0], low: [0, 0, 0], high: [1, 1, 1], strongest: [0, 0, 0], fingers: [0, 1] };
      const { seed, temperature } = numbers();
      await ask("drive", { act: "begin", folder: folder(), given: givenTo(film), seed, temperature });
      if (gone()) return;
      const place = (t) => film.conditions?.[t].slice(4) ?? [0.5, 0.5, 0.5];
      frames = film.pictures.slice(0, chosen.n_past).map((picture, t) => frame(picture, place(t), film.conditions ? opening(film.conditions[Math.max(t - 1, 0)]) : 1));
      taken = [];
      speed = null;
      sliders();
      unsay();
      show({ ...answer(0), setup: setup() });
    } catch (error) {
      if (gone()) return;
      show({ request: ++request, message: "This did not work: " + error.message });
      byId("drive-start").hidden = false;
    }
  }

  let last = 0;
  async function take(action) {
    if (taken.length >= MOST_STEPS) return { request: ++request, refusal: MOST_STEPS + " steps are kept: undo some, or restart" };
    const now = frames.at(-1), known = chosen.kind === "actions" ? [...action, ...now.position] : null, began = performance.now();
    const made = await step(known), ended = performance.now();
    // since the last frame, while a key is held; a pause is no slow frame
    const rate = 1000 / (ended - (began - last < 60 ? last : began));
    speed = speed === null || began - last >= 60 ? rate : 0.8 * speed + 0.2 * rate;
    last = ended;
    frames.push(frame(made.pixels, chosen.kind === "actions" ? after(now.position, action) : now.position, chosen.kind === "actions" ? opening(action) : now.fingers));
    taken.push({ action, made });
    return answer(frames.length - 1);
  }

  const press = (pressed) => inTurn(async () => {
    const said = await answerTo(pressed);
    drawGaussian();
    return said;
  });

  async function answerTo({ what, move, fingers }) {
    try {
      if (what === "step") return await take(command(frames.at(-1).position, move, fingers));
      if (what === "replay") {
        const own = (film.conditions ?? []).slice(0, -1)[frames.length - 1]; // after the last frame nothing is known
        return own ? await take(own.slice(0, 4)) : { request: ++request, refusal: "The clip's own actions end here: drive on yourself" };
      }
      if (what === "undo") {
        if (!taken.length) return { request: ++request, refusal: "There is no step to undo" };
        await ask("drive", { act: "undo" });
        frames.pop();
        taken.pop();
        return answer(frames.length);
      }
      return answer(0);
    } catch (error) { return { request: ++request, refusal: "This did not work: " + error.message }; }
  }

  let saved = null;
  function save() {
    if (saved) URL.revokeObjectURL(saved); // the browser keeps a film as long as its address
    const file = gif(frames.map(({ model }, t) => [model, t < chosen.n_past]), film.width, film.height);
    show({ ...answer(frames.length), gif: { url: (saved = URL.createObjectURL(file)), orig_name: "drive-" + chosen.name + ".gif" } });
  }

  // --- z by hand --------------------------------------------------------------------------------------------------------
  function sliders() {
    for (const dimension of Object.keys(pushed)) delete pushed[dimension];
    byId("latents").hidden = false;
    byId("sliders").replaceChildren(...chosen.active.slice(0, DIMENSIONS).map((dimension) => {
      const label = document.createElement("label"), slider = document.createElement("input"), told = document.createElement("output");
      Object.assign(slider, { type: "range", min: -3, max: 3, step: 0.1, value: 0 });
      slider.dataset.dimension = dimension;
      slider.setAttribute("aria-label", "z " + dimension + ", in sigmas of the prior");
      told.textContent = "drawn";
      slider.addEventListener("input", () => { pushed[dimension] = Number(slider.value); told.textContent = (slider.value > 0 ? "+" : "") + slider.value + " σ"; again(); });
      label.append("z " + dimension + " ", slider, told);
      return label;
    }));
    drawGaussian();
  }

  let wanted = false;
  function again() { // the last step once more, with the z that is now wanted
    if (wanted) return;
    wanted = true;
    inTurn(async () => {
      wanted = false;
      if (!taken.length) return;
      const { action } = taken.at(-1), undone = await answerTo({ what: "undo" });
      if (undone.refusal) return show(undone);
      show(await take(action).catch((error) => {
        show(undone); // the step is gone
        return { request: ++request, refusal: "This did not work: " + error.message };
      }));
      drawGaussian();
    });
  }

  function drawGaussian() {
    const gaussian = taken.at(-1)?.made; // of the last step
    const canvas = byId("gaussian"), context = canvas.getContext("2d"), ratio = window.devicePixelRatio || 1, height = 120;
    canvas.parentElement.hidden = !gaussian;
    const width = canvas.clientWidth;
    if (!gaussian || !width) return;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const style = getComputedStyle(document.documentElement), colour = (name) => style.getPropertyValue(name);
    const shown = chosen.active.slice(0, DIMENSIONS), column = width / shown.length;
    const mu = gaussian.mu ?? gaussian.eps.map(() => 0), sigma = gaussian.sigma ?? gaussian.eps.map(() => 1);
    const most = Math.max(...shown.map((d) => Math.max(Math.abs(mu[d]) + 2 * sigma[d], Math.abs(mu[d] + sigma[d] * gaussian.eps[d]))), 0.1);
    const at = (value) => 52 - (value / most) * 48;
    context.font = "11px system-ui";
    context.textAlign = "center";
    shown.forEach((d, i) => {
      const x = (i + 0.5) * column;
      context.fillStyle = colour("--border-color-primary");
      context.fillRect(x - 10, at(mu[d] + sigma[d]), 20, Math.max(1, at(mu[d] - sigma[d]) - at(mu[d] + sigma[d])));
      context.fillStyle = colour("--body-text-color-subdued");
      context.fillRect(x - 10, at(mu[d]) - 1, 20, 2);
      context.fillStyle = colour("--color-accent");
      context.beginPath();
      context.arc(x, at(mu[d] + sigma[d] * gaussian.eps[d]), 4, 0, 7);
      context.fill();
      context.fillStyle = colour("--body-text-color-subdued");
      context.fillText("z " + d, x, 116);
    });
    canvas.setAttribute("aria-label", "The prior: " + shown.map((d) => "z " + d + " mean " + mu[d].toFixed(2) + ", sigma " + sigma[d].toFixed(2)).join("; "));
  }

  const poses = preparePoses({ ask, load, clipOf, numbers, valid, clip, say, unsay, inTurn, step: (picture) => step(picture) });
  byId("drive-start").addEventListener("click", async () => {
    const run = chosen;
    if (!valid()) return;
    byId("drive-start").hidden = true;
    if (run.kind === "poses") await poses.begin(run);
    else {
      byId("drive-host").hidden = false;
      // the widget itself asks for its first drive
      if (!show) await new Promise((done) => { show = mount("drive", (event) => (event === "download" ? save() : begin().then(done)), { press }); });
      else await begin();
    }
    // the button is gone, and with it the focus: arrow keys are for what it has opened
    if (run === chosen && document.activeElement === document.body) (run.kind === "poses" ? byId("pose-board") : document.querySelector("#drive-host .drive")).focus();
  });
  new ResizeObserver(drawGaussian).observe(byId("gaussian"));
  byId("release").addEventListener("click", () => { sliders(); again(); });
  return {
    choose(run) { // nothing is loaded before it is asked for
      chosen = run;
      byId("drive-section").hidden = !run;
      byId("drive-host").hidden = byId("latents").hidden = true;
      byId("drive-start").hidden = false;
      poses.hide();
      if (!run) return;
      byId("drive-start").textContent = run.kind === "poses" ? "Pose the dancer" : isFree(run) ? "Go on frame by frame" : "Drive";
      byId("drive-about").textContent = run.kind === "poses"
        ? "Drag the joints of the skeleton: the model draws the dancer in every new pose."
        : isFree(run) ? "This run was trained without actions, so that nothing can steer it: each press imagines the next frame, and z alone decides what happens."
        : "Arrow keys, or a finger on the arrows: the model imagines a frame for every press, and goes on while you hold.";
    },
  };
}
