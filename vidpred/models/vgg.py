"""VGG encoder and decoder for 64 x 64 frames, after SVG (Denton & Fergus 2018)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidpred.config import CHANNELS, SVGConfig
from vidpred.models import winograd

LEAK = 0.2  # slope of LeakyReLU
MAP_SIZE = 8  # height and width of a code that is a map


class VGGLayer(nn.Module):
    """Conv 3x3 -> norm (StepBatchNorm or GroupNorm) -> LeakyReLU."""

    def __init__(self, in_channels: int, out_channels: int, norm: type):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm = norm(out_channels)
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

    def __init__(self, *channels: int, norm: type):
        super().__init__(VGGLayer(i, o, norm) for i, o in zip(channels, channels[1:]))

    def forward(self, x: Tensor, steps: int) -> Tensor:
        for layer in self:
            x = layer(x, steps)
        return x


class MergeLayer(VGGLayer):
    """A VGG layer over features upsampled x2 beside a skip, its convolution in two halves.

    conv(concat(up(x), skip)) = conv_x(up(x)) + conv_skip(skip): the skip's half, with the bias, serves every step and
    sample that keeps the skip. And a 3x3 convolution over nearest-neighbour upsampling sees 2x2 different pixels only:
    it is a transposed 4x4 convolution with stride 2 over x itself, with 4/9 of the multiplications. Without
    upsampling x already has the skip's size.
    """

    def __init__(self, features: int, skip: int, out_channels: int, upsample: bool, norm: type):
        super().__init__(features + skip, out_channels, norm)
        self.features = features
        self.upsample = upsample

    def skip_half(self, skip: Tensor) -> Tensor:
        """(N, skip, 2s, 2s) -> (N, out, 2s, 2s), bias included."""
        return self.convolve(skip, self.conv.weight[:, self.features :], self.conv.bias)

    def up_weight(self, fold: bool) -> Tensor:
        """Weights of conv_x: (out, features, 3, 3), or as a transposed convolution's, (features, out, 4, 4)."""
        w = self.conv.weight[:, : self.features]
        if fold and self.upsample:
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
            y = self.convolve(F.interpolate(x, scale_factor=2, mode="nearest") if self.upsample else x, weight)
        y = y.add_(half[0]) if steps == 1 else (y.unflatten(0, half.shape[:2]) + half).flatten(0, 1)
        return self.norm(y, steps, LEAK)


class Encoder(nn.Module):
    """Frame -> code h, a vector or a map, and skips."""

    def __init__(self, config: SVGConfig, norm: type):
        super().__init__()
        self.config, w, g_dim = config, config.width, config.g_dim
        unshuffle = config.stem == "unshuffle"
        first = [(4 * CHANNELS, 2 * w, 2 * w)] if unshuffle else [(CHANNELS, w, w), (w, 2 * w, 2 * w)]
        rest = [(2 * w, 4 * w, 4 * w, 4 * w), (4 * w, 8 * w, 8 * w, 8 * w)]
        self.blocks = nn.ModuleList(VGGBlock(*sizes, norm=norm) for sizes in first + rest)
        self.head = nn.Conv2d(8 * w, g_dim, 3, padding=1) if config.code == "map" else nn.Conv2d(8 * w, g_dim, 4)
        self.norm = norm(g_dim)

    def forward(self, x: Tensor, steps: int) -> tuple[Tensor, list[Tensor]]:
        """x: (steps * B, C, 64, 64) -> h in (-1, 1), (steps * B, g_dim) or (steps * B, g_dim, 8, 8), and skips at 64
        (stem conv), 32, 16 and 8 pixels."""
        if self.config.stem == "unshuffle":
            x = F.pixel_unshuffle(x, 2)
        skips = []
        for block in self.blocks:
            x = block(F.max_pool2d(x, 2) if skips else x, steps)
            skips.append(x)
        h = self.head(x if self.config.code == "map" else F.max_pool2d(x, 2))
        h = torch.tanh(self.norm(h, steps))
        return h if self.config.code == "map" else h.flatten(1), skips


class ConditionalScaleShift(nn.Module):
    """concat(g, g * scale + shift), both from the condition: what is known about a step steers the code."""

    def __init__(self, condition_dim: int, g_dim: int):
        super().__init__()
        self.scale = nn.Linear(condition_dim, g_dim)
        self.shift = nn.Linear(condition_dim, g_dim)

    def forward(self, g: Tensor, condition: Tensor) -> Tensor:
        """g: (N, g_dim), condition: (N, condition_dim) -> (N, 2 g_dim)."""
        return torch.cat([g, g * F.softplus(self.scale(condition)) + self.shift(condition)], 1)


