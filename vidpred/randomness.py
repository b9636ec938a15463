"""Randomness is an argument: every draw has a name, and a name always draws the same.

Written down so that another language draws the same numbers. Philox 4x32-10 (Salmon et al. 2011, "Parallel random
numbers: as easy as 1, 2, 3") turns a counter of four 32-bit words under a key of two into four random words.

- Key: the first 64 bits of the SHA-256 of the names in UTF-8, joined by "/", as two big-endian words.
- Counter: (number of the block within the draw, number of the draw, 0, 0). Each call of a method is a draw, numbered
  from 0, and takes the words of its blocks 0, 1, … in their order; a draw of fewer leaves the rest.
- Uniform: u = (word + 0.5) / 2^32, in float64. An integer below n: floor(word n / 2^32).
- Normals: a block's words a, b, c, d give r cos(t), r sin(t) with r = sqrt(-2 ln u(a)) and t = 2 pi u(b), then the same
  of c and d; computed in float64, rounded once to float32.

Libraries may differ in the last bit of ln, cos and sin in float64; rounded to float32 that shows in less than one
number of 10^8, as the next float32.
"""

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
KEY_STEPS = 0x9E3779B9, 0xBB67AE85
HALF, LOW = np.uint64(32), np.uint64(2**32 - 1)
BLOCKS_AT_ONCE = 2**13  # as many as stay in a core's cache


def philox(counter: Sequence[np.ndarray], key: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Philox 4x32-10: four arrays of random words for four arrays of counter words, 32 bits each in uint64."""
    a, b, c, d = counter
    for i in range(10):
        k, m = (np.uint64((word + i * step) % 2**32) for word, step in zip(key, KEY_STEPS))
        p, q = a * MULTIPLIERS[0], c * MULTIPLIERS[1]
        a, b, c, d = (q >> HALF) ^ b ^ k, q & LOW, (p >> HALF) ^ d ^ m, p & LOW
    return a, b, c, d


class Generator:
    """The draws of a name, one after the other."""

    def __init__(self, key: tuple[int, int]):
        self.key = key
        self.draws = 0  # made so far

    def normals(self, draws: int, shape: tuple[int, ...]) -> Tensor:
        """Standard normal (draws, *shape), float32: draw by draw, so that more of them keep the earlier ones."""
        count = math.prod(shape)
        blocks = -(-count // 4)
        drawn = np.empty((draws * blocks, 4), np.float32)
        for start in range(0, len(drawn), BLOCKS_AT_ONCE):
            rows = drawn[start : start + BLOCKS_AT_ONCE]
            number = np.arange(start, start + len(rows), dtype=np.uint64)
            a, b, c, d = (_uniform(words) for words in self._words(number % blocks, self.draws + number // blocks))
            for column, (u, v) in enumerate(((a, b), (c, d))):
                r, angle = np.sqrt(-2 * np.log(u)), 2 * np.pi * v
                rows[:, 2 * column], rows[:, 2 * column + 1] = r * np.cos(angle), r * np.sin(angle)
        self.draws += draws
        return torch.from_numpy(drawn.reshape(draws, 4 * blocks)[:, :count]).reshape(draws, *shape)

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        """One draw of standard normal numbers, float32."""
        return self.normals(1, shape)[0]

    def uniform(self) -> float:
        """A number above 0 and below 1."""
        return float(_uniform(self._draw(1))[0])

    def below(self, limits: Sequence[int]) -> list[int]:
        """For each limit n (up to 2^32) an integer from 0 to n - 1; one draw."""
        return ((self._draw(len(limits)) * np.asarray(limits, np.uint64)) >> HALF).tolist()

    def permutation(self, n: int, first: int | None = None) -> list[int]:
        """0 … n - 1 in random order (Fisher and Yates), or its first numbers; one draw, of the places to swap with."""
        count = n if first is None else first
        moved, order = {}, []
        for i, ahead in enumerate(self.below(range(n, n - count, -1))):
            order.append(moved.get(i + ahead, i + ahead))
            moved[i + ahead] = moved.get(i, i)
        return order

    def _draw(self, count: int) -> np.ndarray:
        """The first `count` words of the next draw."""
        number = np.arange(-(-count // 4), dtype=np.uint64)
        self.draws += 1
        return np.stack(self._words(number, np.uint64(self.draws - 1)), 1).ravel()[:count]

    def _words(self, block: np.ndarray, draw: np.ndarray) -> tuple[np.ndarray, ...]:
        zero = np.uint64(0)
        return philox((block, draw, zero, zero), self.key)


def generator(*names: object) -> Generator:
    """The draws of a name, such as (seed, sample, clip id), from the first."""
    digest = hashlib.sha256("/".join(map(str, names)).encode()).digest()
    return Generator((int.from_bytes(digest[:4]), int.from_bytes(digest[4:8])))


def _uniform(words: np.ndarray) -> np.ndarray:
    return (words + 0.5) * 2.0**-32
