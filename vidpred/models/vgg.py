"""VGG encoder and decoder for 64 x 64 frames, after SVG (Denton & Fergus 2018)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidpred.models import winograd
from vidpred.models.batch_norm import StepBatchNorm

LEAK = 0.2  # slope of LeakyReLU


class VGGLayer(nn.Module):
    """Conv 3x3 -> BatchNorm -> LeakyReLU."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm = StepBatchNorm(out_channels)
        self.winograd = False  # convolve with fewer multiplications where that is faster

    def forward(self, x: Tensor, steps: int) -> Tensor:
        return self.norm(self.convolve(x, self.conv.weight, self.conv.bias), steps, LEAK)

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """(N, in, s, s) -> (N, out, s, s)."""
        if self.winograd and winograd.pays(x, weight):
            return winograd.convolve(x, weight, bias)
        return F.conv2d(x, weight, bias, padding=1)


class VGGBlock(nn.ModuleList):
    """VGG layers one after the other, through the given numbers of channels."""

    def __init__(self, *channels: int):
        super().__init__(VGGLayer(i, o) for i, o in zip(channels, channels[1:]))

    def forward(self, x: Tensor, steps: int) -> Tensor:
        for layer in self:
            x = layer(x, steps)
        return x


class MergeLayer(VGGLayer):
    """A VGG layer over features upsampled x2 beside a skip, its convolution in two halves.

    conv(concat(up(x), skip)) = conv_x(up(x)) + conv_skip(skip): the skip's half, with the bias, serves every step and
    sample that keeps the skip. And a 3x3 convolution over nearest-neighbour upsampling sees 2x2 different pixels only:
    it is a transposed 4x4 convolution with stride 2 over x itself, with 4/9 of the multiplications.
    """

    def __init__(self, features: int, skip: int, out_channels: int):
        super().__init__(features + skip, out_channels)
        self.features = features

    def skip_half(self, skip: Tensor) -> Tensor:
        """(N, skip, 2s, 2s) -> (N, out, 2s, 2s), bias included."""
        return self.convolve(skip, self.conv.weight[:, self.features :], self.conv.bias)

    def up_weight(self, fold: bool) -> Tensor:
        """Weights of conv_x: (out, features, 3, 3), or as a transposed convolution's, (features, out, 4, 4)."""
        w = self.conv.weight[:, : self.features]
        if fold:
            w = w.flip(2, 3).transpose(0, 1)
            w = F.pad(w, (0, 0, 0, 1)) + F.pad(w, (0, 0, 1, 0))  # a source pixel stands in two rows …
            w = F.pad(w, (0, 1)) + F.pad(w, (1, 0))  # … and two columns
        channels_last = self.conv.weight.is_contiguous(memory_format=torch.channels_last)
        return w.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)

    def forward(self, x: Tensor, half: Tensor, steps: int, weight: Tensor) -> Tensor:
        """x: (steps * B, features, s, s); half: (steps, B, out, 2s, 2s), of each step's skip; weight: an up_weight."""
        if weight.shape[-1] == 4:
            y = F.conv_transpose2d(x, weight, stride=2, padding=1)
        else:
            y = self.convolve(F.interpolate(x, scale_factor=2, mode="nearest"), weight)
        y = y.add_(half[0]) if steps == 1 else (y.unflatten(0, half.shape[:2]) + half).flatten(0, 1)
        return self.norm(y, steps, LEAK)


