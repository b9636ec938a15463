"""ONNX Runtime for browsers: three files of an npm package, fetched by its name when a page is made."""

import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from vidpred.files import replaced

PACKAGE, VERSION = "onnxruntime-web", "1.30"
FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
"""WebAssembly with SIMD in one thread: what every browser of the last years runs, without special headers."""
FOLDER = "runtime"


def add_runtime(folder: Path) -> str:
    """Put the runtime into a folder; "" or, where it could not be had, a line on what to put where."""
    if all((folder / name).exists() for name in FILES):
        return ""
    by_hand = (
        f"for the model in the page put {', '.join(FILES)} of npm's {PACKAGE} {VERSION} (its folder dist) into {folder}"
    )
    if shutil.which("npm") is None:
        return f"npm is missing: {by_hand}"
    if not fetch(PACKAGE, VERSION, [f"dist/{name}" for name in FILES], folder):
        return f"npm could not fetch {PACKAGE} {VERSION}: {by_hand}"
    return ""


def fetch(package: str, version: str, files: Sequence[str], folder: Path) -> bool:
    """Put files of an npm package, a patch of that version, into a folder; whether npm could have them."""
    npm = shutil.which("npm")
    if npm is None:
        return False
    with tempfile.TemporaryDirectory() as temporary:
        command = [npm, "pack", f"{package}@~{version}.0", "--prefer-offline", "--pack-destination", temporary]
        done = subprocess.run(command, cwd=temporary, capture_output=True, text=True, check=False)
        packed = next(Path(temporary).glob("*.tgz"), None)
        if done.returncode or packed is None:
            return False
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(packed) as archive:
            for file in files:
                with (
                    archive.extractfile(f"package/{file}") as source,
                    replaced(folder / Path(file).name) as unpacked,
                    open(unpacked, "wb") as target,
                ):
                    shutil.copyfileobj(source, target)
    return True
