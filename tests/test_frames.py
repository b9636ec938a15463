"""The border between uint8 pictures and float tensors."""

import warnings

import numpy as np
import pytest
import torch

from vidpred.frames import to_float, to_uint8


def random_frames(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("shape", [(5, 4, 6, 3), (2, 5, 4, 6, 3), (3, 2, 5, 4, 6, 1)])
def test_axes_and_range(shape):
    frames = random_frames(*shape)
    x = to_float(frames)
    assert x.dtype == torch.float32
    assert x.movedim(-3, -1).is_contiguous()  # one layout: another picks other kernels, and so other last bits
    assert x.shape == (*shape[:-3], shape[-1], shape[-3], shape[-2])
    # Height and width differ, so that a swap shows: element by element.
    assert x[..., 0, 3, 5].numpy() == pytest.approx(frames[..., 3, 5, 0] / 255)
    assert torch.equal(to_float(torch.from_numpy(frames)), x)


def test_all_256_levels_come_back_exactly():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    for dtype in (torch.float32, torch.float64):
        assert np.array_equal(to_uint8(to_float(levels).to(dtype)), levels)
    for shape in ((5, 4, 6, 3), (2, 3, 5, 4, 6, 3)):
        assert np.array_equal(to_uint8(to_float(random_frames(*shape))), random_frames(*shape))


def test_ties_go_to_even_and_everything_else_to_nearest():
    # Truncation, and rounding half up, both fail here. Halves of 1 / 255 are ties only where x * 255 is exact.
    ties = torch.tensor([0.5, 1.5, 2.5, 3.5, 254.5, 7.49, 7.51], dtype=torch.float64) / 255
    assert (ties[:5] * 255 % 1 == 0.5).all()
    assert to_uint8(ties.reshape(1, 1, 1, 7)).ravel().tolist() == [0, 2, 2, 4, 254, 7, 8]


def test_values_outside_are_clamped_not_wrapped():
    x = torch.tensor([-0.5, -1e-9, 1.0, 1.004, 7.0]).reshape(1, 1, 1, 5)
    assert to_uint8(x).ravel().tolist() == [0, 0, 255, 255, 255]


def test_sixteen_bits_are_widened_before_scaling():
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert np.array_equal(to_uint8(x), to_uint8(x.double()))  # 255 * x in bfloat16 is off by up to half a level


def test_gradients_and_numpy_inputs_are_accepted_and_left_alone():
    x = torch.rand(2, 3, 4, 4, requires_grad=True)
    assert np.array_equal(to_uint8(x), to_uint8(x.detach().numpy()))
    array = np.full((1, 1, 2, 2), 2.0)
    to_uint8(array)
    assert (array == 2.0).all()


def test_read_only_and_reversed_arrays(tmp_path):
    frames = random_frames(4, 5, 6, 3)
    frames.tofile(tmp_path / "clips.bin")
    mapped = np.memmap(tmp_path / "clips.bin", np.uint8, mode="r", shape=frames.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns about arrays it must not write to
        assert torch.equal(to_float(mapped), to_float(frames))
        assert torch.equal(to_float(frames[::-1]), to_float(frames).flip(0))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_values_without_a_picture_are_errors(bad):
    x = torch.zeros(1, 3, 4, 4)
    x[0, 1, 2, 3] = bad
    with pytest.raises(ValueError, match="not finite"):
        to_uint8(x)


def test_frames_that_crossed_already_are_errors():
    with pytest.raises(ValueError, match="uint8"):
        to_float(np.zeros((1, 4, 4, 3), np.float32))
    with pytest.raises(ValueError, match="uint8"):
        to_float(torch.zeros(1, 4, 4, 3))
    with pytest.raises(ValueError, match="floating"):
        to_uint8(torch.zeros(1, 3, 4, 4, dtype=torch.uint8))
