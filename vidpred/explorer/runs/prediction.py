"""Futures of one clip with their scores."""

import contextlib
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vidpred.errors import BadInput
from vidpred.explorer.runs import gpu_lease, progress, validate
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.run import MAX_FRAMES, Clip, Run

if TYPE_CHECKING:
    from vidpred.data.batches import Batch
    from vidpred.evaluation import Scores
    from vidpred.models import Model

MAX_SAMPLES = 20
SWEEP = (0.0, 0.5, 1.0, 1.5, 2.0)
LATENTS = {"learned": "prior", "standard": "standard"}  # what rollout.predict calls them
SCORES = ("PSNR", "SSIM", "Sharpness")
CHANNELS = {"finn": "finn: per channel", "joint": "joint: all channels together"}


class Settings(NamedTuple):
    """What a prediction depends on: equal settings give equal pictures."""

    run: Run
    clip: Clip
    seed: int
    temperatures: tuple[float, ...]
    n_past: int
    n_future: int
    samples: int
    prior: str


class Future(NamedTuple):
    """What a run imagines at one temperature: samples (N, T, H, W, 3) uint8, their mean and spread (T, H, W, 3), all of
    them after the given frames.

    scores: by name, (N + 1, n_future), the last row the mean's, sharpness NaN where nothing moves; None where the truth
        is unknown. best: sample. diversity: RMSE between two samples, 0 for a single one; None with the truth unknown.
    """

    samples: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    scores: dict[str, np.ndarray] | None
    best: int
    diversity: float | None


class Prediction(NamedTuple):
    """truth (T, H, W, 3) uint8, None where it is unknown; poses alike; futures in the order of settings.temperatures;
    copied: the same scores of the last given frame repeated, (n_future,); psnr: its protocol."""

    settings: Settings
    truth: np.ndarray | None
    poses: np.ndarray | None
    futures: list[Future]
    copied: dict[str, np.ndarray]
    psnr: str

    @property
    def protocol(self) -> str:
        """What the scores mean."""
        first, last = self.settings.n_past, self.settings.n_past + self.settings.n_future - 1
        frames = f"frames {first}…{last}" if last > first else f"frame {first}"
        return f"{CHANNELS[self.psnr]}, {frames}"

    @property
    def bytes(self) -> int:
        """Of all pictures."""
        arrays = [self.truth, self.poses, *(a for f in self.futures for a in (f.samples, f.mean, f.spread))]
        return sum(array.nbytes for array in arrays if array is not None)


def predict_clip(library: Library, run: Run, clip: Clip, **fields: Any) -> Prediction:
    """The futures that a run predicts for a clip; fields as `checked` takes them. Sample k is the very picture that
    train.evaluate scores as sample k of this seed, and train.generate writes."""
    return predict(library, checked(run, clip, **fields))


def checked(
    run: Run,
    clip: Clip,
    seed: Any = 0,
    temperature: Any = 1.0,
    n_future: Any = None,
    n_past: Any = None,
    samples: Any = 1,
    prior: Any = None,
    sweep: Any = False,
    most_past: int | None = None,
) -> Settings:
    """Settings of a prediction that can be made, every field checked.

    n_past, n_future, prior: None takes the run's own. sweep: the temperatures 0 … 2 instead of one. most_past: context
    frames that may be given; None takes the run's own limit.
    """
    low, high = run.past_limits
    n_past = run.n_past if n_past is None else n_past
    n_past = validate.whole_number(n_past, "Context frames", low, high if most_past is None else most_past)
    longest = run.longest_future(clip, n_past)
    settings = Settings(
        run,
        clip,
        validate.seed(seed),
        (validate.temperature(temperature),),
        n_past,
        validate.whole_number(
            run.first_future(clip, n_past) if n_future is None else n_future,
            "The number of predicted frames",
            1,
            longest,
        ),
        validate.whole_number(samples, "The number of samples", 1, MAX_SAMPLES),
        run.own_prior if prior is None else validate.choice(prior, "prior", run.priors),
    )
    if validate.switch(sweep, "The sweep"):
        settings = settings._replace(temperatures=SWEEP)
    require_few(settings)
    return settings


def require_few(*predictions: Settings) -> None:
    """BadInput for more frames than are predicted in one go."""
    frames = sum(map(frames_of, predictions))
    if frames > MAX_FRAMES:
        raise BadInput(f"These are {frames:,} frames to predict: ask for {MAX_FRAMES:,} at most, or for fewer samples")


def frames_of(settings: Settings) -> int:
    """How many are predicted, of all samples."""
    return settings.n_future * sum(_samples_at(t, settings.samples) for t in settings.temperatures)


