"""What z carries, step by step and dimension by dimension, and what the frames owe to it."""

from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vidpred.errors import BadInput
from vidpred.explorer.runs import progress, validate
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.prediction import predict_clip
from vidpred.explorer.runs.run import COLLAPSED, MAX_FRAMES, Clip, Evaluation, Run
from vidpred.explorer.ui.chart import Line, Panel
from vidpred.explorer.ui.player import Choice, Display, Tile
from vidpred.simulate.bounce import bounces_of

if TYPE_CHECKING:
    from vidpred.data.batches import Batch
    from vidpred.latents import ClipLatents
    from vidpred.models import Model

STEPS = (-3.0, -1.5, 0.0, 1.5, 3.0)  # of a traversal, in standard deviations of the prior
SAMPLES, DANCE_SAMPLES = 20, 4  # of the best-of-N curve
DANCE_STEPS = 60
ACTIVE = 0.01  # nats per step from which a dimension is drawn as one that carries something
DRAWN = 3  # dimensions whose means are drawn: those that carry most


class Plot(NamedTuple):
    """A chart: panels over one x axis, and (name, colour) of its legend. marks: frames that were not to be known."""

    panels: list[Panel]
    x_title: str
    legend: list[tuple[str, int]]
    marks: list[int] = []  # noqa: RUF012 -- never changed


class Analysis(NamedTuple):
    """Everything about z of one clip. kld (T-1, z) in nats; note: Markdown.

    sources: PSNR by where z comes from; pictures: what is imagined with each; gaussians: KL, means and sigmas over the
    steps; best: of N samples.
    """

    kld: np.ndarray
    sources: Plot
    pictures: Display
    gaussians: Plot
    best: Plot
    note: str


