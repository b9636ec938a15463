"""What lets the exported page run the models itself: graphs, clips as pictures and numbers, scripts, the runtime."""

import gzip
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vidpred.explorer.export.runtime import FILES, add_runtime
from vidpred.explorer.runs.gripper_model import gripper_model_of
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.run import Clip, Run
from vidpred.explorer.ui.html_component import STATIC as UI
from vidpred.explorer.ui.run_colors import own_colour
from vidpred.files import replaced
from vidpred.render import sprite_sheet

STATIC = Path(__file__).parent / "static"
LIVE, MODELS, CLIPS, WORKER = "live", "models", "clips", "sw.js"
SCRIPTS = ("page", "fetching", "worker", "imagine", "drive", "poses", "philox", "scores", "gif")
# What a page reads before the worker that keeps its files stands between it and the network.
READ_BEFORE = ("views/menu.json", "views/curves.json", f"{LIVE}/runtime.json", f"{LIVE}/skeleton.json")
DANCE_FRAMES = 200  # that may be predicted
# Places of the joints of a dancer who stands still, in pixels: where one begins to drag.
STANDING = {
    **{"head": (32, 6), "neck": (32, 10), "waist": (32, 16), "pelvis": (32, 18.5)},
    **{"right_shoulder": (29, 10), "right_elbow": (27, 14), "right_hand": (26, 18)},
    **{"left_shoulder": (35, 10), "left_elbow": (37, 14), "left_hand": (38, 18)},
    **{"right_hip": (30.5, 19), "right_knee": (30, 24.5), "right_foot": (30, 29.5)},
    **{"left_hip": (33.5, 19), "left_knee": (34, 24.5), "left_foot": (34, 29.5)},
}


def add_page(out: Path, live: bool, runtime: Path) -> str:
    """Write the page's scripts, and for models the skeleton and the runtime, which has a folder of its own; what is
    missing, in a line, or ""."""
    from vidpred.simulate import skeleton

    (out / LIVE).mkdir(exist_ok=True)
    for name in SCRIPTS:
        shutil.copyfile((UI if name == "scores" else STATIC) / f"{name}.mjs", out / LIVE / f"{name}.mjs")
    if not live:
        return ""
    skeleton = {
        "limbs": [[start, end, list(colour)] for start, end, colour in skeleton.LIMBS.values()],
        "limb_width": skeleton.LIMB_WIDTH,
        "scale": skeleton.SKELETON_SCALE,
        "points": STANDING,
    }
    (out / LIVE / "skeleton.json").write_text(json.dumps(skeleton))
    missing = add_runtime(runtime)
    files = [] if missing else [(runtime / name).read_bytes() for name in FILES]
    (out / LIVE / "runtime.json").write_text(json.dumps(_weight(files)))
    return missing


def _weight(files: list[bytes]) -> dict[str, int]:
    """What it takes to download files, as they are and from a server that compresses."""
    return {"bytes": sum(map(len, files)), "gzip_bytes": sum(len(gzip.compress(file, 6)) for file in files)}


def add_worker_cache(out: Path, runtime: Path) -> None:
    """Write the script that keeps the page for use without a network; its version is a hash of all other files."""
    digest = hashlib.sha256()
    for root, folder in ((out, out), (runtime.parent, runtime)):
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(file.relative_to(root).as_posix().encode() + file.read_bytes())
    before = [
        "./",
        *(f"{LIVE}/{name}.mjs" for name in SCRIPTS),
        *(name for name in READ_BEFORE if (out / name).exists()),
    ]
    script = (STATIC / WORKER).read_text().replace("[[files]]", json.dumps(before))
    (out / WORKER).write_text(script.replace("[[version]]", digest.hexdigest()[:16]))


def add_model(library: Library, run: Run, clips: list[Clip], out: Path, number: int) -> dict:
    """Write a run's graphs; what the page must know of it. Of weights that are float16 only those graphs are kept."""
    from vidpred.onnx_export import DESCRIPTION, export_onnx

    folder = out / MODELS / str(number)
    about = export_onnx(run.folder, folder)
    kind = "float16" if "float16" in about["files"] else "float32"
    for other, files in about["files"].items():
        for file in files.values() if other != kind else ():
            (folder / file["file"]).unlink()
    about["files"] = {kind: about["files"][kind]}
    (folder / DESCRIPTION).write_text(json.dumps(about))
    files = [(folder / file["file"]).read_bytes() for file in about["files"][kind].values()]
    return {
        "folder": f"{MODELS}/{number}/",
        "kind": about["conditions"]["kind"],
        "n_past": run.n_past,
        "n_future": min(run.own_future, *(run.first_future(clip) for clip in clips)),
        "longest": min(DANCE_FRAMES, *(run.longest_future(clip) for clip in clips)),
        "protocol": about["protocol"],
        **_weight(files),
        "active": most_active(run, about["z_shape"][0]),
        "colour": own_colour(library, run),
        "clips": {clip.name: f"{CLIPS}/{_file_of(library, clip)}.json" for clip in clips},
    }


def most_active(run: Run, dimensions: int) -> list[int]:
    """Dimensions (or channels) of z, those that carry most nats first; where nobody has looked, in their order."""
    from vidpred import runs

    found = (runs.read_eval(run.folder) or {}).get("kld_map")
    if not found or len(found[0]) != dimensions:
        return list(range(dimensions))
    return np.argsort(-np.mean(found, 0), kind="stable").tolist()


def add_clip(library: Library, clip: Clip, out: Path) -> None:
    """Write a clip: its known frames, poses and conditions, and what an action does to the gripper."""
    name = _file_of(library, clip)
    frames = min(clip.frames, 1 + DANCE_FRAMES) if clip.has_poses else clip.frames  # one is given
    batch = library.read_clip(clip, frames)
    pictures = batch.frames[0].numpy()
    height, width = pictures.shape[1:3]
    values: dict[str, Any] = {"id": clip.id, "width": width, "height": height, "conditions": None, "gripper": None}
    values["sheet"] = _sheet(out, f"{name}.webp", pictures)
    if clip.has_poses:
        values["pose_sheet"] = _sheet(out, f"{name}-poses.webp", batch.conditions[0].numpy())
    elif clip.has_actions:
        values["conditions"] = batch.conditions[0].tolist()
        fitted = gripper_model_of(clip)._asdict()
        values["gripper"] = {key: np.asarray(value, float).tolist() for key, value in fitted.items()}
    (out / CLIPS / f"{name}.json").write_text(json.dumps(values))


def _file_of(library: Library, clip: Clip) -> int:
    return list(library.clips).index(clip.name)


def _sheet(out: Path, name: str, frames: np.ndarray) -> dict:
    """Frames (T, H, W, 3) as one lossless picture, its cells row by row."""
    sheet, columns = sprite_sheet([frames])
    with replaced(out / CLIPS / name) as temporary:
        Image.fromarray(sheet).save(temporary, format="WEBP", lossless=True, exact=True)
    return {"url": f"{CLIPS}/{name}", "columns": columns, "frames": len(frames)}
