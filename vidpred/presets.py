"""Named settings: a preset is a whole RunConfig, and every field of it can be overridden."""

from dataclasses import replace

from vidpred.config import DanceDataConfig, DataConfig, PoseCVAEConfig, RunConfig, SVGConfig, TrainConfig
from vidpred.errors import BadInput

_PUBLISHED_LOOP = SVGConfig(skip_frame="published", feedback_from="published", prior_at_test="standard")
_QUARTER = SVGConfig(width=16, g_dim=64, z_dim=16, rnn_size=128, condition_at="everywhere")
_SMALL = replace(_QUARTER, stem="unshuffle", composite="mask", norm_stats="pooled")
_MAP = replace(_SMALL, norm_stats="group", code="map", g_dim=32, z_dim=4, rnn_size=48)
_DEBUG = SVGConfig(width=4, g_dim=16, z_dim=4, rnn_size=32, condition_at="everywhere")
_SHORT_EPOCHS = TrainConfig(iterations_per_epoch=25, lr_decay="cosine", precision="auto")
_SMALL_TRAIN = replace(
    _SHORT_EPOCHS,
    **{"epochs": 48, "iterations_per_epoch": 50, "batch_size": 4, "lr": 0.001},
    **{"tfr_decay_start": 16, "tfr_decay_step": 0.03125, "validation_clips": 24, "gif_every": 8},
)
_SHORT = {"epochs": 20, "best_by": "last", "validation_clips": 12}  # no run has a lucky epoch
_TINY_TRAIN = replace(
    _SMALL_TRAIN, iterations_per_epoch=25, tfr_decay="linear", tfr_decay_start=7, precision="no", **_SHORT
)

PRESETS: dict[str, RunConfig] = {
    # the published network, with every default as it should be
    "svg": RunConfig(SVGConfig(), DataConfig(), TrainConfig()),
    # 2 M parameters; about half an hour on two CPU cores
    "small": RunConfig(_SMALL, DataConfig(), _SMALL_TRAIN),
    # the same where nothing but frames is known: a map as code says more of them
    "small-free": RunConfig(replace(_MAP, condition="none"), DataConfig(), replace(_SMALL_TRAIN, beta_max=1e-5)),
    # half as wide and a quarter as long: minutes, for comparisons of many runs
    "tiny": RunConfig(replace(_SMALL, width=8), DataConfig(), _TINY_TRAIN),
    "tiny-free": RunConfig(replace(_MAP, width=8, condition="none"), DataConfig(), replace(_TINY_TRAIN, beta_max=3e-5)),
    # the published layers at a quarter of their width
    "small-published": RunConfig(
        _QUARTER, DataConfig(), replace(_SMALL_TRAIN, iterations_per_epoch=25, batch_size=12, lr=0.002)
    ),
    # seconds: to see that everything works
    "debug": RunConfig(
        _DEBUG,
        DataConfig(),
        replace(
            _SHORT_EPOCHS,
            epochs=4,
            batch_size=4,
            kl_anneal_cycles=2,
            tfr_decay_start=1,
            tfr_decay_step=0.33,
            validation_clips=4,
            gif_every=2,
            precision="no",
        ),
    ),
}

# The report's robot settings: its loop with its quirks, beta annealed to 1, windows always from frame 0.
for _prior in ("fixed", "learned"):
    for _anneal in ("cyclical", "monotonic"):
        _report = RunConfig(
            replace(_PUBLISHED_LOOP, learned_prior=_prior == "learned"),
            DataConfig(windows="published"),
            TrainConfig(kl_anneal=_anneal, beta_max=1.0),
        )
        PRESETS[f"report-robot-{_prior}-{_anneal}"] = _report
        PRESETS[f"report-robot-{_prior}-{_anneal}-early"] = replace(
            _report, train=replace(_report.train, tfr_decay_start=0)
        )

