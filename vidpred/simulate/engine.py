"""The physics engine as every simulator needs it: found, loaded in the one order that works, and its pictures.

mujoco is imported when a simulator is made, so that these modules themselves need none of the optional packages.
"""

import atexit
import concurrent.futures
import contextlib
import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from vidpred.errors import BadInput

RECORD_FILE = "simulation.json"  # beside a simulated clip's frames: what made them
SPLIT_NUMBERS = {"train": 0, "validate": 1, "test": 2}  # for random numbers that differ from split to split

INSTALL = "pip install 'mujoco>=3.3,<3.4' 'gymnasium>=1.2,<2' 'gymnasium-robotics>=1.4,<1.5'"
INSTALL_RENDERER = "apt-get install libegl1 libgl1-mesa-dri libgles2 libosmesa6"


def find_assets(package: str, folder: str, file: str) -> Path:
    """A folder of a package's asset files, found without importing the package; `file` must be in it."""
    spec = importlib.util.find_spec(package)
    assets = Path(spec.origin).parent / folder if spec and spec.origin else None
    if assets is None or not (assets / file).is_file():
        raise BadInput(f"the simulator needs {Path(file).name}, a file of {package.replace('_', '-')}: {INSTALL}")
    return assets


def choose_renderer() -> None:
    """Sets MUJOCO_GL to a renderer that works without a screen, unless the user or an earlier call chose one.

    mujoco and PyOpenGL fix their platform when first imported, so that a failed attempt cannot be mended in the same
    process: each candidate is tried in a child. Worker processes inherit the choice.
    """
    if os.environ.get("MUJOCO_GL") or sys.platform != "linux":
        return
    attempt = "import mujoco; context = mujoco.GLContext(16, 16); context.make_current(); context.free()"
    for name in ("egl", "osmesa"):
        environment = {**os.environ, "MUJOCO_GL": name}
        if subprocess.run([sys.executable, "-c", attempt], env=environment, capture_output=True).returncode == 0:
            os.environ["MUJOCO_GL"] = name
            return
    raise BadInput(f"the simulator found no renderer, neither EGL nor OSMesa: {INSTALL_RENDERER}")


def require_engine() -> None:
    """Raises BadInput, with the line to install, when mujoco cannot run or render here."""
    if importlib.util.find_spec("mujoco") is None:
        raise BadInput(f"the simulator needs mujoco: {INSTALL}")
    choose_renderer()


def load_mujoco():
    """The module mujoco."""
    # PyTorch loads triton late, and triton's own LLVM crashes the process where Mesa's is there already; not the
    # other way round. (tensorflow/tensorflow#124205 is the same clash.)
    with contextlib.suppress(ImportError):
        importlib.import_module("triton")
    try:
        return importlib.import_module("mujoco")  # late: MUJOCO_GL is read when it is imported
    except Exception as error:  # of many kinds, by renderer
        raise BadInput(_no_renderer(error)) from error


def _no_renderer(error: Exception) -> str:
    return f"mujoco cannot render with MUJOCO_GL={os.environ.get('MUJOCO_GL', '')} ({error}): {INSTALL_RENDERER}"


def average_down(large: np.ndarray, scale: int) -> np.ndarray:
    """uint8 (H * scale, W * scale, C) -> (H, W, C): the mean of each square, rounded to nearest even."""
    large = large.astype(np.uint16)
    rows = sum(large[i::scale] for i in range(scale))
    total = sum(rows[:, i::scale] for i in range(scale))
    return np.rint(total / scale**2).astype(np.uint8)


class PictureMaker:
    """Pictures of a model's scene, rendered larger and averaged down. Any thread may ask, one at a time."""

    def __init__(self, mujoco, model) -> None:
        self._mujoco, self._model = mujoco, model
        self._renderer = None
        # An OpenGL context belongs to the thread that made it; one thread of our own lets anybody ask for pictures.
        self._thread = concurrent.futures.ThreadPoolExecutor(max_workers=1)

    def render(self, data, camera: str, height: int, width: int, scale: int) -> np.ndarray:
        """What a camera sees, uint8 (height, width, 3); `scale`: by how much larger it is rendered."""
        return self._thread.submit(self._render, data, camera, height, width, scale).result()

    def _render(self, data, camera: str, height: int, width: int, scale: int) -> np.ndarray:
        size = (height * scale, width * scale)
        if self._renderer is None or (self._renderer.height, self._renderer.width) != size:
            self._close_renderer()
            self._model.vis.global_.offheight, self._model.vis.global_.offwidth = size
            try:
                self._renderer = self._mujoco.Renderer(self._model, *size)
            except Exception as error:
                raise BadInput(_no_renderer(error)) from error
            atexit.register(self.close)  # after mujoco's own, so that it runs before
        self._renderer.update_scene(data, camera)
        return average_down(self._renderer.render(), scale)

    def _close_renderer(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def close(self) -> None:
        """Frees the renderer; the interpreter's end does it too."""
        atexit.unregister(self.close)
        try:
            self._thread.submit(self._close_renderer).result()
        except RuntimeError:  # at the interpreter's end no thread takes work any more
            self._close_renderer()
        self._thread.shutdown()
