"""Which runs and clips there are. Names resolve through dictionaries, never through paths."""

import contextlib
import threading
from collections import ChainMap, OrderedDict
from collections.abc import Callable, Hashable, Iterator, MutableMapping
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from vidpred import runs
from vidpred.config import PoseCVAEConfig, RunConfig
from vidpred.data import dance, robot_push
from vidpred.errors import BadInput
from vidpred.explorer import fields, zero

if TYPE_CHECKING:  # torch takes seconds to import: the first page is served before it is needed
    from vidpred.data.batches import Batch, Clips
    from vidpred.models import Model

SPLIT = "test"
DANCE_SPLITS = ("validate", "test")  # a test sequence may come without its true frames
MODELS_KEPT = 4
BYTES_REMEMBERED = 256 * 2**20

Result = TypeVar("Result")


class ClipEntry(NamedTuple):
    """A clip that can be looked at: `id` as in PackedClips.ids, the name by which its noise is drawn.

    frames: how far it reaches; known: how many of its true frames are there (of some dance sequences only the first);
    has_actions: whether a robot clip's actions and positions are known.
    """

    root: Path
    split: str
    id: str
    frames: int
    known: int
    has_poses: bool
    has_actions: bool = True


class Library:
    """Runs and clips by name, and the one cache of loaded models. Read-only; safe to share between threads."""

    def __init__(self, run_folders: list[Path], data_folders: list[Path]):
        self._run_folders = run_folders
        self.runs: dict[str, Path] = runs.list_runs(run_folders)
        for path in self.runs.values():
            runs.read_config(path)  # a broken run is a bad option, not a surprise for a visitor
        self.clips: dict[str, ClipEntry] = _list_clips(data_folders)
        self._packed: MutableMapping[tuple[Path, str], Clips] = {}
        self._models: OrderedDict[tuple[Path, int], Model] = OrderedDict()
        self._results: OrderedDict[Hashable, tuple[object, int]] = OrderedDict()
        self._model_lock, self._clip_lock, self._result_lock = threading.Lock(), threading.Lock(), threading.Lock()

    def look_again(self) -> None:
        """Take in the runs that have been begun since, and leave out what is no run any more."""
        there = {}
        with contextlib.suppress(BadInput):
            for name, path in runs.list_runs(self._run_folders).items():
                with contextlib.suppress(BadInput):
                    runs.read_config(path)
                    there[name] = path
        self.runs = there or self.runs

    def joined(self, own_runs: dict[str, Path], own_clips: dict[str, ClipEntry]) -> "Library":
        """The same with more runs and clips, which come first. Models and results are kept together, packed clips are
        not: they go with those whose they are."""
        both = copy(self)
        both.runs, both.clips = {**own_runs, **self.runs}, {**own_clips, **self.clips}
        both._packed = ChainMap({}, self._packed)
        return both

    def run_folder(self, run: str) -> Path:
        """Folder of a run."""
        return self.runs[fields.choice(run, "run", self.runs)]

    def config(self, run: str) -> RunConfig:
        """Settings of a run, as they are on disk now."""
        return runs.read_config(self.run_folder(run))

    def clip(self, clip: str) -> ClipEntry:
        """Where a clip lies and how long it is."""
        return self.clips[fields.choice(clip, "clip", self.clips)]

    def clips_for(self, run: str) -> list[str]:
        """Clips that a run can continue."""
        config = self.config(run)
        return [name for name, entry in self.clips.items() if not _lacking(config, entry)]

    def longest_future(self, run: str, clip: str, n_past: int | None = None) -> int:
        """Most frames that a run can predict for a clip after n_past given ones (none: as many as it was trained with).

        A clip of the other family is BadInput, one whose actions the run needs and nobody knows, and one that is too
        short.
        """
        config, entry = self.config(run), self.clip(clip)
        if lacking := _lacking(config, entry):
            raise BadInput(f"{run} continues {lacking}: {clip} is none")
        n_past = config.data.n_past if n_past is None else n_past
        if entry.frames <= n_past:
            raise BadInput(f"{clip} has {entry.frames} frames: too short for {run}, which is given {n_past}")
        return entry.frames - n_past

    def read_clip(self, clip: str, frames: int) -> "Batch":
        """The first `frames` conditions of a clip, and its true frames as far as they are known."""
        from vidpred.data.batches import open_split, window_batch

        entry = self.clip(clip)
        place = entry.root, entry.split
        with self._clip_lock:
            if place not in self._packed:
                self._packed[place] = open_split(*place)
            packed = self._packed[place]
        if entry.id not in packed.ids:
            raise BadInput(f"{clip} is no longer there: the clips have changed since the app was started")
        return window_batch(packed, [packed.ids.index(entry.id)], frames, min(frames, entry.known))

    def ask(self, run: str, question: Callable[..., Result], batch: "Batch", *args: Any) -> Result:
        """question(model, batch, *args) of a run's best model, on the GPU if there is one.

        The question is a function of a module, and but for the batch it takes and gives values without tensors: on
        ZeroGPU they go to another process.
        """
        if zero.LENT:
            return zero.ask(self.run_folder(run), self.weights_time(run), question, batch, args)
        with self.model(run) as model:
            return question(model, batch, *args)

    @contextlib.contextmanager
    def model(self, run: str) -> Iterator["Model"]:
        """The best model of a run, in eval mode, for one caller at a time."""
        with self._model_lock:
            key = self.run_folder(run), self.weights_time(run)
            if key not in self._models:
                from vidpred.checkpoint import load_model

                model = load_model(self.run_folder(run), zero.device())
                for old in [k for k in self._models if k[0] == key[0]]:  # an earlier epoch's
                    del self._models[old]
                while len(self._models) >= MODELS_KEPT:
                    self._models.popitem(last=False)
                self._models[key] = model
            self._models.move_to_end(key)
            yield self._models[key]

    def weights_time(self, run: str) -> int:
        """When a run's weights were written, nanoseconds."""
        try:
            return (self.run_folder(run) / runs.WEIGHTS).stat().st_mtime_ns
        except FileNotFoundError:
            raise BadInput(f"{run} has no weights yet: its first epoch has not ended") from None

    def remembered(self, key: Hashable, make: Callable[[], Result], size: Callable[[Result], int]) -> Result:
        """make(), or what it gave for the same key a short while ago; the oldest results make room, by their bytes."""
        with self._result_lock:
            if key in self._results:
                self._results.move_to_end(key)
                return self._results[key][0]
        result = make()
        with self._result_lock:
            self._results[key] = result, size(result)
            while len(self._results) > 1 and sum(s for _, s in self._results.values()) > BYTES_REMEMBERED:
                self._results.popitem(last=False)
        return result