_DANCE = TrainConfig(batch_size=4, iterations_per_epoch=0, lr=0.001, grad_clip=1.0, beta_max=1e-5, tfr=0.0)
_SHORT_DANCE = replace(_DANCE, iterations_per_epoch=50, lr_decay="cosine", precision="auto")
PRESETS |= {
    # the published network, free running
    "pose": RunConfig(PoseCVAEConfig(), DanceDataConfig(), replace(_DANCE, epochs=100, lr_decay="cosine")),
    # 0.13 M parameters; about half an hour on two CPU cores
    "pose-small": RunConfig(
        PoseCVAEConfig(frame_dim=32, pose_dim=16, z_channels=8, fusion_dim=48),
        DanceDataConfig(clip_length=8),
        replace(_SHORT_DANCE, epochs=30, lr=0.002, gif_every=10),
    ),
    # minutes, for comparisons of many runs
    "pose-tiny": RunConfig(
        PoseCVAEConfig(frame_dim=16, pose_dim=8, z_channels=4, fusion_dim=24),
        DanceDataConfig(clip_length=8, val_length=120),
        replace(_SHORT_DANCE, iterations_per_epoch=20, batch_size=2, lr=0.002, precision="no", **_SHORT),
    ),
    # seconds: to see that everything works
    "pose-debug": RunConfig(
        PoseCVAEConfig(frame_dim=8, pose_dim=4, z_channels=4, fusion_dim=8),
        DanceDataConfig(clip_length=5, val_length=12),
        replace(_SHORT_DANCE, epochs=4, iterations_per_epoch=10, kl_anneal_cycles=2, gif_every=2, precision="no"),
    ),
}

# The dance reports' settings: beta annealed to 1 epoch by epoch, one coin an epoch, windows one after the other.
_REPORT_MODEL = PoseCVAEConfig(leaky_relu="published")
_REPORT = replace(
    _DANCE, epochs=100, batch_size=2, beta_max=1.0, kl_anneal_per="epoch", tfr=1.0, tfr_decay_start=0, tfr_coin="epoch"
)
_LINEAR = replace(_REPORT, tfr_decay="linear")
_DANCE_REPORTS = {
    "linear": (_REPORT_MODEL, 16, _LINEAR),
    "linear-monotonic": (_REPORT_MODEL, 16, replace(_LINEAR, kl_anneal="monotonic", kl_anneal_ratio=0.25)),
    "linear-none": (_REPORT_MODEL, 16, replace(_LINEAR, kl_anneal="none")),
    "interpolation": (
        replace(_REPORT_MODEL, detach_feedback=True),
        16,
        replace(
            _REPORT,
            epochs=27,
            fast_train_epoch=32,
            kl_anneal_start=0.015,
            kl_anneal_cycles=5,
            kl_anneal_ratio=0.6,
            tfr=0.0,
            tfr_mix=True,
            interpolate_every=5,
        ),
    ),
    "plateau": (
        _REPORT_MODEL,
        32,
        replace(
            _REPORT,
            batch_size=1,
            kl_anneal_cycles=10,
            kl_anneal_ratio=1.0,
            tfr=0.0,
            tfr_decay_start=10,
            tfr_decay_step=0.1,
            plateau_patience=5,
            best_by="both",
        ),
    ),
    "floor": (
        _REPORT_MODEL,
        16,
        replace(
            _REPORT,
            kl_anneal_cycle_epochs=10,
            tfr_decay="every",
            tfr_decay_start=10,
            tfr_decay_step=0.1,
            tfr_floor=0.3,
        ),
    ),
}
for _name, (_model, _length, _train) in _DANCE_REPORTS.items():
    PRESETS[f"report-dance-{_name}"] = RunConfig(_model, DanceDataConfig(_length, windows="published"), _train)


def preset(name: str) -> RunConfig:
    """The preset of a name."""
    if name not in PRESETS:
        raise BadInput(f"unknown preset {name!r}: {', '.join(PRESETS)}")
    return PRESETS[name]
