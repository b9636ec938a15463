"""Winograd's convolution equals torch's, with all its gradients, and stands aside where it is of no use."""

import pytest
import torch
from torch.nn import functional as F

from vidpred.config import SpeedConfig, SVGConfig
from vidpred.models import build_model, winograd
from vidpred.models.batch_norm import StepBatchNorm
from vidpred.models.vgg import VGGLayer


def tensors(n, i, o, height, width, dtype=torch.float64):
    source = torch.Generator().manual_seed(0)
    shapes = [(n, i, height, width), (o, i, 3, 3), (o,), (n, o, height, width)]
    return [torch.randn(shape, generator=source, dtype=torch.float64).to(dtype) for shape in shapes]


def result_and_gradients(convolve, x, weight, bias, dy):
    given = [t.clone(memory_format=torch.preserve_format).requires_grad_() for t in (x, weight, bias)]
    y = convolve(*given)
    y.backward(dy.to(y.dtype))
    return [y.detach(), *(t.grad for t in given)]


def direct(x, weight, bias):
    return F.conv2d(x, weight, bias, padding=1)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("sizes", [(3, 5, 7, 8, 12), (1, 1, 1, 4, 4), (2, 130, 128, 16, 16), (12, 4, 3, 32, 4)])
def test_equals_torch(sizes, layout):
    """In float64, in both layouts, with pictures that are not square and one tile alone."""
    x, weight, bias, dy = tensors(*sizes)
    inputs = [t.contiguous(memory_format=layout) if t.dim() == 4 else t for t in (x, weight, bias, dy)]
    results = result_and_gradients(winograd.convolve, *inputs)
    torch.testing.assert_close(results, result_and_gradients(direct, x, weight, bias, dy), rtol=0, atol=1e-10)
    assert results[0].is_contiguous(memory_format=torch.channels_last)


def test_error_in_float32():
    """Root mean square over that of the exact result: at most 2e-6, as the module says, and ten times torch's."""
    inputs = tensors(12, 256, 256, 16, 16)
    exact = result_and_gradients(direct, *inputs)
    errors = [
        [(one.double() - other).norm() / other.norm() for one, other in zip(found, exact)]
        for found in (result_and_gradients(way, *(t.float() for t in inputs)) for way in (winograd.convolve, direct))
    ]
    assert max(errors[0]) < 2e-6
    assert errors[0][0] < 10 * errors[1][0]


def test_part_of_the_gradients():
    """A frozen layer, and a first layer whose pictures need none."""
    x, weight, _, dy = tensors(2, 3, 4, 8, 8)
    expected = result_and_gradients(lambda x, w, b: direct(x, w, None) + 0 * b.sum(), x, weight, torch.zeros(4), dy)
    for position in (0, 1):
        given = [x.clone(), weight.clone()]
        given[position].requires_grad_()
        winograd.convolve(*given, None).backward(dy)
        torch.testing.assert_close(given[position].grad, expected[1 + position], rtol=0, atol=1e-10)
        assert given[1 - position].grad is None


def test_pays(monkeypatch):
    x, weight = torch.zeros(12, 128, 8, 8), torch.zeros(256, 128, 3, 3)
    assert winograd.pays(x, weight) and winograd.pays(x.double(), weight.double())
    assert not winograd.pays(x[:11], weight)
    assert not winograd.pays(x, weight[:64]) and not winograd.pays(x[:, :64], weight[:, :64])
    assert not winograd.pays(x[:, :, :6], weight) and not winograd.pays(x[:, :, :, :7], weight)
    assert not winograd.pays(x.bfloat16(), weight.bfloat16())
    assert not winograd.pays(x.to("meta"), weight.to("meta"))
    with torch.no_grad():
        assert not winograd.pays(x, weight)
    with torch.autocast("cpu", torch.bfloat16):
        assert not winograd.pays(x, weight)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert not winograd.pays(x, weight)


@pytest.mark.parametrize("switch", [False, True])
def test_switch(switch, monkeypatch):
    model = build_model(SVGConfig(width=2, g_dim=4, z_dim=3, rnn_size=5), SpeedConfig(winograd=switch))
    layers = [module for module in model.modules() if isinstance(module, VGGLayer)]
    assert len(layers) == 19 and all(layer.winograd == switch for layer in layers)
    calls = []
    monkeypatch.setattr(winograd, "convolve", lambda *inputs: calls.append(inputs) or direct(*inputs))
    x = torch.zeros(12, 128, 8, 8)
    layer = VGGLayer(128, 128, StepBatchNorm)
    layer.winograd = switch
    for size in (8, 6):  # six pixels are no whole number of tiles
        layer(x[:, :, :size], 1)
    assert len(calls) == switch
