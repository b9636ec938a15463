"""What goes in and out: simulate robot clips, import BAIR's TFRecords, bundle a run for others."""

import concurrent.futures
import functools
import importlib.metadata
import json
import multiprocessing
import os
import shutil
import signal
from pathlib import Path
from typing import Annotated

import tyro
from tqdm import tqdm

from train.cli import require_outside, run_commands
from vidpred.data.robot_push import SPLITS, write_clip
from vidpred.errors import BadInput
from vidpred.files import write_json
from vidpred.simulate.robot_push import SIMULATOR_VERSION, RobotPush, require_simulator, simulate_clip

GROUP_SIZE = 256
N_FRAMES = 30
MANIFEST = "simulation.json"  # at the data set's root: what all of its clips have in common, and how many there are


def simulate_robot(
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")],
    train: int,
    validate: int,
    test: int,
    seed: int,
    size: int = 64,
    workers: Annotated[int, tyro.conf.arg(help_behavior_hint="(default: one per processor)")] = 0,
) -> None:
    """Clips of a robot arm pushing objects, from a physics engine. Run again to go on after an interruption.

    Args:
        out: Folder to write: OUT/{train,validate,test}/traj_<a>_to_<b>/<clip>.
        train: Number of training clips (30 frames each). A larger number extends a folder made with the same seed.
        validate: Number of validation clips.
        test: Number of test clips.
        seed: Clip i of a split depends on the seed, the split and i only.
        size: Width and height of the frames, pixels.
        workers: Processes, 0 for one per processor.
    """
    counts = dict(zip(SPLITS, (train, validate, test), strict=True))
    if min(counts.values()) < 0 or seed < 0 or workers < 0:
        raise BadInput("numbers of clips, seed and workers cannot be negative")
    if not 16 <= size <= 512:
        raise BadInput(f"size {size}: from 16 to 512 pixels")
    require_simulator()
    _write_manifest(out, {"simulator": SIMULATOR_VERSION, "seed": seed, "size": size, "frames": N_FRAMES}, counts)
    todo = []
    for split, count in counts.items():
        _remove_unfinished(out / split)
        todo += [(split, index) for index in range(count) if not _is_whole(clip_folder(out, split, index))]
    progress = tqdm(total=sum(counts.values()), initial=sum(counts.values()) - len(todo), unit="clip", desc="simulate")
    pool = concurrent.futures.ProcessPoolExecutor(
        min(workers or os.cpu_count() or 1, max(1, len(todo))),
        mp_context=multiprocessing.get_context("spawn"),  # a forked OpenGL context does not work
        initializer=_start_worker,
    )
    # Ctrl-C reaches the whole process group. The workers inherit that they ignore it; the parent decides.
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        jobs = [pool.submit(_simulate_one, out, seed, split, index, size) for split, index in todo]
        signal.signal(signal.SIGINT, interrupt)
        for job in concurrent.futures.as_completed(jobs):
            job.result()
            progress.update()
    finally:  # also on Ctrl-C: clips in work are finished, the rest is left for another time
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would leave the workers waiting for ever
        pool.shutdown(wait=True, cancel_futures=True)
        signal.signal(signal.SIGINT, interrupt)
        progress.close()


def clip_folder(out: Path, split: str, index: int) -> Path:
    """Clips lie in groups of 256 and are numbered from 1 in each, as in an imported BAIR set."""
    start = index // GROUP_SIZE * GROUP_SIZE
    return out / split / f"traj_{start}_to_{start + GROUP_SIZE - 1}" / str(index - start + 1)


def _write_manifest(out: Path, common: dict, counts: dict[str, int]) -> None:
    """Notes what the folder holds. Refuses a folder of anything else: a data set is made with one setting."""
    path = out / MANIFEST
    if path.is_file():
        try:
            found = json.loads(path.read_text())
            counts = {split: max(counts[split], found["clips"][split]) for split in counts}
        except (ValueError, KeyError, TypeError):
            raise BadInput(f"{path}: not a simulation's record; give another folder") from None
        for name, value in common.items():
            if found.get(name) != value:
                raise BadInput(f"{out} was made with {name} {found.get(name)}, not {value}; give another folder")
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out} is not empty and has no {MANIFEST}; give another folder")
    write_json(path, {**common, "clips": counts})


def _is_whole(clip: Path) -> bool:
    return clip.is_dir() and len(list(clip.iterdir())) == N_FRAMES + 3  # frames, two CSVs, the scene


