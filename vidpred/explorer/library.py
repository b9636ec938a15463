"""Which runs and clips there are. Names resolve through dictionaries, never through paths."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vidpred import runs
from vidpred.config import RunConfig
from vidpred.data import robot_push
from vidpred.errors import BadInput
from vidpred.explorer import fields

if TYPE_CHECKING:  # torch takes seconds to import: the first page is served before it is needed
    from vidpred.data.batches import Batch
    from vidpred.data.packed import PackedClips
    from vidpred.models.svg import SVG

SPLIT = "test"
MODELS_KEPT = 4


class ClipEntry(NamedTuple):
    """A clip of the test split: `id` as in PackedClips.ids, the name by which its noise is drawn."""

    root: Path
    id: str
    frames: int


class Library:
    """Runs and clips by name, and the one cache of loaded models. Read-only; safe to share between threads."""

    def __init__(self, run_folders: list[Path], data_folders: list[Path]):
        self.runs: dict[str, Path] = runs.list_runs(run_folders)
        for path in self.runs.values():
            runs.read_config(path)  # a broken run is a bad option, not a surprise for a visitor
        self.clips: dict[str, ClipEntry] = _list_clips(data_folders)
        self._packed: dict[Path, PackedClips] = {}
        self._models: OrderedDict[tuple[str, int], SVG] = OrderedDict()
        self._model_lock, self._clip_lock = threading.Lock(), threading.Lock()

    def run_folder(self, run: str) -> Path:
        """Folder of a run."""
        return self.runs[fields.choice(run, "run", self.runs)]

    def config(self, run: str) -> RunConfig:
        """Settings of a run, as they are on disk now."""
        return runs.read_config(self.run_folder(run))

    def clip(self, clip: str) -> ClipEntry:
        """Where a clip lies and how long it is."""
        return self.clips[fields.choice(clip, "clip", self.clips)]

    def longest_future(self, run: str, clip: str) -> int:
        """Most frames that a run can predict for a clip and have compared with the truth."""
        n_past, frames = self.config(run).data.n_past, self.clip(clip).frames
        if frames <= n_past:
            raise BadInput(f"{clip} has {frames} frames: too short for {run}, which is given {n_past}")
        return frames - n_past

    def read_clip(self, clip: str, frames: int) -> "Batch":
        """The first `frames` frames of a clip, as validation and test take them."""
        from vidpred.data.batches import open_split, window_batch

        entry = self.clip(clip)
        with self._clip_lock:
            if entry.root not in self._packed:
                self._packed[entry.root] = open_split(entry.root, SPLIT)
            packed = self._packed[entry.root]
        if entry.id not in packed.ids:
            raise BadInput(f"{clip} is no longer there: the clips have changed since the app was started")
        return window_batch(packed, [packed.ids.index(entry.id)], frames)

    @contextmanager
    def model(self, run: str) -> Iterator["SVG"]:
        """The best model of a run, in eval mode, for one caller at a time."""
        weights = self.run_folder(run) / runs.WEIGHTS
        with self._model_lock:
            try:
                key = run, weights.stat().st_mtime_ns
            except FileNotFoundError:
                raise BadInput(f"{run} has no weights yet: its first epoch has not ended") from None
            if key not in self._models:
                from vidpred.checkpoint import load_model

                model = load_model(weights.parent)
                for old in [k for k in self._models if k[0] == run]:  # an earlier epoch's
                    del self._models[old]
                while len(self._models) >= MODELS_KEPT:
                    self._models.popitem(last=False)
                self._models[key] = model
            self._models.move_to_end(key)
            yield self._models[key]


def _list_clips(folders: list[Path]) -> dict[str, ClipEntry]:
    """Name -> clip: group/clip, with the folder's name before it where several folders are open."""
    roots = list(dict.fromkeys(Path(folder).resolve() for folder in folders))
    names = [root.name for root in roots]
    clips = {}
    for root in roots:
        prefix = "" if len(roots) == 1 else f"{root.name}/"
        if names.count(root.name) > 1:
            prefix = f"{root.parent.name}/{prefix}"
        for folder in robot_push.list_clips(root, SPLIT):
            name = prefix + folder.relative_to(root / SPLIT).as_posix()
            clips[name] = ClipEntry(root, folder.relative_to(root).as_posix(), len(robot_push.list_frames(folder)))
    return clips
