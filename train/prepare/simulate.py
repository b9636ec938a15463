"""Clips and videos from the simulators, made by several processes; run again to go on after an interruption."""

import functools
import importlib.metadata
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from train.cli import OutFolder
from train.prepare.jobs import run_jobs
from vidpred.config import DANCE_SIZE
from vidpred.data.dance import Folders, video_folders, write_pair
from vidpred.data.layout import SPLITS, remove_hidden
from vidpred.data.robot_push import ACTIONS_CSV, POSITIONS_CSV, is_whole, write_clip
from vidpred.errors import BadInput
from vidpred.files import is_vacant, remove_unfinished, write_json
from vidpred.lock import held
from vidpred.simulate import bounce, dance
from vidpred.simulate.engine import RECORD_FILE
from vidpred.simulate.robot_push.pusher import SIMULATOR_VERSION, simulate_clip
from vidpred.simulate.robot_push.simulation import RobotSimulation, require_simulator

GROUP_SIZE = 256
N_FRAMES = 30
FRAMES_AT_ONCE = 50  # of a video: what a process makes before it asks for more
CLIP_GROUPS = ("[!.]*/*",)  # in a robot data set: the folders that clips are built in
PICTURE_FOLDERS = ("[!.]*/*", "[!.]*/*/*")  # in a dance data set: those that pictures are written to
MANIFEST = "simulation.json"  # at the data set's root: what all of its clips have in common, and how many there are

PROCESSES = tyro.conf.arg(help="Processes, 0 for one per processor.", help_behavior_hint="(default: one per processor)")
Workers = Annotated[int, PROCESSES]

# of both kinds of clips
TrainClips = Annotated[
    int,
    tyro.conf.arg(
        help="Number of training clips (30 frames each). A larger number extends a folder made with the same seed."
    ),
]
ValidationClips = Annotated[int, tyro.conf.arg(help="Number of validation clips.")]
TestClips = Annotated[int, tyro.conf.arg(help="Number of test clips.")]
ClipSeed = Annotated[int, tyro.conf.arg(help="Clip i of a split depends on the seed, the split and i only.")]
FrameSize = Annotated[
    int,
    tyro.conf.arg(
        help="Width and height of the frames, pixels. Training, evaluation and the app read clips of 64 alone."
    ),
]


def simulate_robot(
    out: OutFolder,
    train: TrainClips,
    validate: ValidationClips,
    test: TestClips,
    seed: ClipSeed,
    size: FrameSize = 64,
    workers: Workers = 0,
) -> None:
    """Clips of a robot arm pushing objects, from a physics engine. Run again to go on after an interruption.

    Args:
        out: Folder to write: OUT/{train,validate,test}/traj_<a>_to_<b>/<clip>.
    """
    require_simulator()
    common = {"simulator": SIMULATOR_VERSION, "seed": seed, "size": size, "frames": N_FRAMES}
    _simulate_clips(out, RobotClipJob, dict(zip(SPLITS, (train, validate, test))), common, workers)


def simulate_bounce(
    out: OutFolder,
    train: TrainClips,
    validate: ValidationClips,
    test: TestClips,
    seed: ClipSeed,
    size: FrameSize = 64,
    shapes: int = 2,
    workers: Workers = 0,
) -> None:
    """Action-free clips of shapes that leave every wall in a random new direction. Run again to go on.

    Args:
        out: Folder to write: OUT/{train,validate,test}/bounce_<a>_to_<b>/<clip>.
        shapes: Shapes in a clip, 1 to 3.
    """
    if not 1 <= shapes <= 3:
        raise BadInput(f"--shapes {shapes}: from 1 to 3")
    common = {"simulator": bounce.SIMULATOR_VERSION, "seed": seed, "size": size, "frames": N_FRAMES, "shapes": shapes}
    job = functools.partial(BounceClipJob, shapes=shapes)
    _simulate_clips(out, job, dict(zip(SPLITS, (train, validate, test))), common, workers)


def simulate_dance(
    out: OutFolder,
    train: int,
    val: int,
    test: int,
    seed: int,
    test_frames: int = 630,
    workers: Workers = 0,
) -> None:
    """Videos of a dancing figure with a pose picture per frame, 32 x 64. Run again to go on after an interruption.

    Args:
        out: Folder to write: OUT/{train,val,test}/… in the dance layout.
        train: Frames of the training video. A larger number extends a folder made with the same seed.
        val: Frames of the validation video.
        test: Number of test sequences.
        seed: Frame i of a video depends on the seed, the split, the sequence and i only.
        test_frames: Frames of each test sequence.
    """
    if min(train, val, test, seed, workers) < 0 or test_frames < 1:
        raise BadInput("numbers of frames and sequences, seed and workers cannot be negative, nor --test-frames 0")
    dance.require_simulator()
    common = {
        "simulator": dance.SIMULATOR_VERSION,
        "seed": seed,
        "size": list(DANCE_SIZE),
        "test_frames": test_frames,
        **{package: importlib.metadata.version(package) for package in ("mujoco", "gymnasium")},
    }
    videos = [("train", 0, train), ("validate", 0, val), *(("test", k, test_frames) for k in range(test))]
    with held(out):
        _write_manifest(out, "videos", common, {"train": train, "validate": val, "test": test})
        _remove_begun(out, PICTURE_FOLDERS)
        jobs, done = [], 0
        for split, sequence, length in videos:
            left = _missing_frames(video_folders(out, split, sequence), range(length))
            done += length - len(left)
            pieces = [left[i : i + FRAMES_AT_ONCE] for i in range(0, len(left), FRAMES_AT_ONCE)]
            jobs += [FramesJob(out, seed, split, sequence, piece) for piece in pieces]
        try:
            run_jobs(jobs, workers, "frame", sum(length for *_, length in videos), done)
        finally:
            _remove_begun(out, PICTURE_FOLDERS)


