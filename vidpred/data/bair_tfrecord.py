"""BAIR robot pushing: the official TFRecords (Ebert et al. 2017) into the robot-push layout, without TensorFlow."""

import re
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from vidpred.data.layout import SHARD_INDEX, remove_hidden
from vidpred.data.robot_push import ACTION_DIM, ACTIONS_CSV, POSITION_DIM, POSITIONS_CSV, is_whole, write_clip
from vidpred.errors import BadInput
from vidpred.lock import held

N_FRAMES = 30
SIZE = 64
FRAME_KEY = "{}/image_aux1/encoded"  # raw bytes, not a picture file; image_main is the other camera
ACTION_KEY = "{}/action"
POSITION_KEY = "{}/endeffector_pos"
VALIDATE_PERCENT = 5  # of the training files, the last ones, moved whole


def import_bair(tfrecords: Path, out: Path) -> dict[str, tuple[int, int]]:
    """Writes every record of `tfrecords`/{train,test}/traj_<a>_to_<b>.tfrecords as OUT/<split>/traj_<a>_to_<b>/<clip>.

    Clips are numbered from 1 per file. Frames keep their bytes and numbers their float32 values. A clip that is there
    already is kept, so that an interrupted import goes on. Whatever is wrong with a file is BadInput with its path and
    the record's number (from 1, as the clip's). Returns (clips, files) of each split; validate has none where there
    is one training file alone.
    """
    plan = plan_splits(Path(tfrecords))
    with held(out):
        return _import(plan, Path(out))


def _import(plan: dict[str, list[Path]], out: Path) -> dict[str, tuple[int, int]]:
    for split, files in plan.items():
        other = {"train": "validate", "validate": "train"}.get(split)
        for file in files:
            if other and (out / other / file.stem).exists():
                raise BadInput(f"{out} has {file.stem} in {other}, from an import of other files; give another folder")
    for record in ("simulation.json", "films.json"):  # of simulated clips and of imported films
        if (out / record).exists():
            raise BadInput(f"{out} holds other clips ({record}); give another folder")
    for split in plan:
        if (out / split / SHARD_INDEX).exists():
            raise BadInput(f"{out / split} holds shards; give another folder")
    clips = dict.fromkeys(plan, 0)
    remove_hidden(out / split / file.stem for split, files in plan.items() for file in files)
    total = sum(file.stat().st_size for files in plan.values() for file in files)
    with tqdm(total=total, unit="B", unit_scale=True, desc="import") as progress:
        for split, files in plan.items():
            for file in files:
                for number, record in _read_records(file):
                    clip = out / split / file.stem / str(number)
                    if not is_whole(clip, N_FRAMES, ACTIONS_CSV, POSITIONS_CSV):
                        write_clip(clip, *_parse(record, f"{file}: record {number}"))
                    clips[split] += 1
                    progress.update(16 + len(record))
    return {split: (clips[split], len(files)) for split, files in plan.items()}


def plan_splits(tfrecords: Path) -> dict[str, list[Path]]:
    """Files per split, in the order of their numbers; the last 5 % of the training files, at least one of several,
    are `validate`."""
    found = {}
    for split in ("train", "test"):
        files = (tfrecords / split).glob("*.tfrecords")
        found[split] = sorted(files, key=lambda file: ([int(n) for n in re.findall(r"\d+", file.stem)], file.stem))
        if not found[split]:
            raise BadInput(f"{tfrecords / split}: no *.tfrecords files (give the folder that holds train/ and test/)")
    train = found["train"]
    held_out = max(1, len(train) * VALIDATE_PERCENT // 100) if len(train) > 1 else 0
    cut = len(train) - held_out
    return {"train": train[:cut], "validate": train[cut:], "test": found["test"]}


def _read_records(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number (from 1) and bytes of each record. Not by the package's reader, which checks neither lengths nor
    checksums, and makes room for whatever length a damaged file claims."""
    from tfrecord.writer import TFRecordWriter

    size = path.stat().st_size
    if size == 0:
        raise BadInput(f"{path}: empty file")
    with path.open("rb") as file:
        offset, number = 0, 0
        while offset < size:
            number += 1
            length_bytes, checksum = file.read(8), file.read(4)
            if len(checksum) < 4:
                raise BadInput(f"{path}: record {number}: truncated file")
            if TFRecordWriter.masked_crc(length_bytes) != checksum:
                raise BadInput(f"{path}: record {number}: damaged, or not a TFRecord file (checksum of the length)")
            (length,) = struct.unpack("<Q", length_bytes)
            if offset + 16 + length > size:
                raise BadInput(f"{path}: record {number}: truncated file")
            record = file.read(length)
            if TFRecordWriter.masked_crc(record) != file.read(4):
                raise BadInput(f"{path}: record {number}: damaged (checksum of the data)")
            yield number, record
            offset += 16 + length


def _parse(record: bytes, where: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """frames uint8 (30, 64, 64, 3), actions (30, 4), positions (30, 3) float32 of one record; `where` names it."""
    from google.protobuf.message import DecodeError
    from tfrecord import example_pb2

    example = example_pb2.Example()
    try:
        example.ParseFromString(record)
    except DecodeError:
        raise BadInput(f"{where}: not a TensorFlow example") from None

    def values(key: str, kind: str, count: int):
        """The one frame's bytes or the `count` numbers under a key."""
        if key not in example.features.feature:
            raise BadInput(f"{where}: missing key {key}")
        feature = example.features.feature[key]
        if feature.WhichOneof("kind") != kind:
            raise BadInput(f"{where}: {key} holds {feature.WhichOneof('kind') or 'nothing'}, expected {kind}")
        found = getattr(feature, kind).value
        if kind == "bytes_list":
            found = found[0] if len(found) == 1 else b"".join(found)
        if len(found) != count:
            raise BadInput(f"{where}: {key} has {len(found)} {'bytes' if kind == 'bytes_list' else 'numbers'}, "
                           f"expected {count}")  # fmt: skip
        return found

    def table(key: str, columns: int) -> np.ndarray:
        rows = np.array([values(key.format(t), "float_list", columns) for t in range(N_FRAMES)], np.float32)
        if not np.isfinite(rows).all():
            t = int(np.argmin(np.isfinite(rows).all(axis=1)))
            raise BadInput(f"{where}: {key.format(t)} has a value that is not finite")
        return rows

    pixels = b"".join(values(FRAME_KEY.format(t), "bytes_list", SIZE * SIZE * 3) for t in range(N_FRAMES))
    frames = np.frombuffer(pixels, np.uint8).reshape(N_FRAMES, SIZE, SIZE, 3)
    return frames, table(ACTION_KEY, ACTION_DIM), table(POSITION_KEY, POSITION_DIM)
