"""What a processor's time buys: `python -m train.benchmark quality --data DIR --out DIR --minutes M`.

Candidates are trained one thread each, a few at a time, on the same clips and for the same processor time, each with a
schedule that spans it, and scored on the same validation clips at equal parts of the way. Run it again to go on.

The report's training (published) comes last, for as long as the slowest of the others has taken: their time is that of
whole epochs, estimated beforehand.
"""

import math
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from json import loads
from pathlib import Path

import torch

from train.benchmark import harness
from train.benchmark.candidates import candidate, changed
from train.benchmark.published import PUBLISHED, train_published
from train.benchmark.yardstick import PublishedClips
from train.cli import Cache, Json, print_json, require_at_least
from train.workers import training_processes
from vidpred import checkpoint, runs
from vidpred.config import RunConfig
from vidpred.data.batches import Clips, open_split
from vidpred.errors import BadInput
from vidpred.evaluation import frames_ahead, look_at_latents, score_futures
from vidpred.files import write_json
from vidpred.models import build_model
from vidpred.training.loop import train

PACE = 3  # steps that are timed beforehand, of each kind


def quality(
    data: Path,
    out: Path,
    minutes: float = 10,
    candidates: tuple[str, ...] = ("first", "unshuffle", "mask", "batch-4", "map"),
    points: int = 4,
    samples: int = 20,
    clips: int = 32,
    at_once: int = 2,
    iterations: int = 25,
    cache: Cache = None,
    json: Json = False,
) -> None:
    """Quality per minute of processor time.

    Args:
        data: folder with train/ and validate/
        out: folder for the runs of the candidates; what is there goes on
        minutes: processor time of each candidate's training
        candidates: which of first, unshuffle, mask, batch-4, map, free-first, free-batch-4, free-map, free-map-6,
            free-map-calibrated, of the presets of SVG, and of the report's training: published, and
            published-schedules with beta, learning rate and teacher forcing as the others have them
        points: times at which each is scored, evenly spaced; the last is the end
        samples: futures of each clip
        clips: validation clips that are scored
        at_once: candidates that train side by side, a thread each
        iterations: of an epoch, after which a training can be stopped
    """
    if not (math.isfinite(minutes) and minutes > 0):
        raise BadInput(f"--minutes must be positive, got {minutes}")
    require_at_least(1, points=points, samples=samples, clips=clips, at_once=at_once, iterations=iterations)
    configs = {name: candidate(name, iterations) for name in candidates}
    for split in ("train", "validate"):
        open_split(data, split, cache, progress=True)  # packed once, before several read it
    _require_budget(out, {"minutes": minutes, "points": points, "iterations": iterations})
    rows = []
    with ProcessPoolExecutor(at_once, mp_context=training_processes(), max_tasks_per_child=1) as pool:
        for last in (False, True):
            seconds = max([minutes * 60, *(row["processor_seconds"] for row in rows if last)])
            jobs = [
                pool.submit(work, name, config, data, out / name, seconds, points, samples, clips, iterations, cache)
                for name, config in configs.items()
                if (name in PUBLISHED) == last
            ]
            for job in as_completed(jobs):
                rows += job.result()
    rows.sort(key=lambda row: (candidates.index(row["candidate"]), row["step"]))
    print(table(rows, samples))
    if json:
        print_json({"minutes": minutes, "samples": samples, "clips": clips, "torch": torch.__version__, "rows": rows})


def _require_budget(out: Path, budget: dict[str, float]) -> None:
    """What is there was trained for as long: it goes on by the settings that it was begun with."""
    path = out / "budget.json"
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        write_json(path, budget)
    elif (begun := loads(path.read_text())) != budget:
        said = " ".join(f"--{name} {value:g}" for name, value in begun.items())
        raise BadInput(f"{out} was begun with {said}: give the same, or another --out")