class Encoder(nn.Module):
    """Frame -> code h and four skips."""

    def __init__(self, channels: int, width: int, g_dim: int):
        super().__init__()
        w = width
        self.blocks = nn.ModuleList(
            [
                VGGBlock(channels, w, w),
                VGGBlock(w, 2 * w, 2 * w),
                VGGBlock(2 * w, 4 * w, 4 * w, 4 * w),
                VGGBlock(4 * w, 8 * w, 8 * w, 8 * w),
            ]
        )
        self.head = nn.Conv2d(8 * w, g_dim, 4)
        self.norm = StepBatchNorm(g_dim)

    def forward(self, x: Tensor, steps: int) -> tuple[Tensor, list[Tensor]]:
        """x: (steps * B, C, 64, 64) -> h (steps * B, g_dim) in (-1, 1), skips at 64, 32, 16 and 8 pixels."""
        skips = []
        for block in self.blocks:
            x = block(x, steps)
            skips.append(x)
            x = F.max_pool2d(x, 2)
        return torch.tanh(self.norm(self.head(x), steps)).flatten(1), skips


class ConditionalScaleShift(nn.Module):
    """concat(g, g * scale + shift), both from the condition: what is known about a step steers the code."""

    def __init__(self, condition_dim: int, g_dim: int):
        super().__init__()
        self.scale = nn.Linear(condition_dim, g_dim)
        self.shift = nn.Linear(condition_dim, g_dim)

    def forward(self, g: Tensor, condition: Tensor) -> Tensor:
        """g: (N, g_dim), condition: (N, condition_dim) -> (N, 2 g_dim)."""
        return torch.cat([g, g * F.softplus(self.scale(condition)) + self.shift(condition)], 1)


class DecoderBlock(nn.ModuleList):
    """A layer that merges a skip, and VGG layers after it."""

    def __init__(self, features: int, *channels: int):
        layers = [VGGLayer(i, o) for i, o in zip(channels, channels[1:])]
        super().__init__([MergeLayer(features, features, channels[0]), *layers])

    def forward(self, x: Tensor, half: Tensor, steps: int, weight: Tensor) -> Tensor:
        merge, *layers = self
        x = merge(x, half, steps, weight)
        for layer in layers:
            x = layer(x, steps)
        return x


class Decoder(nn.Module):
    """Code g (and condition) with the encoder's skips -> frame in (0, 1)."""

    def __init__(self, channels: int, width: int, g_dim: int, condition_dim: int):
        super().__init__()
        w = width
        self.condition = ConditionalScaleShift(condition_dim, g_dim) if condition_dim else None
        self.head = nn.ConvTranspose2d(g_dim * (2 if condition_dim else 1), 8 * w, 4)
        self.norm = StepBatchNorm(8 * w)
        self.blocks = nn.ModuleList(
            [
                DecoderBlock(8 * w, 8 * w, 8 * w, 4 * w),
                DecoderBlock(4 * w, 4 * w, 4 * w, 2 * w),
                DecoderBlock(2 * w, 2 * w, w),
                DecoderBlock(w, w),
            ]
        )
        self.to_rgb = nn.ConvTranspose2d(w, channels, 3, padding=1)

    def skip_halves(self, skips: list[Tensor]) -> list[Tensor]:
        """What each block adds of a frame's skips, at 64, 32, 16 and 8 pixels as the encoder gives them."""
        return [block[0].skip_half(skip) for block, skip in zip(reversed(self.blocks), skips)]

    def up_weights(self, fold: bool) -> list[Tensor]:
        """Each block's, once per pass. From 4 to 8 pixels folding gains nothing (measured on a CPU)."""
        return [block[0].up_weight(fold and i > 0) for i, block in enumerate(self.blocks)]

    def forward(
        self, g: Tensor, halves: list[Tensor], condition: Tensor | None, steps: int, weights: list[Tensor]
    ) -> Tensor:
        """g: (steps * B, g_dim), halves: (steps, B, …) at each scale, condition: (steps * B, condition_dim)."""
        if self.condition is not None:
            g = self.condition(g, condition)
        x = self.norm(self.head(g[:, :, None, None]), steps, LEAK)
        for block, half, weight in zip(self.blocks, reversed(halves), weights):
            x = block(x, half, steps, weight)
        x = self.to_rgb(x).to(self.to_rgb.weight.dtype)  # bf16 would leave 8 bits of a pixel
        return torch.sigmoid(x)
