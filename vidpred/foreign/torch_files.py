"""The two formats of torch.save, read without torch.load: a zip archive, and before torch 1.6 a stream of pickles with
the numbers behind them (torch/serialization.py)."""

import os
import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor

from vidpred.errors import BadInput, in_one_line
from vidpred.foreign.inert import Damaged, Storage, StoredTensor
from vidpred.foreign.pickles import read_pickle

MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of the old format
PROTOCOL = 1001
ZIP = b"PK\x03\x04"
MOST_DIRECTORY = 2**22  # bytes of an archive's list of contents: 40,000 parts
LOCAL_HEADER = 30  # bytes, before a part's name


class TorchFile(NamedTuple):
    """What a file holds, and where in it each storage's numbers begin."""

    path: Path
    value: Any
    positions: dict[str, int]

    def read(self, tensor: StoredTensor) -> Tensor:
        """The tensor itself; only its own part of the file is read."""
        size = tensor.storage.dtype.itemsize
        first = tensor.storage.start + tensor.offset
        with open(self.path, "rb") as file:
            file.seek(self.positions[tensor.storage.key] + first * size)
            data = bytearray(file.read(tensor.span * size))
        if len(data) != tensor.span * size:
            raise Damaged("cut off")
        if not data:
            return torch.empty(tensor.shape, dtype=tensor.storage.dtype)
        return torch.frombuffer(data, dtype=tensor.storage.dtype).as_strided(tensor.shape, tensor.stride)


def open_torch_file(path: Path) -> TorchFile:
    """Everything of a file but the numbers of its tensors, whose place and size are checked.

    BadInput for what is no file of torch's, is damaged, or would run anything.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"{path}: no such file")
    try:
        with open(path, "rb") as file:
            start = file.read(len(ZIP))
            file.seek(0)
            value, positions = (_read_zip if start == ZIP else _read_stream)(file)
    except (BadInput, Damaged) as error:
        raise BadInput(f"{path}: {in_one_line(str(error))}") from None
    return TorchFile(path, value, positions)


class _Directory:
    """A file of which zipfile reads no more at once than a list of contents may take."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(MOST_DIRECTORY + 1 if size < 0 else min(size, MOST_DIRECTORY + 1))
        if len(data) > MOST_DIRECTORY:
            raise Damaged("an archive of more parts than any checkpoint has")
        return data


def _read_zip(file: BinaryIO) -> tuple[Any, dict[str, int]]:
    try:
        with zipfile.ZipFile(_Directory(file)) as archive:
            parts = {info.filename: info for info in archive.infolist()}
    except Damaged:
        raise
    # zipfile raises a kind of RuntimeError at an archive of a version that it does not know
    except (zipfile.BadZipFile, ValueError, LookupError, EOFError, OSError, RuntimeError, struct.error):
        raise Damaged("cut off or damaged: an archive without a list of its contents") from None
    pickles = [name for name in parts if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise Damaged("a zip archive, but none that torch.save wrote (no data.pkl in it)")
    folder = pickles[0].removesuffix("data.pkl")
    if f"{folder}constants.pkl" in parts:
        raise BadInput("refused: a TorchScript archive, which is a program; nothing of it was run")
    if (order := parts.get(f"{folder}byteorder")) is not None:
        file.seek(_position(file, order))
        _require_little(file.read(6) == b"little")
    file.seek(_position(file, parts[pickles[0]]))
    value, storages = read_pickle(file)
    positions = {}
    for storage in storages:
        part = parts.get(f"{folder}data/{storage.key}")
        if part is None or part.file_size < (storage.start + storage.numel) * storage.dtype.itemsize:
            raise Damaged(f"{storage.numel:,} numbers are missing: cut off, or not what torch.save wrote")
        if storage.key not in positions:
            positions[storage.key] = _position(file, part)
    return value, positions


def _position(file: BinaryIO, part: zipfile.ZipInfo) -> int:
    """Where a part's bytes begin, all of which the file must have."""
    file.seek(part.header_offset)
    header = file.read(LOCAL_HEADER)
    if part.compress_type != zipfile.ZIP_STORED or part.flag_bits & 1:
        raise Damaged("a compressed or encrypted archive: torch.save writes neither")
    if len(header) != LOCAL_HEADER or not header.startswith(ZIP):
        raise Damaged("cut off or damaged: a part of the archive is not where it should be")
    name, extra = struct.unpack("<HH", header[26:])
    begin = part.header_offset + LOCAL_HEADER + name + extra
    if begin + part.file_size > os.fstat(file.fileno()).st_size:
        raise Damaged("cut off: a part of the archive reaches beyond the end")
    return begin


def _read_stream(file: BinaryIO) -> tuple[Any, dict[str, int]]:
    size = os.fstat(file.fileno()).st_size
    try:
        magic = read_pickle(file)[0]
    except Damaged:
        raise Damaged("not a file of torch.save (neither an archive nor a pickle)" if size else "empty") from None
    if magic != MAGIC:
        raise Damaged("a pickle, but not one that torch.save wrote")
    if read_pickle(file)[0] != PROTOCOL:
        raise Damaged("of a version of torch's format that is not known")
    system = read_pickle(file)[0]
    _require_little(isinstance(system, dict) and system.get("little_endian") is True)
    value, storages = read_pickle(file)
    named: dict[str, list[Storage]] = {}
    for storage in storages:
        named.setdefault(storage.key, []).append(storage)
    keys, positions = read_pickle(file)[0], {}
    listed = isinstance(keys, list) and all(isinstance(key, str) for key in keys) and len(keys) == len(named)
    if not listed or set(keys) != named.keys():
        raise Damaged("its list of storages is not that of its tensors")
    for key in keys:
        there = int.from_bytes(file.read(8), "little")
        position = file.tell()
        needed = max(storage.start + storage.numel for storage in named[key])
        end = position + there * named[key][0].dtype.itemsize
        if there < needed or end > size or len({storage.dtype for storage in named[key]}) > 1:
            raise Damaged(f"{needed:,} numbers are missing: cut off, or not what torch.save wrote")
        positions[key] = position
        file.seek(end)
    return value, positions


def _require_little(little: bool) -> None:
    if not little:
        raise Damaged("written on a machine of the other byte order; save it again on this kind")
