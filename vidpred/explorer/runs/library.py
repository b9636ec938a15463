"""Which runs and clips there are. A visitor's name becomes a Run or a Clip here, through a dictionary, never a path."""

import contextlib
import threading
from collections import ChainMap, Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, MutableMapping
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cachetools import LRUCache, TTLCache

from vidpred import runs
from vidpred.data import dance, robot_push
from vidpred.data.layout import SHARD_INDEX
from vidpred.errors import BadInput
from vidpred.explorer.runs import gpu_lease, progress
from vidpred.explorer.runs.run import Clip, Evaluation, Run
from vidpred.explorer.runs.validate import choice
from vidpred.files import stamp
from vidpred.simulate.bounce import bounces_of

if TYPE_CHECKING:  # torch takes seconds to import: the first page is served before it is needed
    from vidpred.data.batches import Batch, Clips
    from vidpred.models import Model

SPLIT = "test"
DANCE_SPLITS = ("validate", "test")  # a test sequence may come without its true frames
MODELS_KEPT = 4
RUNS_KEPT = 1000  # settings and numbers of runs; each that a visitor uploads lies in a folder of its own
BYTES_KEPT = 64 * 2**20  # of results
SECONDS_KEPT = 3600  # of a result

Result = TypeVar("Result")


class Library:
    """Runs and clips by name, and the one cache of loaded models. Safe to share between threads."""

    def __init__(self, run_folders: list[Path], data_folders: list[Path]):
        self._run_folders = run_folders
        self.runs: dict[str, Path] = runs.list_runs(run_folders)
        self._seen: dict[str, None] = dict.fromkeys(self.runs)
        for path in self.runs.values():
            runs.read_config(path)  # a broken run is a bad option, not a surprise for a visitor
        self.clips: dict[str, Clip] = _list_clips(data_folders)
        self._read: LRUCache[Path, tuple[Hashable, Run]] = LRUCache(RUNS_KEPT)  # what each was when last looked at
        self._packed: MutableMapping[tuple[Path, str], Clips] = {}
        self._models: LRUCache[tuple[Path, int], Model] = LRUCache(MODELS_KEPT)
        self._results: TTLCache = TTLCache(BYTES_KEPT, SECONDS_KEPT, getsizeof=lambda result: result[1])
        self._run_lock, self._clip_lock, self._result_lock = threading.Lock(), threading.Lock(), threading.Lock()
        self.model_lock = threading.Lock()  # held while a model computes: one caller at a time
        self.wanted: Callable[[], bool] = lambda: True  # whether whoever asked, in this thread, still waits
        self.progressed: Callable[[progress.Progress], None] = lambda far: None  # they are told how far it is

    def rescan(self) -> None:
        """Take in the runs that have been begun since, and leave out what is no run any more."""
        there = {}
        with contextlib.suppress(BadInput):
            for name, path in runs.list_runs(list(filter(runs.runs_in, self._run_folders))).items():
                with contextlib.suppress(BadInput):
                    runs.read_config(path)
                    there[name] = path
        self.runs = there or self.runs
        self._seen |= dict.fromkeys(self.runs)

    @property
    def seen(self) -> list[str]:
        """Names of all runs that there have been since the start, in the order in which they came, own ones last."""
        return list(self._seen | dict.fromkeys(self.runs))

    def with_own(self, own_runs: dict[str, Path], own_clips: dict[str, Clip]) -> "Library":
        """The same with a visitor's runs and clips after all others. Models and results are kept together, packed clips
        are not: they go with those whose they are."""
        both = copy(self)
        both.runs, both.clips = {**self.runs, **own_runs}, {**self.clips, **own_clips}
        both._packed = ChainMap({}, self._packed)
        return both

    def run(self, name: Any) -> Run:
        """The run of a name. Its files are read again only where they have changed."""
        name = choice(name, "run", self.runs)
        folder = self.runs[name]
        stamps = tuple(stamp(folder / file) for file in (runs.CONFIG, runs.EVAL, runs.WEIGHTS))
        with self._run_lock:
            known = self._read.get(folder)
        if known is not None and known[0] == (name, stamps):
            return known[1]
        weights = stamps[2] and stamps[2][0]
        with _without_path(folder, name):
            config, made = runs.read_settings(folder)
            averaged = made.get(runs.AVERAGED)
            averaged = averaged if isinstance(averaged, str) else ""
            run = Run(name, folder, config, weights, Evaluation.read(folder), averaged)
        with self._run_lock:
            self._read[folder] = (name, stamps), run
        return run

    def clip(self, name: Any) -> Clip:
        """The clip of a name."""
        return self.clips[choice(name, "clip", self.clips)]

    def all_runs(self) -> list[Run]:
        """Every run, in the order of the menus; one whose settings have become unreadable is left out."""
        found = []
        for name in list(self.runs):
            with contextlib.suppress(BadInput):
                found.append(self.run(name))
        return found

    def clips_for(self, run: Run, known: bool = False) -> list[Clip]:
        """Clips that a run can continue, longer than its context. known: their true frames alone count."""

        def frames(clip: Clip) -> int:
            return clip.known if known else clip.frames

        return [clip for clip in self.clips.values() if not run.lacks(clip) and frames(clip) > run.n_past]

    def read_clip(self, clip: Clip, frames: int) -> "Batch":
        """The first `frames` conditions of a clip, and its true frames as far as they are known."""
        from vidpred.data.batches import open_split, window_batch

        place = clip.root, clip.split
        with self._clip_lock:
            if place not in self._packed:
                with _without_path(clip.root, clip.root.name):
                    self._packed[place] = open_split(*place)
            packed = self._packed[place]
        if clip.id not in packed.ids:
            raise BadInput(f"{clip.name} is no longer there: the clips have changed since the app was started")
        return window_batch(packed, [packed.ids.index(clip.id)], frames, min(frames, clip.known))

    def compute(self, run: Run, function: Callable[..., Result], batch: "Batch", *args: Any) -> Result:
        """function(model, batch, *args) with a run's best model, on the GPU if there is one.

        The function is one of a module, and but for the batch it takes and gives values without tensors: on ZeroGPU
        they go to another process.
        """
        if gpu_lease.ACTIVE:
            with _without_path(run.folder, run.name):
                return gpu_lease.compute(run.folder, run.require_weights(), function, batch, args)
        from vidpred import rollout

        with self.model(run) as model:
            token = rollout.wanted.set(self._still_wanted)
            try:
                return function(model, batch, *args)
            finally:
                rollout.wanted.reset(token)

    def _still_wanted(self, futures: int) -> bool:
        """Asked before each frame of so many futures."""
        if not self.wanted():
            return False
        if (far := progress.advance(futures)) is not None:
            self.progressed(far)
        return True

    @contextlib.contextmanager
    def model(self, run: Run) -> Iterator["Model"]:
        """The best model of a run, in eval mode, for one caller at a time."""
        with self.model_lock:
            if not self.wanted():
                raise BadInput("Nobody waits for this any more")
            key = run.folder, run.require_weights()
            if key not in self._models:
                from vidpred.checkpoint import load_model

                with _without_path(run.folder, run.name):
                    model = load_model(run.folder, gpu_lease.device(), run.config)
                for old in [k for k in self._models if k[0] == run.folder]:  # an earlier epoch's
                    del self._models[old]
                self._models[key] = model
            yield self._models[key]

    def cached(self, key: Hashable, make: Callable[[], Result], size: Callable[[Result], int]) -> Result:
        """make(), or its result for an equal key within the last hour; the least used results make room, by bytes."""
        with self._result_lock:
            if (found := self._results.get(key)) is not None:
                return found[0]
        result = make()
        with self._result_lock, contextlib.suppress(ValueError):  # larger than the whole cache: not kept
            self._results[key] = result, size(result)
        return result


