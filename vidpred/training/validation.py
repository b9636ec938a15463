"""The scores of the validation clips, and which weights they say to keep."""

import math
from typing import Any

from torch import nn

from vidpred import metrics
from vidpred.config import RunConfig
from vidpred.data.batches import Clips
from vidpred.evaluation import frames_ahead, look_at_latents, score_futures
from vidpred.training.state import Progress


def validate(model: nn.Module, clips: Clips, chosen: list[int], config: RunConfig) -> dict[str, float | int]:
    """One future of each chosen clip at temperature 1, and what the posterior does. Always the same noise."""
    frames = {"n_past": config.data.n_past, "n_future": frames_ahead(config.data, clips, chosen)}
    scores = score_futures(model, clips, chosen, **frames)
    latents = look_at_latents(model, clips, chosen, **frames)
    return {
        "val_loss": scores.mse.mean().item(),
        "val_psnr": scores.psnr.mean().item(),
        "val_ssim": scores.ssim.mean().item(),
        "active_units": metrics.active_units(latents.mu),
    }


def is_better(best_by: str, progress: Progress, row: dict[str, Any]) -> bool:
    """Whether these weights are to be kept; notes the best numbers so far."""
    psnr, loss = row["val_psnr"], row["val_loss"]
    # One frame that is predicted to the bit makes the mean infinite: that says nothing of the others.
    higher = progress.best_psnr is None or progress.best_psnr < psnr < math.inf
    lower = progress.best_loss is None or loss < progress.best_loss
    if higher:
        progress.best_psnr = psnr if math.isfinite(psnr) else None
    if lower:
        progress.best_loss = loss if math.isfinite(loss) else None
    return {"psnr": higher, "loss": lower, "both": higher and lower, "last": True}[best_by]
