"""The pose-conditioned CVAE: a person's next frame from the last one and the next pose picture, 32 x 64 pixels."""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidpred.clip import Clip
from vidpred.config import CHANNELS, DANCE_SIZE, PoseCVAEConfig, SpeedConfig
from vidpred.models.batch_norm import StepBatchNorm, switch_batch_norm
from vidpred.models.gaussian import Gaussian, batch_first, standard_like
from vidpred.models.unroll import Feedback, Latent, Unroll, steps_per_call, true_share

LEAK = 0.01  # slope of LeakyReLU in the blocks
GATE_LEAK = 0.1  # in the gated feed-forward
NORM_LEAK = 0.2  # after the normalisation of poses, and in the Gaussian predictor


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, each with LeakyReLU, plus the input."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.shortcut = _shortcut(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu(self.conv1(x), LEAK, inplace=True)
        return F.leaky_relu(self.conv2(y), LEAK, inplace=True) + self.shortcut(x)


class DepthConvBlock(nn.Module):
    """A depthwise-separable convolution plus its input, then a gated feed-forward plus its input."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.expand = nn.Conv2d(in_channels, in_channels, 1)
        self.depthwise = nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels)
        self.project = nn.Conv2d(in_channels, out_channels, 1)
        self.shortcut = _shortcut(in_channels, out_channels)
        self.gated = nn.Conv2d(out_channels, 4 * out_channels, 1)
        self.feed = nn.Conv2d(2 * out_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.depthwise(F.leaky_relu(self.expand(x), LEAK, inplace=True))
        x = self.project(y) + self.shortcut(x)
        a, b = self.gated(x).chunk(2, 1)
        return self.feed(a * F.leaky_relu(b, GATE_LEAK)) + x


def _shortcut(in_channels: int, out_channels: int) -> nn.Module:
    return nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)


class FrameEncoder(nn.Sequential):
    """Frame (N, 3, H, W) -> code (N, frame_dim, H, W)."""

    def __init__(self, frame_dim: int):
        a, b, c = frame_dim // 8, frame_dim // 4, frame_dim // 2
        super().__init__(
            *(ResidualBlock(CHANNELS, a), DepthConvBlock(a, a)),
            *(ResidualBlock(a, b), DepthConvBlock(b, b)),
            *(ResidualBlock(b, c), DepthConvBlock(c, c)),
            nn.Conv2d(c, frame_dim, 3, padding=1),
        )


class PoseEncoder(nn.Module):
    """Pose picture (steps * B, 3, H, W) -> code (steps * B, pose_dim, H, W)."""

    def __init__(self, pose_dim: int, slope: float):
        super().__init__()
        self.slope = slope
        self.conv = nn.Conv2d(CHANNELS, pose_dim // 2, 7, padding=3, padding_mode="reflect")
        self.norm = StepBatchNorm(pose_dim // 2)
        self.block = ResidualBlock(pose_dim // 2, pose_dim)

    def forward(self, x: Tensor, steps: int) -> Tensor:
        return self.block(self.norm(self.conv(x), steps, self.slope))


class GaussianPredictor(nn.Module):
    """Codes of a frame and its pose -> Gaussian over the maps of z. In float32 whatever is around it."""

    def __init__(self, in_channels: int, z_channels: int, slope: float):
        super().__init__()
        a, b = z_channels // 4, z_channels // 2
        self.slope = slope
        self.blocks = nn.Sequential(
            *(ResidualBlock(in_channels, a), DepthConvBlock(a, a)),
            *(ResidualBlock(a, b), DepthConvBlock(b, b)),
            ResidualBlock(b, z_channels),
        )
        self.out = nn.Conv2d(z_channels, 2 * z_channels, 1)

    def forward(self, frame: Tensor, pose: Tensor) -> Gaussian:
        with torch.autocast(frame.device.type, enabled=False):
            x = self.blocks(torch.cat([frame, pose], 1).to(self.out.weight.dtype))
            return Gaussian(*self.out(F.leaky_relu(x, self.slope)).chunk(2, 1))


class DecoderFusion(nn.Sequential):
    """Codes of a frame and a pose, and z, one above the other -> (N, fusion_dim, H, W)."""

    def __init__(self, in_channels: int, fusion_dim: int):
        a, b = in_channels // 4, in_channels // 2
        super().__init__(
            *(DepthConvBlock(in_channels, in_channels), ResidualBlock(in_channels, a)),
            *(DepthConvBlock(a, b), ResidualBlock(b, b)),
            DepthConvBlock(b, fusion_dim // 2),
            nn.Conv2d(fusion_dim // 2, fusion_dim, 1),
        )


class Generator(nn.Sequential):
    """(N, fusion_dim, H, W) -> the next frame (N, 3, H, W), before the output activation."""

    def __init__(self, fusion_dim: int):
        a, b, c = fusion_dim // 2, fusion_dim // 4, fusion_dim // 8
        super().__init__(
            *(DepthConvBlock(fusion_dim, fusion_dim), ResidualBlock(fusion_dim, a)),
            *(DepthConvBlock(a, a), ResidualBlock(a, b)),
            *(DepthConvBlock(b, b), ResidualBlock(b, c)),
            DepthConvBlock(c, c),
            nn.Conv2d(c, CHANNELS, 1),
        )


class State(NamedTuple):
    """What a future begins with and one step hands to the next: the code (1, B, frame_dim, H, W) of the last frame."""

    h: Tensor

    def rows(self, rows: Tensor) -> "State":
        """Those of the given clips, in that order, as often as they are named."""
        return State(self.h[:, rows])


class PoseCVAE(nn.Module):
    """Frame and pose encoders, Gaussian predictor, fusion and generator, and the one loop over time."""

    condition_lag = 0
    """Frame t is predicted from row t of the conditions: its own pose."""
    futures_per_call: ClassVar[dict[str, int]] = {"cpu": 1, "gpu": 64}
    """Futures in a call at prediction."""
    conditioned = True
    """Something is known about the steps."""

    def __init__(self, config: PoseCVAEConfig, speed: SpeedConfig | None = None):
        super().__init__()
        self.config = c = config
        self.speed = speed or SpeedConfig()
        slope = NORM_LEAK if c.leaky_relu == "leaky" else 1.0
        self.frame_encoder = FrameEncoder(c.frame_dim)
        self.pose_encoder = PoseEncoder(c.pose_dim, slope)
        self.gaussian_predictor = GaussianPredictor(c.frame_dim + c.pose_dim, c.z_channels, slope)
        self.fusion = DecoderFusion(c.frame_dim + c.pose_dim + c.z_channels, c.fusion_dim)
        self.generator = Generator(c.fusion_dim)
        switch_batch_norm(self, pooled=c.norm_stats == "pooled", fused=self.speed.compile == "layers")

    @property
    def memory_format(self) -> torch.memory_format:
        """How weights and activations lie in memory: on a CPU channel by channel: faster for so few."""
        by_pixel = self.speed.channels_last and self.generator[-1].weight.device.type != "cpu"
        return torch.channels_last if by_pixel else torch.contiguous_format

    @property
    def z_shape(self) -> tuple[int, ...]:
        """Shape of one step's z for one clip."""
        return (self.config.z_channels, *DANCE_SIZE)

    def unroll(
        self, clip: Clip, noise: Tensor, latent: Latent = "posterior", feedback: Feedback = "prediction"
    ) -> Unroll:
        """All steps of a clip, as training takes them, with two switches.

        clip: frames (B, given, C, H, W), poses (B, T, C, H, W) as its conditions. noise: (B, T-1, z, H, W), eps of each
            step.
        latent: who supplies z: the posterior (all T frames must be given) or N(0, I). Training takes the posterior; the
            other is what prediction by `begin`, `step` and `see` is tested against.
        feedback: what a step past the context sees.
        """
        last, share, n_past = noise.shape[1], true_share(feedback), clip.n_past  # steps 1 … last
        shown = last + 1 if latent == "posterior" or share > 0 else n_past
        if clip.frames.shape[1] < shown:
            raise ValueError(f"{shown} frames needed, {clip.frames.shape[1]} given")
        frames, noise = clip.frames[:, :shown].transpose(0, 1), noise.transpose(0, 1)
        pose = self._pose(self._poses(clip, last))
        h = self._encode(frames if latent == "posterior" else frames[:-1] if share == 1 else frames[:n_past])
        if latent == "posterior":
            posterior = self._posterior(h[1:], pose)
            z = posterior.at(noise)
        else:
            posterior = Gaussian(noise[:0], noise[:0])
            z = noise
        n_true = last if share == 1 else min(n_past, last)  # steps 1 … n_true see true frames: all in one call
        x = self._generate(h[:n_true], pose[:n_true], z[:n_true])
        predictions = [x]
        for t in range(n_true + 1, last + 1):
            seen = x[-1:].detach() if self.config.detach_feedback and share == 0 else x[-1:]
            if share > 0:
                seen = share * frames[t - 1 : t] + (1 - share) * seen
            x = self._generate(self._encode(seen), pose[t - 1 : t], z[t - 1 : t])
            predictions.append(x)
        prior = standard_like(posterior if latent == "posterior" else Gaussian(z, z))
        return Unroll(torch.cat(predictions).transpose(0, 1), batch_first(posterior), batch_first(prior))

    forward = unroll
    """By the name that wrappers for many devices know."""

    def look(self, clip: Clip, together: bool = False) -> State:
        """The context of each clip, encoded once for all the futures that continue it, clip by clip or together."""
        if clip.frames.shape[1] < clip.n_past:
            raise ValueError(f"{clip.n_past} context frames needed, {clip.frames.shape[1]} given")
        last = clip.frames[:, clip.n_past - 1 : clip.n_past].transpose(0, 1)
        return State(torch.cat([self._encode(one) for one in ((last,) if together else last.split(1, dim=1))], 1))

    def begin(self, context: State, noise: Tensor) -> State:
        """The state after the context, which is that of its last frame; frame n_past is the next."""
        return context

    def step(
        self, state: State, known: Tensor, eps: Tensor, latent: Latent, z: Tensor | None = None
    ) -> tuple[Tensor, Gaussian, State]:
        """The next frame (1, B, C, H, W), the prior of its z and the state, which waits to `see` a frame.

        known: its pose (1, B, C, H, W). eps: (1, B, *z_shape). z: as eps, where it is not to be drawn.
        """
        x = self._generate(state.h, self._pose(known), eps if z is None else z)
        return x, standard_like(Gaussian(eps, eps)), state

    def see(self, state: State, x: Tensor) -> State:
        """The state after looking at the frame (1, B, C, H, W) that was predicted."""
        return State(self._encode(x))

    def gaussians(self, clip: Clip) -> tuple[Gaussian, Gaussian]:
        """Posterior and prior of steps 1 … T-1, each (B, T-1, *z_shape), when all true frames are shown."""
        frames = clip.frames.transpose(0, 1)[1:]
        poses = self._poses(clip, len(frames))
        parts = [
            self._posterior(self._encode(x), self._pose(p))
            for x, p in zip(frames.split(self._steps_per_call(frames)), poses.split(self._steps_per_call(poses)))
        ]
        posterior = batch_first(Gaussian(*(torch.cat(side) for side in zip(*parts))))
        return posterior, standard_like(posterior)

    def normalised(self, conditions: Tensor) -> Tensor:
        """Poses as the networks take them: as they are."""
        return conditions

    def _poses(self, clip: Clip, last: int) -> Tensor:
        """Poses (last, B, C, H, W) of frames 1 … last."""
        if clip.conditions is None or clip.conditions.shape[1] < last + 1:
            given = 0 if clip.conditions is None else clip.conditions.shape[1]
            raise ValueError(f"{last + 1} poses needed, {given} given")
        return clip.conditions[:, 1 : last + 1].transpose(0, 1)

    def _encode(self, frames: Tensor) -> Tensor:
        return self._over_steps(lambda x, steps: self.frame_encoder(x), frames)

    def _pose(self, poses: Tensor) -> Tensor:
        return self._over_steps(self.pose_encoder, poses)

    def _generate(self, h: Tensor, pose: Tensor, z: Tensor) -> Tensor:
        """Frames (S, B, C, H, W) from the codes of the frames before and of their own poses, and z."""

        def generate(code: Tensor, steps: int) -> Tensor:
            x = self.generator(self.fusion(code)).to(weight.dtype)  # bf16 would leave 8 bits of a pixel
            return torch.sigmoid(x) if self.config.output_activation == "sigmoid" else x

        weight = self.generator[-1].weight
        return self._over_steps(generate, torch.cat([h, pose, z.to(h.dtype)], 2))

    def _posterior(self, h: Tensor, pose: Tensor) -> Gaussian:
        """q(z) of the steps whose true frames have the codes h (S, B, frame_dim, H, W)."""
        pieces = zip(h.split(self._steps_per_call(h)), pose.split(self._steps_per_call(h)))
        parts = [self.gaussian_predictor(x.flatten(0, 1), p.flatten(0, 1)) for x, p in pieces]
        return Gaussian(*(torch.cat(side).unflatten(0, h.shape[:2]) for side in zip(*parts)))

    def _over_steps(self, module, x: Tensor) -> Tensor:
        """module(x (steps * B, …), steps) over x (S, B, …), as many steps a call as the memory likes."""
        pieces = x.split(self._steps_per_call(x))
        parts = [module(p.flatten(0, 1).contiguous(memory_format=self.memory_format), len(p)) for p in pieces]
        return torch.cat(parts).unflatten(0, x.shape[:2])

    def _steps_per_call(self, x: Tensor) -> int:
        """Time steps of x (S, B, …) that a network takes at once."""
        return steps_per_call(self, x, activation=4 * self.config.fusion_dim * DANCE_SIZE[0] * DANCE_SIZE[1])
