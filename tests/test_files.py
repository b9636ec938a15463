"""Files and folders that take their places whole."""

import os

import pytest

from vidpred.files import replaced, replaced_folder


@pytest.mark.parametrize(("umask", "file", "folder"), [(0o077, 0o600, 0o700), (0o002, 0o664, 0o775)])
def test_what_is_written_is_open_to_whom_the_umask_leaves_it(tmp_path, umask, file, folder):
    before = os.umask(umask)
    try:
        with replaced(tmp_path / "file") as unfinished:
            unfinished.touch(0o600)  # as safetensors makes its own
        with replaced_folder(tmp_path / "folder") as unfinished:
            (unfinished / "content").touch()
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("file", "folder")] == [file, folder]
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["content"]
