"""The reports' claims about what a choice does, and the runs of train/grids/findings-*.toml that test each of them."""

from typing import Literal, NamedTuple

from train.findings import statistics
from train.findings.statistics import Statistic

PRIORS = ("fixed", "learned")
SEEDS = (0, 1, 2)
Pairs = list[tuple[str, str | None]]  # runs without their seeds: the claim speaks for the first against the second

ROBOT, DANCE = "robot report", "dance reports"
ANNEALING, PRIOR, FORCING, OTHERS = "KL annealing", "The prior", "Teacher forcing", "Other strategies"


class Claim(NamedTuple):
    """says: the claim, in the reports' setting, which is the first of the settings; the others show how far it carries.

    test more: holds where the whole interval lies above `least`, does not hold where all of it lies below
    `least` + `margin`. test little: holds where it lies within +- `margin`, does not hold where it lies outside.
    """

    id: str
    topic: str
    says: str
    source: str
    statistic: Statistic
    settings: dict[str, Pairs]
    test: Literal["more", "little"] = "more"
    least: float = 0.0
    margin: float = 0.0


def both_priors(one: str, other: str) -> Pairs:
    return [(one.format(prior), other.format(prior)) for prior in PRIORS]


SETTINGS = {
    "actions known, beta to 1": "robot-{}-%s-beta1",
    "actions known, beta to 1e-4": "robot-{}-%s",
    "frames alone, beta to 3e-5": "free-{}-%s",
}


def annealing(one: str, other: str) -> dict[str, Pairs]:
    return {setting: both_priors(runs % one, runs % other) for setting, runs in SETTINGS.items()}


def dance_annealing(one: str, other: str) -> dict[str, Pairs]:
    runs = {"dance, beta to 1": "dance-{}", "dance, beta to 1e-5": "dance-1e-5-{}"}
    return {setting: [(name.format(one), name.format(other))] for setting, name in runs.items()}


FREE_OR_FORCED = {
    "cyclical": [("dance-cyclical", "dance-cyclical-forced")],
    "monotonic": [("dance-monotonic", "dance-monotonic-forced")],
    "clips twice as long": [("dance-cyclical-long", "dance-cyclical-forced-long")],
}
FORCED = {"dance": [(f"dance-{a}-forced", None) for a in ("cyclical", "monotonic", "none")]}

