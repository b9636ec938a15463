"""Values worked out by hand from the table of schedules."""

import math

import pytest

from vidpred.config import TrainConfig
from vidpred.errors import BadInput
from vidpred.schedules import (
    beta_at,
    beta_reached,
    cyclical,
    equivalent_sigma,
    fraction_at,
    interpolates_after,
    is_plateau,
    kl_anneal_at,
    lr_at,
    ramp,
    tfr_at,
)


@pytest.mark.parametrize(
    ("i", "expected"),
    [(0, 0.0), (5, 0.4), (12, 0.96), (13, 1.0), (24, 1.0), (25, 0.0), (30, 0.4), (50, 0.0), (99, 1.0)],
)
def test_cyclical_by_hand(i, expected):
    """n 100, M 4: period 25, rise over 12.5 positions."""
    assert cyclical(i, 100, 4) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(("i", "expected"), [(0, 0.0), (2, 0.8), (3, 0.2), (5, 0.0), (7, 0.8), (8, 0.2)])
def test_a_period_that_is_not_whole_follows_the_remainder(i, expected):
    """n 10, M 4, R 1: period 2.5; i mod 2.5 over 2.5."""
    assert cyclical(i, 10, 4, ratio=1.0) == pytest.approx(expected, abs=1e-15)


def test_a_cycle_starts_at_its_start_even_where_the_period_cannot_be_written_down():
    """n 14, M 6: cycle 3 starts at 7 exactly, though 7 mod 2.333… is not 0 in floats."""
    assert cyclical(7, 14, 6) == 0.0


def test_calibrated_beta_makes_the_equivalent_sigma_the_root_of_the_mse():
    """The ELBO of a Gaussian decoder whose variance is the MSE: sigma-VAE at its optimum."""
    config = TrainConfig(kl_anneal="calibrated", beta_max=3.0)
    assert beta_at(config, 5, mse=0.005, pixels=12288) == pytest.approx(8.138e-7, rel=1e-3)
    assert equivalent_sigma(beta_at(config, 5, 0.0025, 6144), 6144) == pytest.approx(0.05)
    assert beta_at(config, 0, 0.01) == 2 * beta_at(config, 900, 0.005)  # of the error alone, not of where it stands


def test_start_and_stop_bound_the_schedule():
    """One published version holds the plateau at 1 even when stop is smaller."""
    values = [cyclical(i, 100, 4, start=0.015, stop=1e-1) for i in range(100)]
    assert min(values) == 0.015
    assert max(values) == 0.1


@pytest.mark.parametrize(
    ("shape", "at_0", "at_quarter", "at_three_quarters"),
    [
        ("linear", 0.0, 0.25, 0.75),
        ("sigmoid", 1 / (1 + math.exp(6)), 1 / (1 + math.exp(3)), 1 / (1 + math.exp(-3))),
        ("cosine", 0.0, (1 - math.sqrt(0.5)) / 2, (1 + math.sqrt(0.5)) / 2),
    ],
)
def test_shapes(shape, at_0, at_quarter, at_three_quarters):
    assert [ramp(u, shape) for u in (0, 0.25, 0.75)] == pytest.approx([at_0, at_quarter, at_three_quarters])


def published_sigmoid(n, cycles, ratio):
    """The published loop (0 to 1), which leaves what no rise reaches at 1; not its first position of a plateau, which
    is 0.9975 or 1 as its running sum happens to be rounded."""
    schedule, period = [1.0] * n, n / cycles
    for cycle in range(cycles):
        for i in range(math.ceil(period * ratio)):
            schedule[int(i + cycle * period)] = 1 / (1 + math.exp(-(12 * i / (period * ratio) - 6)))
    return schedule


@pytest.mark.parametrize(("n", "cycles", "ratio"), [(160, 4, 0.5), (40, 1, 0.25), (96, 4, 1.0)])
def test_a_sigmoid_rise_is_the_published_one(n, cycles, ratio):
    values = [cyclical(i, n, cycles, ratio, shape="sigmoid") for i in range(n)]
    assert values == pytest.approx(published_sigmoid(n, cycles, ratio), abs=1e-15)