def names(things: Iterable[Run | Clip]) -> list[str]:
    """Their names, for a menu."""
    return [thing.name for thing in things]


@contextlib.contextmanager
def _without_path(folder: Path, name: str) -> Iterator[None]:
    """BadInput that a visitor may read: where the server keeps its files is nobody's business."""
    try:
        yield
    except BadInput as error:
        raise BadInput(str(error).replace(str(folder), name)) from None


def _list_clips(folders: list[Path]) -> dict[str, Clip]:
    """Name -> clip: group/clip, or a dance's split and sequence; before it what tells the folder apart, where another
    one has clips of these names, too."""
    roots = list(dict.fromkeys(Path(folder).resolve() for folder in folders))
    found = {root: list((_dance_clips if dance.is_dance(root) else _robot_clips)(root)) for root in roots}
    found = dict(sorted(found.items(), key=lambda item: bool(item[1]) and item[1][0].has_poses))  # robots come first
    owners = Counter(name for clips in found.values() for name in names(clips))
    listed = {}
    for root_name, clips in zip(runs.names_apart(found), found.values()):
        prefix = f"{root_name}/" if any(owners[clip.name] > 1 for clip in clips) else ""
        listed |= {prefix + clip.name: replace(clip, name=prefix + clip.name) for clip in clips}
    return listed


def _robot_clips(root: Path) -> Iterator[Clip]:
    # of two films, imported, none is for the test
    split = SPLIT if (root / SPLIT).is_dir() or not (root / "validate").is_dir() else "validate"
    if (root / split / SHARD_INDEX).is_file():
        raise BadInput(
            f"{root}: tar shards; the explorer reads clips as folders of pictures: give the folder that "
            "train.prepare shard made them from"
        )
    for folder in robot_push.list_clips(root, split):
        frames = len(robot_push.list_frames(folder))
        name, bounces = folder.relative_to(root / split).as_posix(), bounces_of(folder) is not None
        known = robot_push.has_actions(folder)
        yield Clip(name, root, split, folder.relative_to(root).as_posix(), frames, frames, False, known, bounces)


def _dance_clips(root: Path) -> Iterator[Clip]:
    there = [split for split in DANCE_SPLITS if (root / dance.FOLDERS[split]).is_dir()]
    if not there:
        raise BadInput(f"{root}: no video to look at (expected {' or '.join(dance.FOLDERS[s] for s in DANCE_SPLITS)}/)")
    for split in there:
        for video in dance.list_videos(root, split):
            yield Clip(video.id, root, split, video.id, len(video.poses), len(video.frames), has_poses=True)
