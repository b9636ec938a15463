"""Futures of one clip with their scores, and what a run and a clip allow to be asked."""

import contextlib
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vidpred.config import RunConfig, SVGConfig
from vidpred.errors import BadInput
from vidpred.explorer import fields, zero
from vidpred.explorer.curves import evaluated, is_collapsed
from vidpred.explorer.library import Library

if TYPE_CHECKING:
    from vidpred.data.batches import Batch
    from vidpred.models import Model

MAX_SEED = 2**31 - 1
MAX_TEMPERATURE = 2.0
MAX_SAMPLES = 20
MAX_PAST = 10
MAX_FRAMES = 2000  # predicted in one go, of all samples: minutes of a small server's time
DANCE_FRAMES = 100
SWEEP = (0.0, 0.5, 1.0, 1.5, 2.0)
LATENTS = {"learned": "prior", "standard": "standard"}  # what rollout.predict calls them
CHANNELS = {"finn": "finn: per channel", "joint": "joint: all channels together"}


class Asked(NamedTuple):
    """A prediction, named: equal fields give equal pictures."""

    run: str
    clip: str
    seed: int
    temperatures: tuple[float, ...]
    n_past: int
    n_future: int
    samples: int
    prior: str


class Future(NamedTuple):
    """What a run imagines at one temperature: samples (N, T, H, W, 3) uint8, their mean and spread (T, H, W, 3), all of
    them after the given frames.

    scores: PSNR and SSIM, (N + 1, n_future), the last row the mean's; None where the truth is unknown. best: sample.
    """

    samples: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    scores: dict[str, np.ndarray] | None
    best: int


class Prediction(NamedTuple):
    """truth (T, H, W, 3) uint8, None where it is unknown; poses alike; futures in the order of asked.temperatures;
    copied: PSNR and SSIM of the last given frame repeated, (n_future,); psnr: its protocol."""

    asked: Asked
    truth: np.ndarray | None
    poses: np.ndarray | None
    futures: list[Future]
    copied: dict[str, np.ndarray]
    psnr: str

    @property
    def protocol(self) -> str:
        """What the scores mean."""
        first, last = self.asked.n_past, self.asked.n_past + self.asked.n_future - 1
        frames = f"frames {first}…{last}" if last > first else f"frame {first}"
        return f"{CHANNELS[self.psnr]}, {frames}"

    @property
    def bytes(self) -> int:
        """Of all pictures."""
        arrays = [self.truth, self.poses, *(a for f in self.futures for a in (f.samples, f.mean, f.spread))]
        return sum(array.nbytes for array in arrays if array is not None)


def predict_clip(library: Library, *asked: Any, **named: Any) -> Prediction:
    """The futures that a run sees for a clip, for what `ask` takes: sample k is the very picture that train.evaluate
    scores as sample k of this seed, and train.generate writes."""
    return imagine(library, ask(library, *asked, **named))


def ask(
    library: Library,
    run: Any,
    clip: Any,
    seed: Any = 0,
    temperature: Any = 1.0,
    n_future: Any = None,
    n_past: Any = None,
    samples: Any = 1,
    prior: Any = None,
    sweep: Any = False,
) -> Asked:
    """A prediction that can be made, every field checked.

    n_past, n_future, prior: None takes the run's own. sweep: the temperatures 0 … 2 instead of one.
    """
    config = library.config(run)
    n_past = fields.whole_number(
        config.data.n_past if n_past is None else n_past, "Context frames", *past_limits(config)
    )
    longest = library.longest_future(run, clip, n_past)
    n_future = first_future(library, run, clip, n_past) if n_future is None else n_future
    asked = Asked(
        run,
        clip,
        fields.whole_number(seed, "The seed", 0, MAX_SEED),
        (fields.number_between(temperature, "The temperature", 0, MAX_TEMPERATURE),),
        n_past,
        fields.whole_number(n_future, "The number of predicted frames", 1, longest),
        fields.whole_number(samples, "The number of samples", 1, MAX_SAMPLES),
        own_prior(config) if prior is None else fields.choice(prior, "prior", priors(config)),
    )
    if fields.switch(sweep, "The sweep"):
        asked = asked._replace(temperatures=SWEEP)
    frames = asked.n_future * sum(_samples_at(t, asked.samples) for t in asked.temperatures)
    if frames > MAX_FRAMES:
        raise BadInput(f"These are {frames:,} frames to predict: ask for {MAX_FRAMES:,} at most, or for fewer samples")
    return asked


def imagine(library: Library, asked: Asked) -> Prediction:
    """The prediction that was asked for. Asked again, the same answer comes from memory."""
    run = asked.run
    key = asked, library.run_folder(run), library.weights_time(run), library.clip(asked.clip)
    return library.remembered(key, lambda: _predict(library, asked), lambda prediction: prediction.bytes)


def _predict(library: Library, asked: Asked) -> Prediction:
    batch = library.read_clip(asked.clip, asked.n_past + asked.n_future)
    futures, copied, psnr = library.ask(asked.run, _imagine, batch, asked)
    poses = batch.conditions[0].numpy() if library.clip(asked.clip).has_poses else None
    return Prediction(asked, batch.frames[0].numpy() if copied else None, poses, futures, copied, psnr)


