"""SVG: stochastic video generation with a fixed or learned prior, conditions and teacher forcing."""

import contextlib
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vidpred.clip import Clip
from vidpred.config import CONDITION_DIM, IMAGE_SIZE, SpeedConfig, SVGConfig
from vidpred.models.batch_norm import GroupNorm, StepBatchNorm, statistics_kept, switch_batch_norm
from vidpred.models.gaussian import Gaussian, batch_first, standard_like
from vidpred.models.lstm import FramePredictor, GaussianLSTM, LSTMState
from vidpred.models.unroll import Feedback, Latent, Unroll, steps_per_call, true_share
from vidpred.models.vgg import MAP_SIZE, ConditionMap, Decoder, Encoder, VGGLayer

CPU_STEPS = 3
"""Steps that a call takes even if they do not fit: each call reads all the weights, and adds up all their gradients."""


class State(NamedTuple):
    """What one step hands to the next. It is never changed: a step from a kept state can be taken again."""

    h: Tensor  # (1, B, *code), code of the last frame: (g_dim,) or (g_dim, 8, 8)
    laterals: list[Tensor]  # what the decoder adds at each scale, and the frame for the composite, each (1, B, …)
    weights: list[Tensor]  # the decoder's up_weights
    predictor: LSTMState | None = None
    prior: LSTMState | None = None


class Context(NamedTuple):
    """What the model knows when a future begins."""

    h: Tensor  # (n_past, B, *code)
    laterals: list[Tensor]  # of the frame whose skips the next step takes, each (1, B, …)
    known: Tensor | None  # normalised conditions (n_past - 1, B, 7)
    weights: list[Tensor]  # the decoder's up_weights

    def rows(self, rows: Tensor) -> "Context":
        """Those of the given clips, in that order, as often as they are named."""
        known = None if self.known is None else self.known[:, rows]
        return Context(self.h[:, rows], [s[:, rows] for s in self.laterals], known, self.weights)


class Look(NamedTuple):
    """Frames as the encoder sees them: codes h (S, B, *code), and of the first frames what the decoder adds."""

    h: Tensor
    laterals: list[Tensor]


