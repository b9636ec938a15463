"""Settings as frozen dataclasses, and their strict way to and from JSON."""

import dataclasses
import math
import types
import typing
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

from vidpred.errors import BadInput

Config = TypeVar("Config")

IMAGE_SIZE = 64  # height and width of a robot clip's frames, pixels
DANCE_SIZE = (32, 64)  # height and width of a dance video's frames and poses, pixels
CHANNELS = 3
ACTION_DIM = 4  # gripper displacement command (3) and finger command
POSITION_DIM = 3  # gripper position
CONDITION_DIM = ACTION_DIM + POSITION_DIM  # numbers known about each frame
LEARNED = ("condition_mean", "condition_scale")  # settings of a model that come from the training split
LONGEST_SHOWN = 100  # characters of a value that is wrong


def _require(ok: bool, message: str) -> None:
    if not ok:
        raise BadInput(message)


def shown(value: Any) -> str:
    """A value as an error shows it: no page of it."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]} …"


@dataclass(frozen=True)
class DataConfig:
    """Which windows of the robot clips are read."""

    n_past: int = 2
    """context frames that are given"""
    n_future: int = 10
    """frames to predict in training and validation"""
    windows: Literal["random", "published"] = "random"
    """where a training window starts: anywhere in the clip, or always at frame 0 as the published loaders do"""

    def __post_init__(self):
        _require(self.n_past >= 1, f"data.n_past must be at least 1, got {self.n_past}")
        _require(self.n_future >= 1, f"data.n_future must be at least 1, got {self.n_future}")

    @property
    def length(self) -> int:
        """Frames in a window."""
        return self.n_past + self.n_future

    def scored_length(self, shortest: int) -> int:
        """Frames of each clip that validation and test look at, the context included; a shorter clip is refused."""
        return self.length


@dataclass(frozen=True)
class DanceDataConfig:
    """Which windows of the dance videos are read. One frame is given, and every pose."""

    clip_length: int = 16
    """consecutive frames of a training window"""
    windows: Literal["random", "published"] = "random"
    """where a training window starts: anywhere in the video, or one after the other as the published loader does"""
    val_length: int = 630
    """frames of the validation and test videos that are looked at, from the first on (where there are as many)"""

    def __post_init__(self):
        for name in ("clip_length", "val_length"):
            _require(getattr(self, name) >= 2, f"data.{name} must be at least 2, got {getattr(self, name)}")

    @property
    def n_past(self) -> int:
        """Context frames."""
        return 1

    @property
    def length(self) -> int:
        """Frames in a training window."""
        return self.clip_length

    def scored_length(self, shortest: int) -> int:
        """Frames of each video that validation and test look at, the given one included: at most the shortest's."""
        return max(2, min(self.val_length, shortest))