def _imagine(model: "Model", batch: "Batch", asked: Asked) -> tuple[list[Future], dict[str, np.ndarray], str]:
    """Futures, and the scores of the last given frame repeated (none where the truth is unknown), as in Prediction."""
    from vidpred.evaluation import score
    from vidpred.frames import to_float, to_uint8
    from vidpred.metrics import best_of_n
    from vidpred.render import mean_clip, spread_clip
    from vidpred.rollout import predict

    n_past, frames, psnr = asked.n_past, batch.frames[0].numpy(), model.config.psnr_protocol
    known = len(frames) == n_past + asked.n_future
    given = batch.to_clip(n_past, next(model.parameters()).device)

    def pictured(clip: np.ndarray) -> Any:
        """A clip's frames after the context as one more future, to be scored."""
        return to_float(clip[n_past:])[None, None].to(given.frames)

    def rows(scores: Any) -> dict[str, np.ndarray]:
        return {"PSNR": scores.psnr[:, 0].numpy(), "SSIM": scores.ssim[:, 0].numpy()}

    futures = []
    for temperature in asked.temperatures:
        x_pred = predict(
            model,
            given,
            batch.ids,
            n_future=asked.n_future,
            seed=asked.seed,
            samples=_samples_at(temperature, asked.samples),
            temperature=temperature,
            latent=LATENTS[asked.prior],
        )
        samples = np.stack([np.concatenate([frames[:n_past], future]) for future in to_uint8(x_pred[:, 0])])
        mean, table, best = mean_clip(samples), None, 0
        if known:
            scores = score(x_pred, given, psnr)
            best = best_of_n(scores.psnr).index.item()
            each, whole = rows(scores), rows(score(pictured(mean), given, psnr))
            table = {name: np.concatenate([each[name], whole[name]]) for name in each}
        futures.append(Future(samples, mean, spread_clip(samples), table, best))
    copied = {}
    if known:
        repeated = frames[[*range(n_past), *[n_past - 1] * asked.n_future]]
        copied = {name: values[0] for name, values in rows(score(pictured(repeated), given, psnr)).items()}
    return futures, copied, psnr


def _samples_at(temperature: float, samples: int) -> int:
    return samples if temperature > 0 else 1  # without noise all of them are one


# --- what a run and a clip allow --------------------------------------------------------------------------------------


def past_limits(config: RunConfig) -> tuple[int, int]:
    """Fewest and most context frames."""
    return (1, MAX_PAST) if isinstance(config.model, SVGConfig) else (1, 1)


def priors(config: RunConfig) -> tuple[str, ...]:
    """Where z can come from at prediction, by the names of the settings."""
    return ("learned", "standard") if getattr(config.model, "learned_prior", False) else ("standard",)


def own_prior(config: RunConfig) -> str:
    """Where z comes from unless one asks for something else."""
    return config.model.prior_at_test if "learned" in priors(config) else "standard"


def own_future(config: RunConfig) -> int:
    """Predicted frames at first, of a clip that has them: as many as in training; of a dance what a small server
    predicts in seconds."""
    return getattr(config.data, "n_future", DANCE_FRAMES)


def first_future(library: Library, run: str, clip: str, n_past: int) -> int:
    """Predicted frames at first."""
    return min(own_future(library.config(run)), library.longest_future(run, clip, n_past))


def first_samples(library: Library, run: str) -> int:
    """Samples at first: as many as one call of the model makes anyway."""
    return 10 if isinstance(library.config(run).model, SVGConfig) else 1


def first_run(library: Library, among: Collection[str] = ()) -> str:
    """The run that a visitor meets first (of some, or of all): one with clips whose z carries something, action-free if
    there is one, of these the one that scores best."""

    def rank(run: str) -> tuple:
        free = getattr(library.config(run).model, "condition", "") == "none"
        return not library.clips_for(run), is_collapsed(library, run), not free, -evaluated(library, run, "psnr_best")

    return min(among or library.runs, key=rank)  # of equals the first by name


def first_view(library: Library, run: str | None = None) -> dict[str, Any]:
    """What is asked, of a run or before one has been chosen, until someone asks for something else. n_future: of a clip
    that is long enough."""
    run = first_run(library) if run is None else run
    config = library.config(run)
    return {
        "run": run,
        "clip": next(iter(library.clips_for(run)), None),
        "seed": 0,
        "temperature": 1.0,
        "samples": first_samples(library, run),
        "n_future": own_future(config),
        "n_past": config.data.n_past,
        "prior": own_prior(config),
        "sweep": False,
    }


def warm_up(library: Library) -> None:
    """Load torch and make the first view; what is wrong with it is left to the visitor who asks."""
    if zero.LENT:
        return  # a GPU is lent to visitors
    with contextlib.suppress(BadInput):
        predict_clip(library, **first_view(library) | {"n_future": None})
