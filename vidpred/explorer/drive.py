"""Driving a model: what an action does to the gripper, and a kept state for every visitor, one imagined frame a step.

A step runs the model on one future alone, not on the fixed internal batch by which `predict` makes its pictures: a
fifth of the time, and the last bits of float32 may differ. Nothing that is driven here is ever scored in a table.
"""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vidpred.config import ACTION_DIM, PoseCVAEConfig, RunConfig
from vidpred.errors import BadInput
from vidpred.explorer import fields
from vidpred.explorer.law import law_of
from vidpred.explorer.library import Library
from vidpred.explorer.physics import Physics
from vidpred.explorer.predict import MAX_SEED, MAX_TEMPERATURE
from vidpred.simulate.robot_push.scene import scene_of
from vidpred.simulate.robot_push.simulation import SimulationState
from vidpred.simulate.robot_push.world import Camera, front_camera

if TYPE_CHECKING:
    from torch import Tensor

MOST_STEPS = 120
MOST_DRIVES = 32
MOST_BYTES = 256 * 2**20  # of all kept states
MOST_SECONDS = 3600.0  # that a drive is kept after its last step


class Moment(NamedTuple):
    """A frame of a drive, (H, W, 3) uint8; the action that led to it (None where it was given), the position (3,) as
    the model is told, the model's state after it, and what the physics showed."""

    frame: np.ndarray
    action: np.ndarray | None
    position: np.ndarray
    fingers: float
    state: Any = None
    true_frame: np.ndarray | None = None
    true_position: np.ndarray | None = None
    snapshot: SimulationState | None = None


class Drive:
    """One visitor's drive. Every moment is a value: undo forgets the last one, and the one before is there again."""

    def __init__(self, library: Library, physics: Physics, run: str, clip: str, seed: int, temperature: float):
        from vidpred.rollout import Stepper, rollout_noise

        self.library, self.physics, self.run, self.clip = library, physics, run, clip
        self.lock = threading.RLock()
        n_past, entry = library.config(run).data.n_past, library.clip(clip)
        self.law = law_of(entry.root, entry.split)
        batch = library.read_clip(clip, entry.frames)
        self.own = batch.conditions[0].numpy()  # what the clip's arm did
        self.scene = scene_of(entry.root / entry.id)
        self.camera: Camera | None = None if self.scene is None else front_camera()
        with library.model(run) as model:
            weight = next(model.parameters())
            given = batch.to_clip(n_past, weight.device, weight.dtype)
            noise = rollout_noise(model, seed, 0, entry.id, n_past - 1 + MOST_STEPS) * temperature
            self.noise = noise.to(weight.device, weight.dtype)
            self.stepper = Stepper(model, model.look(given), self.noise[None, : n_past - 1])
        frames = batch.frames[0].numpy()
        self.moments = [
            Moment(frames[t], None, self.own[t, ACTION_DIM:], self._share_open(self.own[max(t - 1, 0)]))
            for t in range(n_past)
        ]
        self.moments[-1] = self.moments[-1]._replace(state=self.stepper.state)
        self.n_past, self.bytes = n_past, 0
        if self.scene is not None:
            physics.warm_up()

    @property
    def steps(self) -> int:
        """Imagined frames."""
        return len(self.moments) - self.n_past

    @property
    def awaits_physics(self) -> bool:
        """Whether the simulator may still show this scene, and does not yet."""
        return self.scene is not None and self.physics.starting

    def step(self, move: Any, fingers: Any) -> Moment:
        """The frame after a press: move along x, y and height in [-1, 1], fingers from 0 (closed) to 1 (open)."""
        if not isinstance(move, (list, tuple)) or len(move) != 3:
            raise BadInput("A move is three numbers: x, y and height")
        move = [fields.number_between(value, "A move along an axis", -1, 1) for value in move]
        fingers = fields.number_between(fingers, "How far the fingers open", 0, 1)
        return self.take(self.law.command(self.moments[-1].position, move, fingers))

    def replay(self) -> Moment:
        """The frame after the clip's own next action."""
        t = len(self.moments) - 1
        if t >= len(self.own) - 1:
            raise BadInput("The clip's own actions end here: drive on yourself")
        return self.take(self.own[t, :ACTION_DIM])

    def take(self, action: np.ndarray, position: np.ndarray | None = None) -> Moment:
        """The frame after an action (4,), as the clips have it. position: where the gripper then is, by default as the
        law says."""
        import torch

        from vidpred.frames import to_uint8

        if self.steps >= MOST_STEPS:
            raise BadInput(f"{MOST_STEPS} steps are kept: undo some, or restart")
        last = self.moments[-1]
        known = torch.from_numpy(np.concatenate([action, last.position])).to(self.noise)[None]
        physics = self._follow(extra=[action])  # runs while the model imagines
        with self.library.model(self.run):  # its lock: one caller at a time
            self.stepper.state = last.state
            x = self.stepper.next(known, self.noise[len(self.moments) - 1][None])
        after = self.law.after(last.position, action) if position is None else np.asarray(position, np.float32)
        moment = Moment(to_uint8(x[None])[0, 0], action, after, self._share_open(action), self.stepper.state)
        self.bytes += sum(new.nbytes for new in _new(moment.state, last.state)) + moment.frame.nbytes
        self.moments.append(moment)
        self._collect(physics)
        return self.moments[-1]

    def undo(self) -> Moment:
        """Back to the moment before the last step."""
        if not self.steps:
            raise BadInput("There is no step to undo")
        gone = self.moments.pop()
        self.bytes -= sum(new.nbytes for new in _new(gone.state, self.moments[-1].state)) + gone.frame.nbytes
        return self.moments[-1]

    def catch_up(self) -> None:
        """Let the physics take the steps that were made before it was there."""
        self._collect(self._follow(extra=[]))

    def _share_open(self, row: np.ndarray) -> float:
        closed, opened = self.law.fingers
        return 0.0 if opened == closed else float((row[ACTION_DIM - 1] - closed) / (opened - closed))

    def _follow(self, extra: list[np.ndarray]):
        """The physics' answers to the steps that it has not taken, and to the extra action: later, or None."""
        if self.scene is None or self.awaits_physics or self.physics.missing:
            return None
        done = len(self.moments) - 1
        while done >= self.n_past and self.moments[done].snapshot is None:
            done -= 1
        actions = [m.action for m in self.moments[done + 1 :]] + extra
        if not actions:
            return None
        start = self.moments[done].snapshot
        if start is None:
            start = self.physics.begin(self.scene, self.own[: self.n_past - 1, :ACTION_DIM]).result()
            self.moments[done] = self.moments[done]._replace(snapshot=start)
        return self.physics.play(start, np.stack(actions), self.moments[0].frame.shape[0])

    def _collect(self, answers) -> None:
        if answers is None:
            return
        seen = answers.result()
        for i, one in enumerate(seen, len(self.moments) - len(seen)):
            self.moments[i] = self.moments[i]._replace(
                true_frame=one.frame, true_position=one.position.astype(np.float32), snapshot=one.after
            )


