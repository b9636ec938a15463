"""What if: the same context and the same noise, with other actions or other poses.

Conditions up to the last given frame stay as they are: only what the arm, or the dancer, does afterwards is changed.
"""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vidpred.config import ACTION_DIM, POSITION_DIM
from vidpred.errors import BadInput
from vidpred.explorer.drive.drivable import require_drivable
from vidpred.explorer.drive.simulator import Physics
from vidpred.explorer.runs import progress, validate
from vidpred.explorer.runs.gripper_model import GripperModel, gripper_model_of
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.prediction import by_name
from vidpred.explorer.runs.run import Clip, Run
from vidpred.simulate.robot_push.scene import scene_of

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
POSE_CHANGES = ("still", "reversed", "shuffled", "other")
SPEEDS = {"0.5x": 0.5, "1x": 1.0, "2x": 2.0}
# Labels of the clips, short: they stand beside the film strip.
TRUTH, ORIGINAL, CHANGED, SIMULATED = "Truth", "Original", "What if", "Physics"
CAMERA, MODEL, POSES = "Camera", "Model", "Poses"
MOST_FRAMES = 120  # that are predicted


class ScoredClips(NamedTuple):
    """Clips of one length by label, (T, H, W, 3) uint8, the first n_past frames given, the true one first.

    scores: of the predicted ones against the true one (of a changed one against what the simulator shows; none where
    it shows nothing), by name, and copied: of the last given frame repeated, a number per predicted frame. protocol: of
    the PSNR.
    """

    clips: dict[str, np.ndarray]
    n_past: int
    scores: dict[str, dict[str, list[float]]]
    copied: dict[str, list[float]]
    protocol: str


class Piece(NamedTuple):
    """A piece of a pose plan: frames first … last of a dance clip, at a speed, perhaps backwards."""

    clip: Clip
    first: Any
    last: Any
    speed: Any
    backwards: Any


def longest_future(run: Run, clip: Clip) -> int:
    """Most frames that can be predicted beside the true ones."""
    longest = min(run.longest_future(clip), clip.known - run.n_past, MOST_FRAMES)
    if longest < 1:
        raise BadInput(f"The true frames of {clip.name} are not known: choose another clip")
    return longest


def change_actions(
    rows: np.ndarray, n_past: int, change: str, seed: int, gripper_model: GripperModel, other: np.ndarray | None = None
) -> np.ndarray:
    """Conditions (T, 7) with other actions from row n_past - 1 on, and the positions that follow from them.

    other: the conditions of another clip, for the change of that name; as many rows as both have.
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
            changed[t, ACTION_DIM:] = gripper_model.after(changed[t - 1, ACTION_DIM:], changed[t - 1])
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
    run: Run,
    clip: Clip,
    change: Any,
    other: Clip | None = None,
    shuffle_seed: Any = 0,
    seed: Any = 0,
    temperature: Any = 1.0,
    n_future: Any = 10,
) -> ScoredClips:
    """The true clip, the prediction with its own actions or poses, the prediction with changed ones, and, where the
    scene is known and the simulator is ready, what the changed actions really do: only that scores the changed one."""
    if not run.takes_poses:
        require_drivable(library, run, clip)
    change = validate.choice(change, "change", POSE_CHANGES if run.takes_poses else CHANGES)
    length = run.n_past + validate.whole_number(
        n_future, "The number of predicted frames", 1, longest_future(run, clip)
    )
    shuffle_seed = validate.seed(shuffle_seed, "The seed of the order")
    batch, others = library.read_clip(clip, length), None
    if change == "other":
        if other is None or other == clip:
            raise BadInput("Please choose another clip than the one that is predicted")
        run.longest_future(other)  # of the run's family
        others = library.read_clip(other, min(length, other.frames)).conditions[0].numpy()
    rows = batch.conditions[0].numpy()
    if run.takes_poses:
        changed = change_poses(rows, run.n_past, change, shuffle_seed, others)
    else:
        changed = change_actions(rows, run.n_past, change, shuffle_seed, gripper_model_of(clip), others)
    length = len(changed)
    if length <= run.n_past:
        raise BadInput(f"{other.name} is too short to lend its actions: it has {length} frames")
    true = batch.frames[0, :length].numpy()
    conditions = {ORIGINAL: rows[:length], CHANGED: changed}
    scored = _predict(library, run, (TRUTH, true), conditions, batch.ids[0], seed, temperature)
    del scored.scores[CHANGED]  # what was changed never happened: the true clip says nothing about it
    if run.takes_poses:
        scored.clips[POSES] = changed
    elif (frames := _simulate(physics, clip, changed[:-1, :ACTION_DIM], true, run.n_past)) is not None:
        scored.clips[SIMULATED] = frames
        scored.scores[CHANGED] = _against(batch, frames, scored.clips[CHANGED], run.n_past, scored.protocol)
    return scored


def _against(
    batch: "Batch", frames: np.ndarray, predicted: np.ndarray, n_past: int, protocol: str
) -> dict[str, list[float]]:
    """Scores of a predicted clip against other frames than the batch's, a number per predicted frame."""
    from vidpred.evaluation import score
    from vidpred.frames import to_float

    true = batch.to_clip(n_past)._replace(frames=to_float(frames)[None])
    found = by_name(score(to_float(predicted[n_past:])[None, None], true, protocol))
    return {name: values[0].tolist() for name, values in found.items()}