@pytest.mark.parametrize("shape", ["linear", "sigmoid", "cosine"])
def test_every_rise_ends_at_its_stop_however_it_is_asked_for(shape):
    for changes in (
        {"kl_anneal_ratio": 0.5},
        {"kl_anneal_ratio": 1.0, "kl_anneal_cycle_epochs": 5},
        {"kl_anneal_ratio": 0.3, "kl_anneal_per": "epoch"},
    ):
        c = config(kl_anneal="monotonic", kl_anneal_shape=shape, kl_anneal_start=0.015, kl_anneal_stop=0.7, **changes)
        assert kl_anneal_at(c, 99) == 0.7
    c = config(kl_anneal_shape=shape, kl_anneal_cycles=2, kl_anneal_stop=0.7)
    assert [kl_anneal_at(c, i) for i in (25, 49, 75, 99)] == [0.7] * 4


@pytest.mark.parametrize("shape", ["linear", "sigmoid", "cosine"])
def test_shapes_never_run_past_the_end(shape):
    values = [cyclical(i, 40, 4, ratio=1.0, shape=shape) for i in range(40)]
    assert max(values) <= 1.0


def config(**changes):
    return TrainConfig(**{"epochs": 10, "iterations_per_epoch": 10, "beta_max": 2.0, **changes})


@pytest.mark.parametrize(
    ("changes", "values"),
    [
        ({"kl_anneal": "monotonic"}, {0: 0.0, 25: 0.5, 49: 0.98, 50: 1.0, 51: 1.0, 99: 1.0}),
        ({"kl_anneal": "monotonic", "kl_anneal_ratio": 0.25}, {0: 0.0, 10: 0.4, 25: 1.0, 99: 1.0}),
        ({"kl_anneal": "monotonic", "kl_anneal_ratio": 1.0}, {0: 0.0, 50: 0.5, 99: 0.99}),
        ({"kl_anneal": "none"}, {0: 1.0, 99: 1.0}),
        ({"kl_anneal": "none", "kl_anneal_value": 0.0}, {0: 0.0, 99: 0.0}),
        ({"kl_anneal_per": "epoch", "kl_anneal_cycles": 2}, {0: 0.0, 9: 0.0, 10: 0.4, 29: 0.8, 30: 1.0, 50: 0.0}),
        ({"kl_anneal_cycle_epochs": 5}, {0: 0.0, 5: 0.2, 25: 1.0, 49: 1.0, 50: 0.0, 75: 1.0}),
        ({"kl_anneal": "monotonic", "kl_anneal_cycle_epochs": 5}, {0: 0.0, 5: 0.2, 25: 1.0, 50: 1.0, 99: 1.0}),
    ],
)
def test_beta_over_a_training(changes, values):
    c = config(**changes)
    assert {i: kl_anneal_at(c, i) for i in values} == pytest.approx(values)
    assert {i: beta_at(c, i) for i in values} == pytest.approx({i: 2 * v for i, v in values.items()})


@pytest.mark.parametrize(
    "changes", [{"kl_anneal_cycles": 60}, {"kl_anneal_per": "epoch"}, {"epochs": 1, "iterations_per_epoch": 3}]
)
def test_a_rise_of_less_than_two_positions_is_refused(changes):
    with pytest.raises(BadInput, match="rise of beta"):
        beta_at(config(**changes), 0)