class ConditionMap(nn.Module):
    """What is known about a step, drawn as a map: a place in the scene is a place in the map."""

    def __init__(self, condition_dim: int, channels: int):
        super().__init__()
        self.hidden = nn.Linear(condition_dim, 4 * channels)
        self.out = nn.Linear(4 * channels, channels * MAP_SIZE**2)

    def forward(self, condition: Tensor) -> Tensor:
        """(…, condition_dim) -> (…, channels, 8, 8)."""
        x = self.out(F.leaky_relu(self.hidden(condition), LEAK))
        return x.unflatten(-1, (-1, MAP_SIZE, MAP_SIZE))


class DecoderBlock(nn.ModuleList):
    """A layer that merges a skip, and VGG layers after it."""

    def __init__(self, features: int, *channels: int, upsample: bool, norm: type):
        layers = [VGGLayer(i, o, norm) for i, o in zip(channels, channels[1:])]
        super().__init__([MergeLayer(features, features, channels[0], upsample, norm), *layers])

    def forward(self, x: Tensor, half: Tensor, steps: int, weight: Tensor) -> Tensor:
        merge, *layers = self
        x = merge(x, half, steps, weight)
        for layer in layers:
            x = layer(x, steps)
        return x


class Decoder(nn.Module):
    """Code g (and condition) with the encoder's skips -> frame in (0, 1)."""

    def __init__(self, config: SVGConfig, condition_dim: int, norm: type):
        super().__init__()
        self.config, w, g_dim = config, config.width, config.g_dim
        unshuffle = config.stem == "unshuffle"
        self.condition = None
        if config.code == "map":
            self.condition = ConditionMap(condition_dim, g_dim) if condition_dim else None
            self.head = nn.Conv2d(g_dim * (2 if condition_dim else 1), 8 * w, 3, padding=1)
        else:
            self.condition = ConditionalScaleShift(condition_dim, g_dim) if condition_dim else None
            self.head = nn.ConvTranspose2d(g_dim * (2 if condition_dim else 1), 8 * w, 4)
        self.norm = norm(8 * w)
        last = [(2 * w, 2 * w, 2 * w)] if unshuffle else [(2 * w, 2 * w, w), (w, w)]
        sizes = [(8 * w, 8 * w, 8 * w, 4 * w), (4 * w, 4 * w, 4 * w, 2 * w), *last]
        self.blocks = nn.ModuleList(
            DecoderBlock(*own, upsample=i > 0 or config.code == "vector", norm=norm) for i, own in enumerate(sizes)
        )
        maps = CHANNELS + (config.composite == "mask")
        self.to_rgb = nn.ConvTranspose2d(sizes[-1][-1], 4 * maps if unshuffle else maps, 3, padding=1)

    def skip_halves(self, skips: list[Tensor]) -> list[Tensor]:
        """What each block adds of a frame's skips, from the largest to 8 pixels as the encoder gives them; what stands
        after them, the frame itself for the composite, stays as it is."""
        halves = [block[0].skip_half(skip) for block, skip in zip(reversed(self.blocks), skips)]
        return halves + skips[len(halves) :]

    def up_weights(self, fold: bool) -> list[Tensor]:
        """Each block's, once per pass. From 4 to 8 pixels folding gains nothing (measured on a CPU)."""
        return [block[0].up_weight(fold and i > 0) for i, block in enumerate(self.blocks)]

    def forward(
        self, g: Tensor, halves: list[Tensor], condition: Tensor | None, steps: int, weights: list[Tensor]
    ) -> Tensor:
        """g: (steps * B, g_dim) or (steps * B, g_dim, 8, 8), condition: (steps * B, condition_dim).

        halves: (steps, B, …) at each scale, and for the composite the frames (steps, B, C, 64, 64) that stand still.
        """
        if self.config.code == "map":
            if self.condition is not None:
                g = torch.cat([g, self.condition(condition).to(g.dtype)], 1)
        else:
            g = (g if self.condition is None else self.condition(g, condition))[:, :, None, None]
        x = self.norm(self.head(g), steps, LEAK)
        for block, half, weight in zip(self.blocks, reversed(halves[: len(self.blocks)]), weights):
            x = block(x, half, steps, weight)
        x = self.to_rgb(x).to(self.to_rgb.weight.dtype)  # bf16 would leave 8 bits of a pixel
        x = torch.sigmoid(F.pixel_shuffle(x, 2) if self.config.stem == "unshuffle" else x)
        if self.config.composite == "none":
            return x
        still = halves[-1].flatten(0, 1)
        return torch.lerp(still, x[:, :CHANNELS], x[:, CHANNELS:])
