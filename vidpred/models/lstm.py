"""The recurrent nets of SVG (Denton & Fergus 2018), over vectors or over maps (Villegas et al. 2019).

They run in float32 whatever the precision around them.
"""

import torch
from torch import Tensor, nn

from vidpred.config import SVGConfig
from vidpred.models.gaussian import Gaussian

LSTMState = tuple[Tensor, Tensor]  # h and c, each (layers, B, rnn_size), or (layers, B, rnn_size, 8, 8) over maps


def full_precision(x: Tensor):
    """Autocast switched off on x's device: LSTM state and log-variances lose too much in half precision."""
    return torch.autocast(x.device.type, enabled=False)


class StepConv(nn.Conv2d):
    """Convolution 3x3 over maps of many steps, (S, B, in, s, s) -> (S, B, out, s, s): what Linear is to vectors."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class ConvLSTM(nn.Module):
    """LSTM over maps, its gates convolutions 3x3 (Shi et al. 2015), called as nn.LSTM is."""

    def __init__(self, in_channels: int, size: int, layers: int = 1):
        super().__init__()
        self.size = size
        self.inputs = nn.ModuleList(StepConv(size if i else in_channels, 4 * size) for i in range(layers))
        self.states = nn.ModuleList(nn.Conv2d(size, 4 * size, 3, padding=1, bias=False) for _ in range(layers))

    def forward(self, x: Tensor, state: LSTMState | None) -> tuple[Tensor, LSTMState]:
        """x: (S, B, in, s, s) -> (S, B, size, s, s) and the state after the steps. state None: zeros."""
        if state is None:
            zeros = x.new_zeros(len(self.inputs), x.shape[1], self.size, *x.shape[3:])
            state = zeros, zeros
        last = []
        for own, recurrent, h, c in zip(self.inputs, self.states, *state):
            hidden = []
            for gates in own(x):
                kept, new, out, candidate = (gates + recurrent(h)).chunk(4, 1)
                c = torch.sigmoid(kept + 1) * c + torch.sigmoid(new) * torch.tanh(candidate)
                h = torch.sigmoid(out) * torch.tanh(c)
                hidden.append(h)
            x = torch.stack(hidden)
            last.append((h, c))
        return x, tuple(map(torch.stack, zip(*last)))


class FramePredictor(nn.Module):
    """(h, z, conditions) of each step -> code g of the next frame, in (-1, 1)."""

    def __init__(self, config: SVGConfig, in_dim: int, norm: type):
        super().__init__()
        layer, lstm = (StepConv, ConvLSTM) if config.code == "map" else (nn.Linear, nn.LSTM)
        self.embed = layer(in_dim, config.rnn_size)
        self.lstm = lstm(config.rnn_size, config.rnn_size, config.predictor_layers)
        self.out = layer(config.rnn_size, config.g_dim)
        self.norm = norm(config.g_dim) if config.predictor_norm == "batch" else None

    def forward(self, x: Tensor, state: LSTMState | None) -> tuple[Tensor, LSTMState]:
        """x: (S, B, in_dim, …), S steps -> (S, B, g_dim, …) and the state after them. state None: zeros."""
        with full_precision(x):
            x = x.to(self.embed.weight.dtype)
            y, state = self.lstm(self.embed(x), state)
            g = self.out(y)
            if self.norm is not None:
                g = self.norm(g.flatten(0, 1), len(g)).unflatten(0, g.shape[:2])
            return torch.tanh(g), state


class GaussianLSTM(nn.Module):
    """Codes h of each step (and conditions) -> Gaussian over z. Posterior and learned prior are of this form."""

    def __init__(self, config: SVGConfig, in_dim: int):
        super().__init__()
        layer, lstm = (StepConv, ConvLSTM) if config.code == "map" else (nn.Linear, nn.LSTM)
        self.embed = layer(in_dim, config.rnn_size)
        self.lstm = lstm(config.rnn_size, config.rnn_size)
        self.mu = layer(config.rnn_size, config.z_dim)
        self.logvar = layer(config.rnn_size, config.z_dim)

    def forward(self, x: Tensor, state: LSTMState | None) -> tuple[Gaussian, LSTMState]:
        """x: (S, B, in_dim, …), S steps -> Gaussian (S, B, z_dim, …) and the state after them. state None: zeros."""
        with full_precision(x):
            x = x.to(self.embed.weight.dtype)
            y, state = self.lstm(self.embed(x), state)
            return Gaussian(self.mu(y), self.logvar(y)), state