@pytest.mark.parametrize(
    ("changes", "values"),
    [
        ({}, {0: 1.0, 60: 1.0, 61: 0.99, 110: 0.5, 160: 0.0, 170: 0.0}),
        ({"tfr_decay_start": 0}, {0: 1.0, 1: 0.99, 100: 0.0}),
        ({"tfr": 0.5, "tfr_decay_start": 2, "tfr_decay_step": 0.1, "tfr_floor": 0.3}, {2: 0.5, 3: 0.4, 4: 0.3, 9: 0.3}),
        ({"tfr": 0.0}, {0: 0.0, 100: 0.0}),
        ({"tfr": 0.2, "tfr_floor": 0.3}, {0: 0.2, 100: 0.2}),
        ({"epochs": 50, "tfr_decay": "linear", "tfr_decay_start": 10}, {0: 1, 10: 1, 11: 0.975, 30: 0.5, 49: 0.025}),
        ({"epochs": 4, "tfr_decay": "linear", "tfr_decay_start": 0}, {0: 1.0, 1: 0.75, 3: 0.25}),
        (
            {"epochs": 10, "tfr_decay": "linear", "tfr_decay_start": 0, "tfr_floor": 0.3},
            {0: 1.0, 6: 0.4, 7: 0.3, 8: 0.3, 9: 0.3},
        ),
        ({"epochs": 10, "tfr": 0.2, "tfr_decay": "linear", "tfr_decay_start": 0, "tfr_floor": 0.3}, {0: 0.2, 9: 0.2}),
        (
            {"tfr_decay": "every", "tfr_decay_start": 5, "tfr_decay_step": 0.2, "tfr_floor": 0.3},
            {0: 1.0, 4: 1.0, 5: 0.8, 9: 0.8, 10: 0.6, 15: 0.4, 20: 0.3, 99: 0.3},
        ),
    ],
)
def test_teacher_forcing_ratio(changes, values):
    c = TrainConfig(**changes)
    assert {e: tfr_at(c, e) for e in values} == pytest.approx(values)


@pytest.mark.parametrize(
    ("changes", "values"),
    [
        # back to 1 in epochs 8 and 12, and down again from the epoch after
        ({"tfr_decay_start": 2, "tfr_decay_step": 0.1}, {2: 1, 7: 0.5, 8: 1, 9: 0.9, 11: 0.7, 12: 1, 13: 0.9, 22: 0}),
        ({"tfr": 0.0, "tfr_decay_step": 0.1}, {7: 0.0, 8: 1.0, 9: 0.9}),
        ({"tfr_decay": "every", "tfr_decay_start": 3, "tfr_decay_step": 0.1}, {7: 0.8, 8: 1, 10: 1, 11: 0.9, 15: 0.9}),
        ({"tfr_decay": "linear", "tfr_decay_start": 4, "epochs": 20}, {6: 0.875, 8: 1, 9: 11 / 12, 12: 1, 14: 0.75}),
    ],
)
def test_teacher_forcing_ratio_with_restarts(changes, values):
    c = TrainConfig(**changes)
    assert {e: tfr_at(c, e, restarts=[8, 12]) for e in values} == pytest.approx(values)


FLAT = [0.3, 0.2, 0.105, 0.1, 0.1]  # the last three lie within 0.005


@pytest.mark.parametrize(
    ("losses", "psnrs", "restarts", "expected"),
    [
        (FLAT, [1, 2, 9.995, 10, 10], [], True),
        (FLAT, [1, 2, 9.5, 10, 10], [], False),  # PSNR still moves
        ([0.3, 0.2, 0.2, 0.1, 0.1], [1, 2, 10, 10, 10], [], False),  # loss still moves
        (FLAT[:2], [10, 10], [], False),  # too early
        (FLAT, [1, 2, 10, 10, 10], [2], True),  # epochs 2, 3 and 4 come after the restart
        (FLAT, [1, 2, 10, 10, 10], [3], False),
        (FLAT, [1, 2, 10, None, 10], [], False),
        (FLAT, [1, 2, 10, 10, 10.01], [], False),  # as large as the threshold is no plateau
    ],
)
def test_a_plateau(losses, psnrs, restarts, expected):
    c = TrainConfig(plateau_patience=3, plateau_threshold=0.0078125)  # a power of two: differences are exact
    assert is_plateau(c, losses, psnrs, restarts) == expected
    assert not is_plateau(TrainConfig(plateau_threshold=1.0), losses, psnrs, restarts)


