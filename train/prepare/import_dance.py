"""A film of one dancer into the dance layout: a skeleton for every frame, by MediaPipe's pose landmarker."""

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from PIL import Image
from tqdm import tqdm

from train.cli import OutFolder
from vidpred.config import DANCE_SIZE
from vidpred.data import films
from vidpred.data.dance import FOLDERS, video_folders, write_pair
from vidpred.data.layout import SPLITS
from vidpred.data.video import fit
from vidpred.errors import BadInput
from vidpred.files import remove_unfinished, replaced_together, require_vacant
from vidpred.lock import held
from vidpred.simulate.skeleton import draw_skeleton

ENDS = {"train": 0.8, "validate": 0.9, "test": 1.0}  # of the film, one part after the other
MILLISECONDS = 40  # from frame to frame, as the landmarker is told; it only has to grow
# The skeleton's points as means of the landmarks, by their numbers (MediaPipe's pose landmark model): the ears, the
# shoulders, the wrist and the finger's root, ankle, heel and toe.
LANDMARKS = {
    "head": (7, 8),
    "neck": (11, 12),
    "pelvis": (23, 24),
    **{f"left_{name}": places for name, places in {"shoulder": (11,), "elbow": (13,), "hand": (15, 19)}.items()},
    **{f"right_{name}": places for name, places in {"shoulder": (12,), "elbow": (14,), "hand": (16, 20)}.items()},
    **{f"left_{name}": places for name, places in {"hip": (23,), "knee": (25,), "foot": (27, 29, 31)}.items()},
    **{f"right_{name}": places for name, places in {"hip": (24,), "knee": (26,), "foot": (28, 30, 32)}.items()},
}
WAIST = 0.34  # of the way from pelvis to neck, as the simulated figure has it


def import_dance(
    film: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILM")],
    out: OutFolder,
    pose_model: Path,
    every: int = 1,
    crop: str = "centre",
) -> None:
    """A film of one dancer into frames of 32 x 64 with their poses, for train.pose_cvae. Needs the package mediapipe.

    Poses are drawn as the simulator draws them. Frames in which no person is found are left out. The film's first 80 %
    are for training, the next 10 % validate, the last 10 % are a test sequence.

    Args:
        film: Any film or GIF that ffmpeg reads, of one person, best seen whole, before a camera that stands.
        out: Folder to write: OUT/{train,val,test} in the dance layout.
        pose_model: MediaPipe's pose landmarker, a file pose_landmarker_*.task (lite, full or heavy), which the pages of
            MediaPipe's Pose Landmarker offer.
        every: Every n-th frame is taken.
        crop: What is kept of a picture: the largest part twice as wide as high at its centre, left, right, top or
            bottom, the whole (squeezed), or the centre of WIDTH:HEIGHT:LEFT:TOP in pixels.
    """
    if every < 1:
        raise BadInput(f"--every {every}: at least 1")
    if crop not in films.SIDES:
        films.rectangle(crop)
    for path in (film, pose_model):
        if not path.is_file():
            raise BadInput(f"{path}: no such file")
    with held(out):
        require_vacant(out)
        remove_unfinished(out, FOLDERS["train"])
        counts, without = _import(film, out, pose_model, every, crop)
    parts = ", ".join(f"{split} {counts[split]:,} frames" for split in SPLITS)
    print(f"{out}: {parts}" + (f"; no person in {len(without):,}: {_ranges(without, every)}" if without else ""))


def _import(film: Path, out: Path, pose_model: Path, every: int, crop: str) -> tuple[dict[str, int], list[int]]:
    """Write a data set; as _write."""
    found = films.inspect_film(film)
    if found.damage:
        tqdm.write(f"{film.name}: {found.damage}", file=sys.stderr)
    with replaced_together(out, FOLDERS["train"]) as building:
        with PoseFinder(pose_model) as poses:
            counts, without = _write(found, building, poses, every, crop)
        missing = [split for split in ("train", "validate") if not counts[split]]
        if missing:
            raise BadInput(f"{film.name}: a person in {sum(counts.values())} frames, none of them to {missing[0]}")
        require_vacant(out)  # still: what has come meanwhile may be another data set
    return counts, without


