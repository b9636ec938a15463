"""What if: the same past and the same noise, with other actions or other poses.

Rows up to the last given frame stay as they were: only what the arm, or the dancer, does afterwards is another.
"""

import math
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vidpred.config import ACTION_DIM, POSITION_DIM, PoseCVAEConfig
from vidpred.errors import BadInput
from vidpred.explorer import fields
from vidpred.explorer.drive import require_drivable
from vidpred.explorer.law import Law, law_of
from vidpred.explorer.library import Library
from vidpred.explorer.physics import Physics, scene_of
from vidpred.explorer.predict import MAX_SEED, MAX_TEMPERATURE

if TYPE_CHECKING:
    from vidpred.data.batches import Batch
    from vidpred.models import Model

CHANGES = {
    "still": "not at all",
    "reversed": "in reverse order",
    "opposite": "in the opposite direction",
    "shuffled": "in random order",
    "other": "as in another clip",
}
OF_POSES = ("still", "reversed", "shuffled", "other")
SPEEDS = {"0.5x": 0.5, "1x": 1.0, "2x": 2.0}
# what the clips of an answer are called: short, they stand beside the film
TRUTH, ORIGINAL, CHANGED, REALLY = "Truth", "Original", "What if", "Physics"
CAMERA, MODEL, POSES = "Camera", "Model", "Poses"
MOST_POSES = 120  # frames in a plan


class Answer(NamedTuple):
    """Clips of one length by name, (T, H, W, 3) uint8, the first n_past frames given, the true one first.

    scores: of the imagined ones PSNR and SSIM against the first clip, and copied: of the last given frame repeated, a
    number per predicted frame. protocol: of the PSNR.
    """

    clips: dict[str, np.ndarray]
    n_past: int
    scores: dict[str, dict[str, list[float]]]
    copied: dict[str, list[float]]
    protocol: str

    def mean(self, name: str) -> float:
        """Mean PSNR over the predicted frames."""
        return fmean(self.scores[name]["PSNR"])


class Segment(NamedTuple):
    """A piece of a pose plan: frames first … last of a dance clip, at a speed, perhaps backwards."""

    clip: str
    first: int
    last: int
    speed: str
    backwards: bool


def clips_of(library: Library, family: str) -> list[str]:
    """Names of the clips of a family, "robot" or "dance"."""
    return [name for name, entry in library.clips.items() if entry.has_poses == (family == "dance") and entry.known > 1]


def runs_of(library: Library, family: str) -> list[str]:
    """Names of the runs of a family."""
    return [name for name in library.runs if _takes_poses(library, name) == (family == "dance")]


def change_actions(
    rows: np.ndarray, n_past: int, change: str, seed: int, law: Law, other: np.ndarray | None = None
) -> np.ndarray:
    """Conditions (T, 7) with other actions from row n_past - 1 on, and the positions that follow from them.

    other: the conditions of the clip that lends its actions; as many rows as both have.
    """
    first = n_past - 1
    actions = rows[first:, :ACTION_DIM].copy()
    if change == "still":
        actions[:, :POSITION_DIM] = 0
    elif change == "opposite":
        actions[:, :POSITION_DIM] *= -1
    elif change == "other":
        actions = other[first : len(rows), :ACTION_DIM].copy()
    else:
        actions = actions[_order(len(actions), change, seed)]
    changed = rows[: first + len(actions)].copy()
    for t, action in enumerate(actions, first):
        changed[t, :ACTION_DIM] = action
        if t > first:
            changed[t, ACTION_DIM:] = law.after(changed[t - 1, ACTION_DIM:], changed[t - 1])
    return changed


def change_poses(poses: np.ndarray, n_past: int, change: str, seed: int, other: np.ndarray | None = None) -> np.ndarray:
    """Pose pictures (T, H, W, 3) with other ones after the given frames."""
    later = poses[n_past:]
    if change == "still":
        later = np.repeat(poses[n_past - 1 : n_past], len(later), 0)
    elif change == "other":
        later = other[n_past : len(poses)]
    else:
        later = later[_order(len(later), change, seed)]
    return np.concatenate([poses[:n_past], later])


