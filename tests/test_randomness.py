"""A name always draws the same, on every machine and in every language: the first numbers are written down."""

import numpy as np
import pytest
import torch

from vidpred.models import build_model
from vidpred.presets import preset
from vidpred.randomness import BLOCKS_AT_ONCE, generator, philox
from vidpred.rollout import rollout_noise

CLIP = "test/traj_0_to_255/1"
EPS = [
    [2.1811626, -0.18880628, 0.95647955, 0.2867451, -0.20091736],
    [0.54145545, -0.43305084, -1.0848242, 0.8318482, -0.762579978],
    [-1.60918784, -0.580356717, -0.144267455, 0.05330693, -1.29003918],
]


@pytest.fixture(scope="module")
def many():
    """Enough for several turns of the loop, and no multiple of what a turn takes."""
    return generator("many").normals(5, (40_001,)).double()


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_published_answers(counter, key, expected):
    """Those of Random123; several counters at once, so that each word stays in its row."""
    words = [np.array([0, int(word, 16), 7], np.uint64) for word in counter.split()]
    drawn = philox(words, tuple(int(word, 16) for word in key.split()))
    assert " ".join(f"{word[1]:08x}" for word in drawn) == expected


def test_the_first_numbers_are_written_down():
    assert generator(0, 0, CLIP).normals(3, (5,)).tolist() == np.float32(EPS).tolist()
    assert generator("coin", 0, 7).uniform() == 0.568052455666475
    assert generator("batch", 0, 7).below([10, 1600, 2**32 - 1]) == [1, 1043, 397243331]
    assert generator("shards", 0, 1).permutation(8) == [3, 7, 0, 1, 4, 5, 2, 6]


def test_the_noise_of_a_rollout_is_that_of_its_name():
    model = build_model(preset("debug").model)
    (z,) = model.z_shape
    assert rollout_noise(model, 0, 0, CLIP, 3).tolist() == np.float32(EPS)[:, :z].tolist()


@pytest.mark.parametrize("shape", [(1,), (5,), (8, 3, 4), (BLOCKS_AT_ONCE * 4 + 6,)])
def test_draws_go_on_step_by_step(shape):
    """More steps keep the earlier ones, and a step is a draw of its own."""
    together, longer, one = generator(1), generator(1), generator(1)
    steps = together.normals(3, shape)
    assert torch.equal(longer.normals(5, shape)[:3], steps)
    assert torch.equal(torch.stack([one.normal(shape) for _ in range(3)]), steps)
    assert torch.equal(together.normal(shape), one.normal(shape))  # and both stand at the same draw


def test_every_kind_of_draw_counts_as_one():
    source = generator(2)
    source.uniform(), source.below([3] * 9), source.permutation(5)
    assert torch.equal(source.normal((2,)), generator(2).normals(4, (2,))[3])


def test_noise_is_float32_whatever_the_default():
    expected = generator(3).normal((7,))
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(generator(3).normal((7,)), expected)
    finally:
        torch.set_default_dtype(torch.float32)
    assert expected.dtype == torch.float32


def test_the_normal_distribution(many):
    """Five times the standard error of each statistic."""
    n = many.numel()
    assert abs(many.mean()) < 5 * n**-0.5
    assert abs(many.square().mean() - 1) < 5 * (2 / n) ** 0.5
    assert abs(many.pow(3).mean()) < 5 * (15 / n) ** 0.5
    assert abs(many.pow(4).mean() - 3) < 5 * (96 / n) ** 0.5
    for limit, share in ((1, 0.682689), (2, 0.954500), (3, 0.997300)):
        assert abs((many.abs() < limit).double().mean() - share) < 5 * (share * (1 - share) / n) ** 0.5


def test_numbers_do_not_know_each_other(many):
    """Neighbours, of which two come from one radius; steps; names: no correlation, of the squares neither."""
    n = many.shape[1]
    others = [generator("many", i).normal((n,)).double() for i in range(3)]
    pairs = [(many[0, :-lag], many[0, lag:]) for lag in (1, 2, 3, 4)]
    pairs += [(many[0], many[t]) for t in range(1, 5)] + [(many[0], other) for other in others]
    for x, y in pairs:
        for f in (lambda v: v, lambda v: v.square() - 1, torch.abs):
            assert abs(torch.corrcoef(torch.stack([f(x), f(y)]))[0, 1]) < 5 * n**-0.5


def test_integers_are_even():
    drawn = np.array(generator("even").below([7] * 70_000))
    assert abs(np.bincount(drawn, minlength=7) - 10_000).max() < 5 * 10_000**0.5
    assert len(np.bincount(drawn)) == 7


def test_permutations_are_even():
    """Each of the orders of three; the first of them are the first of the whole."""
    orders = [tuple(generator("order", i).permutation(3)) for i in range(1200)]
    assert {order: abs(orders.count(order) - 200) < 5 * 200**0.5 for order in set(orders)} == dict.fromkeys(
        [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)], True
    )
    whole = generator(4).permutation(100)
    assert sorted(whole) == list(range(100))
    assert generator(4).permutation(100, 9) == whole[:9]


def test_names_are_told_apart():
    names = [(s, k, c) for s in (0, 1, -1) for k in (0, 1) for c in ("test/a/1", "test/a/11")]
    assert len({tuple(generator(*name).normal((4,)).tolist()) for name in names}) == len(names)
