"""BAIR import: exact bytes and numbers, splits that share nothing, resumption, and one clear line per corruption."""

import numpy as np
import pytest
from PIL import Image
from tfrecord.writer import TFRecordWriter

from train.prepare.__main__ import main
from vidpred.data.bair_tfrecord import import_bair, plan_splits
from vidpred.errors import BadInput

N_FRAMES = 30


def make_record(seed: int) -> dict:
    """A record as the published ones: both cameras, raw bytes, float32 numbers."""
    rng = np.random.default_rng(seed)
    record = {}
    for t in range(N_FRAMES):
        for camera in ("image_main", "image_aux1"):
            record[f"{t}/{camera}/encoded"] = (rng.integers(0, 256, 64 * 64 * 3, np.uint8).tobytes(), "byte")
        record[f"{t}/action"] = (rng.normal(size=4).astype(np.float32), "float")
        record[f"{t}/endeffector_pos"] = (rng.normal(size=3).astype(np.float32), "float")
    return record


def write_file(path, records) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = TFRecordWriter(str(path))
    for record in records:
        writer.write(record)
    writer.close()


@pytest.fixture
def source(tmp_path):
    """Two training files (the later becomes validate) and a test file; seeds tell the records apart."""
    root = tmp_path / "tfrecords"
    write_file(root / "train/traj_256_to_511.tfrecords", [make_record(3)])
    write_file(root / "train/traj_1024_to_1279.tfrecords", [make_record(4)])
    write_file(root / "test/traj_0_to_255.tfrecords", [make_record(5), make_record(6)])
    return root


def read_pixels(clip, t) -> bytes:
    image = Image.open(clip / f"{t}.png")
    assert image.mode == "RGB" and image.size == (64, 64)
    return image.tobytes()


def test_bytes_and_numbers_arrive_unchanged(source, tmp_path):
    import_bair(source, tmp_path / "out")
    for clip, seed in (
        ("train/traj_256_to_511/1", 3),
        ("validate/traj_1024_to_1279/1", 4),
        ("test/traj_0_to_255/1", 5),
        ("test/traj_0_to_255/2", 6),
    ):
        clip, record = tmp_path / "out" / clip, make_record(seed)
        for name, key, columns in (("actions", "action", 4), ("endeffector_positions", "endeffector_pos", 3)):
            rows = np.loadtxt(clip / f"{name}.csv", delimiter=",").astype(np.float32)
            assert rows.shape == (N_FRAMES, columns)
            np.testing.assert_array_equal(rows, [record[f"{t}/{key}"][0] for t in range(N_FRAMES)])
        assert all(read_pixels(clip, t) == record[f"{t}/image_aux1/encoded"][0] for t in range(N_FRAMES))
    assert sum(1 for _ in (tmp_path / "out").glob("*/*/*")) == 4


@pytest.mark.parametrize(("n", "held_out"), [(1, 0), (2, 1), (20, 1), (169, 8)])
def test_validate_is_the_last_training_files_by_number(tmp_path, n, held_out):
    for split, count in (("train", n), ("test", 1)):
        (tmp_path / split).mkdir()
        for i in range(count):
            (tmp_path / split / f"traj_{256 * i}_to_{256 * i + 255}.tfrecords").touch()
    plan = plan_splits(tmp_path)
    assert [f.stem for f in plan["train"] + plan["validate"]] == [
        f"traj_{256 * i}_to_{256 * i + 255}" for i in range(n)
    ]
    assert len(plan["validate"]) == held_out


def test_one_training_file_is_said_to_leave_nothing_to_validate_by(tmp_path, capsys):
    for split in ("train", "test"):
        write_file(tmp_path / f"bair/{split}/traj_0_to_255.tfrecords", [make_record(7)])
    main(["import-bair", str(tmp_path / "bair"), str(tmp_path / "out")])
    said = capsys.readouterr().out.splitlines()
    out = tmp_path / "out"
    assert said[0] == f"{out}/train: 1 clip from 1 file"
    assert said[1].startswith(f"{out}/validate: none") and "one training file" in said[1] and "train.svg" in said[1]
    assert said[2] == f"{out}/test: 1 clip from 1 file"
    assert not (out / "validate").exists()


