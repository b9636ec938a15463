"""Evaluate a run: `python -m train.evaluate RUN --data DIR [--split test] [--samples N] [--temperature X] [--json]`."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from train.cli import Cache, Cpu, Json, RunFolder, Split, print_json, require_at_least, require_temperature, run_command
from vidpred.errors import BadInput

if TYPE_CHECKING:
    from vidpred.config import ModelConfig


def evaluate_run(
    run: RunFolder,
    data: Path,
    split: Split = "test",
    clips: int | None = None,
    samples: int = 20,
    temperature: float = 1.0,
    seed: int = 0,
    n_past: int | None = None,
    n_future: int | None = None,
    prior_at_test: str | None = None,
    precision: Literal["no", "bf16"] = "no",
    cache: Cache = None,
    out: Path | None = None,
    also: Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction] = (),
    cpu: Cpu = False,
    json: Json = False,
) -> None:
    """Score a run on all clips of a split and write RUN/eval.json, unless its weights are replaced meanwhile.

    Args:
        data: folder with train/, validate/ and test/
        clips: score so many, the first ones (None: all of the split)
        samples: futures per clip
        temperature: scales the sigma of every z; 0 takes the means
        seed: of the noise
        n_past: context frames (None: as trained)
        n_future: predicted frames that are scored (None: as trained)
        prior_at_test: learned or standard (None: as the run's settings say)
        precision: no: float32; bf16: quicker where the device computes in it; PSNR moves by less than 0.02 dB
        out: file to write (None: eval.json in the run folder)
        also: further metrics by named protocol: psnr_joint, ssim_skimage014, psnr_finn, ssim_finn; lpips and fvd, which
            need packages and weights (docs/quality.md); spaces or commas between them
    """
    require_at_least(1, samples=samples, clips=clips, n_past=n_past, n_future=n_future)
    require_temperature(temperature)
    if prior_at_test not in (None, "learned", "standard"):
        raise BadInput(f"--prior-at-test is learned or standard, got {prior_at_test!r}")
    target = run / "eval.json" if out is None else out
    if target.is_dir():
        raise BadInput(f"--out {target}: a folder, not a file")
    from tqdm import tqdm

    from vidpred import checkpoint, processes, runs
    from vidpred.data.batches import open_split
    from vidpred.data.layout import split_name
    from vidpred.evaluation import evaluate, frames_ahead, require_scorable
    from vidpred.files import remove_unfinished, stamp, without_infinity, write_json
    from vidpred.latents import owed
    from vidpred.perceptual import measure
    from vidpred.simulate.bounce import bounces_of

    further = tuple(name for given in also for words in given for name in words.replace(",", " ").split())
    for name in further:
        measure(name)  # one that is unknown or not at hand is refused before the work
    config = runs.read_config(run)
    if prior_at_test == "learned" and not config.model.learned_prior:
        raise BadInput(f"--prior-at-test learned: the prior of {run.resolve().name} is N(0, I)")
    weights = run / runs.WEIGHTS
    loaded = stamp(weights)
    model = checkpoint.load_model(run, processes.join(cpu))
    speaks = processes.rank() == 0
    with processes.first_alone():
        every = open_split(data, split, cache, progress=speaks)
    chosen = list(range(len(every)))[:clips]
    n_past = config.data.n_past if n_past is None else n_past
    if n_future is None:
        n_future = frames_ahead(config.data, every, chosen, n_past)
    require_scorable(every, chosen, config.model, n_past=n_past, n_future=n_future)
    recorded = getattr(every, "bounces", None)  # of shards, whose clips have no folders
    bounces = [recorded[i] if recorded else bounces_of(data / every.ids[i]) for i in chosen]
    latent = {"learned": "prior", "standard": "standard", None: None}[prior_at_test]
    sampling = {"temperature": temperature, "seed": seed, "latent": latent}
    share = -(-len(chosen) // processes.count())
    quiet = None if speaks else True  # None: where no terminal is
    with tqdm(total=share, desc=f"{run.resolve().name} on {split}", unit="clip", disable=quiet) as bar:
        result = evaluate(
            model,
            every,
            chosen,
            n_past=n_past,
            n_future=n_future,
            samples=samples,
            **sampling,
            precision=precision,
            also=further,
            bounces=None if None in bounces else bounces,
            name=run.resolve().name,
            progress=bar.update,
        )
        bar.set_postfix_str("z from elsewhere, other conditions")
        result |= owed(model, every, chosen, n_past=n_past, n_future=n_future, **sampling)
    if not speaks:
        return
    result |= {"split": split_name(split), "best_by": config.train.best_by}
    print_json(without_infinity(result)) if json else print(report(result, config.model), flush=True)
    if stamp(weights) != loaded:
        raise BadInput(f"{weights}: replaced since it was read; the scores are of the weights before, {target} is left")
    remove_unfinished(target.parent, target.name)
    write_json(target, without_infinity(result))  # last: where it cannot be written, the numbers are not lost
    if not json:
        print(f"wrote {target}")


def report(result: dict, model: "ModelConfig") -> str:
    """The numbers of a run of this model for a person, with their protocol, but for what one sample, one clip or a
    still clip cannot tell."""
    from vidpred.latents import OWED_FRAMES
    from vidpred.runs import other_prior

    def best(name: str, form: str) -> str:
        half = f" ± {result[f'{name}_best_ci95']:{form}}" if result["clips"] > 1 else ""
        return f"best of {result['samples']}: {result[f'{name}_best']:{form}}{half}"

    differ = f"; samples differ by {result['diversity']:.4f} (RMSE)" if result["samples"] > 1 else ""
    frames = f"frames {result['n_past']} … {result['n_past'] + result['n_future'] - 1}"
    clips = f"{result['clips']} {result['split']} clip{'s' * (result['clips'] != 1)}"
    other = other_prior(model, result["prior_at_test"])
    other = f", z from the {other} prior" if other else ""
    precision = "" if result["precision"] == "no" else f", {result['precision']}"
    owed = f"PSNR by where z comes from{f' (first {OWED_FRAMES} frames)' if result['n_future'] > OWED_FRAMES else ''}: "
    return "\n".join(
        [
            f"protocol {result['protocol']}: {clips}, {frames}, {result['samples']} samples, "
            f"temperature {result['temperature']:g}{other}{precision}",
            f"PSNR  {result['psnr']:.2f} dB, {best('psnr', '.2f')} dB, "
            f"last frame copied: {result['copy_last_psnr']:.2f} dB",
            f"SSIM  {result['ssim']:.4f}, {best('ssim', '.4f')}",
            *_where_it_moves(result),
            f"KL    {result['kld_per_step']:.3f} nats per step, {result['active_units']} active units{differ}",
            owed + _listed(result["z_from"]),
            *(["given other conditions: " + _listed(result["conditions"])] if result["conditions"] else []),
            *([_at_bounces(result["bounces"], result["samples"])] if "bounces" in result else []),
            *(_further(name, values, result["samples"]) for name, values in result["also"].items()),
        ]
    )


def _where_it_moves(result: dict) -> list[str]:
    """A line, of what is a number; none where nothing moves."""
    frames = result["per_frame"]["sharpness"]
    told = [("PSNR {:.2f} dB", result["psnr_motion"]), ("sharpness {:.2f} of the truth's", result["sharpness"])]
    told += [("first predicted frame {:.2f}", frames[0]), ("last {:.2f}", frames[-1])]
    psnr, *sharp = [None if math.isnan(value) else text.format(value) for text, value in told]
    parts = [part for part in (psnr, ", ".join(filter(None, sharp))) if part]
    return ["where it moves: " + "; ".join(parts)] if parts else []


def _further(name: str, values: dict, samples: int) -> str:
    """A further metric, with its protocol where it has one."""
    best = f", best of {samples}: {values['best']:.4f}" if "best" in values else ""
    protocol = "".join(f"\n  {key}: {value}" for key, value in values.get("protocol", {}).items())
    return f"{name}  {values['mean']:.4f}{best}{protocol}"


def _listed(psnr: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in psnr.items()) + " dB"


def _at_bounces(numbers: dict[str, float | None], samples: int) -> str:
    """A line on what was not to be known."""
    n = {name: math.nan if value is None else value for name, value in numbers.items()}
    before, after = n["diversity_before"], n["diversity_after"]
    differ = f"; samples differ by {before:.4f} before the first one, by {after:.4f} afterwards"
    at = f"at a bounce: KL {n['kld_at']:.3f} nats, the prior's sigma {n['prior_sigma_at']:.3f}"
    between = f"between: {n['kld_between']:.3f}, {n['prior_sigma_between']:.3f}"
    told = [(at, n["kld_at"]), (between, n["kld_between"])]
    known = "; ".join(text for text, value in told if not math.isnan(value))
    return known + (differ if samples > 1 and not math.isnan(before + after) else "")


if __name__ == "__main__":
    run_command(evaluate_run, "python -m train.evaluate")
