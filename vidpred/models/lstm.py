"""The recurrent nets of SVG (Denton & Fergus 2018). They run in float32 whatever the precision around them."""

import torch
from torch import Tensor, nn

from vidpred.models.batch_norm import StepBatchNorm
from vidpred.models.gaussian import Gaussian

LSTMState = tuple[Tensor, Tensor]  # h and c, each (layers, B, rnn_size)


def full_precision(x: Tensor):
    """Autocast switched off on x's device: LSTM state and log-variances lose too much in half precision."""
    return torch.autocast(x.device.type, enabled=False)


class FramePredictor(nn.Module):
    """(h, z, conditions) of each step -> code g of the next frame, in (-1, 1)."""

    def __init__(self, in_dim: int, rnn_size: int, out_dim: int, layers: int):
        super().__init__()
        self.embed = nn.Linear(in_dim, rnn_size)
        self.lstm = nn.LSTM(rnn_size, rnn_size, layers)
        self.out = nn.Linear(rnn_size, out_dim)
        self.norm = StepBatchNorm(out_dim)

    def forward(self, x: Tensor, state: LSTMState | None) -> tuple[Tensor, LSTMState]:
        """x: (S, B, in_dim), S steps -> (S, B, out_dim) and the state after them. state None: zeros."""
        with full_precision(x):
            x = x.to(self.embed.weight.dtype)
            y, state = self.lstm(self.embed(x), state)
            steps, batch = y.shape[:2]
            return torch.tanh(self.norm(self.out(y).flatten(0, 1), steps)).view(steps, batch, -1), state


class GaussianLSTM(nn.Module):
    """Codes h of each step (and conditions) -> Gaussian over z. Posterior and learned prior are of this form."""

    def __init__(self, in_dim: int, rnn_size: int, z_dim: int):
        super().__init__()
        self.embed = nn.Linear(in_dim, rnn_size)
        self.lstm = nn.LSTM(rnn_size, rnn_size)
        self.mu = nn.Linear(rnn_size, z_dim)
        self.logvar = nn.Linear(rnn_size, z_dim)

    def forward(self, x: Tensor, state: LSTMState | None) -> tuple[Gaussian, LSTMState]:
        """x: (S, B, in_dim), S steps -> Gaussian (S, B, z_dim) and the state after them. state None: zeros."""
        with full_precision(x):
            x = x.to(self.embed.weight.dtype)
            y, state = self.lstm(self.embed(x), state)
            return Gaussian(self.mu(y), self.logvar(y)), state