@dataclass(frozen=True)
class SVGConfig:
    """Stochastic video generation (Denton & Fergus 2018) with conditions and teacher forcing, 64 x 64 pixels."""

    kind: ClassVar[str] = "svg"
    family: ClassVar[str] = "SVG"
    data_config: ClassVar[type] = DataConfig
    frame_size: ClassVar[tuple[int, int]] = (IMAGE_SIZE, IMAGE_SIZE)
    psnr_protocol: ClassVar[str] = "finn"
    """the definition of PSNR by which the family's numbers are published"""
    learned_prior: bool = False
    """prior from an LSTM over the past frames instead of N(0, I)"""
    width: int = 64
    """channels of the first VGG layer; the others follow (64: the published network)"""
    g_dim: int = 128
    """size of a frame's code h, or its channels where it is a map"""
    z_dim: int = 64
    """size of the latent z, or its channels where it is a map"""
    rnn_size: int = 256
    """size of every LSTM, or its channels where it works on maps"""
    stem: Literal["conv", "unshuffle"] = "conv"
    """conv: layers at 64 x 64 as published; unshuffle: 2 x 2 pixels become channels before the encoder and pixels
    again after the decoder, and no layer works at 64 x 64"""
    code: Literal["vector", "map"] = "vector"
    """vector: h, z and LSTM states are vectors, as published; map: they are maps of 8 x 8 and the LSTMs convolve
    (Villegas et al. 2019, SVG')"""
    composite: Literal["none", "mask"] = "none"
    """mask: the decoder also gives a mask, and a frame is mask * generated + (1 - mask) * the frame of the skips"""
    predictor_layers: int = 2
    """LSTM layers of the frame predictor"""
    predictor_norm: Literal["batch", "none"] = "batch"
    """batch: the frame predictor's output is normalised, as in the report; none: it is not, as in the original SVG"""
    condition: Literal["actions", "none"] = "actions"
    """actions: 4 action numbers and 3 gripper coordinates per frame; none: action-free"""
    condition_at: Literal["decoder", "everywhere"] = "decoder"
    """decoder: scale and shift before the decoder, as published; everywhere: frame predictor and learned prior too"""
    condition_mean: tuple[float, ...] = ()
    """normalisation of the conditions, learned from the training split (empty: none)"""
    condition_scale: tuple[float, ...] = ()
    """standard deviations that go with condition_mean"""
    skip_frame: Literal["last_context", "published"] = "last_context"
    """frame whose skips are kept after the context: the last given one, or the one before it (published quirk)"""
    last_frame_skip: bool = False
    """take the skips of frame t - 1 at every step instead"""
    feedback_from: Literal["context", "published"] = "context"
    """free running feeds predictions back after the context, or already from frame 1 on (published quirk)"""
    detach_feedback: bool = False
    """cut the gradient where a prediction alone is fed back"""
    norm_stats: Literal["per_step", "pooled", "group"] = "per_step"
    """what is normalised by: in training the batch's statistics of each time step, as published, or of all the steps
    of a call together; group: those of 8 channels of one frame, always (GroupNorm)"""
    prior_at_test: Literal["learned", "standard"] = "learned"
    """where z comes from at prediction: the model's own prior, or N(0, I) as the report did even for a learned prior"""

    def __post_init__(self):
        for name in ("width", "g_dim", "z_dim", "rnn_size", "predictor_layers"):
            _require(getattr(self, name) >= 1, f"model.{name} must be at least 1, got {getattr(self, name)}")
        for name in ("condition_mean", "condition_scale"):
            values = getattr(self, name)
            _require(
                len(values) in (0, CONDITION_DIM) and all(math.isfinite(v) for v in values),
                f"model.{name} needs {CONDITION_DIM} finite numbers, got {shown(values)}",
            )
        _require(
            len(self.condition_mean) == len(self.condition_scale) and all(v > 0 for v in self.condition_scale),
            "model.condition_mean and model.condition_scale go together, and scales are positive",
        )

    @property
    def needs_two_clips(self) -> bool:
        """In a batch: a code that is one vector has no variance to normalise by (free running, a call is one step, and
        pooled statistics too are those of one vector)."""
        return self.code == "vector" and self.norm_stats != "group"

    @property
    def z_is_map(self) -> bool:
        """Whether z has channels of pixels, not dimensions."""
        return self.code == "map"

    @property
    def summary(self) -> str:
        """The model in a few words."""
        return f"SVG, {'learned' if self.learned_prior else 'fixed'} prior, condition {self.condition}"


@dataclass(frozen=True)
class PoseCVAEConfig:
    """Pose-conditioned CVAE, 32 x 64 pixels: the next frame from the last one and the next pose picture."""

    kind: ClassVar[str] = "pose_cvae"
    family: ClassVar[str] = "pose CVAE"
    data_config: ClassVar[type] = DanceDataConfig
    frame_size: ClassVar[tuple[int, int]] = DANCE_SIZE
    psnr_protocol: ClassVar[str] = "joint"
    """the definition of PSNR by which the family's numbers are published"""
    needs_two_clips: ClassVar[bool] = False
    """in a batch: codes are maps, whose pixels have a variance"""
    z_is_map: ClassVar[bool] = True
    """it has channels of pixels, not dimensions"""
    condition: ClassVar[str] = "poses"
    """what is known about each frame: its pose picture"""
    condition_mean: ClassVar[tuple[float, ...]] = ()
    """no normalisation is learned: poses are taken as they are"""
    learned_prior: ClassVar[bool] = False
    """the prior is N(0, I)"""
    prior_at_test: ClassVar[str] = "standard"
    """where z comes from at prediction"""
    frame_dim: int = 128
    """channels of a frame's code; the layers before it follow"""
    pose_dim: int = 32
    """channels of a pose's code"""
    z_channels: int = 12
    """maps of the latent z, each as large as a frame"""
    fusion_dim: int = 192
    """channels in which both codes and z are joined; the generator's layers follow"""
    output_activation: Literal["sigmoid", "none"] = "sigmoid"
    """what the generator ends with (one report has none)"""
    leaky_relu: Literal["leaky", "published"] = "leaky"
    """LeakyReLU of pose encoder and Gaussian predictor: slope 0.2, or 1 as published (the identity)"""
    detach_feedback: bool = False
    """cut the gradient where a prediction alone is fed back"""
    norm_stats: Literal["per_step", "pooled"] = "per_step"
    """batch statistics in training: of each time step, as published, or of all the steps of a call together"""

    def __post_init__(self):
        for name, least in (("frame_dim", 8), ("pose_dim", 2), ("z_channels", 4), ("fusion_dim", 8)):
            _require(getattr(self, name) >= least, f"model.{name} must be at least {least}, got {getattr(self, name)}")

    @property
    def summary(self) -> str:
        """The model in a few words."""
        return self.family