def plan_poses(pieces: list[Piece], n_past: int) -> list[tuple[Clip, int]]:
    """(clip, frame) of every pose of a plan. Half the speed shows every pose twice, twice the speed every other."""
    if not pieces:
        raise BadInput("Please choose at least one piece of a sequence")
    plan = []
    for number, piece in enumerate(pieces, 1):
        end = piece.clip.known - 1
        first = validate.whole_number(piece.first, f"The first frame of piece {number}", 0, end)
        last = validate.whole_number(piece.last, f"The last frame of piece {number}", 0, end)
        if first > last:
            raise BadInput(f"Piece {number} ends before it begins: tick backwards to play it from its end")
        speed = SPEEDS[validate.choice(piece.speed, "speed", SPEEDS)]
        backwards = validate.switch(piece.backwards, "Backwards")
        count = math.ceil((last - first + 1) / speed)
        indices = [first + min(int(i * speed), last - first) for i in range(count)]
        plan += [(piece.clip, t) for t in (indices[::-1] if backwards else indices)]
    if not n_past < len(plan) <= MOST_FRAMES:
        raise BadInput(f"A plan has from {n_past + 1} to {MOST_FRAMES} poses, this one {len(plan)}")
    return plan


def follow_poses(library: Library, run: Run, pieces: list[Piece], seed: Any = 0, temperature: Any = 1.0) -> ScoredClips:
    """What a run predicts for a plan of poses, beside the frames in which these poses were taken."""
    if not run.takes_poses:
        able = next((other.name for other in library.all_runs() if other.takes_poses), None)
        raise BadInput(f"{run.name} follows no poses: " + (f"choose {able}" if able else "none of the runs here does"))
    plan = plan_poses(pieces, run.n_past)
    batches = {clip: library.read_clip(clip, clip.known) for clip in {clip for clip, _ in plan}}
    true = np.stack([batches[clip].frames[0, t].numpy() for clip, t in plan])
    poses = np.stack([batches[clip].conditions[0, t].numpy() for clip, t in plan])
    noise_name = "/".join(f"{clip.name}.{t}" for clip, t in plan[: run.n_past])
    scored = _predict(library, run, (CAMERA, true), {MODEL: poses}, noise_name, seed, temperature)
    scored.clips[POSES] = poses
    return scored


def _order(count: int, change: str, seed: int) -> np.ndarray:
    return np.arange(count)[::-1] if change == "reversed" else np.random.default_rng(seed).permutation(count)


def _predict(
    library: Library,
    run: Run,
    true: tuple[str, np.ndarray],
    conditions: dict[str, np.ndarray],
    noise_name: str,
    seed: Any,
    temperature: Any,
) -> ScoredClips:
    """The prediction for each of the conditions, by label, with the same noise, scored against the true clip."""
    import torch

    from vidpred.data.batches import Batch

    seed, temperature = validate.seed(seed), validate.temperature(temperature)
    (label, frames), count = true, len(conditions)
    repeated = torch.from_numpy(frames)[None].repeat(count, 1, 1, 1, 1)
    batch = Batch(repeated, torch.from_numpy(np.stack(list(conditions.values()))), [noise_name] * count)
    with progress.of(count * (len(frames) - run.n_past)):
        futures, scores, copied, protocol = library.compute(run, _futures, batch, run.n_past, seed, temperature)
    predicted = [np.concatenate([frames[: run.n_past], future]) for future in futures]
    clips = {label: frames, **dict(zip(conditions, predicted))}
    return ScoredClips(clips, run.n_past, dict(zip(conditions, scores)), copied, protocol)


def _futures(
    model: "Model", batch: "Batch", n_past: int, seed: int, temperature: float
) -> tuple[np.ndarray, list[dict[str, list[float]]], dict[str, list[float]], str]:
    """Of a batch whose rows share their true frames: futures (B, n_future, H, W, 3) uint8, the scores of each, those of
    the last given frame repeated, and the PSNR's protocol."""
    from vidpred.evaluation import score
    from vidpred.frames import to_uint8
    from vidpred.rollout import predict

    weight, protocol = next(model.parameters()), model.config.psnr_protocol
    clip = batch.to_clip(n_past, weight.device, weight.dtype)
    given, later = clip._replace(frames=clip.frames[:, :n_past]), clip.frames[0, n_past:]
    futures = predict(model, given, batch.ids, n_future=len(later), seed=seed, temperature=temperature)
    truth, repeated = clip._replace(frames=clip.frames[:1]), given.frames[0, -1:].expand_as(later)
    scored = by_name(score(futures.transpose(0, 1), truth, protocol))
    copied = by_name(score(repeated[None, None], truth, protocol))
    return (
        to_uint8(futures[0]),
        [{name: values[i].tolist() for name, values in scored.items()} for i in range(len(futures[0]))],
        {name: values[0].tolist() for name, values in copied.items()},
        protocol,
    )


def _simulate(physics: Physics, clip: Clip, actions: np.ndarray, true: np.ndarray, n_past: int) -> np.ndarray | None:
    """The frames (T, H, W, 3) that the simulator shows for the actions (T - 1, 4), the given ones as in the true clip;
    None where it knows no scene, or is not ready."""
    scene = scene_of(clip.folder)
    if scene is None or physics.starting or physics.missing:
        return None
    start = physics.begin(scene, actions[: n_past - 1]).result()
    seen = physics.play(start, actions[n_past - 1 :], true.shape[1]).result()
    return np.concatenate([true[:n_past], np.stack([one.frame for one in seen])])