class PoseFinder:
    """MediaPipe's pose landmarker for the frames of one film, one after the other. A context manager."""

    def __init__(self, model: Path):
        if importlib.util.find_spec("mediapipe") is None:
            raise BadInput("poses are found by the package mediapipe: pip install mediapipe")
        import mediapipe
        from mediapipe.tasks import python as tasks

        self._image, self._format = mediapipe.Image, mediapipe.ImageFormat.SRGB
        vision = tasks.vision
        options = vision.PoseLandmarkerOptions(
            base_options=tasks.BaseOptions(model_asset_buffer=model.read_bytes()),
            running_mode=vision.RunningMode.VIDEO,
        )
        try:
            with _quiet():
                self._landmarker = vision.PoseLandmarker.create_from_options(options)
        except (RuntimeError, ValueError, OSError):
            raise BadInput(f"{model}: no pose landmarker (a .task file) that mediapipe takes") from None
        self._time = 0

    def find(self, picture: Image.Image) -> np.ndarray | None:
        """The (33, 3) landmarks of the person in the film's next picture: x and y as parts of its width and height,
        z, smaller where nearer. None where there is nobody, or nobody's neck in the picture."""
        self._time += MILLISECONDS
        image = self._image(image_format=self._format, data=np.ascontiguousarray(picture))
        with _quiet():
            found = self._landmarker.detect_for_video(image, self._time).pose_landmarks
        if not found:
            return None
        landmarks = np.array([(point.x, point.y, point.z) for point in found[0]])
        neck = landmarks[list(LANDMARKS["neck"]), :2].mean(0)
        return landmarks if (neck >= 0).all() and (neck <= 1).all() else None

    def __enter__(self) -> "PoseFinder":
        return self

    def __exit__(self, *_) -> None:
        with _quiet():
            self._landmarker.close()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What native code writes to stderr is dropped: it tells of every delegate and sparse tensor."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def skeleton(landmarks: np.ndarray) -> np.ndarray:
    """The pose picture, uint8 (32, 64, 3), of (33, 3) landmarks."""
    height, width = DANCE_SIZE
    points = {name: landmarks[list(numbers)].mean(0) for name, numbers in LANDMARKS.items()}
    points["waist"] = points["pelvis"] + WAIST * (points["neck"] - points["pelvis"])
    places = {name: (float(x * width), float(y * height)) for name, (x, y, _) in points.items()}
    return draw_skeleton(places, {name: -float(z) for name, (_, _, z) in points.items()})


def _write(film: films.Film, out: Path, poses: PoseFinder, every: int, crop: str) -> tuple[dict[str, int], list[int]]:
    """Frames and poses, numbered from 0 in each split; how many, and the film's frames without a person."""
    counts, without = dict.fromkeys(SPLITS, 0), []
    pictures = films.film_pictures_and_box(film, DANCE_SIZE, every, crop)
    for number, (picture, box) in enumerate(
        tqdm(pictures, total=-(-film.frames // every), unit="frame", desc="import")
    ):
        landmarks = poses.find(picture.crop(tuple(map(round, box))))
        if landmarks is None:
            without.append(number * every)
            continue
        split = next((split for split, end in ENDS.items() if number * every < end * film.frames), "test")
        write_pair(video_folders(out, split), counts[split], fit(picture, DANCE_SIZE, box), skeleton(landmarks))
        counts[split] += 1
    return counts, without


def _ranges(numbers: list[int], step: int) -> str:
    """`0-3, 17`; the first few. step: between neighbours."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + step:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    shown = ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in ranges[:8])
    return shown + ", ..." * (len(ranges) > 8)