def _remove_unfinished(folder: Path) -> None:
    """Clips that a killed process had begun: `write_clip` builds under hidden names."""
    for left in folder.glob("*/.*"):
        shutil.rmtree(left, ignore_errors=True)


def _start_worker() -> None:
    os.environ["LP_NUM_THREADS"] = "1"  # software OpenGL: the processes already share out the processors


@functools.cache
def _simulator() -> RobotPush:
    return RobotPush()


def _simulate_one(out: Path, seed: int, split: str, index: int, size: int) -> None:
    clip = simulate_clip(_simulator(), seed, split, index, N_FRAMES, size)
    record = {
        "simulator": SIMULATOR_VERSION,
        "mujoco": importlib.metadata.version("mujoco"),
        "size": size,
        "scene": clip.scene.to_dict(),
    }
    folder = clip_folder(out, split, index)
    write_clip(folder, clip.frames, clip.actions, clip.positions, {"simulation.json": record})


def import_bair_command(
    tfrecords: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="TFRECORDS")],
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")],
) -> None:
    """BAIR's robot-push TFRecords (image_aux1) as folders of clips, every byte as it is. Run again to go on.

    Args:
        tfrecords: Folder that holds train/ and test/ with traj_<a>_to_<b>.tfrecords.
        out: Folder to write. The last 5 % of the training files become OUT/validate.
    """
    from vidpred.data.bair_tfrecord import import_bair

    import_bair(tfrecords, out)


def shard(
    data: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DATA")],
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")],
    clips_per_shard: int = 128,
    base: str = "",
    cache: Path | None = None,
) -> None:
    """WebDataset tar files of clips, for data larger than a disk; training and evaluation read them as they do DATA.

    Args:
        data: Clips in the robot-push layout.
        out: Folder to write: OUT/{train,validate,test}/000000.tar … and an index.json beside them.
        clips_per_shard: Clips in a file (a clip of 30 frames takes 0.4 MB); training holds five files in memory.
        base: Where the files will be read from, if not from OUT: the start of an address, or of a command as
            "pipe:cat /mnt/far/", that {split} and the file's name are put behind.
        cache: Folder for the packed clips (none: .packed beside the splits).
    """
    if clips_per_shard < 1:
        raise BadInput(f"--clips-per-shard must be at least 1, got {clips_per_shard}")
    require_outside(data, out)
    from vidpred.data.packed import pack_split
    from vidpred.data.shards import write_shards

    splits = [split for split in SPLITS if (data / split).is_dir()]
    if not splits:
        raise BadInput(f"{data}: no train, validate or test folder in it")
    for split in splits:
        clips = pack_split(data, split, cache, progress=True)
        files = write_shards(clips, out / split, clips_per_shard, base and f"{base}{split}/", progress=True)
        print(f"{out / split}: {len(clips)} clips in {files} files")


def bundle(
    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")],
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")],
) -> None:
    """A run as it is shipped: float16 weights, settings, curves, numbers and the last sample GIF; nothing to resume.

    Args:
        run: Run folder that training wrote.
        out: Folder to write; an earlier bundle in it is replaced.
    """
    import torch  # here: simulating clips needs no torch

    from vidpred import checkpoint, runs

    config = runs.read_config(run)  # a run that does not load is not shipped
    model = checkpoint.load_trained(run)
    if out.resolve() == run.resolve():
        raise BadInput(f"{out}: a run cannot be bundled into itself")
    if out.exists() and any(out.iterdir()) and ((out / runs.LAST).exists() or not (out / runs.CONFIG).exists()):
        raise BadInput(f"{out} is not empty and no earlier bundle; give another folder")
    versions = json.loads((run / runs.CONFIG).read_text()).get("versions", {})
    runs.remove(out)
    runs.write_config(out, config, versions)
    runs.write_metrics(out, runs.read_metrics(run))
    checkpoint.save_weights(out / runs.WEIGHTS, model, torch.float16)
    evaluated = runs.read_eval(run)
    if evaluated is not None:
        write_json(out / runs.EVAL, evaluated)
    for gif in sorted((run / runs.SAMPLES).glob("*.gif"))[-1:]:
        (out / runs.SAMPLES).mkdir()
        shutil.copy(gif, out / runs.SAMPLES)
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    print(f"{out}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    run_commands(
        {"simulate-robot": simulate_robot, "import-bair": import_bair_command, "shard": shard, "bundle": bundle},
        prog="python -m train.prepare",
    )
