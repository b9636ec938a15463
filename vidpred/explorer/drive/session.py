"""Drives: a kept model state for every visitor, one predicted frame a step.

A step runs the model on one future alone, not on the fixed internal batch by which `predict` makes its pictures: a
fifth of the time, and the last bits of float32 may differ. Nothing that is driven here is ever scored in a table.
"""

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from cachetools import TTLCache

from vidpred.config import ACTION_DIM
from vidpred.errors import BadInput
from vidpred.explorer.drive.drivable import checked_noise
from vidpred.explorer.drive.simulator import Physics
from vidpred.explorer.runs import validate
from vidpred.explorer.runs.gripper_model import gripper_model_of
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.run import Clip, Run
from vidpred.simulate.robot_push.scene import scene_of
from vidpred.simulate.robot_push.simulation import SimulationState
from vidpred.simulate.robot_push.world import Camera, front_camera

if TYPE_CHECKING:
    from torch import Tensor

MOST_STEPS = 120
MOST_DRIVES = 32
MOST_BYTES = 128 * 2**20  # of all drives
MOST_SECONDS = 3600.0  # that a drive is kept after its last step


class DriveFrame(NamedTuple):
    """A frame of a drive.

    image: (H, W, 3) uint8; action: (4,), the one that led to it, None of a given frame; position: (3,), as the model
    gets it; fingers: how far open, 0 to 1; state: the model's after it, of the last given frame and the predicted ones.
    bytes: that it holds and the frame before does not. press: what it answers, as the component sends it. true_image,
    true_position, snapshot: from the simulator, None where it has not simulated this frame.
    """

    image: np.ndarray
    action: np.ndarray | None
    position: np.ndarray
    fingers: float
    bytes: int
    state: Any = None
    press: dict[str, Any] | None = None
    true_image: np.ndarray | None = None
    true_position: np.ndarray | None = None
    snapshot: SimulationState | None = None


class Drive:
    """One visitor's drive, for one caller at a time. Undo drops the last frame: each holds the state after it."""

    def __init__(self, library: Library, physics: Physics, run: Run, clip: Clip, seed: int, temperature: float):
        from vidpred.rollout import Stepper, rollout_noise

        self.library, self.physics, self.run, self.clip = library, physics, run, clip
        self.lock = threading.Lock()
        self.gripper_model = gripper_model_of(clip)
        self.scene = scene_of(clip.folder)
        self.camera: Camera | None = None if self.scene is None else front_camera()
        batch, self.n_past = library.read_clip(clip, clip.frames), run.n_past
        self.conditions = batch.conditions[0].numpy()  # (T, 7), of the clip
        with library.model(run) as model:
            weight = next(model.parameters())
            given = batch.to_clip(self.n_past, weight.device, weight.dtype)
            noise = rollout_noise(model, seed, 0, clip.id, self.n_past - 1 + MOST_STEPS) * temperature
            self.noise = noise.to(weight.device, weight.dtype)
            self.stepper = Stepper(model, model.look(given), self.noise[None, : self.n_past - 1])
        images = batch.frames[0].numpy()
        self.frames = []
        for t in range(self.n_past):
            fingers = self.gripper_model.opening(self.conditions[max(t - 1, 0)])
            position = self.conditions[t, ACTION_DIM:]
            self.frames.append(DriveFrame(images[t], None, position, fingers, images[t].nbytes))
        state, last = self.stepper.state, self.frames[-1]
        self.frames[-1] = last._replace(state=state, bytes=last.bytes + _new_bytes(state, None))
        if self.scene is not None:
            physics.warm_up()

    @property
    def steps(self) -> int:
        """Predicted frames."""
        return len(self.frames) - self.n_past

    @property
    def bytes(self) -> int:
        """Of all frames."""
        return sum(frame.bytes for frame in self.frames)

    @property
    def awaits_physics(self) -> bool:
        """Whether the simulator knows this scene and is still starting."""
        return self.scene is not None and self.physics.starting

    @property
    def has_physics(self) -> bool:
        """Whether every frame is simulated too."""
        return self.scene is not None and not self.physics.starting and not self.physics.missing

    def step(self, move: Any, fingers: Any) -> DriveFrame:
        """The frame after a press: move along x, y and height in [-1, 1], fingers from 0 (closed) to 1 (open)."""
        if not isinstance(move, (list, tuple)) or len(move) != 3:
            raise BadInput("A move is three numbers: x, y and height")
        move = [validate.number_between(value, "A move along an axis", -1, 1) for value in move]
        fingers = validate.number_between(fingers, "How far the fingers open", 0, 1)
        press = {"what": "step", "move": move, "fingers": fingers}
        return self.take(self.gripper_model.command(self.frames[-1].position, move, fingers), press=press)

    def replay(self) -> DriveFrame:
        """The frame after the clip's own next action."""
        t = len(self.frames) - 1
        if t >= len(self.conditions) - 1:
            raise BadInput("The clip's own actions end here: drive on yourself")
        return self.take(self.conditions[t, :ACTION_DIM], press={"what": "replay"})

    def take(
        self, action: np.ndarray, position: np.ndarray | None = None, press: dict[str, Any] | None = None
    ) -> DriveFrame:
        """The frame after an action (4,). position: the gripper's after it, by default by the gripper model. press: the
        frame's, as DriveFrame has it."""
        import torch

        from vidpred.frames import to_uint8

        if self.steps >= MOST_STEPS:
            raise BadInput(f"{MOST_STEPS} steps are kept: undo some, or restart")
        last = self.frames[-1]
        conditions = torch.from_numpy(np.concatenate([action, last.position])).to(self.noise)[None]
        simulated = self._simulate(action)  # while the model predicts
        with self.library.model_lock:
            self.stepper.state = last.state
            x = self.stepper.next(conditions, self.noise[len(self.frames) - 1][None])
        if position is None:
            position = self.gripper_model.after(last.position, action)
        image, state = to_uint8(x[None])[0, 0], self.stepper.state
        size = image.nbytes + _new_bytes(state, last.state)
        fingers, position = self.gripper_model.opening(action), np.asarray(position, np.float32)
        self.frames.append(DriveFrame(image, action, position, fingers, size, state, press))
        self._store(simulated)
        return self.frames[-1]

    def undo(self) -> DriveFrame:
        """Drop the last predicted frame; the one before it."""
        if not self.steps:
            raise BadInput("There is no step to undo")
        self.frames.pop()
        return self.frames[-1]

    def catch_up(self) -> None:
        """Simulate the steps that were taken before the simulator was ready."""
        self._store(self._simulate())

    def _simulate(self, *actions: np.ndarray) -> Future | None:
        """What the simulator shows after each action that it has not taken yet, and after these; None where it shows
        nothing."""
        if not self.has_physics:
            return None
        done = len(self.frames) - 1  # the last frame that was simulated, or given
        while done >= self.n_past and self.frames[done].snapshot is None:
            done -= 1
        actions = [*(frame.action for frame in self.frames[done + 1 :]), *actions]
        if not actions:
            return None
        start = self.frames[done].snapshot
        if start is None:
            start = self.physics.begin(self.scene, self.conditions[: self.n_past - 1, :ACTION_DIM]).result()
            self.frames[done] = self.frames[done]._replace(snapshot=start)
        return self.physics.play(start, np.stack(actions), self.frames[0].image.shape[0])

    def _store(self, simulated: Future | None) -> None:
        """Put simulated frames beside the last predicted ones."""
        seen = simulated.result() if simulated else []
        for t, one in enumerate(seen, len(self.frames) - len(seen)):
            self.frames[t] = self.frames[t]._replace(
                true_image=one.frame,
                true_position=one.position.astype(np.float32),
                snapshot=one.after,
                bytes=self.frames[t].bytes + one.frame.nbytes,
            )


