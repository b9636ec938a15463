"""A run in words."""

import contextlib
from typing import Any

from vidpred import runs
from vidpred.config import PoseCVAEConfig, RunConfig
from vidpred.errors import BadInput
from vidpred.explorer import fields
from vidpred.explorer.library import Library

COLLAPSED = 0.05  # nats per step
COLLAPSE_NOTE = (
    "z carries (almost) nothing here: the posterior has collapsed; temperature and seed change nothing you can see."
)

Row = dict[str, Any]


def describe_run(library: Library, run: Any) -> str:
    """What a run is and how good it is, as short Markdown."""
    folder = library.run_folder(run)
    lines = [f"{_settings(runs.read_config(folder))} · {_progress(runs.read_metrics(folder))}"]
    result = runs.read_eval(folder)
    lines.append(_evaluated(result) if isinstance(result, dict) else "Not evaluated yet")
    if isinstance(result, dict) and (kld := fields.finite(result.get("kld_per_step"))) is not None and kld < COLLAPSED:
        lines.append(f"> {COLLAPSE_NOTE} (KL {kld:.3f} nats per step)")
    return "\n\n".join(lines)


def evaluated(library: Library, run: str, key: str) -> float:
    """A number of eval.json; 0 where the run was not evaluated, or the file is damaged: no reason to show nothing."""
    result = None
    with contextlib.suppress(BadInput):
        result = runs.read_eval(library.run_folder(run))
    return fields.finite((result or {}).get(key)) or 0.0


def is_collapsed(library: Library, run: str) -> bool:
    """Whether z carries (almost) nothing, as far as anyone has looked."""
    return evaluated(library, run, "kld_per_step") < COLLAPSED


def _settings(config: RunConfig) -> str:
    model, train = config.model, config.train
    if isinstance(model, PoseCVAEConfig):
        what = "**Pose-conditioned CVAE** · one frame and every pose given"
    else:
        prior = "Learned prior" if model.learned_prior else "Fixed prior N(0, I)"
        at = "before the decoder" if model.condition_at == "decoder" else "everywhere"
        condition = f"actions and gripper position known ({at})" if model.condition == "actions" else "action-free"
        what = f"**{prior}** · {condition}"
    beta = f"{train.beta_max * train.kl_anneal_value:g}, constant"
    if train.kl_anneal == "calibrated":
        beta = "calibrated (2 MSE / D)"
    elif train.kl_anneal != "none":
        beta = f"{train.kl_anneal}, up to {train.beta_max * train.kl_anneal_stop:g}"
    return f"{what} · beta {beta}"


def _progress(rows: list[Row]) -> str:
    if not rows:
        return "in its first epoch"
    return f"{rows[-1].get('step', 0):,} iterations in {len(rows):,} epoch{'s' * (len(rows) > 1)}"


def _evaluated(result: Row) -> str:
    """The numbers of eval.json with what they mean."""

    def text(key: str, form: str) -> str:
        value = fields.finite(result.get(key))
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
