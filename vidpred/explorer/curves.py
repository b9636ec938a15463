"""A run in words and in curves."""

import math
from typing import Any, NamedTuple

from vidpred import runs
from vidpred.config import RunConfig
from vidpred.explorer.library import Library

MOST_POINTS = 300  # of a curve: what a small plot can show, and a browser draws at once
COLLAPSED = 0.05  # nats per step
COLLAPSE_NOTE = (
    "z carries (almost) nothing here: the posterior has collapsed; temperature and seed change nothing you can see."
)

Row = dict[str, Any]


class Curves(NamedTuple):
    """Rows of plain values. kl, beta, psnr: epoch and value; teacher_forcing: epoch, share and series."""

    kl: list[Row]
    beta: list[Row]
    teacher_forcing: list[Row]
    psnr: list[Row]


def run_curves(library: Library, run: Any) -> Curves:
    """Curves of a run over its epochs, as far as it has got."""
    rows = runs.read_metrics(library.run_folder(run))
    return Curves(
        _curve(rows, "kld", "nats"),
        _curve(rows, "beta", "beta"),
        [
            {"epoch": row["epoch"], "share": row["share"], "series": series}
            for key, series in (("tfr", "ratio (tfr)"), ("teacher_forced", "share of batches"))
            for row in _curve(rows, key, "share")
        ],
        _curve(rows, "val_psnr", "dB"),
    )


def describe_run(library: Library, run: Any) -> str:
    """What a run is and how good it is, as short Markdown."""
    folder = library.run_folder(run)
    lines = [f"{_settings(runs.read_config(folder))} · {_progress(runs.read_metrics(folder))}"]
    result = runs.read_eval(folder)
    lines.append(_evaluated(result) if isinstance(result, dict) else "Not evaluated yet")
    if isinstance(result, dict) and (kld := _finite(result.get("kld_per_step"))) is not None and kld < COLLAPSED:
        lines.append(f"> {COLLAPSE_NOTE} (KL {kld:.3f} nats per step)")
    return "\n\n".join(lines)


def _settings(config: RunConfig) -> str:
    model, train = config.model, config.train
    prior = "Learned prior" if model.learned_prior else "Fixed prior N(0, I)"
    at = "before the decoder" if model.condition_at == "decoder" else "everywhere"
    condition = f"actions and gripper position known ({at})" if model.condition == "actions" else "action-free"
    beta = f"{train.beta_max * train.kl_anneal_value:g}, constant"
    if train.kl_anneal != "none":
        beta = f"{train.kl_anneal}, up to {train.beta_max * train.kl_anneal_stop:g}"
    return f"**{prior}** · {condition} · beta {beta}"


def _progress(rows: list[Row]) -> str:
    if not rows:
        return "in its first epoch"
    return f"{rows[-1].get('step', 0):,} iterations in {len(rows):,} epoch{'s' * (len(rows) > 1)}"


def _evaluated(result: Row) -> str:
    """The numbers of eval.json with what they mean."""

    def text(key: str, form: str) -> str:
        value = _finite(result.get(key))
        return "–" if value is None else format(value, form)

    n_past, n_future = result.get("n_past"), result.get("n_future")
    known = isinstance(n_past, int) and isinstance(n_future, int)
    frames = f"frames {n_past}…{n_past + n_future - 1}" if known else "all predicted frames"
    count = result.get("samples")
    clips = f"{text('clips', 'g')} {result.get('split', '')} clips"
    samples = "one sample" if count == 1 else f"mean of {text('samples', 'g')} samples"
    best = "" if count == 1 else f" (best of {text('samples', 'g')}: {text('psnr_best', '.2f')} dB)"
    return (
        f"Evaluated: PSNR **{text('psnr', '.2f')} dB**{best}, SSIM **{text('ssim', '.3f')}**; "
        f"copying the last frame {text('copy_last_psnr', '.2f')} dB. *{result.get('protocol', 'unnamed protocol')}: "
        f"{clips}, {frames}, {samples}, temperature {text('temperature', 'g')}*"
    )


def _curve(rows: list[Row], key: str, name: str) -> list[Row]:
    """(epoch, value) where the value is a finite number, thinned out evenly; the last point stays."""
    points = [{"epoch": row["epoch"], name: row[key]} for row in rows if _finite(row.get(key)) is not None]
    every = math.ceil(len(points) / MOST_POINTS) or 1
    return points[::-1][::every][::-1]


def _finite(value: Any) -> float | int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return value
