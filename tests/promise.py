"""What is the same on one machine whatever the batch, the threads and the processes: docs/performance.md, "The same
result". Both say on stdout what differs."""

import math

import numpy as np
import torch

from vidpred.frames import to_uint8

LEVELS = 1  # of 255, by which a value of a picture may differ
SHARE = 1e-4  # of the values of a picture that may differ at all, at least one
NUMBERS = 1e-5  # relative; absolute below 1


def same_picture(one, other):
    """Whether frames are the same: floats (…, C, H, W) or uint8 (…, H, W, C)."""
    one, other = (to_uint8(x) if torch.is_tensor(x) else x for x in (one, other))
    assert one.dtype == other.dtype == np.uint8 and one.shape == other.shape, (one.dtype, one.shape, other.shape)
    apart = np.abs(one.astype(int) - other)
    print(f"{np.count_nonzero(apart)} of {apart.size} values differ, by up to {apart.max()} levels")
    return apart.max() <= LEVELS and np.count_nonzero(apart) <= max(1, SHARE * apart.size)


def same_numbers(one, other):
    """Whether numbers are the same, and whatever holds them: tensors, arrays, lists, the dict of an evaluation."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_numbers(one[key], other[key]) for key in one)
    one, other = (x.tolist() if hasattr(x, "tolist") else x for x in (one, other))
    if isinstance(one, list):
        return len(one) == len(other) and all(same_numbers(*pair) for pair in zip(one, other))
    if isinstance(one, float) and isinstance(other, float):
        same = math.isclose(one, other, rel_tol=NUMBERS, abs_tol=NUMBERS) or (math.isnan(one) and math.isnan(other))
    else:
        same = one == other
    if not same:
        print(f"{one} and {other} differ")
    return same