@dataclass(frozen=True)
class TrainConfig:
    """How a model is trained. beta = beta_max * schedule."""

    epochs: int = 160
    """number of epochs"""
    iterations_per_epoch: int = 600
    """batches per epoch (0: as many as one pass over the training data takes)"""
    batch_size: int = 12
    """clips per batch"""
    data_fraction: float = 1.0
    """share of the training data that is used, its first part; conditions are normalised by all of it"""
    fast_train_epoch: int = 0
    """fast start: epochs at the beginning that use the share fast_partial of the data, in as many batches"""
    fast_partial: float = 0.4
    """share of the training data in those epochs"""
    init: str | None = None
    """run folder whose weights training starts from (fine-tuning)"""
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd"] = "adam"
    """rule that moves the weights"""
    lr: float = 0.002
    """learning rate"""
    lr_decay: Literal["none", "cosine"] = "none"
    """none: constant; cosine: falls to 0 over the training"""
    lr_milestones: tuple[int, ...] = ()
    """epochs from which on the learning rate is a tenth of what it was"""
    adam_beta1: float = 0.9
    """first momentum of Adam and AdamW; momentum of SGD"""
    grad_clip: float | None = None
    """largest norm of the gradient (None: not clipped)"""
    l1_weight: float = 0.0
    """weight of the mean absolute error beside the MSE (0: none, as published)"""
    gradient_weight: float = 0.0
    """weight of the squared error of the differences between neighbouring pixels, which keeps edges sharp (0: none)"""
    beta_max: float = 1e-4
    """weight of the KL term at the top of the schedule"""
    kl_anneal: Literal["cyclical", "monotonic", "none", "calibrated"] = "cyclical"
    """schedule of beta: rises again in every cycle, rises once, or is constant; calibrated: 2 * MSE / D as the training
    goes, the ELBO of a Gaussian decoder with the one variance that suits the pixels best (sigma-VAE, Rybkin et al.
    2021; beta_max and the other kl_anneal settings mean nothing then)"""
    kl_anneal_per: Literal["iteration", "epoch"] = "iteration"
    """what the schedule counts"""
    kl_anneal_cycles: int = 4
    """cycles of the cyclical schedule"""
    kl_anneal_cycle_epochs: int | None = None
    """length of a cycle in epochs; takes the place of the number of cycles"""
    kl_anneal_ratio: float = 0.5
    """share of a cycle in which beta rises"""
    kl_anneal_start: float = 0.0
    """schedule at the start of a cycle"""
    kl_anneal_stop: float = 1.0
    """schedule from the end of the rise on"""
    kl_anneal_shape: Literal["linear", "sigmoid", "cosine"] = "linear"
    """shape of the rise (sigmoid: from 0.25 % of the way to 99.75 %, as published, then at once to the end)"""
    kl_anneal_value: float = 1.0
    """schedule without annealing (kl_anneal none)"""
    kld_reduction: Literal["batch", "length"] = "batch"
    """what the KL of a batch is divided by: its clips, or the frames of a clip as one report did"""
    tfr: float = 1.0
    """teacher-forcing ratio at the start: probability that the true frames are fed back (0: free running)"""
    tfr_decay: Literal["step", "linear", "every"] = "step"
    """how the ratio falls: by a step an epoch from tfr_decay_start on; from there in a line to 0 at the end; by a step
    every tfr_decay_start epochs"""
    tfr_decay_start: int = 60
    """epoch at which the ratio begins to fall (every: epochs between two falls)"""
    tfr_decay_step: float = 0.01
    """fall of the ratio"""
    tfr_floor: float = 0.0
    """lowest ratio"""
    tfr_coin: Literal["batch", "epoch"] = "batch"
    """what one flip of the teacher-forcing coin decides"""
    tfr_mix: bool = False
    """under teacher forcing, feed back tfr * true frame + (1 - tfr) * prediction"""
    plateau_patience: int = 0
    """validations without change after which the ratio returns to 1 and falls again (0: it never does)"""
    plateau_threshold: float = 0.01
    """largest difference, in validation loss and in dB of PSNR, that counts as no change"""
    interpolate_every: int = 0
    """epochs between cosine interpolations of the weights with those at the start (0: none)"""
    best_by: Literal["psnr", "loss", "both", "last"] = "psnr"
    """weights that are kept: highest validation PSNR, lowest validation loss, both at once, or simply the last"""
    save_every: int = 0
    """epochs between weights that are kept beside the best ones, in RUN/weights (0: none)"""
    validation_clips: int = 64
    """clips of the validation split that are scored after every epoch, always the same ones"""
    gif_every: int = 10
    """epochs between sample GIFs (0: none)"""
    accumulation: int = 1
    """parts into which a batch is split, one after the other through the model: less memory, but batch normalisation
    sees a part at a time"""
    precision: Literal["no", "bf16", "auto", "float64"] = "no"
    """no: float32; bf16: mixed precision, with KL, LSTM state, BatchNorm statistics and loss in float32; auto: bf16
    where the processor computes in it, float32 elsewhere; float64: to check a change"""
    seed: int = 0
    """seed of weights, batches, noise and coin flips"""

    def __post_init__(self):
        for name in ("epochs", "batch_size", "validation_clips", "kl_anneal_cycles"):
            _require(getattr(self, name) >= 1, f"train.{name} must be at least 1, got {getattr(self, name)}")
        for name in ("iterations_per_epoch", "fast_train_epoch", "gif_every", "tfr_decay_start", "plateau_patience",
                     "interpolate_every", "save_every"):  # fmt: skip
            _require(getattr(self, name) >= 0, f"train.{name} must not be negative, got {getattr(self, name)}")
        for name in ("data_fraction", "fast_partial"):
            _require(0 < getattr(self, name) <= 1, f"train.{name} must lie in (0, 1], got {getattr(self, name)}")
        _require(self.plateau_patience != 1, "train.plateau_patience must be 0 or at least 2: one value is no plateau")
        _require(
            self.tfr_decay != "every" or self.tfr_decay_start >= 1,
            "train.tfr_decay every needs train.tfr_decay_start of at least 1 epoch",
        )
        _require(
            list(self.lr_milestones) == sorted(set(self.lr_milestones)) and min(self.lr_milestones, default=1) >= 1,
            f"train.lr_milestones must be growing epochs from 1 on, got {shown(self.lr_milestones)}",
        )
        for name in ("lr", "l1_weight", "gradient_weight", "beta_max", "tfr_decay_step", "plateau_threshold",
                     "kl_anneal_start", "kl_anneal_stop", "kl_anneal_value"):  # fmt: skip
            value = getattr(self, name)
            _require(math.isfinite(value) and value >= 0, f"train.{name} must not be negative, got {value}")
        _require(self.lr > 0, f"train.lr must be positive, got {self.lr}")
        _require(0 <= self.adam_beta1 < 1, f"train.adam_beta1 must lie in [0, 1), got {self.adam_beta1}")
        for name in ("tfr", "tfr_floor"):
            _require(0 <= getattr(self, name) <= 1, f"train.{name} must lie in [0, 1], got {getattr(self, name)}")
        _require(0 < self.kl_anneal_ratio <= 1, f"train.kl_anneal_ratio must lie in (0, 1], got {self.kl_anneal_ratio}")
        _require(
            self.kl_anneal_cycle_epochs is None or self.kl_anneal_cycle_epochs >= 1,
            f"train.kl_anneal_cycle_epochs must be at least 1, got {self.kl_anneal_cycle_epochs}",
        )
        _require(
            self.grad_clip is None or self.grad_clip > 0, f"train.grad_clip must be positive, got {self.grad_clip}"
        )
        _require(
            self.accumulation >= 1 and self.batch_size % self.accumulation == 0,
            f"train.accumulation must divide batch_size {self.batch_size}, got {self.accumulation}",
        )
        _require(
            self.kl_anneal != "calibrated" or self.kld_reduction == "batch",
            "train.kl_anneal calibrated needs train.kld_reduction batch: 2 MSE / D weighs the KL of a clip",
        )
        _require(
            self.kl_anneal != "calibrated" or self.l1_weight == self.gradient_weight == 0,
            "train.kl_anneal calibrated is of the MSE alone: it needs train.l1_weight 0 and train.gradient_weight 0",
        )
        _require(0 <= self.seed < 2**63, f"train.seed must lie in [0, 2^63), got {self.seed}")


