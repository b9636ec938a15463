"""SVG: stochastic video generation with a fixed or learned prior, conditions and teacher forcing."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from vidpred.clip import Clip
from vidpred.config import CHANNELS, CONDITION_DIM, SVGConfig
from vidpred.models.batch_norm import StepBatchNorm
from vidpred.models.gaussian import Gaussian, standard_like
from vidpred.models.lstm import FramePredictor, GaussianLSTM, LSTMState
from vidpred.models.vgg import Decoder, Encoder

Latent = Literal["posterior", "prior", "standard"]
Feedback = Literal["truth", "prediction"]


class Unroll(NamedTuple):
    """One pass over the steps t = 1 … T-1. predictions: (B, T-1, C, H, W); posterior and prior: (B, T-1, z).

    The posterior covers the steps whose true frame it was shown.
    """

    predictions: Tensor
    posterior: Gaussian
    prior: Gaussian


class State(NamedTuple):
    """What one step hands to the next."""

    predictor: LSTMState | None = None
    prior: LSTMState | None = None


class SVG(nn.Module):
    """Encoder, decoder, frame predictor, posterior and (learned) prior, and the one loop over time."""

    def __init__(self, config: SVGConfig):
        super().__init__()
        self.config = c = config
        condition_dim = CONDITION_DIM if c.condition == "actions" else 0
        known_dim = condition_dim if c.condition_at == "everywhere" else 0
        self.encoder = Encoder(CHANNELS, c.width, c.g_dim)
        self.decoder = Decoder(CHANNELS, c.width, c.g_dim, condition_dim)
        self.frame_predictor = FramePredictor(c.g_dim + c.z_dim + known_dim, c.rnn_size, c.g_dim, c.predictor_layers)
        self.posterior = GaussianLSTM(c.g_dim, c.rnn_size, c.z_dim)
        self.prior = GaussianLSTM(c.g_dim + known_dim, c.rnn_size, c.z_dim) if c.learned_prior else None
        # buffers that follow .to() and .double(); their values live in the config, not in the weights
        self.register_buffer("condition_mean", torch.tensor(c.condition_mean or 0.0), persistent=False)
        self.register_buffer("condition_scale", torch.tensor(c.condition_scale or 1.0), persistent=False)
        self.apply(initialise)

    @property
    def z_shape(self) -> tuple[int, ...]:
        """Shape of one step's z for one clip."""
        return (self.config.z_dim,)

    def forward(self, clip: Clip, noise: Tensor, latent: Latent, feedback: Feedback) -> Unroll:
        """`unroll`, by the name that wrappers for precision and many devices know."""
        return self.unroll(clip, noise, latent, feedback)

    def unroll(
        self, clip: Clip, noise: Tensor, latent: Latent = "posterior", feedback: Feedback = "prediction"
    ) -> Unroll:
        """Training, reconstruction and generation in one loop with two switches.

        clip: frames (B, given, C, H, W), conditions (B, >= T-1, 7) or None. noise: (B, T-1, z), eps of each step.
        latent: who supplies z: the posterior at every step (all T frames must be given), or, once the context is over,
            the model's prior or N(0, I). Inside the context it is always the posterior.
        feedback: what a step past the context sees: the true frame (teacher forcing) or the last prediction.
        """
        c = self.config
        n_past, last = clip.n_past, noise.shape[1]  # steps 1 … last
        shown = last + 1 if latent == "posterior" or feedback == "truth" else n_past
        if clip.frames.shape[1] < shown:
            raise ValueError(f"{shown} frames needed, {clip.frames.shape[1]} given")
        frames = clip.frames[:, :shown].transpose(0, 1)
        noise = noise.transpose(0, 1)
        known = self._conditions(clip, last)
        h_true, skips_true = self._encode(frames)

        inferred = last if latent == "posterior" else n_past - 1
        posterior = self._posterior(h_true[1 : inferred + 1])
        z_posterior = posterior.at(noise[:inferred])
        feedback_from = 1 if c.feedback_from == "published" and latent == "posterior" else n_past
        first_chunk = last if feedback == "truth" else min(feedback_from, last)

        state, chunks, priors = State(), [], []
        h_in, skips_in = h_true[:first_chunk], skips_true
        t = 1  # first step of the chunk: all steps that see true frames run at once, then one by one
        while t <= last:
            steps = h_in.shape[0]
            now = slice(t - 1, t - 1 + steps)
            known_in = known[now] if known is not None else None
            prior, prior_state = self._prior(h_in, known_in, state.prior)
            drawn = prior if latent == "prior" else standard_like(prior)
            z = torch.cat([z_posterior[now], drawn.at(noise[now])[max(0, inferred + 1 - t) :]])
            skips = self._skips(t, steps, n_past, skips_true, skips_in)
            x, predictor_state = self._predict(h_in, z, known_in, skips, state.predictor)
            state = State(predictor_state, prior_state)
            chunks.append(x)
            priors.append(prior)
            t += steps
            if t <= last:
                h_in, skips_in = self._encode(x[-1:].detach() if c.detach_feedback else x[-1:])
        return Unroll(
            torch.cat(chunks).transpose(0, 1),
            Gaussian(*(v.transpose(0, 1) for v in posterior)),
            Gaussian(*(torch.cat(v).transpose(0, 1) for v in zip(*priors))),
        )

    def _encode(self, frames: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Frames (S, B, C, H, W) -> h (S, B, g_dim) and skips (S, B, c, s, s), in one call."""
        steps, batch = frames.shape[:2]
        x = frames.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        h, skips = self.encoder(x, steps)
        return h.view(steps, batch, -1), [s.unflatten(0, (steps, batch)) for s in skips]

    def _conditions(self, clip: Clip, last: int) -> Tensor | None:
        """Normalised conditions (steps, B, 7); row t - 1 belongs to step t: row t would leak the target."""
        if self.config.condition == "none":
            return None
        if clip.conditions is None or clip.conditions.shape[1] < last:
            given = 0 if clip.conditions is None else clip.conditions.shape[1]
            raise ValueError(f"{last} rows of conditions needed, {given} given")
        return ((clip.conditions[:, :last] - self.condition_mean) / self.condition_scale).transpose(0, 1)

    def _posterior(self, h_target: Tensor) -> Gaussian:
        """q(z) of the steps whose true frames have the codes h_target (S, B, g_dim); S may be 0 (one context frame)."""
        if h_target.shape[0] == 0:
            empty = self._zeros(h_target)
            return Gaussian(empty, empty)
        return self.posterior(h_target, None)[0]

    def _zeros(self, h: Tensor) -> Tensor:
        return h.new_zeros(*h.shape[:2], self.config.z_dim, dtype=self.condition_mean.dtype)

    def _prior(self, h: Tensor, known: Tensor | None, state: LSTMState | None) -> tuple[Gaussian, LSTMState | None]:
        """p(z) of the steps after codes h (S, B, g_dim): learned from the past, or N(0, I)."""
        if self.prior is None:
            zeros = self._zeros(h)
            return Gaussian(zeros, zeros), None
        return self.prior(self._with_known(h, known), state)

    def _with_known(self, x: Tensor, known: Tensor | None) -> Tensor:
        everywhere = known is not None and self.config.condition_at == "everywhere"
        return torch.cat([x, known], -1) if everywhere else x

    def _skips(self, t: int, steps: int, n_past: int, skips_true: list[Tensor], skips_in: list[Tensor]) -> list[Tensor]:
        """Skips for steps t … t + steps - 1: of the frame before the step while it is given, then frozen."""
        if self.config.last_frame_skip:
            return [s[:steps] for s in skips_in]
        frozen = max(n_past - (2 if self.config.skip_frame == "published" else 1), 0)
        own = max(0, min(frozen + 1, t - 1 + steps) - (t - 1))  # steps that still take the frame before them
        # Slices, because the gradient of indexing with a list is added up in any order on a CPU of several threads.
        return [
            torch.cat([s[t - 1 : t - 1 + own], s[frozen : frozen + 1].expand(steps - own, *s.shape[1:])])
            if own
            else s[frozen : frozen + 1].expand(steps, *s.shape[1:])
            for s in skips_true
        ]

    def _predict(
        self, h: Tensor, z: Tensor, known: Tensor | None, skips: list[Tensor], state: LSTMState | None
    ) -> tuple[Tensor, LSTMState]:
        """Frames (S, B, C, H, W) of S steps from the codes of the frames before them."""
        g, state = self.frame_predictor(self._with_known(torch.cat([h, z.to(h.dtype)], -1), known), state)
        condition = None if known is None else known.flatten(0, 1)
        x = self.decoder(g.flatten(0, 1), [s.flatten(0, 1) for s in skips], condition, h.shape[0])
        return x.unflatten(0, h.shape[:2]), state


def initialise(module: nn.Module) -> None:
    """Convolutions and linear layers N(0, 0.02), BatchNorm weights N(1, 0.02), biases 0 (LSTMs keep torch's own)."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.normal_(module.weight, 0.0, 0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, StepBatchNorm):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
