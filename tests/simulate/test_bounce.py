"""Shapes that bounce: straight between the walls, anywhere after one, and the same for the same seed."""

import numpy as np
import pytest

from vidpred.simulate import bounce

T = 30


def paths(index, shapes=2):
    """Places and bounces of the shapes of a test clip of seed 0."""
    return [bounce._path(np.random.default_rng((0, 2, index, shape)), T) for shape in range(shapes)]


def centre(frames, colour):
    """Where the pixels of a colour lie on average in each frame, (T, 2)."""
    found = []
    for frame in frames:
        y, x = np.nonzero((abs(frame.astype(int) - colour) < 8).all(-1))
        found.append((x.mean() + 0.5, y.mean() + 0.5))
    return np.array(found)


def test_a_clip_depends_on_seed_split_and_index_alone():
    first = bounce.simulate_clip(3, "train", 5, T)
    assert np.array_equal(first.frames, bounce.simulate_clip(3, "train", 5, T).frames)
    assert np.array_equal(first.frames[:10], bounce.simulate_clip(3, "train", 5, 10).frames)
    for other in ((4, "train", 5), (3, "test", 5), (3, "train", 6)):
        assert not np.array_equal(first.frames, bounce.simulate_clip(*other, T).frames)


@pytest.mark.parametrize("index", range(8))
def test_between_bounces_all_is_straight_and_at_a_bounce_nothing_is(index):
    for places, bounces in paths(index):
        moves = np.diff(places, axis=0)
        touches = np.isclose(places, bounce.RADIUS) | np.isclose(places, 64 - bounce.RADIUS)
        at_a_wall = np.flatnonzero(touches.any(1))
        assert {t - 1 for t in bounces} <= set(at_a_wall)
        for t in range(1, T - 1):  # the step into a wall is cut short there
            straight = np.allclose(moves[t], moves[t - 1], atol=1e-9)
            assert straight or t + 1 in bounces or t + 1 in at_a_wall
        assert ((places >= bounce.RADIUS - 1e-9) & (places <= 64 - bounce.RADIUS + 1e-9)).all()


def test_speeds_and_directions_after_a_wall_are_spread_out():
    moves = [np.diff(places, axis=0)[t - 1] for i in range(100) for places, bounces in paths(i) for t in bounces]
    speeds = np.linalg.norm(moves, axis=1)
    assert speeds.max() <= bounce.SPEED[1] + 1e-9
    assert speeds.std() > 0.5
    angles = np.arctan2(*np.transpose(moves))
    assert np.histogram(angles, 8, (-np.pi, np.pi))[0].min() > len(moves) / 32


def test_what_is_drawn_is_where_the_path_says():
    """A disc lies around its place; seen alone, so that nothing hides it."""
    index = next(i for i in range(100) if _is_disc(i))
    clip = bounce.simulate_clip(0, "test", index, T, shapes=1)
    ((places, bounces),) = paths(index, shapes=1)
    assert clip.bounces == [bounces]
    colours = [np.array(colour) for colour in bounce.COLOURS]
    colour = max(colours, key=lambda c: (abs(clip.frames.astype(int) - c) < 8).all(-1).sum())
    assert np.abs(centre(clip.frames, colour) - places).max() < 0.2


def _is_disc(index):
    random = np.random.default_rng((0, 2, index))
    random.permutation(len(bounce.COLOURS))
    return bounce.CORNERS[random.integers(len(bounce.CORNERS), size=1)[0]] == 0


@pytest.mark.parametrize("size", [32, 64, 128])
def test_size_changes_the_resolution_alone(size):
    large = bounce.simulate_clip(0, "test", 1, 3, 128).frames
    small = bounce.simulate_clip(0, "test", 1, 3, size).frames
    assert small.shape == (3, size, size, 3)
    scale = 128 // size
    averaged = large.reshape(3, size, scale, size, scale, 3).mean((2, 4))
    assert np.abs(averaged - small).mean() < 2