def test_resumption_writes_only_what_is_missing(source, tmp_path):
    out = tmp_path / "out"
    import_bair(source, out)
    kept, damaged = out / "test/traj_0_to_255/1", out / "test/traj_0_to_255/2"
    (damaged / "17.png").unlink()
    before = {path: path.stat().st_mtime_ns for path in kept.iterdir()}
    import_bair(source, out)
    assert {path: path.stat().st_mtime_ns for path in kept.iterdir()} == before
    assert read_pixels(damaged, 17) == make_record(6)["17/image_aux1/encoded"][0]


def test_a_clip_cannot_come_to_stand_in_two_splits(source, tmp_path):
    import_bair(source, tmp_path / "out")
    write_file(source / "train/traj_1280_to_1535.tfrecords", [make_record(7)])  # now this one is the last
    with pytest.raises(BadInput, match="traj_1024_to_1279 in validate"):
        import_bair(source, tmp_path / "out")


def changed(**changes):
    """A record with keys replaced, or removed where the value is None. `/` is written `__`."""
    record = make_record(8)
    for key, value in changes.items():
        key = key.strip("_").replace("__", "/")
        record.pop(key)
        if value is not None:
            record[key] = value
    return record


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (changed(_29__action=None), "missing key 29/action"),
        (changed(_7__image_aux1__encoded=None), "missing key 7/image_aux1/encoded"),
        (changed(_7__image_aux1__encoded=(b"\0" * 100, "byte")), "7/image_aux1/encoded has 100 bytes, expected 12288"),
        (
            changed(_0__endeffector_pos=(np.zeros(4, np.float32), "float")),
            "0/endeffector_pos has 4 numbers, expected 3",
        ),
        (changed(_3__action=(np.float32([0, 0, np.nan, 0]), "float")), "3/action has a value that is not finite"),
        (changed(_3__action=([1, 2, 3, 4], "int")), "3/action holds int64_list, expected float_list"),
        (changed(_3__action=([], "float")), "3/action has 0 numbers, expected 4"),
    ],
)
def test_a_wrong_record_is_named(source, tmp_path, record, message):
    file = source / "train/traj_256_to_511.tfrecords"
    write_file(file, [make_record(3), record])
    with pytest.raises(BadInput) as caught:
        import_bair(source, tmp_path / "out")
    assert str(caught.value) == f"{file}: record 2: {message}"
    assert not (tmp_path / "out/train/traj_256_to_511/2").exists()


def cut(data: bytes) -> bytes:
    return data[:-1000]


def cut_in_head(data: bytes) -> bytes:
    return data + data[:5]


def flip_pixel(data: bytes) -> bytes:
    return data[:50_000] + bytes([data[50_000] ^ 1]) + data[50_001:]


def flip_length(data: bytes) -> bytes:
    return data[:5] + bytes([data[5] ^ 64]) + data[6:]


@pytest.mark.parametrize(
    ("damage", "number", "message"),
    [
        (cut, 1, "truncated"),
        (cut_in_head, 2, "truncated"),
        (flip_pixel, 1, "damaged"),
        (flip_length, 1, "damaged"),
        (lambda _: b"this is not a record file", 1, "not a TFRecord file"),
    ],
)
def test_a_damaged_file_is_named(source, tmp_path, damage, number, message):
    file = source / "train/traj_256_to_511.tfrecords"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(BadInput, match=rf"traj_256_to_511.tfrecords: record {number}: .*{message}") as caught:
        import_bair(source, tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_missing_or_empty_input_is_named(source, tmp_path):
    with pytest.raises(BadInput, match=r"no \*.tfrecords files"):
        import_bair(tmp_path / "nowhere", tmp_path / "out")
    (source / "test/traj_0_to_255.tfrecords").write_bytes(b"")
    with pytest.raises(BadInput, match=r"traj_0_to_255\.tfrecords: empty file"):
        import_bair(source, tmp_path / "out")


@pytest.mark.parametrize("mark", ["simulation.json", "films.json", "train/index.json"])
def test_clips_of_another_kind_do_not_pass_for_bairs(source, tmp_path, mark):
    """Simulated clips lie in groups of the same names, and what is there already is kept."""
    path = tmp_path / "out" / mark
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    with pytest.raises(BadInput, match="give another folder"):
        import_bair(source, tmp_path / "out")