def analyse(library: Library, run: Run, clip: Clip, seed: Any) -> Analysis:
    """What z carries on a clip, whose true frames must be known."""
    import torch

    from vidpred.latents import SOURCES
    from vidpred.metrics import best_of_each_n

    seed, n_past, length = checked_window(run, clip, seed)
    batch = library.read_clip(clip, length)
    n_future = length - n_past
    samples = DANCE_SAMPLES if run.takes_poses else min(SAMPLES, MAX_FRAMES // n_future)
    with progress.of((len(SOURCES) + samples) * n_future):
        latents, psnr, futures = library.compute(run, _measure, batch, n_past, seed)
        prediction = predict_clip(library, run, clip, seed=seed, n_future=n_future, n_past=n_past, samples=samples)
    scores = torch.from_numpy(prediction.futures[0].scores["PSNR"][:samples])
    best = best_of_each_n(scores[:, None]).tolist()
    carried = latents.kld.mean(0)
    order = np.argsort(-carried, kind="stable").tolist()
    steps, frames = list(range(1, length)), list(range(n_past, length))
    unit = "channel" if run.config.model.z_is_map else "dimension"
    curves = [Line(name, name, i, "solid", frames, values.tolist()) for i, (name, values) in enumerate(psnr.items())]
    sides = [("posterior", "solid"), ("prior", "dashed")]
    means = [
        Line(f"{unit} {d}", f"{side}, {unit} {d}", i, style, steps, mu[:, d].tolist())
        for i, d in enumerate(order[:DRAWN])
        for (side, style), mu in zip(sides, (latents.posterior_mu, latents.prior_mu))
    ]
    sigmas = [
        Line(f"all {unit}s", f"{side}, mean over all {unit}s", 3, style, steps, sigma.mean(1).tolist())
        for (side, style), sigma in zip(sides, (latents.posterior_sigma, latents.prior_sigma))
    ]
    kld = [Line(f"all {unit}s", f"all {unit}s", 3, "solid", steps, latents.kld.sum(1).tolist())]
    kld += [Line(f"{unit} {d}", f"{unit} {d}", i, "solid", steps, latents.kld[:, d].tolist())
            for i, d in enumerate(order[:DRAWN])]  # fmt: skip
    per_step = latents.kld.sum(1).mean().item()
    bounces = [frame for frame in bounces_of(clip.folder) or [] if frame < length]
    note = _note(per_step, carried.tolist(), psnr, best, unit, known=run.takes_poses or run.takes_actions)
    if run.evaluation and run.evaluation.z_from:
        note += f"\n\n{_over_all(run.evaluation)}"
    return Analysis(
        latents.kld,
        Plot(
            [Panel("PSNR, by where z comes from", "dB", curves)], "frame", [(n, i) for i, n in enumerate(psnr)], bounces
        ),
        _pictures(batch.frames[0].numpy(), futures, psnr, n_past),
        Plot(
            [
                Panel("KL of each step", "nats", kld, from_zero=True),
                Panel("Mean of z", f"{unit}s that carry most", means, sides),
                Panel("Sigma of z", f"mean over {unit}s", sigmas, sides, from_zero=True),
            ],
            "step",
            [*((f"{unit} {d}", i) for i, d in enumerate(order[:DRAWN])), (f"all {unit}s", 3)],
            bounces,
        ),
        _best_of(best, run.evaluation),
        note,
    )


def checked_window(run: Run, clip: Clip, seed: Any) -> tuple[int, int, int]:
    """(seed, n_past, frames) of what can be analysed."""
    seed, length = validate.seed(seed), run.n_past + min(run.first_future(clip), DANCE_STEPS)
    if clip.known < length:
        raise BadInput(f"The true frames of {clip.name} are not known: there is nothing to infer z from")
    return seed, run.n_past, length


def first_view(library: Library, run: Run) -> dict[str, Any]:
    """The fields before anyone has changed them; run and clip by name."""
    clip = next(iter(library.clips_for(run, known=True)), None)
    return {"run": run.name, "clip": clip and clip.name, "seed": 0}


def traversal(library: Library, run: Run, clip: Clip, dimension: Any) -> Display:
    """The future with one dimension of z pushed to each of STEPS, as a row of moving tiles."""
    _, n_past, length = checked_window(run, clip, seed=0)
    batch = library.read_clip(clip, length)
    with progress.of(len(STEPS) * (length - n_past)):
        futures = library.compute(run, _traverse, batch, n_past, dimension)
    truth = batch.frames[0].numpy()
    clips = {value: np.concatenate([truth[:n_past], future]) for value, future in zip(STEPS, futures)}
    tiles = [Tile("truth", "Truth", (truth,))]
    tiles += [Tile("prediction", _pushed(value), (clip,)) for value, clip in clips.items()]
    tiles += [
        Tile("spread", f"change, {_pushed(value)}", (_change(clip, clips[0.0]),), on=abs(value) == STEPS[-1])
        for value, clip in clips.items()
        if value
    ]
    note = (
        f"z {dimension:g} pushed at every step, all others at the prior's means. Change: how far a pixel is from the "
        "one with the mean."
    )
    return Display(tiles, n_past, (Choice("0", "prediction"),), note=note)


def dimension_menu(kld: np.ndarray, unit: str) -> list[tuple[str, int]]:
    """(what it carries, dimension), those that carry most first."""
    carried = kld.mean(0)
    order = np.argsort(-carried, kind="stable").tolist()
    return [(f"{unit} {d} · {carried[d]:.2f} nats per step", d) for d in order]


def _pushed(value: float) -> str:
    return f"{value:+g} sigma" if value else "mean"


def _change(clip: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The mean difference of the colours of each pixel, as a grey clip (T, H, W, 3)."""
    difference = np.abs(clip.astype(np.int16) - other).mean(-1, keepdims=True)
    return np.rint(difference).astype(np.uint8).repeat(3, -1)


def _pictures(truth: np.ndarray, futures: np.ndarray, psnr: dict[str, np.ndarray], n_past: int) -> Display:
    """What is imagined with z from each source, beside what happened."""
    tiles = [Tile("truth", "Truth", (truth,))]
    for colour, ((source, values), future) in enumerate(zip(psnr.items(), futures)):
        scores = {"PSNR": [values.tolist()]}
        tiles.append(
            Tile("prediction", source, (np.concatenate([truth[:n_past], future]),), scores=scores, colour=colour)
        )
    return Display(tiles, n_past, (Choice("0", "prediction"),))


def _measure(
    model: "Model", batch: "Batch", n_past: int, seed: int
) -> "tuple[ClipLatents, dict[str, np.ndarray], np.ndarray]":
    """The latents of a clip, PSNR (n_future,) by where z comes from, and those futures (SOURCES, n_future, H, W, 3)
    uint8, as NumPy arrays."""
    from vidpred.frames import to_uint8
    from vidpred.latents import SOURCES, ClipLatents, clip_latents, futures_by_source
    from vidpred.metrics import psnr

    given = batch.to_clip(n_past, next(model.parameters()).device)
    futures = futures_by_source(model, given, batch.ids[0], seed)
    scores = psnr(futures, given.frames[:, n_past:].expand_as(futures), model.config.psnr_protocol)
    latents = ClipLatents(*(values.numpy() for values in clip_latents(model, given)))
    return latents, {source: values.numpy() for source, values in zip(SOURCES, scores.cpu())}, to_uint8(futures)


def _traverse(model: "Model", batch: "Batch", n_past: int, dimension: Any) -> np.ndarray:
    """Futures (STEPS, n_future, H, W, 3) uint8."""
    from vidpred.frames import to_uint8
    from vidpred.latents import traverse

    dimension = validate.whole_number(dimension, "The dimension", 0, model.z_shape[0] - 1)
    given = batch.to_clip(n_past, next(model.parameters()).device)
    return to_uint8(traverse(model, given, given.frames.shape[1] - n_past, dimension, list(STEPS)))


def _best_of(best: list[float], evaluation: Evaluation | None) -> Plot:
    """PSNR of the best of N samples of this clip and, where that is known, of all that were evaluated."""
    curves = {"this clip": best, **({evaluation.scored_clips: evaluation.psnr_best_of} if evaluation else {})}
    lines = [
        Line(name, name, i, "solid", range(1, len(values) + 1), values)
        for i, (name, values) in enumerate(curves.items())
        if len(values) > 1
    ]
    return Plot([Panel("Best of N", "dB", lines)], "N samples", [(line.name, line.colour) for line in lines])


def _over_all(evaluation: Evaluation) -> str:
    """What z and conditions bring on every clip that was evaluated, in words."""
    from vidpred.latents import OWED_FRAMES

    z, known = evaluation.z_from, evaluation.conditions
    cut = f", of the first {OWED_FRAMES} frames" if (evaluation.n_future or 0) > OWED_FRAMES else ""
    line = f"Over all {evaluation.scored_clips}{cut}, PSNR with z " + _listed(z)
    if known:
        line += f". With other conditions than the true ones ({known.get('true', 0):.1f} dB): " + _listed(
            {name: value for name, value in known.items() if name != "true"}
        )
    return f"*{line}.*"


def _listed(psnr: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.1f}" for name, value in psnr.items())


def _note(per_step: float, carried: list[float], psnr: dict, best: list[float], unit: str, known: bool) -> str:
    """What the pictures say, in words. known: what happens in each step is, from actions or poses."""
    active = sum(value >= ACTIVE for value in carried)
    means = {name: fmean(values.tolist()) for name, values in psnr.items()}
    line = (
        f"z carries **{per_step:.2f} nats a step** on this clip, in {active} of {len(carried)} {unit}s. With z from "
        f"the posterior, which has seen the true frames, PSNR is **{means['posterior']:.2f} dB**; from the prior "
        f"{means['prior']:.2f}, at zero {means['zero']:.2f}, shuffled {means['shuffled']:.2f}. "
        f"The best of {len(best)} samples gains {best[-1] - best[0]:.2f} dB over their mean."
    )
    if per_step < COLLAPSED:
        line += (
            "\n\n> The posterior has collapsed: z carries (almost) nothing, so the four curves lie on each other and "
            "no traversal moves anything. "
        )
        line += (
            "What is known about each step already says what will happen."
            if known
            else "What is to come is not known here: beta is too large, or the training too short, for z to say it."
        )
    return line