def work(
    name: str,
    start: RunConfig,
    data: Path,
    run: Path,
    seconds: float,
    points: int,
    samples: int,
    clips: int,
    iterations: int,
    cache: Path | None,
) -> list[dict]:
    """Train one candidate in a process of its own and score it at each point."""
    torch.set_num_threads(1)
    validation = open_split(data, "validate", cache)
    if name in PUBLISHED:
        config, length = start, start.data.n_past + start.data.n_future
        kept = train_published(run, config, PublishedClips(data / "train", length), seconds, points, iterations)
    else:
        config, kept = _train_ours(start, data, run, seconds, points, validation, cache)
    rows = []
    for point in kept:
        model = build_model(config.model).eval()
        checkpoint.load_weights(point.pop("weights"), model)
        chosen = list(range(min(clips, len(validation))))
        rows.append({"candidate": name} | point | scores(model, validation, chosen, config, samples))
    return rows


def _train_ours(
    start: RunConfig, data: Path, run: Path, seconds: float, points: int, validation: Clips, cache: Path | None
) -> tuple[RunConfig, list[dict]]:
    """The settings of the finished run; step, processor_seconds and weights at each point."""
    training = open_split(data, "train", cache)
    if (run / runs.CONFIG).exists():
        config = replace(start, train=runs.read_config(run).train)
    else:
        config = fitted(start, seconds, points, run.with_name(f"{run.name}-pace"), training, validation)
    train(run, config, training, validation, cpu=True, show_progress=False)
    kept = []
    for weights in sorted((run / runs.KEPT).glob("*.safetensors")):
        logged = runs.read_metrics(run)[int(weights.stem.split("_")[1]) - 1]
        kept.append({name: logged[name] for name in ("step", "processor_seconds")} | {"weights": weights})
    return runs.read_config(run), kept


def fitted(
    config: RunConfig, seconds: float, points: int, scratch: Path, training: Clips, validation: Clips
) -> RunConfig:
    """The candidate with as many epochs as the processor time holds, timed on its own steps.

    Teacher forced for the first third, then less and less; the learning rate falls to 0 at the end.
    """
    paces = []
    for tfr in (1.0, 0.0):
        ticks = []

        def stop(ticks: list[float] = ticks) -> bool:
            ticks.append(time.process_time())
            return len(ticks) > PACE + 1  # the first step also warms up

        train(
            scratch,
            changed(config, tfr=tfr),
            training,
            validation,
            fresh=True,
            cpu=True,
            show_progress=False,
            stop=stop,
        )
        paces.append(min(b - a for a, b in zip(ticks[1:], ticks[2:])))
    runs.remove(scratch)
    scratch.rmdir()
    forced = 2 / 3  # share of teacher forcing with a fall that begins after a third
    epoch = config.train.iterations_per_epoch * (forced * paces[0] + (1 - forced) * paces[1])
    epochs = math.ceil(max(points, round(seconds / epoch)) / points) * points
    return changed(config, epochs=epochs, tfr_decay_start=max(1, epochs // 3), save_every=epochs // points)


def scores(model: torch.nn.Module, clips: Clips, chosen: list[int], config: RunConfig, samples: int) -> dict:
    """Numbers of a model on the chosen clips."""
    frames = {"n_past": config.data.n_past, "n_future": frames_ahead(config.data, clips, chosen)}
    kld = look_at_latents(model, clips, chosen, **frames).kld.sum(2).mean().item()
    return harness.summary(score_futures(model, clips, chosen, samples=samples, **frames)) | {"kld_per_step": kld}


def table(rows: list[dict], samples: int) -> str:
    """As Markdown."""
    psnr = ("PSNR", f"best of {samples}", "first frame", "where it moves")
    head = ("candidate", "processor s", "steps", *psnr, "sharpness first / last", "KL")
    return harness.table(head, [_cells(row) for row in rows])


def _cells(row: dict) -> list[str]:
    psnr = [f"{row[name]:.2f}" for name in ("psnr", "psnr_best", "first_frame", "psnr_motion")]
    sharpness = f"{row['sharpness_first']:.2f} / {row['sharpness_last']:.2f}"
    seconds, kld = f"{row['processor_seconds']:.0f}", f"{row['kld_per_step']:.2f}"
    return [row["candidate"], seconds, str(row["step"]), *psnr, sharpness, kld]
