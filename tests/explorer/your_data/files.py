"""Files as visitors upload them."""

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image


def zipped(path, files):
    """A zip of name -> bytes, or name -> file."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content if isinstance(content, (bytes, str)) else Path(content).read_bytes())
    return path


def files_of(folder, prefix=""):
    """Everything in a folder, name -> file."""
    return {prefix + p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}


def png(value=0, size=(64, 64)):
    """A picture of one grey."""
    file = io.BytesIO()
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(file, "PNG")
    return file.getvalue()


def sent(path):
    """A file as the browser sends it."""
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}}
