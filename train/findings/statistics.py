"""The numbers by which claims are tested: of a result, or of two; an array over clips, or a number of the whole run."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from train.findings.results import Result

BLOCK = 17  # frames of a dance video that count as a clip: neighbouring frames are alike
SMOOTHED = 31  # frames over which a video's PSNR is averaged to see what rises above and falls below it


class Statistic(NamedTuple):
    """what: in a sentence. unit: of its values. of: a result's (clips,) values. joint: of two results instead."""

    what: str
    unit: str
    of: Callable[[Result], np.ndarray] | None = None
    joint: Callable[[Result, Result], np.ndarray] | None = None

    def difference(self, one: Result, other: Result | None) -> np.ndarray:
        """Values (clips,) of one minus those of the other, or of both together, or of one alone."""
        if self.joint and other:
            return self.joint(one, other)
        return self.of(one) - self.of(other) if other else self.of(one)


def psnr(result: Result) -> np.ndarray:
    """Of each clip, mean over samples and frames; a single video falls into blocks of frames."""
    of_clips = result.scores["per_clip"]["psnr"]
    return _array(of_clips) if len(of_clips) > 1 else _blocks(_array(result.scores["per_frame"]["psnr"]))


def psnr_best(result: Result) -> np.ndarray:
    """Of each clip, of the sample that fits best."""
    return _array(result.scores["per_clip"]["psnr_best"])


def roughness(result: Result) -> np.ndarray:
    """How far the PSNR of a video's frame lies from that of the frame before, in blocks of frames."""
    return _blocks(np.abs(np.diff(_array(result.scores["per_frame"]["psnr"]))))


def kl_jump(result: Result) -> np.ndarray:
    """KL of the epoch in which beta has returned to its start over that of the epoch before, in doublings; the mean
    over all returns."""
    beta, kld = _array(result.curves["beta"]), _array(result.curves["kld"])
    returns = np.flatnonzero(np.diff(beta) < 0) + 1
    return np.log2(kld[returns] / kld[returns - 1]).mean(keepdims=True) if len(returns) else np.array([np.nan])


def first_loss(result: Result) -> np.ndarray:
    """Loss of the first epoch, in doublings."""
    return np.log2(_array(result.curves["loss"][:1]))


def gap(result: Result) -> np.ndarray:
    """Training PSNR (z from the posterior) minus validation PSNR (z from the prior), last quarter of the epochs."""
    curves = result.curves
    return (_last(curves["train_psnr"], 4) - _last(curves["val_psnr"], 4)).mean(keepdims=True)


def early_psnr(result: Result) -> np.ndarray:
    """Validation PSNR, mean over the first half of the epochs."""
    values = _array(result.curves["val_psnr"])
    return values[: len(values) // 2].mean(keepdims=True)


def unrest(result: Result) -> np.ndarray:
    """Root mean square of the change of validation PSNR from epoch to epoch, second half of the epochs."""
    return np.sqrt((np.diff(_last(result.curves["val_psnr"], 2)) ** 2).mean(keepdims=True))


def forced_loss(curve: str) -> Callable[[Result], np.ndarray]:
    """By how many doublings a loss is higher in epochs that were teacher forced: least squares of its logarithm on
    1, epoch, log(epoch + 1) and whether the epoch was forced. NaN where all epochs were, or none."""

    def of(result: Result) -> np.ndarray:
        epoch, forced, loss = (_array(result.curves[name]) for name in ("epoch", "teacher_forced", curve))
        if not np.isfinite(forced + loss).all() or np.ptp(forced) == 0:
            return np.array([np.nan])
        known = np.stack([np.ones_like(epoch), epoch, np.log(epoch + 1), forced], 1)
        return np.linalg.lstsq(known, np.log2(loss), rcond=None)[0][-1:]

    return of


def same_drops(one: Result, other: Result) -> np.ndarray:
    """Correlation of the PSNR of a video's frames, each measured from its average over the frames around it."""
    curves = [_array(each.scores["per_frame"]["psnr"]) for each in (one, other)]
    around = np.ones(SMOOTHED) / SMOOTHED
    inner = slice(SMOOTHED // 2, -(SMOOTHED // 2))
    return np.corrcoef(*(curve[inner] - np.convolve(curve, around, "valid") for curve in curves))[:1, 1]


PSNR = Statistic("PSNR on test clips, mean over samples", "dB", psnr)
PSNR_BEST = Statistic("PSNR of the best of 20 samples of each test clip", "dB", psnr_best)
ROUGHNESS = Statistic("change of PSNR from a predicted frame to the next", "dB", roughness)
KL_JUMP = Statistic("KL after a return of beta over KL before it", "doublings", kl_jump)
FIRST_LOSS = Statistic("loss of the first epoch", "doublings", first_loss)
GAP = Statistic("training minus validation PSNR, last quarter of the epochs", "dB", gap)
EARLY_PSNR = Statistic("validation PSNR, mean over the first half of the epochs", "dB", early_psnr)
UNREST = Statistic("change of validation PSNR from epoch to epoch, second half", "dB", unrest)
FORCED_TRAINING = Statistic("training MSE of forced epochs over that of the others", "doublings", forced_loss("mse"))
UNFORCED_VALIDATION = Statistic(
    "validation MSE after free-running epochs over that after forced ones",
    "doublings",
    lambda result: -forced_loss("val_loss")(result),
)
SAME_DROPS = Statistic("correlation of PSNR over the frames of two runs", "", joint=same_drops)


def _array(values: list[float | None]) -> np.ndarray:
    """With NaN for None: an epoch whose steps were all skipped, or a number that was not finite."""
    return np.array(values, float)


def _last(values: list[float], share: int) -> np.ndarray:
    return _array(values[-max(2, len(values) // share) :])


def _blocks(values: np.ndarray) -> np.ndarray:
    count = max(1, len(values) // BLOCK)
    return np.array([part.mean() for part in np.array_split(values, count)])
