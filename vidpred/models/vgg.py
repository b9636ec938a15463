"""VGG encoder and decoder for 64 x 64 frames, after SVG (Denton & Fergus 2018)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidpred.models.batch_norm import StepBatchNorm

LEAK = 0.2  # slope of LeakyReLU


class VGGLayer(nn.Module):
    """Conv 3x3 -> BatchNorm -> LeakyReLU."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm = StepBatchNorm(out_channels)

    def forward(self, x: Tensor, steps: int) -> Tensor:
        return F.leaky_relu(self.norm(self.conv(x), steps), LEAK)


class VGGBlock(nn.ModuleList):
    """VGG layers one after the other, through the given numbers of channels."""

    def __init__(self, *channels: int):
        super().__init__(VGGLayer(i, o) for i, o in zip(channels, channels[1:]))

    def forward(self, x: Tensor, steps: int) -> Tensor:
        for layer in self:
            x = layer(x, steps)
        return x


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
                VGGBlock(16 * w, 8 * w, 8 * w, 4 * w),
                VGGBlock(8 * w, 4 * w, 4 * w, 2 * w),
                VGGBlock(4 * w, 2 * w, w),
                VGGBlock(2 * w, w),
            ]
        )
        self.to_rgb = nn.ConvTranspose2d(w, channels, 3, padding=1)

    def forward(self, g: Tensor, skips: list[Tensor], condition: Tensor | None, steps: int) -> Tensor:
        """g: (steps * B, g_dim), skips as the encoder gives them, condition: (steps * B, condition_dim)."""
        if self.condition is not None:
            g = self.condition(g, condition)
        x = F.leaky_relu(self.norm(self.head(g[:, :, None, None]), steps), LEAK)
        for block, skip in zip(self.blocks, reversed(skips)):
            x = block(torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), skip], 1), steps)
        x = self.to_rgb(x).to(self.to_rgb.weight.dtype)  # bf16 would leave 8 bits of a pixel
        return torch.sigmoid(x)
