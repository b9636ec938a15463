"""95 % intervals of a mean over training seeds and clips.

A difference D[r, c] is measured by each pair of runs r on each clip c, the same clips for all pairs: two crossed random
effects, whose variances add up in the mean,

    var(mean) = var over r of the pairs' means / R + var over c of the clips' means / C - residual variance / (R C).

The interval is mean +- t sqrt(var), t of Student with Satterthwaite's degrees of freedom. Where the seeds decide, it is
as wide as three seeds are few. Resampling seeds and clips with replacement (hierarchical bootstrap) is not: with three
seeds its 95 % interval holds the truth 75 to 81 times of 100 where seeds differ as much as clips or more, this one 91
to 97 times (tests/train/test_findings.py).
"""

from typing import NamedTuple

import numpy as np


class Interval(NamedTuple):
    """A mean and its 95 % interval, over so many pairs of runs (or runs) and clips."""

    mean: float
    low: float
    high: float
    pairs: int
    clips: int


def crossed_interval(values: np.ndarray) -> Interval:
    """Of values (pairs, clips): at least two pairs; one clip, where the number is one of a whole run."""
    from scipy.stats import t

    pairs, clips = values.shape
    mean = values.mean()
    of_pairs = values.mean(1).var(ddof=1) / pairs
    of_clips = values.mean(0).var(ddof=1) / clips if clips > 1 else 0.0
    residuals = values - values.mean(1, keepdims=True) - values.mean(0) + mean
    twice = (residuals**2).sum() / max(1, (pairs - 1) * (clips - 1)) / (pairs * clips)  # is in both of them
    variance = max(of_pairs + of_clips - twice, of_pairs, of_clips)
    if variance == 0:
        return Interval(float(mean), float(mean), float(mean), pairs, clips)
    freedom = (of_pairs + of_clips) ** 2 / (of_pairs**2 / (pairs - 1) + of_clips**2 / max(1, clips - 1))
    half = t.ppf(0.975, freedom) * np.sqrt(variance)
    return Interval(float(mean), float(mean - half), float(mean + half), pairs, clips)
