"""What the layouts on disk share: splits, and PNG files in the order of their numbers."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from vidpred.errors import BadInput

SPLITS = ("train", "validate", "test")


def split_name(split: str) -> str:
    """One of SPLITS; `val` is an alias."""
    split = "validate" if split == "val" else split
    if split not in SPLITS:
        raise BadInput(f"unknown split {split!r}: {', '.join(SPLITS)}")
    return split


def split_folder(root: Path, name: str) -> Path:
    """ROOT/name, which must be there."""
    folder = Path(root) / name
    if not Path(root).is_dir():
        raise BadInput(f"{root}: no such folder of clips")
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such split in this data set")
    return folder


def by_number(folder: Path) -> list[Path]:
    """Entries by the numbers in their names, hidden ones left out."""
    return sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=lambda path: number_key(path.name))


def number_key(name: str) -> tuple[list[int], str]:
    """What sorts names by the numbers in them: 2 before 10."""
    digits = "".join(c if c.isdecimal() else " " for c in name).split()
    return [int(d) for d in digits], name


def numbered_pictures(folder: Path) -> dict[int, Path]:
    """The files <n>.png of a folder, by n."""
    return {int(p.stem): p for p in folder.glob("*.png") if p.stem.isascii() and p.stem.isdecimal()}


def remove_hidden(folders: Iterable[Path]) -> None:
    """What a killed process had begun in these folders: clips and pictures are written under hidden names."""
    for folder in folders:
        for begun in folder.glob(".*"):
            shutil.rmtree(begun) if begun.is_dir() else begun.unlink()


def read_png(path: Path) -> np.ndarray:
    """uint8 (H, W, 3); grey and transparent pictures become RGB."""
    import torch  # here: only packing decodes pictures, and these imports take seconds
    from torchvision import io

    try:
        picture = io.decode_image(io.read_file(str(path)), io.ImageReadMode.RGB)
    except (RuntimeError, ValueError):
        raise BadInput(f"{path}: not a readable PNG") from None
    if picture.dtype != torch.uint8:
        raise BadInput(f"{path}: 16 bits per colour, expected 8")
    return picture.permute(1, 2, 0).numpy()
