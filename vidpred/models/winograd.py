"""3x3 convolutions with a quarter of the multiplications: Winograd's F(4x4, 3x3), after Lavin & Gray (CVPR 2016).

A picture d is cut into tiles of 6x6 pixels that overlap by two. Of each, A^T [(G g G^T) * (B^T d B)] A is 4x4 pixels of
its convolution with g: 36 multiplications instead of 144. Over all tiles and channels the product * is 36 matrix
products, tiles x in @ in x out; the transforms are small products with the Kronecker squares of A, B and G. Gradients
are the adjoint of the same three steps.

Accuracy: in float32 the result and its gradients are within 2e-6 of the exact ones (root mean square, relative), ten
times as far as torch's own; with Lavin & Gray's points 0, ±1, ±2 it would be twice that. In float64 within 1e-14.
"""

import functools
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F

TILE = 4  # pixels of the result along the side of a tile
REACH = TILE + 2  # pixels that they see
LEAST_CHANNELS = 128
"""With fewer, in or out, the transforms take what the multiplications gain (measured with 12 and 36 pictures)."""
LEAST_TILES = 48
"""With fewer, as in a step of 4 pictures of 8 x 8, the transforms of the weights do."""


class Transforms(NamedTuple):
    """Kronecker squares of the three matrices: of whole tiles, written as columns."""

    data: Tensor  # B^T, (36, 36)
    kernel: Tensor  # G, (36, 9)
    result: Tensor  # A^T, (16, 36)


@functools.cache
def transforms(dtype: torch.dtype) -> Transforms:
    """By Toom and Cook from the points 0, ±a, ±b and infinity.

    m(x) = x (x² - a²) (x² - b²). Rows of B^T: coefficients of m(x) / (x - p), of m(x) for infinity; rows of G:
    (1, p, p²) / m'(p); columns of A^T: (1, p, p², p³).
    """
    a, b = 3 / 4, 3 / 2  # of the pairs of short fractions the one with the smallest error in float32
    a2, b2 = a * a, b * b
    data = [
        [a2 * b2, 0, -a2 - b2, 0, 1, 0],
        [0, -a * b2, -b2, a, 1, 0],
        [0, a * b2, -b2, -a, 1, 0],
        [0, -b * a2, -a2, b, 1, 0],
        [0, b * a2, -a2, -b, 1, 0],
        [0, a2 * b2, 0, -a2 - b2, 0, 1],
    ]
    points = [0, a, -a, b, -b]
    slopes = [a2 * b2, *[2 * a2 * (a2 - b2)] * 2, *[2 * b2 * (b2 - a2)] * 2]
    kernel = [[1 / m, p / m, p * p / m] for p, m in zip(points, slopes)] + [[0, 0, 1]]
    result = [[p**i for p in points] + [float(i == TILE - 1)] for i in range(TILE)]
    matrices = (torch.tensor(rows, dtype=torch.float64) for rows in (data, kernel, result))
    return Transforms(*(torch.kron(matrix, matrix).to(dtype) for matrix in matrices))


def pays(x: Tensor, weight: Tensor) -> bool:
    """Whether `convolve` can and is the faster way: in training on a CPU, with tiles that fit and enough channels.

    A compiler has convolutions of its own.
    """
    return (
        torch.is_grad_enabled()
        and x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and x.shape[2] % TILE == 0
        and x.shape[3] % TILE == 0
        and min(weight.shape[:2]) >= LEAST_CHANNELS
        and x.shape[0] * x.shape[2] * x.shape[3] >= LEAST_TILES * TILE**2
    )


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """F.conv2d(x, weight, bias, padding=1). x: (N, in, H, W), weight: (out, in, 3, 3) -> (N, out, H, W) channels last.

    H and W are multiples of 4.
    """
    return _Convolution.apply(x, weight, bias)