class Drives:
    """The visitors' drives by id: few, for a while, and no more than fit. The oldest ones go first."""

    def __init__(self, library: Library, physics: Physics, most: int = MOST_DRIVES, seconds: float = MOST_SECONDS):
        self.library, self.physics = library, physics
        self._most, self._seconds = most, seconds
        self._lock = threading.Lock()
        self._drives: OrderedDict[str, tuple[float, Drive]] = OrderedDict()

    def begin(self, run: Any, clip: Any, seed: Any, temperature: Any, instead_of: Any = None) -> tuple[str, Drive]:
        """A new drive from a clip's context, and its id. instead_of: the id of the same visitor's last one."""
        seed, temperature = ask(self.library, run, clip, seed, temperature)
        drive = Drive(self.library, self.physics, run, clip, seed, temperature)
        name = secrets.token_urlsafe(16)
        self.end(instead_of)
        with self._lock:
            self._forget_old()
            self._keep(name, drive)
        return name, drive

    def find(self, name: Any) -> Drive:
        """A visitor's drive."""
        with self._lock:
            self._forget_old()
            if not isinstance(name, str) or name not in self._drives:
                raise BadInput("This drive has ended: press Restart to begin another")
            drive = self._drives[name][1]
            self._keep(name, drive)
        return drive

    def end(self, name: Any) -> None:
        """Forget a drive."""
        with self._lock:
            if isinstance(name, str):
                self._drives.pop(name, None)

    def __len__(self) -> int:
        return len(self._drives)

    def _forget_old(self) -> None:
        oldest = time.monotonic() - self._seconds
        for name in [name for name, (used, _) in self._drives.items() if used < oldest]:
            del self._drives[name]

    def _keep(self, name: str, drive: Drive) -> None:
        self._drives[name] = time.monotonic(), drive
        self._drives.move_to_end(name)
        while len(self._drives) > 1 and (len(self._drives) > self._most or self._bytes() > MOST_BYTES):
            self._drives.popitem(last=False)

    def _bytes(self) -> int:
        return sum(drive.bytes for _, drive in self._drives.values())


def ask(library: Library, run: Any, clip: Any, seed: Any, temperature: Any) -> tuple[int, float]:
    """(seed, temperature) of a drive that can begin, every field checked."""
    require_drivable(library, run, clip)
    return (
        fields.whole_number(seed, "The seed", 0, MAX_SEED),
        fields.number_between(temperature, "The temperature", 0, MAX_TEMPERATURE),
    )


def require_drivable(library: Library, run: Any, clip: Any) -> None:
    """BadInput unless a run takes actions and the clip has some."""
    if not takes_actions(library.config(run)):
        able = drivable_runs(library)
        instead = f"choose {' or '.join(able[:3])}" if able else "none of the runs here can"
        raise BadInput(f"{run} knows no actions, so it cannot be driven: {instead}")
    library.longest_future(run, clip)


def drivable_runs(library: Library) -> list[str]:
    """The runs that can be driven."""
    return [name for name in library.runs if takes_actions(library.config(name))]


def takes_actions(config: RunConfig) -> bool:
    """Whether a run is told what a robot does."""
    return not isinstance(config.model, PoseCVAEConfig) and config.model.condition == "actions"


def _new(state: Any, before: Any) -> "list[Tensor]":
    """The tensors of a state that the one before did not hold."""
    known = {id(x) for x in _tensors(before)}
    return [x for x in _tensors(state) if id(x) not in known]


def _tensors(state: Any) -> "Iterator[Tensor]":
    if isinstance(state, (tuple, list)):
        for part in state:
            yield from _tensors(part)
    elif state is not None:
        yield state