def predict(library: Library, settings: Settings) -> Prediction:
    """The prediction of these settings, from the cache where it was made a short while ago."""
    settings.run.require_weights()
    with progress.of(frames_of(settings)):
        return library.cached(settings, lambda: _predict(library, settings), lambda prediction: prediction.bytes)


def _predict(library: Library, settings: Settings) -> Prediction:
    batch = library.read_clip(settings.clip, settings.n_past + settings.n_future)
    futures, copied, psnr = library.compute(settings.run, _futures, batch, settings)
    poses = batch.conditions[0].numpy() if settings.clip.has_poses else None
    return Prediction(settings, batch.frames[0].numpy() if copied else None, poses, futures, copied, psnr)


def _futures(model: "Model", batch: "Batch", settings: Settings) -> tuple[list[Future], dict[str, np.ndarray], str]:
    """Futures, and the scores of the last given frame repeated (none where the truth is unknown), as in Prediction."""
    from vidpred import rollout
    from vidpred.evaluation import score
    from vidpred.frames import to_float, to_uint8
    from vidpred.metrics import best_of_n
    from vidpred.render import mean_clip, spread_clip

    n_past, frames, psnr = settings.n_past, batch.frames[0].numpy(), model.config.psnr_protocol
    known = len(frames) == n_past + settings.n_future
    given = batch.to_clip(n_past, next(model.parameters()).device)

    def pictured(clip: np.ndarray) -> Any:
        """A clip's frames after the context as one more future, to be scored."""
        return to_float(clip[n_past:])[None, None].to(given.frames)

    futures = []
    for temperature in settings.temperatures:
        x_pred = rollout.predict(
            model,
            given,
            batch.ids,
            n_future=settings.n_future,
            seed=settings.seed,
            samples=_samples_at(temperature, settings.samples),
            temperature=temperature,
            latent=LATENTS[settings.prior],
        )
        rollout.require_finite(x_pred, settings.run.name)
        samples = np.stack([np.concatenate([frames[:n_past], future]) for future in to_uint8(x_pred[:, 0])])
        mean, table, best, diversity = mean_clip(samples), None, 0, None
        if known:
            scores = score(x_pred, given, psnr)
            best, diversity = best_of_n(scores.psnr).index.item(), scores.diversity.mean().item()
            each, whole = by_name(scores), by_name(score(pictured(mean), given, psnr))
            table = {name: np.concatenate([each[name], whole[name]]) for name in each}
        futures.append(Future(samples, mean, spread_clip(samples), table, best, diversity))
    copied = {}
    if known:
        repeated = frames[[*range(n_past), *[n_past - 1] * settings.n_future]]
        copied = {name: values[0] for name, values in by_name(score(pictured(repeated), given, psnr)).items()}
    return futures, copied, psnr


def by_name(scores: "Scores") -> dict[str, np.ndarray]:
    """The scores of a first clip by the names of SCORES, (N, n_future)."""
    each = scores.psnr, scores.ssim, scores.sharpness
    return {name: values[:, 0].numpy() for name, values in zip(SCORES, each)}


def _samples_at(temperature: float, samples: int) -> int:
    return samples if temperature > 0 else 1  # without noise all of them are one


def first_run(runs: Collection[Run], library: Library) -> Run:
    """The run that a visitor meets first: one with clips whose z carries something, action-free if there is one, of
    these the one that scores best."""

    def rank(run: Run) -> tuple:
        best = run.evaluation and run.evaluation.psnr_best
        free = not run.takes_actions and not run.takes_poses
        silent = run.evaluation is None or run.is_collapsed
        return not library.clips_for(run), silent, not free, -(best or 0.0)

    return min(runs, key=rank)  # of equals the first by name


def first_view(library: Library, run: Run) -> dict[str, Any]:
    """The fields of a prediction, by the names of `checked`, before anyone has changed them; run and clip by name."""
    clip = next(iter(library.clips_for(run)), None)
    return {
        "run": run.name,
        "clip": clip and clip.name,
        "seed": 0,
        "temperature": 1.0,
        "samples": run.own_samples,
        "n_future": run.own_future,
        "n_past": run.n_past,
        "prior": run.own_prior,
        "sweep": False,
    }


def warm_up(library: Library) -> None:
    """Load torch and make the first view; what is wrong with it is left to the visitor who asks."""
    if gpu_lease.ACTIVE:
        return  # a GPU is lent to visitors
    with contextlib.suppress(BadInput):
        run = first_run(library.all_runs(), library)
        predict_clip(library, run, library.clips_for(run)[0], samples=run.own_samples)