class _Convolution(torch.autograd.Function):
    """Transformed data stand in rows, (tiles, 36, channels); kernels and products pixel by pixel, (36, …)."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        t = transforms(x.dtype)
        data = _each(t.data, _overlapping_tiles(x))
        product = torch.bmm(data.transpose(0, 1), _kernels(t, weight).transpose(1, 2))
        ctx.save_for_backward(data, weight)
        ctx.shape = x.shape
        return _picture(_each(t.result, product.transpose(0, 1)), bias, *x.shape[2:])

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, dy: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        data, weight = ctx.saved_tensors
        t = transforms(dy.dtype)
        product = _each(t.result.T, _grid(dy).reshape(-1, TILE**2, dy.shape[1]))  # (tiles, 36, out)
        dx = dweight = dbias = None
        if ctx.needs_input_grad[0]:
            tiles = torch.bmm(product.transpose(0, 1), _kernels(t, weight))
            dx = _added_up(_each(t.data.T, tiles.transpose(0, 1)), *ctx.shape[2:])
        if ctx.needs_input_grad[1]:
            kernels = torch.bmm(product.permute(1, 2, 0), data.transpose(0, 1))
            kernels = _each(t.kernel.T, kernels.transpose(0, 1))  # (out, 9, in)
            dweight = kernels.unflatten(1, (3, 3)).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[2]:
            dbias = dy.sum((0, 2, 3))
        return dx, dweight, dbias


def _each(matrix: Tensor, columns: Tensor) -> Tensor:
    """(m, k) times each of (rows, k, channels): small products that stay in the cache, no copy of strided columns."""
    return torch.bmm(matrix.expand(len(columns), *matrix.shape), columns)


def _kernels(t: Transforms, weight: Tensor) -> Tensor:
    """(out, in, 3, 3) -> (36, out, in). Not kept for the backward pass: four times the memory of the weights."""
    return (t.kernel @ weight.permute(2, 3, 0, 1).reshape(9, -1)).view(-1, *weight.shape[:2])


def _overlapping_tiles(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (tiles, 36, C), with a border of zeros."""
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    tiles = padded.unfold(1, REACH, TILE).unfold(2, REACH, TILE)  # N, h, w, C, 6, 6
    return tiles.permute(0, 1, 2, 4, 5, 3).reshape(-1, REACH**2, x.shape[1])


def _grid(x: Tensor) -> Tensor:
    """(N, C, H, W) seen as (N, h, w, 4, 4, C)."""
    return x.permute(0, 2, 3, 1).unflatten(2, (-1, TILE)).unflatten(1, (-1, TILE)).transpose(2, 3)


def _picture(tiles: Tensor, bias: Tensor | None, height: int, width: int) -> Tensor:
    """(tiles, 16, C) and (C,) -> (N, C, H, W) channels last."""
    picture = _empty(tiles, height, width)
    grid = _grid(picture)
    tiles = tiles.view(grid.shape)
    if bias is None:
        grid.copy_(tiles)
    else:
        torch.add(tiles, bias, out=grid)
    return picture


def _added_up(tiles: Tensor, height: int, width: int) -> Tensor:
    """(tiles, 36, C) -> (N, C, H, W) channels last: where tiles overlap, their sum; what lies on the border is dropped.

    Rows 1 … 4 of a tile are its own; row 0 belongs to the last row of the tile above, row 5 to the first of the tile
    below; so do columns.
    """
    picture = _empty(tiles, height, width)
    grid = _grid(picture)
    tiles = tiles.view(*grid.shape[:3], REACH, REACH, -1)
    grid.copy_(tiles[:, :, :, 1:-1, 1:-1])
    # (to which tiles, from which, to their row or column, from which): the tile before, then the one after
    sides = [(slice(None, -1), slice(1, None), -1, 0), (slice(1, None), slice(None, -1), 0, -1)]
    for to, of, own, theirs in sides:
        grid[:, to, :, own] += tiles[:, of, :, theirs, 1:-1]
        grid[:, :, to, :, own] += tiles[:, :, of, 1:-1, theirs]
        for to_column, of_column, own_column, their_column in sides:
            grid[:, to, to_column, own, own_column] += tiles[:, of, of_column, theirs, their_column]
    return picture


def _empty(tiles: Tensor, height: int, width: int) -> Tensor:
    """(N, C, H, W) channels last, for tiles (tiles, …, C)."""
    n = len(tiles) * TILE**2 // (height * width)
    size = (n, tiles.shape[-1], height, width)
    return torch.empty(size, dtype=tiles.dtype, memory_format=torch.channels_last)