CLAIMS = [
    Claim(
        "cyclical-monotonic",
        ANNEALING,
        "Cyclical annealing beats monotonic annealing.",
        ROBOT,
        statistics.PSNR,
        {**annealing("cyclical", "monotonic"), **dance_annealing("cyclical", "monotonic")},
        margin=0.1,
    ),
    Claim(
        "annealing-none",
        ANNEALING,
        "Annealing beats a beta that is constant.",
        DANCE,
        statistics.PSNR,
        {"dance, beta to 1": [("dance-cyclical", "dance-none")], **annealing("cyclical", "none")},
        margin=0.1,
    ),
    Claim(
        "kl-jump",
        ANNEALING,
        "When beta returns to 0, the KL jumps: it at least doubles.",
        ROBOT,
        statistics.KL_JUMP,
        {
            "actions known, beta to 1": [(f"robot-{prior}-cyclical-beta1", None) for prior in PRIORS],
            "actions known, beta to 1e-4": [(f"robot-{prior}-cyclical", None) for prior in PRIORS],
            "frames alone, beta to 3e-5": [(f"free-{prior}-cyclical", None) for prior in PRIORS],
            "dance, beta to 1": [("dance-cyclical", None), ("dance-cyclical-forced", None)],
        },
        least=1.0,
    ),
    Claim(
        "first-loss",
        ANNEALING,
        "Without annealing, beta 1 from the start, training begins with a far larger loss: at least twice.",
        DANCE,
        statistics.FIRST_LOSS,
        {
            "dance": [("dance-none", "dance-cyclical"), ("dance-none-forced", "dance-cyclical-forced")],
            "robot, actions known": both_priors("robot-{}-none-beta1", "robot-{}-cyclical-beta1"),
        },
        least=1.0,
    ),
    Claim(
        "overfits",
        ANNEALING,
        "With beta 0 training PSNR leaves validation PSNR behind, further than with annealing.",
        DANCE,
        statistics.GAP,
        {"dance": [("dance-zero", "dance-cyclical"), ("dance-zero-forced", "dance-cyclical-forced")]},
        margin=0.1,
    ),
    Claim(
        "monotonic-faster",
        ANNEALING,
        "Monotonic annealing converges faster than cyclical.",
        DANCE,
        statistics.EARLY_PSNR,
        {**dance_annealing("monotonic", "cyclical"), **annealing("monotonic", "cyclical")},
        margin=0.1,
    ),
    Claim(
        "monotonic-erratic",
        ANNEALING,
        "Monotonic annealing validates more erratically than cyclical.",
        DANCE,
        statistics.UNREST,
        {**dance_annealing("monotonic", "cyclical"), **annealing("monotonic", "cyclical")},
        margin=0.05,
    ),
    Claim(
        "calibrated",
        ANNEALING,
        "A calibrated beta (2 MSE / D) makes the best of 20 futures better than an annealed one does.",
        "sigma-VAE",
        statistics.PSNR_BEST,
        {"frames alone": both_priors("free-{}-calibrated", "free-{}-cyclical")},
        margin=0.1,
    ),
    Claim(
        "learned-fixed",
        PRIOR,
        "A learned prior beats a fixed one.",
        ROBOT,
        statistics.PSNR,
        {
            setting: [(runs.format("learned") % a, runs.format("fixed") % a) for a in ("cyclical", "monotonic", "none")]
            for setting, runs in SETTINGS.items()
        },
        margin=0.1,
    ),
    Claim(
        "learned-fixed-best",
        PRIOR,
        "Of 20 futures, the best one of a learned prior is nearer to what happens.",
        "SVG paper",
        statistics.PSNR_BEST,
        {
            "frames alone, beta to 3e-5": [
                (f"free-learned-{a}", f"free-fixed-{a}") for a in ("cyclical", "monotonic", "none")
            ],
            "frames alone, beta calibrated": [("free-learned-calibrated", "free-fixed-calibrated")],
        },
        margin=0.1,
    ),
    Claim(
        "late-early",
        FORCING,
        "Teacher forcing that ends late beats one that ends early.",
        ROBOT,
        statistics.PSNR,
        {
            "actions known, beta to 1": both_priors("robot-{}-cyclical-beta1", "robot-{}-cyclical-beta1-early"),
            "forced for a third, or never": [("robot-learned-cyclical", "robot-learned-cyclical-never")],
            "forced throughout, or for a third": [("robot-learned-cyclical-always", "robot-learned-cyclical")],
        },
        margin=0.1,
    ),
    Claim(
        "free-forced",
        FORCING,
        "Dancers that train free running are better than teacher-forced ones.",
        DANCE,
        statistics.PSNR,
        {
            **FREE_OR_FORCED,
            "half of the true frame mixed in": [("dance-1e-5-cyclical", "dance-1e-5-mix-half")],
            "the true frame in its place": [("dance-1e-5-cyclical", "dance-1e-5-mix-one")],
        },
        margin=0.1,
    ),
    Claim(
        "free-rough",
        FORCING,
        "The PSNR of free-running dancers is rougher from frame to frame.",
        DANCE,
        statistics.ROUGHNESS,
        FREE_OR_FORCED,
        margin=0.01,
    ),
    Claim(
        "forced-training",
        FORCING,
        "Epochs with forcing on have a higher training loss.",
        DANCE,
        statistics.FORCED_TRAINING,
        FORCED,
        margin=0.05,
    ),
    Claim(
        "unforced-validation",
        FORCING,
        "Epochs with forcing on have a lower validation loss.",
        DANCE,
        statistics.UNFORCED_VALIDATION,
        FORCED,
        margin=0.05,
    ),
    Claim(
        "interpolation",
        OTHERS,
        "Interpolating the weights with the first ones changes little: less than half a decibel.",
        DANCE,
        statistics.PSNR,
        {"dance": [("dance-1e-5-interpolated", "dance-1e-5-cyclical")]},
        test="little",
        margin=0.5,
    ),
    Claim(
        "fine-tuning",
        OTHERS,
        "A learning rate that falls at the end brings more.",
        DANCE,
        statistics.PSNR,
        {"dance": [("dance-1e-5-fine-tuned", "dance-1e-5-constant")]},
        margin=0.1,
    ),
    Claim(
        "short-clips",
        OTHERS,
        "Training on shorter clips beats training on longer ones.",
        DANCE,
        statistics.PSNR,
        {
            "free running": [("dance-cyclical", "dance-cyclical-long")],
            "teacher forced": [("dance-cyclical-forced", "dance-cyclical-forced-long")],
        },
        margin=0.1,
    ),
    Claim(
        "fast-start",
        OTHERS,
        "Half of the epochs on 40 % of the data changes little: less than half a decibel.",
        DANCE,
        statistics.PSNR,
        {"dance": [("dance-1e-5-fast-start", "dance-1e-5-cyclical")]},
        test="little",
        margin=0.5,
    ),
    Claim(
        "same-drops",
        OTHERS,
        "PSNR drops at the same frames, whatever was trained: curves of two runs correlate by more than 0.5.",
        DANCE,
        statistics.SAME_DROPS,
        {
            "dance": [
                ("dance-cyclical", "dance-monotonic"),
                ("dance-none", "dance-zero"),
                ("dance-1e-5-cyclical", "dance-cyclical-forced"),
            ]
        },
        least=0.5,
    ),
]


class Published(NamedTuple):
    """A line of a report's table of results: what it says, the published PSNR in dB, and our runs of that setting."""

    says: str
    psnr: float
    run: str


TABLES = {
    "robot": [
        Published("fixed prior, cyclical, forcing ends late", 25.08, "robot-fixed-cyclical-beta1"),
        Published("fixed prior, monotonic, late", 24.94, "robot-fixed-monotonic-beta1"),
        Published("fixed prior, cyclical, early", 24.86, "robot-fixed-cyclical-beta1-early"),
        Published("learned prior, cyclical, late", 25.12, "robot-learned-cyclical-beta1"),
        Published("learned prior, monotonic, late", 25.08, "robot-learned-monotonic-beta1"),
    ],
    "dance": [
        Published("cyclical, free running, 32 frames, fine-tuned", 36.12, "dance-1e-5-fine-tuned"),
        Published("monotonic, free running, 32 frames", 31.99, "dance-monotonic"),
        Published("cyclical, free running, 64 frames", 31.88, "dance-cyclical-long"),
        Published("cyclical, teacher forced, 64 frames", 28.49, "dance-cyclical-forced-long"),
        Published("cyclical, teacher forced, 32 frames", 27.38, "dance-cyclical-forced"),
    ],
}
