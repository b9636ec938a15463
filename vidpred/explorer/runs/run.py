"""A run and a clip as the explorer hands them on: what a visitor's name stands for, resolved once, by the library."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vidpred import runs
from vidpred.config import RunConfig
from vidpred.errors import BadInput
from vidpred.explorer.runs.validate import finite

COLLAPSED = 0.05  # nats per step below which z carries (almost) nothing
MAX_PAST = 10  # context frames that may be asked for, where the run itself was not trained with more
DANCE_FRAMES = 100  # of a dance, predicted at first: what a small server does in seconds
MAX_FRAMES = 1000  # predicted in one go, of all samples: half a minute of a small server's time
SAMPLES = 10  # of a robot clip at first: as many as one call of the model makes anyway


@dataclass(frozen=True)
class Clip:
    """A clip that can be looked at.

    name: by which it is chosen; id: as in PackedClips.ids, by which its noise is drawn. frames: how far it reaches;
    known: how many of its true frames are there (of some dance sequences only the first); has_actions: whether a robot
    clip's actions and positions are known; has_bounces: whether it is one of shapes that leave walls at random.
    """

    name: str
    root: Path
    split: str
    id: str
    frames: int
    known: int
    has_poses: bool
    has_actions: bool = True
    has_bounces: bool = False

    @property
    def folder(self) -> Path:
        """Where a robot clip's files lie."""
        return self.root / self.id


@dataclass(frozen=True)
class Evaluation:
    """The numbers of eval.json; None where there is none, or no finite one."""

    psnr: float | None
    psnr_best: float | None
    ssim: float | None
    sharpness: float | None
    kld_per_step: float | None
    copy_last_psnr: float | None
    temperature: float | None
    clips: int | None
    samples: int | None
    n_past: int | None
    n_future: int | None
    split: str
    protocol: str
    prior_at_test: Any
    """where z came from, as the file says it; None: it does not"""
    per_clip: dict[str, dict[str, float]]
    """psnr and psnr_best by clip"""
    z_from: dict[str, float]
    """PSNR by where z comes from"""
    conditions: dict[str, float]
    """PSNR by what is known of the steps"""
    psnr_best_of: list[float]
    """of the first sample, the better of two, …"""
    has_bounces: bool
    """whether the clips were shapes that leave walls at random"""
    bounces: dict[str, float]
    """of those: KL, the prior's sigma and the spread of samples, at walls and elsewhere"""

    @classmethod
    def read(cls, folder: Path) -> "Evaluation | None":
        """Of a run folder; None where it was not evaluated, or the file is damaged: no reason to show nothing."""
        try:
            values = runs.read_eval(folder)
        except BadInput:
            return None
        if values is None:
            return None
        numbers = {
            name: finite(values.get(name))
            for name, kind in cls.__annotations__.items()
            if kind in (int | None, float | None)
        }
        return cls(
            **numbers,
            split=str(values.get("split", "")),
            protocol=str(values.get("protocol", "unnamed")),
            prior_at_test=values.get("prior_at_test"),
            per_clip=_per_clip(values.get("per_clip")),
            z_from=_numbers(values.get("z_from")),
            conditions=_numbers(values.get("conditions")),
            psnr_best_of=_curve(values.get("psnr_best_of")),
            has_bounces="bounces" in values,
            bounces=_numbers(values.get("bounces")),
        )

    def text(self, name: str, form: str = "g") -> str:
        """A number as it is written; – where there is none."""
        value = getattr(self, name)
        return "–" if value is None else format(value, form)

    @property
    def scored_clips(self) -> str:
        """How many clips of which split were scored, in words."""
        return f"{self.text('clips')} {self.split} clip{'s' * (self.clips != 1)}"

    @property
    def scored_frames(self) -> str:
        """Which frames were scored, in words."""
        if self.n_past is None or self.n_future is None:
            return "all predicted frames"
        return f"frames {self.n_past:g}…{self.n_past + self.n_future - 1:g}"


def _numbers(values: Any) -> dict[str, float]:
    """Numbers by name; none where a file has none, or one that is no number."""
    found = values if isinstance(values, dict) else {}
    return {} if any(finite(value) is None for value in found.values()) else {str(k): v for k, v in found.items()}


def _curve(values: Any) -> list[float]:
    found = values if isinstance(values, list) else []
    return [] if any(finite(value) is None for value in found) else found


