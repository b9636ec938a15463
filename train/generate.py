"""Pictures of imagined futures: `python -m train.generate RUN --data DIR --out DIR [--split test] [--samples N] …`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from train.cli import Cache, Cpu, RunFolder, Split, require_at_least, require_outside, require_temperature, run_command
from vidpred.errors import BadInput

if TYPE_CHECKING:
    import numpy as np

GAP = 4  # pixels between pictures that stand side by side
SCALE = 2  # of GIF, MP4 and strip: a pixel becomes a square of this side
MOST_SAMPLES = 1000
ABREAST = 30  # pictures side by side at most: a wider frame fits neither a GIF nor a player
STRIP_FRAMES = 30  # at most, of a long video taken at equal distances
SUBMISSION = "submission.csv"
OFFICIAL_SEQUENCES, OFFICIAL_FRAMES = 5, 630


def generate(
    run: RunFolder,
    data: Path,
    out: Path,
    split: Split = "test",
    clips: int = 8,
    samples: int = 3,
    temperature: float = 1.0,
    seed: int = 0,
    n_future: int | None = None,
    mp4: bool = False,
    official: bool = False,
    cache: Cache = None,
    cpu: Cpu = False,
) -> None:
    """Write what a run imagines: for each clip a GIF, a film strip and each time step's picture.

    OUT/<split>_<group>_<clip>.gif (a dance: <split>_<sequence>.gif) plays pose, truth and samples side by side, 30 in
    a row (given frames framed green, predicted ones red), .png shows them as rows of frames, and the folder of that
    name holds sample_<k>/<t>.png as predicted. Truth stands there where it is known.

    Args:
        data: folder with train/, validate/ and test/
        out: folder to write
        clips: how many clips, from the first on
        samples: futures per clip
        temperature: scales the sigma of every z; 0 takes the means
        seed: of the noise; sample k of a seed is the same picture here, in train.evaluate and in the app
        n_future: predicted frames (None: as trained; of a dance all that have a pose)
        mp4: also write an MP4 beside each GIF
        official: dance only: also write OUT/submission.csv, sample 0 of exactly 5 sequences of 630 frames, a row per
            frame: id, then 3 x 32 x 64 integers 0 … 255
    """
    require_at_least(1, clips=clips, samples=samples, n_future=n_future)
    if official and n_future is not None:
        raise BadInput(f"--n-future does not go with --official, which asks for {OFFICIAL_FRAMES - 1} frames")
    if samples > MOST_SAMPLES:
        raise BadInput(f"--samples must be at most {MOST_SAMPLES}, got {samples}")
    require_temperature(temperature)
    require_outside(data, out)
    import numpy as np
    import torch
    from tqdm import tqdm

    from vidpred import checkpoint, render, runs
    from vidpred.data.batches import open_split, require_suitable, window_batch
    from vidpred.frames import to_uint8
    from vidpred.rollout import predict, require_finite

    config = runs.read_config(run)
    model = checkpoint.load_model(run, "cuda" if torch.cuda.is_available() and not cpu else "cpu")
    packed = open_split(data, split, cache, progress=True)
    require_suitable(packed, config.model)
    chosen, n_past = list(range(min(clips, len(packed)))), config.data.n_past
    if official:
        _require_official(packed)
        chosen, n_future = list(range(OFFICIAL_SEQUENCES)), OFFICIAL_FRAMES - 1

    places: dict[str, str] = {}  # where pictures are written -> of which clip
    for name in (packed.ids[i] for i in chosen):
        if (other := places.setdefault(name.replace("/", "_"), name)) != name:
            raise BadInput(f"the pictures of {other} and {name} would have the same names: rename one of their folders")

    def imagine(i: int) -> "np.ndarray":
        """The futures of a clip (samples, T, H, W, 3), the given frames before them; pictures of them are written."""
        own = max(2, int(packed.lengths()[i])) if packed.has_poses else config.data.length
        frames = own if n_future is None else n_past + n_future
        known = min(frames, int(packed.frames_given()[i])) if packed.has_poses else frames
        batch = window_batch(packed, [i], frames, known)
        clip = batch.to_clip(n_past, next(model.parameters()).device)
        futures = predict(
            model, clip, batch.ids, n_future=frames - n_past, seed=seed, samples=samples, temperature=temperature
        )
        require_finite(futures, run.resolve().name)
        truth = batch.frames[0].numpy()
        imagined = np.stack([np.concatenate([truth[:n_past], future]) for future in to_uint8(futures[:, 0])])
        tiles = [render.frame_border(f, n_past) for f in imagined]
        if known == frames:
            tiles.insert(0, render.frame_border(truth, len(truth)))
        if packed.has_poses:
            tiles.insert(0, render.frame_border(batch.conditions[0].numpy(), frames))
        _write_pictures(out / batch.ids[0].replace("/", "_"), imagined, tiles, n_past, mp4)
        return imagined

    with tqdm(chosen, unit="clip") as bar:
        if official:
            write_submission(out / SUBMISSION, (imagine(i)[0] for i in bar))
        else:
            for i in bar:
                imagine(i)
    print(f"wrote {len(chosen)} clips to {out}")


def write_submission(path: Path, sequences: Iterator["np.ndarray"]) -> None:
    """Sequences of frames uint8 (T, H, W, 3), one after the other and never all in memory: `id`, then the frame's
    numbers in the order C, H, W."""
    from vidpred.files import remove_unfinished, replaced

    remove_unfinished(path.parent, path.name)
    with replaced(path) as temporary, open(temporary, "w", newline="") as file:
        row = 0
        for frames in sequences:
            for frame in frames:
                values = frame.transpose(2, 0, 1).reshape(-1)
                if row == 0:
                    file.write("id," + ",".join(map(str, range(len(values)))) + "\n")
                file.write(f"{row}," + ",".join(map(str, values.tolist())) + "\n")
                row += 1


def _require_official(packed) -> None:
    """BadInput unless these are the sequences that a submission is made of."""
    lengths = packed.lengths().tolist()
    if not packed.has_poses:
        raise BadInput("--official writes the submission of dance sequences; these are robot clips")
    if lengths != [OFFICIAL_FRAMES] * OFFICIAL_SEQUENCES:
        raise BadInput(
            f"--official needs {OFFICIAL_SEQUENCES} sequences of {OFFICIAL_FRAMES} poses, found {len(lengths)} "
            f"of {', '.join(map(str, sorted(set(lengths))))} ({', '.join(packed.ids[:6])})"
        )


def _write_pictures(target: Path, imagined: "np.ndarray", tiles: list, n_past: int, mp4: bool) -> None:
    """Each predicted frame, the GIF (and MP4) of the tiles, and their film strips."""
    import numpy as np

    from vidpred import render
    from vidpred.files import remove_unfinished, replaced_folder

    gif, video, strips_file = (target.with_name(target.name + kind) for kind in (".gif", ".mp4", ".png"))
    remove_unfinished(target.parent, *(path.name for path in (target, gif, video, strips_file)))
    with replaced_folder(target) as building:  # frames of an earlier call would stand among these
        for k, frames in enumerate(imagined):
            (building / f"sample_{k}").mkdir()
            for t in range(n_past, len(frames)):
                render.save_png(building / f"sample_{k}" / f"{t}.png", frames[t])
    played = render.upscale(render.grid(tiles, columns=ABREAST, gap=GAP), SCALE)
    render.save_gif(gif, played)
    if mp4:
        render.save_mp4(video, played)
    else:
        video.unlink(missing_ok=True)  # of an earlier call
    every = -(-imagined.shape[1] // STRIP_FRAMES)
    rows = np.stack([render.strip(frames[::every], gap=GAP) for frames in tiles])  # each a clip of one picture
    strips = render.grid(list(rows[:, None]), columns=1, gap=GAP)[0]
    render.save_png(strips_file, render.upscale(strips, SCALE))


if __name__ == "__main__":
    run_command(generate, "python -m train.generate")