def test_fast_start():
    c = TrainConfig(data_fraction=0.5, fast_train_epoch=3, fast_partial=0.4)
    assert [fraction_at(c, e) for e in (0, 2, 3, 9)] == pytest.approx([0.2, 0.2, 0.5, 0.5])
    assert fraction_at(TrainConfig(), 0) == 1.0


def test_weights_are_interpolated_after_every_kth_epoch_but_the_first():
    assert [e for e in range(12) if interpolates_after(TrainConfig(interpolate_every=5), e)] == [5, 10]
    assert not any(interpolates_after(TrainConfig(), e) for e in range(12))


def test_learning_rate():
    assert [lr_at(config(lr=0.1), i) for i in (0, 99)] == [0.1, 0.1]
    assert [lr_at(config(lr=0.1, lr_decay="cosine"), i) for i in (0, 50, 100)] == pytest.approx([0.1, 0.05, 0.0])


def test_learning_rate_falls_to_a_tenth_at_each_milestone():
    c = config(lr=0.1, lr_milestones=(4, 8))  # 10 iterations an epoch
    assert [lr_at(c, i) for i in (0, 39, 40, 79, 80, 99)] == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    both = config(lr=0.1, lr_milestones=(5,), lr_decay="cosine")
    assert [lr_at(both, i) for i in (49, 50)] == pytest.approx([0.1 * (1 + math.cos(0.49 * math.pi)) / 2, 0.005])


def test_beta_as_the_sigma_of_a_decoder():
    """The field's own figures: 1e-4 is sigma 0.78 and 1 is sigma 78 for 64 x 64 frames in colour."""
    assert equivalent_sigma(1e-4, 3 * 64 * 64) == pytest.approx(0.784, abs=1e-3)
    assert equivalent_sigma(1.0, 3 * 64 * 64) == pytest.approx(78.4, abs=0.1)


@pytest.mark.parametrize(
    ("changes", "reached"),
    [
        ({"kl_anneal": "none", "kl_anneal_value": 0.3}, 0.3),
        ({"kl_anneal": "cyclical"}, 1.0),
        ({"kl_anneal": "cyclical", "kl_anneal_ratio": 1.0}, 1.0),
        ({"kl_anneal": "monotonic", "kl_anneal_start": 1.0, "kl_anneal_stop": 0.0}, 1.0),  # a fall
        ({"kl_anneal": "cyclical", "kl_anneal_cycle_epochs": 80}, 0.25),  # of a rise of 40 epochs the first 10
        ({"kl_anneal": "cyclical", "kl_anneal_cycle_epochs": 80, "iterations_per_epoch": 0}, 0.25),  # one pass each
        ({"kl_anneal": "monotonic", "kl_anneal_cycle_epochs": 20}, 1.0),
        ({"kl_anneal": "cyclical", "kl_anneal_cycles": 5, "kl_anneal_per": "epoch", "kl_anneal_ratio": 1.0}, 0.5),
        ({"kl_anneal": "monotonic", "kl_anneal_per": "epoch", "kl_anneal_ratio": 1.0}, 0.9),
        ({"kl_anneal": "cyclical", "kl_anneal_per": "epoch"}, 1.0),
    ],
)
def test_the_largest_beta_of_a_training(changes, reached):
    config = {"epochs": 10, "iterations_per_epoch": 100, "kl_anneal_cycles": 2, "beta_max": 2.0, **changes}
    config = TrainConfig(**config)
    assert beta_reached(config) == pytest.approx(2 * reached)
    if config.iterations_per_epoch:
        assert max(beta_at(config, i) for i in range(1000)) == pytest.approx(2 * reached, abs=0.01)


def test_a_schedule_that_is_refused_where_it_is_used_still_has_a_largest_beta():
    """Of a stranger's run, whose title names it."""
    for anneal in ("cyclical", "calibrated"):
        short = TrainConfig(epochs=1, kl_anneal=anneal, kl_anneal_per="epoch", kl_anneal_cycle_epochs=3)
        assert beta_reached(short) > 0
