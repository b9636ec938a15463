"""Sample GIFs of a training."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from vidpred import render
from vidpred.config import RunConfig
from vidpred.data.batches import Clips, window_batch
from vidpred.evaluation import frames_ahead
from vidpred.frames import to_uint8
from vidpred.rollout import predict

CLIPS = 4
FRAMES = 120  # of a clip, at most


def save_gif(path: Path, model: nn.Module, clips: Clips, config: RunConfig) -> None:
    """Truth and prediction of the first validation clips, side by side: context framed green, predictions red.

    A pose picture stands at the left of what it belongs to.
    """
    n_past, chosen = config.data.n_past, list(range(min(CLIPS, config.train.validation_clips, len(clips))))
    n_future = min(frames_ahead(config.data, clips, chosen), FRAMES)
    batch = window_batch(clips, chosen, n_past + n_future)
    weight = next(model.parameters())
    clip = batch.to_clip(n_past, weight.device, weight.dtype)
    futures = predict(model, clip, batch.ids, n_future=n_future)[0]
    if not torch.isfinite(futures).all():
        return  # nothing to see, and the validation scores say so
    rows = []
    for truth, known, future in zip(batch.frames.numpy(), batch.conditions.numpy(), to_uint8(futures)):
        predicted = np.concatenate([truth[:n_past], future])
        tiles = [render.frame_border(truth, len(truth)), render.frame_border(predicted, n_past)]
        if clips.has_poses:
            tiles.insert(0, render.frame_border(known, len(known)))
        rows.append(render.side_by_side(tiles))
    path.parent.mkdir(parents=True, exist_ok=True)
    render.save_gif(path, render.upscale(render.grid(rows, columns=2, gap=6), 2))