def _lacking(config: RunConfig, entry: ClipEntry) -> str:
    """What a run continues, where a clip is not of that kind; else nothing."""
    if isinstance(config.model, PoseCVAEConfig):
        return "" if entry.has_poses else "dance videos"
    if entry.has_poses:
        return "robot clips"
    return "" if entry.has_actions or config.model.condition == "none" else "clips with known actions"


def _list_clips(folders: list[Path]) -> dict[str, ClipEntry]:
    """Name -> clip: group/clip, or a dance's split and sequence; with the folder's name before it where several folders
    of a family are open."""
    roots = list(dict.fromkeys(Path(folder).resolve() for folder in folders))
    clips = {}
    for has_poses in (False, True):
        own = [root for root in roots if dance.is_dance(root) == has_poses]
        names = [root.name for root in own]
        for root in own:
            prefix = "" if len(own) == 1 else f"{root.name}/"
            if names.count(root.name) > 1:
                prefix = f"{root.parent.name}/{prefix}"
            found = _dance_clips(root) if has_poses else _robot_clips(root)
            clips |= {prefix + name: entry for name, entry in found.items()}
    return clips


def _robot_clips(root: Path) -> dict[str, ClipEntry]:
    entries = {}
    for folder in robot_push.list_clips(root, SPLIT):
        frames = len(robot_push.list_frames(folder))
        clip = folder.relative_to(root).as_posix()
        entries[folder.relative_to(root / SPLIT).as_posix()] = ClipEntry(root, SPLIT, clip, frames, frames, False)
    return entries


def _dance_clips(root: Path) -> dict[str, ClipEntry]:
    there = [split for split in DANCE_SPLITS if (root / dance.FOLDERS[split]).is_dir()]
    if not there:
        raise BadInput(f"{root}: no video to look at (expected {' or '.join(dance.FOLDERS[s] for s in DANCE_SPLITS)}/)")
    videos = [(split, video) for split in there for video in dance.list_videos(root, split)]
    return {v.id: ClipEntry(root, split, v.id, len(v.poses), len(v.frames), True) for split, v in videos}
