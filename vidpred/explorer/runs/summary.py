"""A run in words."""

from vidpred.explorer.runs.curves import metrics_rows
from vidpred.explorer.runs.run import Evaluation, Run

COLLAPSE_NOTE = (
    "z carries (almost) nothing here: the posterior has collapsed; temperature and seed change nothing you can see."
)


def describe_run(run: Run) -> str:
    """What a run is and how good it is, as short Markdown."""
    rows = metrics_rows(run)
    lines = [" · ".join([_model(run), *_training(run, rows)])]
    lines.append(_evaluated(run.evaluation) if run.evaluation else "Not evaluated yet")
    if run.evaluation and run.evaluation.kld_per_step is not None and run.is_collapsed:
        lines.append(f"> {COLLAPSE_NOTE} (KL {run.evaluation.kld_per_step:.3f} nats per step)")
    return "\n\n".join(lines)


def _model(run: Run) -> str:
    if run.takes_poses:
        return "**Pose-conditioned CVAE** · one frame and every pose given"
    prior = "Learned prior" if run.has_learned_prior else "Fixed prior N(0, I)"
    at = "before the decoder" if run.config.model.condition_at == "decoder" else "everywhere"
    known = f"actions and gripper position known ({at})" if run.takes_actions else "action-free"
    return f"**{prior}** · {known}"


def _training(run: Run, rows: list[dict]) -> list[str]:
    if not rows and run.weights is not None:  # another program's weights
        return ["how it was trained is not known here"]
    train = run.config.train
    beta = f"{train.beta_max * train.kl_anneal_value:g}, constant"
    if train.kl_anneal == "calibrated":
        beta = "calibrated (2 MSE / D)"
    elif train.kl_anneal != "none":
        beta = f"{train.kl_anneal}, up to {train.beta_max * train.kl_anneal_stop:g}"
    done = f"{rows[-1].get('step', 0):,} iterations in {len(rows):,} epoch{'s' * (len(rows) > 1)}" if rows else ""
    return [f"beta {beta}", done or "in its first epoch"]


def _evaluated(result: Evaluation) -> str:
    """The numbers of eval.json with what they mean."""
    several = result.samples != 1
    samples = f"mean of {result.text('samples')} samples" if several else "one sample"
    best = f" (best of {result.text('samples')}: {result.text('psnr_best', '.2f')} dB)" if several else ""
    return (
        f"Evaluated: PSNR **{result.text('psnr', '.2f')} dB**{best}, SSIM **{result.text('ssim', '.3f')}**; "
        f"copying the last frame {result.text('copy_last_psnr', '.2f')} dB. *{result.protocol}: "
        f"{result.text('clips')} {result.split} clips, {result.scored_frames}, {samples}, "
        f"temperature {result.text('temperature')}*"
    )
