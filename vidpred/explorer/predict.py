"""One prediction of one clip, with its scores."""

import contextlib
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from vidpred.errors import BadInput
from vidpred.explorer import fields
from vidpred.explorer.library import Library

MAX_SEED = 2**31 - 1
MAX_TEMPERATURE = 2.0


class Prediction(NamedTuple):
    """truth and prediction: (T, H, W, 3) uint8, the first n_past frames alike; scores: one per predicted frame."""

    truth: np.ndarray
    prediction: np.ndarray
    n_past: int
    psnr: list[float]
    ssim: list[float]
    copy_last_psnr: list[float]

    @property
    def scores(self) -> dict[str, float]:
        """Means over the predicted frames."""
        return {name: fmean(getattr(self, name)) for name in ("psnr", "ssim", "copy_last_psnr")}

    @property
    def protocol(self) -> str:
        """What the scores mean."""
        first, last = self.n_past, len(self.truth) - 1
        frames = f"frames {first}…{last}" if last > first else f"frame {first}"
        return f"finn: per channel, {frames}, one sample"


def predict_clip(library: Library, run: Any, clip: Any, seed: Any, temperature: Any, n_future: Any) -> Prediction:
    """The future that a run sees for a clip: the very picture that train.evaluate scores as sample 0 of this seed."""
    from vidpred.evaluation import protocol_of, score
    from vidpred.frames import to_uint8
    from vidpred.rollout import predict

    longest = library.longest_future(run, clip)
    seed = fields.whole_number(seed, "The seed", 0, MAX_SEED)
    temperature = fields.number_between(temperature, "The temperature", 0, MAX_TEMPERATURE)
    n_future = fields.whole_number(n_future, "The number of predicted frames", 1, longest)
    n_past = library.config(run).data.n_past
    batch = library.read_clip(clip, n_past + n_future)
    with library.model(run) as model:
        given = batch.to_clip(n_past, next(model.parameters()).device)
        futures = predict(model, given, batch.ids, n_future=n_future, seed=seed, temperature=temperature)
        scores = score(futures, given, protocol_of(model))
    frames = batch.frames[0].numpy()
    return Prediction(
        frames,
        np.concatenate([frames[:n_past], to_uint8(futures[0, 0])]),
        n_past,
        scores.psnr[0, 0].tolist(),
        scores.ssim[0, 0].tolist(),
        scores.copy_last_psnr[0].tolist(),
    )


def warm_up(library: Library) -> None:
    """Load torch, the first model and the first clip; what is wrong with them is left to the visitor who asks."""
    with contextlib.suppress(BadInput):
        predict_clip(library, next(iter(library.runs)), next(iter(library.clips)), 0, 1.0, 1)