class Drives:
    """The visitors' drives by id, bounded by number, bytes and idle time. The longest idle makes room."""

    def __init__(
        self,
        library: Library,
        physics: Physics,
        most: int = MOST_DRIVES,
        most_bytes: int = MOST_BYTES,
        seconds: float = MOST_SECONDS,
        timer: Callable[[], float] = time.monotonic,
    ):
        self.library, self.physics = library, physics
        self._most = most
        self._lock = threading.Lock()
        self._drives: TTLCache[str, Drive] = TTLCache(most_bytes, seconds, timer, lambda d: min(d.bytes, most_bytes))

    def begin(
        self, run: Run, clip: Clip, seed: Any, temperature: Any, instead_of: str | None = None
    ) -> tuple[str, Drive]:
        """A new drive from a clip's context, and its id. instead_of: the id of the same visitor's last one."""
        seed, temperature = checked_noise(self.library, run, clip, seed, temperature)
        drive, drive_id = Drive(self.library, self.physics, run, clip, seed, temperature), secrets.token_urlsafe(16)
        self.end(instead_of)
        with self._lock:
            self._keep(drive_id, drive)
        return drive_id, drive

    @contextlib.contextmanager
    def use(self, drive_id: Any) -> Iterator[Drive]:
        """A visitor's drive, for one caller at a time; its idle time begins anew, and it may grow."""
        with self._lock:
            drive = self._drives.get(drive_id) if isinstance(drive_id, str) else None
            if drive is None:
                raise BadInput("This drive has ended: press Restart to begin another")
            self._keep(drive_id, drive)
        with drive.lock:
            yield drive
        with self._lock:
            if drive_id in self._drives:  # the visitor may have begun another meanwhile
                self._keep(drive_id, drive)

    def end(self, drive_id: Any) -> None:
        """Forget a drive."""
        with self._lock:
            if isinstance(drive_id, str):
                self._drives.pop(drive_id, None)

    def __len__(self) -> int:
        return len(self._drives)

    def _keep(self, drive_id: str, drive: Drive) -> None:
        """Put a drive in, or in again: as the newest, with the bytes that it has now."""
        self._drives.pop(drive_id, None)
        while len(self._drives) >= self._most:
            self._drives.popitem()
        self._drives[drive_id] = drive


def _new_bytes(state: Any, before: Any) -> int:
    """Of the tensors of a state that the one before does not hold."""
    known = {id(tensor) for tensor in _tensors(before)}
    return sum(tensor.nbytes for tensor in _tensors(state) if id(tensor) not in known)


def _tensors(state: Any) -> "Iterator[Tensor]":
    if isinstance(state, (tuple, list)):
        for part in state:
            yield from _tensors(part)
    elif state is not None:
        yield state
