"""What `train.benchmark quality` and `pace` compare."""

from dataclasses import replace

from train.benchmark.published import PUBLISHED
from vidpred.config import RunConfig, TrainConfig
from vidpred.errors import BadInput
from vidpred.presets import PRESETS, preset


def changed(start: RunConfig, model: dict | None = None, **train: object) -> RunConfig:
    """The same settings but for these of the model and of the training."""
    return replace(start, model=replace(start.model, **model or {}), train=replace(start.train, **train))


_FIRST = changed(preset("small-published"), {"learned_prior": True})
_STEM = changed(_FIRST, {"stem": "unshuffle"})
_MASK = changed(_STEM, {"composite": "mask"})
_POOLED = changed(preset("small"), {"learned_prior": True})
_FREE_MAP = changed(preset("small-free"), {"learned_prior": True})
_MAP = changed(_FREE_MAP, {"condition": "actions"}, beta_max=TrainConfig.beta_max)
CANDIDATES: dict[str, RunConfig] = {
    "first": _FIRST,  # the published layers at a quarter of their width
    "unshuffle": _STEM,
    "mask": _MASK,
    "batch-4": _POOLED,
    "map": _MAP,
    "free-first": changed(_FIRST, {"condition": "none"}, beta_max=1e-5),
    "free-batch-4": changed(_POOLED, {"condition": "none"}, beta_max=1e-5),
    "free-map": _FREE_MAP,
    "free-map-6": changed(_FREE_MAP, beta_max=1e-6),
    "free-map-calibrated": changed(_FREE_MAP, kl_anneal="calibrated"),
}


def settings(name: str, *further: str) -> RunConfig:
    """One of CANDIDATES, or an SVG preset; where it is neither, `further` names are said to be known, too."""
    known = CANDIDATES | {own: config for own, config in PRESETS.items() if config.model.kind == "svg"}
    if name not in known:
        raise BadInput(f"unknown candidate {name!r}: {', '.join([*known, *further])}")
    return known[name]


def candidate(name: str, iterations: int) -> RunConfig:
    """The same in the frame that all share but for the length; or one of PUBLISHED."""
    if name in PUBLISHED:
        return PUBLISHED[name]
    config = settings(name, *PUBLISHED)
    shared = {"lr_decay": "cosine", "tfr": 1.0, "tfr_decay": "linear", "best_by": "last", "gif_every": 0}
    return changed(config, iterations_per_epoch=iterations, validation_clips=8, precision="no", **shared)
