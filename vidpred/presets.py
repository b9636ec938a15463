"""Named settings: a preset is a whole RunConfig, and every field of it can be overridden."""

from dataclasses import replace

from vidpred.config import DataConfig, RunConfig, SVGConfig, TrainConfig
from vidpred.errors import BadInput

_PUBLISHED_LOOP = SVGConfig(skip_frame="published", feedback_from="published", prior_at_test="standard")
_SMALL = SVGConfig(width=16, g_dim=64, z_dim=16, rnn_size=128, condition_at="everywhere")
_DEBUG = SVGConfig(width=4, g_dim=16, z_dim=4, rnn_size=32, condition_at="everywhere")
_SHORT_EPOCHS = TrainConfig(iterations_per_epoch=25, lr_decay="cosine", precision="auto")

PRESETS: dict[str, RunConfig] = {
    # the published network, with every default as it should be
    "svg": RunConfig(SVGConfig(), DataConfig(), TrainConfig()),
    # 2 M parameters; about half an hour on two CPU cores
    "small": RunConfig(
        _SMALL,
        DataConfig(),
        replace(_SHORT_EPOCHS, epochs=48, tfr_decay_start=16, tfr_decay_step=0.03125, validation_clips=24, gif_every=8),
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


def preset(name: str) -> RunConfig:
    """The preset of a name."""
    if name not in PRESETS:
        raise BadInput(f"unknown preset {name!r}: {', '.join(PRESETS)}")
    return PRESETS[name]