def what_if(
    library: Library,
    physics: Physics,
    run: Any,
    clip: Any,
    change: Any,
    other: Any = None,
    shuffle_seed: Any = 0,
    seed: Any = 0,
    temperature: Any = 1.0,
    n_future: Any = 10,
) -> Answer:
    """The truth, the prediction with the clip's own actions or poses, the prediction with changed ones, and, where the
    scene is known and the simulator is there, what the changed actions would really have done."""
    poses = _takes_poses(library, run)
    change = fields.choice(change, "change", OF_POSES if poses else CHANGES)
    n_past = library.config(run).data.n_past
    longest = min(library.longest_future(run, clip), library.clip(clip).known - n_past)
    if longest < 1:
        raise BadInput(f"The true frames of {clip} are not known: choose another clip")
    n_future = fields.whole_number(n_future, "The number of predicted frames", 1, longest)
    shuffle_seed = fields.whole_number(shuffle_seed, "The seed of the order", 0, MAX_SEED)
    if not poses:
        require_drivable(library, run, clip)
    batch = _read(library, run, clip, n_past + n_future)
    lent = None
    if change == "other":
        if other == clip:
            raise BadInput("Please choose another clip than the one that is predicted")
        reach = min(n_past + n_future, library.clip(other).frames)
        lent = _read(library, run, other, reach).conditions[0].numpy()
    own = batch.conditions[0].numpy()
    if poses:
        rows = change_poses(own, n_past, change, shuffle_seed, lent)
    else:
        rows = change_actions(
            own, n_past, change, shuffle_seed, law_of(library.clip(clip).root, library.clip(clip).split), lent
        )
    length = min(len(rows), n_past + n_future)
    if length <= n_past:
        raise BadInput(f"{other} is too short to lend its actions: it has {length} frames")
    truth = batch.frames[0, :length].numpy()
    conditions = {ORIGINAL: own[:length], CHANGED: rows[:length]}
    answer = _imagine(library, run, (TRUTH, truth), conditions, n_past, batch.ids[0], seed, temperature)
    if poses:
        answer.clips[POSES] = rows[:length]
    elif (real := _really(library, physics, clip, rows[: length - 1, :ACTION_DIM], truth, n_past)) is not None:
        answer.clips[REALLY] = real
    return answer


def plan_poses(library: Library, run: Any, segments: list[Segment]) -> list[tuple[str, int]]:
    """(clip, frame) of every pose of a plan. Half the speed shows every pose twice, twice the speed every other."""
    if not segments:
        raise BadInput("Please choose at least one piece of a sequence")
    plan = []
    for number, piece in enumerate(segments, 1):
        fields.choice(piece.clip, "sequence", clips_of(library, "dance"))
        frames = library.clip(piece.clip).known
        first = fields.whole_number(piece.first, f"The first frame of piece {number}", 0, frames - 1)
        last = fields.whole_number(piece.last, f"The last frame of piece {number}", 0, frames - 1)
        if first > last:
            raise BadInput(f"Piece {number} ends before it begins: tick backwards to play it from its end")
        speed = SPEEDS[fields.choice(piece.speed, "speed", SPEEDS)]
        backwards = fields.switch(piece.backwards, "Backwards")
        count = math.ceil((last - first + 1) / speed)
        indices = [first + min(int(i * speed), last - first) for i in range(count)]
        plan += [(piece.clip, t) for t in (indices[::-1] if backwards else indices)]
    n_past = library.config(run).data.n_past
    if not n_past < len(plan) <= MOST_POSES:
        raise BadInput(f"A plan has from {n_past + 1} to {MOST_POSES} poses, this one {len(plan)}")
    return plan


def follow_poses(library: Library, run: Any, segments: list[Segment], seed: Any = 0, temperature: Any = 1.0) -> Answer:
    """What a run imagines for a plan of poses, beside what the camera saw when these poses were taken."""
    if not _takes_poses(library, run):
        able = runs_of(library, "dance")
        raise BadInput(f"{run} follows no poses: " + (f"choose {able[0]}" if able else "none of the runs here does"))
    plan = plan_poses(library, run, segments)
    whole = {clip: library.read_clip(clip, library.clip(clip).known) for clip in {clip for clip, _ in plan}}
    truth, poses = (
        np.stack([getattr(whole[clip], part)[0, t].numpy() for clip, t in plan]) for part in ("frames", "conditions")
    )
    n_past = library.config(run).data.n_past
    name = "/".join(f"{clip}.{t}" for clip, t in plan[:n_past])
    answer = _imagine(library, run, (CAMERA, truth), {MODEL: poses}, n_past, name, seed, temperature)
    answer.clips[POSES] = poses
    return answer