@dataclass(frozen=True)
class SpeedConfig:
    """How the same results are computed, up to rounding: no part of a run, and free to change where it resumes.

    Each can be switched alone, to measure what it gains.
    """

    hoist_skips: bool = True
    """convolve a skip once for all the steps that keep it"""
    fold_upsampling: bool = True
    """upsampling and the convolution after it as one transposed convolution, with 4/9 of the multiplications"""
    winograd: bool = True
    """on a CPU, train 3x3 convolutions of many channels with a quarter of the multiplications (in float32: rounding
    grows from 2e-7 to 2e-6)"""
    steps_per_call: int | None = None
    """time steps that encoder and decoder take in one call where they can (None: all of them on a GPU; on a CPU as many
    as its cache holds)"""
    channels_last: bool = True
    """a pixel's channels side by side in memory (the pose CVAE: on a GPU only)"""
    fused_optimizer: bool = True
    """one kernel for all of Adam"""
    keep_memory: bool = True
    """on a CPU under glibc, keep freed memory for the next step"""
    cuda_graphs: bool | None = None
    """replay each pass as a CUDA graph (None: on one GPU, unless activations are checkpointed)"""
    compile: Literal["no", "layers"] = "no"
    """torch.compile: not at all, or normalisation with its activation fused"""
    checkpoint_activations: bool = False
    """keep no activations inside encoder and decoder and compute them again in the backward pass: less memory"""
    prefetch: int = 2
    """batches that are read ahead"""

    def __post_init__(self):
        _require(
            self.steps_per_call is None or self.steps_per_call >= 1,
            f"speed.steps_per_call must be at least 1, got {self.steps_per_call}",
        )
        _require(
            not (self.cuda_graphs and self.checkpoint_activations),
            "speed.cuda_graphs and speed.checkpoint_activations exclude each other",
        )
        _require(self.prefetch >= 0, f"speed.prefetch must not be negative, got {self.prefetch}")


