"""Pictures of imagined futures: `python -m train.generate RUN --data DIR --out DIR [--split test] [--samples N] …`."""

import math
from pathlib import Path
from typing import Annotated

import tyro

from train.cli import require_outside, run_command
from vidpred.errors import BadInput

GAP = 4  # pixels between pictures that stand side by side
SCALE = 2  # of GIF, MP4 and strip: a pixel becomes a square of this side


def generate(
    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")],
    data: Path,
    out: Path,
    split: str = "test",
    clips: int = 8,
    samples: int = 3,
    temperature: float = 1.0,
    seed: int = 0,
    n_future: int | None = None,
    mp4: bool = False,
    cache: Path | None = None,
    cpu: bool = False,
) -> None:
    """Write what a run imagines: for each clip a GIF, a film strip and each time step's picture.

    OUT/<split>_<group>_<clip>.gif plays the truth and the samples side by side (given frames framed green, predicted
    ones red), .png shows them as rows of frames, and the folder of that name holds sample_<k>/<t>.png as predicted.

    Args:
        run: run folder
        data: folder with train/, validate/ and test/
        out: folder to write
        split: train, validate (or val) or test
        clips: how many clips, from the first on
        samples: futures per clip
        temperature: scales the sigma of every z; 0 takes the means
        seed: of the noise; sample k of a seed is the same picture here, in train.evaluate and in the app
        n_future: predicted frames (none: as trained)
        mp4: also write an MP4 beside each GIF
        cache: folder for the packed clips (none: .packed beside the splits)
        cpu: stay on the CPU even where there is a GPU
    """
    for name, value in (("--clips", clips), ("--samples", samples), ("--n-future", n_future)):
        if value is not None and value < 1:
            raise BadInput(f"{name} must be at least 1, got {value}")
    if not (math.isfinite(temperature) and temperature >= 0):
        raise BadInput(f"--temperature must not be negative, got {temperature}")
    require_outside(data, out)
    import numpy as np
    import torch
    from tqdm import tqdm

    from vidpred import checkpoint, render, runs
    from vidpred.data.batches import open_split, window_batch
    from vidpred.frames import to_uint8
    from vidpred.rollout import predict

    config = runs.read_config(run)
    model = checkpoint.load_model(run, "cuda" if torch.cuda.is_available() and not cpu else "cpu")
    packed = open_split(data, split, cache, progress=True)
    n_past = config.data.n_past
    n_future = config.data.n_future if n_future is None else n_future
    for i in tqdm(range(min(clips, len(packed))), unit="clip"):
        batch = window_batch(packed, [i], n_past + n_future)
        clip = batch.to_clip(n_past, next(model.parameters()).device)
        futures = predict(
            model, clip, batch.ids, n_future=n_future, seed=seed, samples=samples, temperature=temperature
        )
        truth = batch.frames[0].numpy()
        imagined = [np.concatenate([truth[:n_past], future]) for future in to_uint8(futures[:, 0])]
        target = out / batch.ids[0].replace("/", "_")
        for k, frames in enumerate(imagined):
            (target / f"sample_{k}").mkdir(parents=True, exist_ok=True)
            for t in range(n_past, len(frames)):
                render.save_png(target / f"sample_{k}" / f"{t}.png", frames[t])
        framed = [render.frame_border(truth, len(truth)), *(render.frame_border(f, n_past) for f in imagined)]
        played = render.upscale(render.side_by_side(framed, gap=GAP), SCALE)
        render.save_gif(target.with_suffix(".gif"), played)
        if mp4:
            render.save_mp4(target.with_suffix(".mp4"), played)
        rows = np.stack([render.strip(frames, gap=GAP) for frames in framed])  # each a clip of one picture
        strips = render.grid(list(rows[:, None]), columns=1, gap=GAP)[0]
        render.save_png(target.with_suffix(".png"), render.upscale(strips, SCALE))
    print(f"wrote {min(clips, len(packed))} clips to {out}")


if __name__ == "__main__":
    run_command(generate, "python -m train.generate")