def _simulate_clips(
    out: Path, job: Callable[..., "ClipJob"], counts: dict[str, int], common: dict, workers: int
) -> None:
    """The clips that are not there whole; common: what all clips of the folder share."""
    size, seed = common["size"], common["seed"]
    if min(counts.values()) < 0 or seed < 0 or workers < 0:
        raise BadInput("numbers of clips, seed and workers cannot be negative")
    if not 16 <= size <= 512:
        raise BadInput(f"size {size}: from 16 to 512 pixels")
    with held(out):
        _write_manifest(out, "clips", common, counts)
        _remove_begun(out, CLIP_GROUPS)
        jobs = [job(out, seed, split, index, size) for split, count in counts.items() for index in range(count)]
        todo = [job for job in jobs if not is_whole(job.folder, N_FRAMES, *job.beside)]
        try:
            run_jobs(todo, workers, "clip", total=len(jobs), done=len(jobs) - len(todo))
        finally:
            _remove_begun(out, CLIP_GROUPS)


def clip_folder(out: Path, split: str, index: int, kind: str = "traj") -> Path:
    """Clips lie in groups of 256 and are numbered from 1 in each, as in an imported BAIR set."""
    start = index // GROUP_SIZE * GROUP_SIZE
    return out / split / f"{kind}_{start}_to_{start + GROUP_SIZE - 1}" / str(index - start + 1)


def _write_manifest(out: Path, counted: str, common: dict, counts: dict[str, int]) -> None:
    """Notes what the folder holds: what all has in common and, under `counted`, how much there is per split.

    Refuses a folder of anything else: a data set is made with one setting.
    """
    path = out / MANIFEST
    remove_unfinished(out, MANIFEST)
    if path.is_file():
        try:
            found = json.loads(path.read_text())
            counts = {split: max(counts[split], found[counted][split]) for split in counts}
        except (ValueError, KeyError, TypeError):
            raise BadInput(f"{path}: not a simulation's record; give another folder") from None
        for name, value in common.items():
            if found.get(name) != value:
                raise BadInput(f"{out} was made with {name} {found.get(name)}, not {value}; give another folder")
    elif not is_vacant(out):
        raise BadInput(f"{out} is not empty and has no {MANIFEST}; give another folder")
    write_json(path, {**common, counted: counts})


def _remove_begun(out: Path, folders: tuple[str, ...]) -> None:
    remove_hidden(path for folder in folders for path in out.glob(folder))


@functools.cache
def _robot() -> RobotSimulation:
    return RobotSimulation()


@dataclass(frozen=True)
class ClipJob:
    """Which clip a process makes. beside: the files of its folder that are no frames."""

    beside: ClassVar[tuple[str, ...]] = (RECORD_FILE,)
    out: Path
    seed: int
    split: str
    index: int
    size: int

    @property
    def folder(self) -> Path:
        return clip_folder(self.out, self.split, self.index)

    def __str__(self) -> str:
        return str(self.folder)


@dataclass(frozen=True)
class RobotClipJob(ClipJob):
    """Makes a robot clip: frames, two CSVs, the scene."""

    beside = (ACTIONS_CSV, POSITIONS_CSV, RECORD_FILE)

    def __call__(self) -> int:
        clip = simulate_clip(_robot(), self.seed, self.split, self.index, N_FRAMES, self.size)
        record = {
            "simulator": SIMULATOR_VERSION,
            "mujoco": importlib.metadata.version("mujoco"),
            "size": self.size,
            "scene": clip.scene.to_dict(),
        }
        write_clip(self.folder, clip.frames, clip.actions, clip.positions, {RECORD_FILE: record})
        return 1


@dataclass(frozen=True)
class BounceClipJob(ClipJob):
    """Makes a clip of bouncing shapes: frames, and which of them were not to be known."""

    shapes: int = 2

    @property
    def folder(self) -> Path:
        return clip_folder(self.out, self.split, self.index, "bounce")

    def __call__(self) -> int:
        clip = bounce.simulate_clip(self.seed, self.split, self.index, N_FRAMES, self.size, self.shapes)
        write_clip(self.folder, clip.frames, extra_json={RECORD_FILE: {"bounces": clip.bounces}})
        return 1


@functools.cache
def _stage() -> dance.DanceStage:
    return dance.DanceStage()


@dataclass(frozen=True)
class FramesJob:
    """Makes some frames of a dance video, each with its pose."""

    out: Path
    seed: int
    split: str
    sequence: int
    numbers: list[int]

    def __str__(self) -> str:
        folders = video_folders(self.out, self.split, self.sequence)
        return str(folders.frames / f"{(_missing_frames(folders, self.numbers) or self.numbers)[0]}.png")

    def __call__(self) -> int:
        folders = video_folders(self.out, self.split, self.sequence)
        choreography = dance.Dance.draw(self.seed, self.split, self.sequence)
        for number in self.numbers:
            write_pair(folders, number, *_stage().render(choreography, number))
        return len(self.numbers)


def _missing_frames(folders: Folders, numbers: Iterable[int]) -> list[int]:
    """Those of the frames that are not there whole."""
    places = [folders.frames, folders.poses, *([folders.given.parent] if folders.given else [])]
    there = [{path.name for path in place.glob("*.png")} for place in places]
    return [n for n in numbers if not all(f"{n}.png" in names for names in there[: 3 if n == 0 else 2])]
