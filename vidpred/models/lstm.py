"""The recurrent nets of SVG (Denton & Fergus 2018), over vectors or over maps (Villegas et al. 2019).

They run in float32 whatever the precision around them.
"""

import torch
from torch import Tensor, nn

from vidpred.models.batch_norm import StepBatchNorm
from vidpred.models.gaussian import Gaussian

LSTMState = tuple[Tensor, Tensor]  # h and c, each (layers, B, rnn_size), or (layers, B, rnn_size, 8, 8) over maps


def full_precision(x: Tensor):
    """Autocast switched off on x's device: LSTM state and log-variances lose too much in half precision."""
    return torch.autocast(x.device.type, enabled=False)


class StepConv(nn.Conv2d):
    """Convolution 3x3 over maps of many steps, (S, B, in, s, s) -> (S, B, out, s, s): what Linear is to vectors."""

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True):
        super().__init__(in_channels, out_channels, 3, padding=1, bias=bias)

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

    def __init__(
        self,
        in_dim: int,
        rnn_size: int,
        out_dim: int,
        layers: int,
        code: str = "vector",
        norm: type | None = StepBatchNorm,
    ):
        super().__init__()
        layer, lstm = (StepConv, ConvLSTM) if code == "map" else (nn.Linear, nn.LSTM)
        self.embed = layer(in_dim, rnn_size)
        self.lstm = lstm(rnn_size, rnn_size, layers)
        self.out = layer(rnn_size, out_dim)
        self.norm = None if norm is None else norm(out_dim)

    def forward(self, x: Tensor, state: LSTMState | None) -> tuple[Tensor, LSTMState]:
        """x: (S, B, in_dim, …), S steps -> (S, B, out_dim, …) and the state after them. state None: zeros."""
        with full_precision(x):
            x = x.to(self.embed.weight.dtype)
            y, state = self.lstm(self.embed(x), state)
            g = self.out(y)
            if self.norm is not None:
                g = self.norm(g.flatten(0, 1), len(g)).unflatten(0, g.shape[:2])
            return torch.tanh(g), state


class GaussianLSTM(nn.Module):
    """Codes h of each step (and conditions) -> Gaussian over z. Posterior and learned prior are of this form."""

    def __init__(self, in_dim: int, rnn_size: int, z_dim: int, code: str = "vector"):
        super().__init__()
        layer, lstm = (StepConv, ConvLSTM) if code == "map" else (nn.Linear, nn.LSTM)
        self.embed = layer(in_dim, rnn_size)
        self.lstm = lstm(rnn_size, rnn_size)
        self.mu = layer(rnn_size, z_dim)
        self.logvar = layer(rnn_size, z_dim)

    def forward(self, x: Tensor, state: LSTMState | None) -> tuple[Gaussian, LSTMState]:
        """x: (S, B, in_dim, …), S steps -> Gaussian (S, B, z_dim, …) and the state after them. state None: zeros."""
        with full_precision(x):
            x = x.to(self.embed.weight.dtype)
            y, state = self.lstm(self.embed(x), state)
            return Gaussian(self.mu(y), self.logvar(y)), state