ModelConfig = SVGConfig | PoseCVAEConfig
MODEL_KINDS: dict[str, type] = {config.kind: config for config in (SVGConfig, PoseCVAEConfig)}


@dataclass(frozen=True)
class RunConfig:
    """All that makes a run: the contents of its config.json."""

    model: ModelConfig
    data: DataConfig | DanceDataConfig
    train: TrainConfig

    def require_two_clips(self) -> None:
        """BadInput where batch normalisation would be left with one value: such a run can be looked at, not trained."""
        t = self.train
        if self.model.needs_two_clips:
            _require(t.batch_size >= 2, "train.batch_size must be at least 2: batch normalisation needs two clips")
            _require(
                t.batch_size // t.accumulation >= 2,
                f"train.accumulation {t.accumulation} leaves parts of one clip: batch normalisation needs two",
            )

    def to_dict(self) -> dict:
        """JSON values."""
        return {"model": to_dict(self.model), "data": to_dict(self.data), "train": to_dict(self.train)}


def to_dict(config: Any) -> dict:
    """A config as plain JSON values; a model's config carries its `kind`."""
    values = {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(config).items()}
    return {"kind": config.kind, **values} if type(config) in MODEL_KINDS.values() else values


def from_dict(cls: type[Config], values: Any, where: str = "config") -> Config:
    """A config from JSON values. Unknown keys, wrong types and out-of-range numbers are BadInput naming the key."""
    if not isinstance(values, dict):
        raise BadInput(f"{where}: expected an object, got {type(values).__name__}")
    known = typing.get_type_hints(cls)
    hints = {field.name: known[field.name] for field in dataclasses.fields(cls)}
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise BadInput(f"{where}: unknown key {shown(unknown[0])}")
    return cls(**{key: _checked(hints[key], value, f"{where}.{key}") for key, value in values.items()})


def model_from_dict(values: Any, where: str = "config.model") -> Any:
    """A model's config from JSON values with a `kind`."""
    if not isinstance(values, dict):
        raise BadInput(f"{where}: expected an object, got {type(values).__name__}")
    kind = values.get("kind")
    if not isinstance(kind, str) or kind not in MODEL_KINDS:
        raise BadInput(f"{where}: unknown kind {shown(kind)}; known: {', '.join(MODEL_KINDS)}")
    return from_dict(MODEL_KINDS[kind], {k: v for k, v in values.items() if k != "kind"}, where)


def _checked(hint: Any, value: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        _require(value in args, f"{where}: {shown(value)} is none of {', '.join(map(str, args))}")
        return value
    if origin is tuple:
        _require(isinstance(value, (list, tuple)), f"{where}: expected a list, got {shown(value)}")
        return tuple(_checked(args[0], v, where) for v in value)
    if origin in (types.UnionType, typing.Union):
        inner = next(a for a in args if a is not type(None))
        return None if value is None else _checked(inner, value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    _require(type(value) is hint, f"{where}: expected {hint.__name__}, got {shown(value)}")
    return value