def _takes_poses(library: Library, run: Any) -> bool:
    return isinstance(library.config(run).model, PoseCVAEConfig)


def _read(library: Library, run: Any, clip: Any, frames: int) -> "Batch":
    """The first frames of a clip of the run's own family."""
    library.longest_future(run, clip)
    return library.read_clip(clip, frames)


def _order(count: int, change: str, seed: int) -> np.ndarray:
    return np.arange(count)[::-1] if change == "reversed" else np.random.default_rng(seed).permutation(count)


def _imagine(
    library: Library,
    run: str,
    true: tuple[str, np.ndarray],
    conditions: dict[str, np.ndarray],
    n_past: int,
    noise_name: str,
    seed: Any,
    temperature: Any,
) -> Answer:
    """What a run imagines for each of the conditions, the same noise for all, and how near it comes to the truth."""
    import torch

    from vidpred.data.batches import Batch

    seed = fields.whole_number(seed, "The seed", 0, MAX_SEED)
    temperature = fields.number_between(temperature, "The temperature", 0, MAX_TEMPERATURE)
    (label, frames), count = true, len(conditions)
    truth = torch.from_numpy(frames)[None].repeat(count, 1, 1, 1, 1)
    batch = Batch(truth, torch.from_numpy(np.stack(list(conditions.values()))), [noise_name] * count)
    futures, scores, copied, protocol = library.ask(run, _predict, batch, n_past, seed, temperature)
    imagined = [np.concatenate([frames[:n_past], future]) for future in futures]
    clips = {label: frames, **dict(zip(conditions, imagined))}
    return Answer(clips, n_past, dict(zip(conditions, scores)), copied, protocol)


def _predict(
    model: "Model", batch: "Batch", n_past: int, seed: int, temperature: float
) -> tuple[np.ndarray, list[dict[str, list[float]]], dict[str, list[float]], str]:
    """Of every row of a batch that shares its true frames: the future (B, n_future, H, W, 3) uint8 and its scores; and
    those of the last given frame repeated; and the PSNR's protocol."""
    from vidpred.evaluation import score
    from vidpred.frames import to_uint8
    from vidpred.metrics import ssim_finn
    from vidpred.rollout import predict

    weight, protocol = next(model.parameters()), model.config.psnr_protocol
    clip = batch.to_clip(n_past, weight.device, weight.dtype)
    given, later = clip._replace(frames=clip.frames[:, :n_past]), clip.frames[0, n_past:]
    futures = predict(model, given, batch.ids, n_future=len(later), seed=seed, temperature=temperature)
    scores = score(futures.transpose(0, 1), clip._replace(frames=clip.frames[:1]), protocol)
    copied = clip.frames[0, n_past - 1 : n_past].expand_as(later)
    return (
        to_uint8(futures[0]),
        [{"PSNR": psnr.tolist(), "SSIM": ssim.tolist()} for psnr, ssim in zip(scores.psnr[:, 0], scores.ssim[:, 0])],
        {"PSNR": scores.copy_last_psnr[0].tolist(), "SSIM": ssim_finn(copied, later).tolist()},
        protocol,
    )


def _really(
    library: Library, physics: Physics, clip: str, actions: np.ndarray, truth: np.ndarray, n_past: int
) -> np.ndarray | None:
    """The clip (T, H, W, 3) as the simulator shows it for the actions (T - 1, 4), or None."""
    entry = library.clip(clip)
    scene = scene_of(entry.root / entry.id)
    if scene is None or physics.starting or physics.missing:
        return None
    start = physics.begin(scene, actions[: n_past - 1]).result()
    seen = physics.play(start, actions[n_past - 1 :], truth.shape[1]).result()
    return np.concatenate([truth[:n_past], np.stack([one.frame for one in seen])])
