"""A zip can neither fill the disk nor leave its folder."""

import io
import zipfile
from pathlib import PurePosixPath

import pytest

from tests.explorer.your_data.files import png, zipped
from vidpred.errors import BadInput
from vidpred.explorer.your_data import archive
from vidpred.explorer.your_data.archive import open_archive
from vidpred.explorer.your_data.upload import convert_clip


def tampered(name, size):
    """A zip whose index says that an entry is smaller than it is."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as content:
        content.writestr(name, b"\0" * size)
    content = bytearray(file.getvalue())
    at = content.rindex(b"PK\1\2") + 24
    content[at : at + 4] = (100).to_bytes(4, "little")
    return bytes(content)


def encrypted(path):
    """The same zip with every entry marked as encrypted."""
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = 0
        while (at := content.find(mark, at)) >= 0:
            content[at + offset] |= 1
            at += 4
    return bytes(content)


def read(path):
    with open_archive(path) as opened:
        for inside in opened.files:
            with opened.open(inside) as file:
                file.read()


def test_files_without_what_some_systems_add(tmp_path):
    names = ["__MACOSX/a/._0.png", "a/.DS_Store", "a/", "a/0.png", "./a.b/1.png", "__MACOSX/a/0.png", ".hidden"]
    with open_archive(zipped(tmp_path / "a.zip", dict.fromkeys(names, b"x"))) as opened:
        assert set(opened.files) == {PurePosixPath("a/0.png"), PurePosixPath("a.b/1.png")}
        assert opened.open(PurePosixPath("a.b/1.png")).read() == b"x"


def test_nothing_is_written_outside_its_folder(tmp_path):
    outside = zipped(tmp_path / "out.zip", {"../../0.png": png(1), "../../1.png": png(2)})
    uploaded = convert_clip(outside, tmp_path / "in" / "clip")
    assert {p.parent for p in tmp_path.rglob("1.png")} == {uploaded.clip.folder}


def test_sizes_are_bounded_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MOST_BYTES", 10_000)
    with pytest.raises(BadInput, match="big.zip: 1 file of 0 MB, at most 5,000 and"):
        read(zipped(tmp_path / "big.zip", {"0.png": b"\0" * 10_001}))
    monkeypatch.setattr(archive, "MOST_FILES", 3)
    with pytest.raises(BadInput, match="4 files"):
        read(zipped(tmp_path / "many.zip", {f"{n}.txt": b"" for n in range(4)}))


def test_what_is_no_zip_is_one_line(tmp_path):
    (tmp_path / "lies.zip").write_bytes(tampered("0.png", 10**6))
    (tmp_path / "no.zip").write_bytes(b"no zip")
    (tmp_path / "locked.zip").write_bytes(encrypted(zipped(tmp_path / "open.zip", {"a.txt": b"a"})))
    (tmp_path / "short.zip").write_bytes((tmp_path / "open.zip").read_bytes()[:-10])
    for name in ("lies", "no", "locked", "short"):
        with pytest.raises(BadInput, match=rf"^{name}\.zip: not a readable zip file$"):
            read(tmp_path / f"{name}.zip")