class SVG(nn.Module):
    """Encoder, decoder, frame predictor, posterior and (learned) prior, and the one loop over time.

    How skips travel: of each frame the encoder gives maps (S * B, C, s, s) at s = 64, 32, 16 and 8 pixels (no 64 with
    the stem "unshuffle"). A block of the decoder merges one of them by a convolution, whose half over the skip
    (`MergeLayer.skip_half`) is the same for every step and sample that takes the frame's skips. So `_encode` computes
    it once and keeps it as a lateral (S, B, out, s, s); with speed.hoist_skips off the laterals are the maps, and
    `_decode` computes it. For the composite the frames themselves are one more lateral. Step t takes the laterals of
    frame t - 1, but of no frame after `last_skip`, which is the context's last or with skip_frame "published" the one
    before; with last_frame_skip there is no such limit.
    """

    condition_lag = 1
    """Frame t is predicted from row t - 1 of the conditions: row t would leak its gripper position."""
    futures_per_call: ClassVar[dict[str, int]] = {"cpu": 10, "gpu": 256}
    """Futures in a call at prediction."""

    def __init__(self, config: SVGConfig, speed: SpeedConfig | None = None):
        super().__init__()
        self.config = c = config
        self.speed = speed or SpeedConfig()
        condition_dim = CONDITION_DIM if c.condition == "actions" else 0
        known_dim = condition_dim if c.condition_at == "everywhere" else 0
        norm = GroupNorm if c.norm_stats == "group" else StepBatchNorm
        self.encoder = Encoder(c, norm)
        self.decoder = Decoder(c, condition_dim, norm)
        self.known_map = None
        if known_dim and c.code == "map":
            self.known_map, known_dim = ConditionMap(known_dim, c.g_dim), c.g_dim
        self.frame_predictor = FramePredictor(c, c.g_dim + c.z_dim + known_dim, norm)
        self.posterior = GaussianLSTM(c, c.g_dim)
        self.prior = GaussianLSTM(c, c.g_dim + known_dim) if c.learned_prior else None
        # buffers that follow .to() and .double(); their values live in the config, not in the weights
        self.register_buffer("condition_mean", torch.tensor(c.condition_mean or 0.0), persistent=False)
        self.register_buffer("condition_scale", torch.tensor(c.condition_scale or 1.0), persistent=False)
        self.apply(initialise)
        switch_batch_norm(self, pooled=c.norm_stats == "pooled", fused=self.speed.compile == "layers")
        for module in self.modules():
            if isinstance(module, VGGLayer):
                module.winograd = self.speed.winograd

    @property
    def conditioned(self) -> bool:
        """Whether anything is known about the steps."""
        return self.config.condition != "none"

    @property
    def memory_format(self) -> torch.memory_format:
        """How weights and activations lie in memory."""
        return torch.channels_last if self.speed.channels_last else torch.contiguous_format

    @property
    def z_shape(self) -> tuple[int, ...]:
        """Shape of one step's z for one clip."""
        return (self.config.z_dim, MAP_SIZE, MAP_SIZE) if self.config.code == "map" else (self.config.z_dim,)

    def unroll(
        self, clip: Clip, noise: Tensor, latent: Latent = "posterior", feedback: Feedback = "prediction"
    ) -> Unroll:
        """All steps of a clip, as training takes them, with two switches.

        clip: frames (B, given, C, H, W), conditions (B, >= T-1, 7) or None. noise: (B, T-1, z), eps of each step.
        latent: who supplies z: the posterior at every step (all T frames must be given), or, once the context is over,
            the model's prior or N(0, I). Inside the context it is always the posterior. Training takes the posterior;
            the others are what prediction by `begin`, `step` and `see` is tested against.
        feedback: what a step past the context sees.
        """
        c, share = self.config, true_share(feedback)
        n_past, last = clip.n_past, noise.shape[1]  # steps 1 … last; step t predicts frame t from those before
        shown = last + 1 if latent == "posterior" or share > 0 else n_past
        if clip.frames.shape[1] < shown:
            raise ValueError(f"{shown} frames needed, {clip.frames.shape[1]} given")
        noise = noise.transpose(0, 1)
        known = self._conditions(clip, last)
        n_posterior = last if latent == "posterior" else n_past - 1  # of steps 1 … n_posterior it gives z
        feedback_from = 1 if c.feedback_from == "published" and latent == "posterior" else n_past
        n_true = last if share == 1 else min(feedback_from, last)  # steps 1 … n_true see true frames

        last_skip = self._last_skip(n_past)
        weights = self.decoder.up_weights(self.speed.fold_upsampling)
        true = self._encode(clip.frames[:, :shown].transpose(0, 1), n_true if last_skip is None else last_skip + 1)
        posterior = self._posterior(true.h[1 : n_posterior + 1])
        z_given = posterior.at(noise[:n_posterior])

        # --- steps 1 … n_true, all at once
        h, now = true.h[:n_true], _rows(known, 0, n_true)
        prior, prior_state = self._prior(h, now, None)
        drawn = prior if latent == "prior" else standard_like(prior)
        z = torch.cat([z_given[:n_true], drawn.at(noise[:n_true])[n_posterior:]])
        g, predictor_state = self._predict(h, z, now, None)
        x = self._decode(g, now, true.laterals, last_skip, weights)
        frames, priors = [x], [prior]
        state = State(h[-1:], true.laterals, weights, predictor_state, prior_state)

        # --- the others, each of which sees what the one before has predicted, or a mix of it with the truth
        for t in range(n_true + 1, last + 1):
            seen = x[-1:].detach() if c.detach_feedback and share == 0 else x[-1:]
            if share > 0:
                seen = share * clip.frames[:, t - 1][None] + (1 - share) * seen
            state = self.see(state._replace(laterals=_of_step(true.laterals, t, last_skip)), seen)
            given = z_given[t - 1 : t] if t <= n_posterior else None
            x, prior, state = self.step(state, _rows(known, t - 1, t), noise[t - 1 : t], latent, given)
            frames.append(x)
            priors.append(prior)
        return Unroll(
            torch.cat(frames).transpose(0, 1),
            batch_first(posterior),
            batch_first(Gaussian(*map(torch.cat, zip(*priors)))),
        )

    forward = unroll
    """By the name that wrappers for many devices know."""

    def look(self, clip: Clip, together: bool = False) -> Context:
        """The context of each clip, encoded once for all the futures that continue it.

        A clip is encoded in a call of its own, so that its batch mates do not change the last bits of float32;
        together: all in one call, as a graph for any number of clips has it.
        """
        n_past, last_skip = clip.n_past, self._last_skip(clip.n_past)
        if clip.frames.shape[1] < n_past:
            raise ValueError(f"{n_past} context frames needed, {clip.frames.shape[1]} given")
        frames = clip.frames[:, :n_past].transpose(0, 1)
        calls = (frames,) if together else frames.split(1, dim=1)
        looks = [self._encode(one, n_past if last_skip is None else last_skip + 1) for one in calls]
        return Context(
            torch.cat([look.h for look in looks], 1),
            [torch.cat(level, 1) for level in zip(*(_of_step(look.laterals, n_past, last_skip) for look in looks))],
            self._conditions(clip, n_past - 1),
            self.decoder.up_weights(self.speed.fold_upsampling),
        )

    def begin(self, context: Context, noise: Tensor) -> State:
        """The state after the context, noise: (B, n_past - 1, z); frame n_past is the next. Nothing is decoded."""
        h, known = context.h, context.known
        state = State(h[-1:], context.laterals, context.weights)
        if len(h) == 1:
            return state
        z = self._posterior(h[1:]).at(noise.transpose(0, 1))
        return state._replace(
            predictor=self._predict(h[:-1], z, known, None)[1], prior=self._prior(h[:-1], known, None)[1]
        )

    def step(
        self,
        state: State,
        known: Tensor | None,
        eps: Tensor,
        latent: Latent,
        z: Tensor | None = None,
    ) -> tuple[Tensor, Gaussian, State]:
        """The next frame (1, B, C, H, W), the prior of its z and the state, which waits to `see` a frame.

        known: normalised conditions (1, B, 7) of the last frame. eps: (1, B, z). z: as eps, where it is not to be
        drawn.
        """
        prior, prior_state = self._prior(state.h, known, state.prior)
        if z is None:
            z = (prior if latent == "prior" else standard_like(prior)).at(eps)
        g, predictor_state = self._predict(state.h, z, known, state.predictor)
        x = self._decode(g, known, state.laterals, 0, state.weights)
        return x, prior, state._replace(predictor=predictor_state, prior=prior_state)

    def see(self, state: State, x: Tensor) -> State:
        """The state after looking at the frame (1, B, C, H, W) that was predicted, or another one in its place."""
        fresh = self.config.last_frame_skip
        look = self._encode(x, 1 if fresh else 0)
        return state._replace(h=look.h, laterals=look.laterals if fresh else state.laterals)

    def gaussians(self, clip: Clip) -> tuple[Gaussian, Gaussian]:
        """Posterior and prior of steps 1 … T-1, each (B, T-1, z), when all true frames are shown. Decodes nothing."""
        h = self._encode(clip.frames.transpose(0, 1), 0).h
        known = self._conditions(clip, len(h) - 1)
        return batch_first(self._posterior(h[1:])), batch_first(self._prior(h[:-1], known, None)[0])

    def normalised(self, conditions: Tensor | None) -> Tensor | None:
        """Conditions (..., 7) as the networks take them; None for an action-free model."""
        if self.config.condition == "none":
            return None
        return (conditions - self.condition_mean) / self.condition_scale

    def _last_skip(self, n_past: int) -> int | None:
        """The frame whose skips are kept once the steps have passed it; None when none is (last_frame_skip)."""
        if self.config.last_frame_skip:
            return None
        return max(n_past - (2 if self.config.skip_frame == "published" else 1), 0)

    def _encode(self, frames: Tensor, wanted: int) -> Look:
        """Frames (S, B, C, H, W): the codes of all, and of the first `wanted` what the decoder adds."""
        batch, codes, laterals = frames.shape[1], [], []
        for piece in frames.split(self._steps_per_call(frames)):
            steps = len(piece)
            h, skips = self._call(self.encoder, piece.flatten(0, 1).contiguous(memory_format=self.memory_format), steps)
            codes.append(h.unflatten(0, (steps, batch)))
            if (keep := min(wanted, steps)) > 0:
                still = [piece.flatten(0, 1)] if self.config.composite == "mask" else []
                kept = [s[: keep * batch] for s in skips + still]
                kept = self.decoder.skip_halves(kept) if self.speed.hoist_skips else kept
                laterals.append([s.unflatten(0, (keep, batch)) for s in kept])
            wanted -= keep
        return Look(torch.cat(codes), [torch.cat(level) for level in zip(*laterals)])

    def _decode(
        self, g: Tensor, known: Tensor | None, laterals: list[Tensor], last_skip: int | None, weights: list[Tensor]
    ) -> Tensor:
        """Frames (S, B, C, H, W) from codes g (S, B, *code); laterals: of the S frames before, up to last_skip."""
        batch, frames, first = g.shape[1], [], 0
        for piece in g.split(self._steps_per_call(g)):
            steps = len(piece)
            own = [_of_steps(s, first, steps, last_skip) for s in laterals]
            if not self.speed.hoist_skips:
                halves = self.decoder.skip_halves([s.flatten(0, 1) for s in own])
                own = [s.unflatten(0, (steps, batch)) for s in halves]
            condition = None if known is None else known[first : first + steps].flatten(0, 1)
            x = self._call(self.decoder, piece.flatten(0, 1), own, condition, steps, weights)
            frames.append(x.unflatten(0, (steps, batch)))
            first += steps
        return torch.cat(frames)

    def _steps_per_call(self, x: Tensor) -> int:
        """Time steps of x (S, B, …) that encoder and decoder take at once."""
        activation = self.config.width * IMAGE_SIZE**2 // (2 if self.config.stem == "unshuffle" else 1)
        return steps_per_call(self, x, activation, least=CPU_STEPS)

    def _call(self, module: Callable, *args: Any) -> Any:
        """A module's result; with checkpoint_activations what is inside is computed again in the backward pass."""
        if not (self.speed.checkpoint_activations and self.training):
            return module(*args)
        again = lambda: (contextlib.nullcontext(), statistics_kept())  # noqa: E731
        return checkpoint(module, *args, use_reentrant=False, context_fn=again)

    def _conditions(self, clip: Clip, last: int) -> Tensor | None:
        """Normalised conditions (last, B, 7); row t - 1 belongs to step t: row t would leak the target."""
        if self.config.condition == "none":
            return None
        if clip.conditions is None or clip.conditions.shape[1] < last:
            given = 0 if clip.conditions is None else clip.conditions.shape[1]
            raise ValueError(f"{last} rows of conditions needed, {given} given")
        return self.normalised(clip.conditions[:, :last]).transpose(0, 1)

    def _posterior(self, h_target: Tensor) -> Gaussian:
        """q(z) of the steps whose true frames have the codes h_target (S, B, *code); S may be 0 (one context frame)."""
        if h_target.shape[0] == 0:
            empty = self._zeros(h_target)
            return Gaussian(empty, empty)
        return self.posterior(h_target, None)[0]

    def _zeros(self, h: Tensor) -> Tensor:
        return h.new_zeros(*h.shape[:2], *self.z_shape, dtype=self.condition_mean.dtype)

    def _prior(self, h: Tensor, known: Tensor | None, state: LSTMState | None) -> tuple[Gaussian, LSTMState | None]:
        """p(z) of the steps after codes h (S, B, *code): learned from the past, or N(0, I)."""
        if self.prior is None:
            zeros = self._zeros(h)
            return Gaussian(zeros, zeros), None
        return self.prior(self._with_known(h, known), state)

    def _with_known(self, x: Tensor, known: Tensor | None) -> Tensor:
        if known is None or self.config.condition_at != "everywhere":
            return x
        return torch.cat([x, known if self.known_map is None else self.known_map(known)], 2)

    def _predict(self, h: Tensor, z: Tensor, known: Tensor | None, state: LSTMState | None) -> tuple[Tensor, LSTMState]:
        """Codes g (S, B, *code) of the next frames from the codes h of the frames before them."""
        return self.frame_predictor(self._with_known(torch.cat([h, z.to(h.dtype)], 2), known), state)


def _rows(known: Tensor | None, first: int, end: int) -> Tensor | None:
    return None if known is None else known[first:end]


def _of_steps(lateral: Tensor, first: int, steps: int, last_skip: int | None) -> Tensor:
    """What frames first … first + steps - 1 bring, those after last_skip bringing what that one brings."""
    own = steps if last_skip is None else max(0, min(last_skip + 1 - first, steps))
    # Slices, because the gradient of indexing with a list is added up in any order on a CPU of several threads.
    if own == steps:
        return lateral[first : first + steps]
    kept = lateral[last_skip : last_skip + 1].expand(steps - own, *lateral.shape[1:])
    return torch.cat([lateral[first : first + own], kept]) if own else kept


def _of_step(laterals: list[Tensor], t: int, last_skip: int | None) -> list[Tensor]:
    """What step t takes: of frame t - 1, or of last_skip."""
    frame = t - 1 if last_skip is None else min(t - 1, last_skip)
    return [s[frame : frame + 1] for s in laterals]


def initialise(module: nn.Module) -> None:
    """Convolutions and linear layers N(0, 0.02), norms' weights N(1, 0.02), biases 0 (nn.LSTM keeps its own)."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, (StepBatchNorm, GroupNorm)):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