def _per_clip(values: Any) -> dict[str, dict[str, float]]:
    """Scores by clip; none where a file has none, or damaged ones."""
    found = values if isinstance(values, dict) else {}
    clips = found.get("clip")
    scores = {name: found.get(name) for name in ("psnr", "psnr_best")}
    if not all(isinstance(each, list) for each in (clips, *scores.values())):
        return {}
    return {
        name: {str(clip): value for clip, value in zip(clips, each) if finite(value) is not None}
        for name, each in scores.items()
    }


@dataclass(frozen=True)
class Run:
    """A run as it was on disk when its name was resolved. weights: when they were written, ns; None: not yet. averaged:
    the names of the runs whose weights' mean they are."""

    name: str
    folder: Path
    config: RunConfig
    weights: int | None
    evaluation: Evaluation | None = field(compare=False)
    averaged: str = ""

    @property
    def n_past(self) -> int:
        """Context frames it was trained with."""
        return self.config.data.n_past

    @property
    def takes_poses(self) -> bool:
        """Whether it continues dance videos, not robot clips."""
        return self.config.model.condition == "poses"

    @property
    def takes_actions(self) -> bool:
        """Whether it is told what a robot does."""
        return self.config.model.condition == "actions"

    @property
    def has_learned_prior(self) -> bool:
        """Whether its prior is a network."""
        return self.config.model.learned_prior

    @property
    def prior(self) -> str:
        """Of which kind it is, in a word."""
        return "learned" if self.has_learned_prior else "fixed"

    @property
    def is_collapsed(self) -> bool:
        """Whether it was evaluated and z carries (almost) nothing."""
        kld = self.evaluation and self.evaluation.kld_per_step
        return kld is not None and kld < COLLAPSED

    @property
    def past_limits(self) -> tuple[int, int]:
        """Fewest and most context frames."""
        return (1, 1) if self.takes_poses else (1, max(MAX_PAST, self.n_past))

    @property
    def priors(self) -> tuple[str, ...]:
        """Where z can come from at prediction, by the names of the settings."""
        return ("learned", "standard") if self.has_learned_prior else ("standard",)

    @property
    def own_prior(self) -> str:
        """Where z comes from unless one asks for something else."""
        return runs.own_prior(self.config.model)

    @property
    def own_future(self) -> int:
        """Predicted frames at first, of a clip that has them: as many as in training, of a dance fewer."""
        return DANCE_FRAMES if self.takes_poses else min(self.config.data.n_future, MAX_FRAMES)

    @property
    def own_samples(self) -> int:
        """Samples at first."""
        return 1 if self.takes_poses else min(SAMPLES, MAX_FRAMES // self.own_future)

    def require_weights(self) -> int:
        """When its weights were written; BadInput where there are none yet."""
        if self.weights is None:
            raise BadInput(f"{self.name} has no weights yet: its first epoch has not ended")
        return self.weights

    def lacks(self, clip: Clip) -> str:
        """What the run continues, where the clip is not of that kind; else nothing."""
        if self.takes_poses:
            return "" if clip.has_poses else "dance videos"
        if clip.has_poses:
            return "robot clips"
        if self.evaluation and self.evaluation.has_bounces != clip.has_bounces:
            return "bouncing shapes" if self.evaluation.has_bounces else "robot clips"
        return "" if clip.has_actions or not self.takes_actions else "clips with known actions"

    def longest_future(self, clip: Clip, n_past: int | None = None) -> int:
        """Most frames that can be predicted for a clip after n_past given ones (none: as many as in training).

        BadInput for a clip of the other family, one whose actions the run needs and nobody knows, and one too short.
        """
        if lacking := self.lacks(clip):
            raise BadInput(f"{self.name} continues {lacking}: {clip.name} is none")
        n_past = self.n_past if n_past is None else n_past
        if clip.frames <= n_past:
            frames = f"{clip.frames} frame{'s' * (clip.frames != 1)}"
            raise BadInput(f"{clip.name} has {frames}: too short for {self.name}, which is given {n_past}")
        return clip.frames - n_past

    def first_future(self, clip: Clip, n_past: int | None = None) -> int:
        """Predicted frames at first."""
        return min(self.own_future, self.longest_future(clip, n_past))
