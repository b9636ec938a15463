"""The folder of an app goes with its process, however that ends."""

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import ROOT
from vidpred.explorer.server.storage import clear_abandoned

pytestmark = pytest.mark.trust

WAITS = """
import sys
from vidpred.explorer.server.storage import end_on_sigterm, storage

end_on_sigterm()
folders = storage()
(folders.private / "film.gif").write_text("a visitor's")
(folders.served / "sheet.webp").write_text("what was drawn")
print(folders.private.parent, flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def running(tmp_path):
    """A process with a folder, and the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS],
        cwd=ROOT,
        env={"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        yield process, Path(process.stdout.readline().strip())


def test_it_is_for_its_user_alone(tmp_path):
    with running(tmp_path) as (process, folder):
        assert folder.parent == tmp_path and folder.stat().st_mode & 0o077 == 0
        process.stdin.close()


@pytest.mark.parametrize("end", ["exit", signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_at_the_end(tmp_path, end, survived):
    with running(tmp_path) as (process, folder):
        assert folder.is_dir()
        if end == "exit":
            process.stdin.close()
        else:
            process.send_signal(end)
        process.wait()
    assert not folder.exists()
    assert end != signal.SIGTERM or process.returncode == -end  # not an abort, which would leave a core
    survived("ends of the app: nothing of a visitor is left", 1)


def test_what_a_killed_app_has_left_goes_when_the_next_one_starts(tmp_path, survived):
    """And what one that runs holds stays."""
    with running(tmp_path) as (process, left):
        process.kill()
    assert (left / "private" / "film.gif").exists()
    with running(tmp_path) as (first, folder), running(tmp_path) as (second, other):
        assert not left.exists()
        clear_abandoned(tmp_path)
        assert folder.is_dir() and other.is_dir() and folder != other
        first.stdin.close()
        second.stdin.close()
    assert not list(tmp_path.iterdir())
    survived("ends of the app: nothing of a visitor is left", 1)
