"""One writer at a time to a folder, and locks that nobody holds any more."""

import math
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.trust.faults import BeforeOperation, contents, in_process
from tests.trust.work import training
from vidpred import lock
from vidpred.errors import BadInput
from vidpred.files import LOCK
from vidpred.lock import held

pytestmark = pytest.mark.trust

ELSEWHERE = "filelock/2\npid=7\nhost=elsewhere\nmode=lease\ntoken=00\nduration={lease!r}\nstart=1\n"


@pytest.fixture
def short_lease(monkeypatch):
    """A lease of a moment instead of minutes."""
    monkeypatch.setattr(lock, "LEASE", 0.6)


@pytest.mark.parametrize("fresh", [False, True])
def test_a_second_training_refuses_and_touches_nothing(whole, small_debug, tiny_data, tmp_path, survived, fresh):
    run = whole[0]
    before = contents(run)
    with held(run):
        status, said = in_process(tmp_path, training, run, small_debug, tiny_data, fresh)
    assert status == 2
    assert said == f"train: {run}: process {os.getpid()} of this machine is writing it\n"
    assert contents(run) == before
    survived("training: a second one on the same folder" + ", with --fresh" * fresh)


def test_the_lock_of_a_killed_process_is_taken_over(small_debug, tiny_data, tmp_path, survived):
    run = tmp_path / "run"
    killed = BeforeOperation(run, 12)
    assert in_process(tmp_path, training, run, small_debug, tiny_data, fault=killed).status == -signal.SIGKILL
    assert (run / LOCK).exists()
    with held(run):
        pass
    assert not (run / LOCK).exists()
    survived("lock: left by a killed process")


def test_a_lock_without_a_word_in_it_is_of_a_process_killed_as_it_made_it(tmp_path, monkeypatch, survived):
    monkeypatch.setattr(lock, "EMPTY", 0.0)
    (tmp_path / LOCK).touch()
    with held(tmp_path):
        assert (tmp_path / LOCK).stat().st_size
    survived("lock: left by a process killed as it made it")


def test_another_host_that_is_silent_has_lost_its_lock(tmp_path, short_lease, capfd, survived):
    (tmp_path / LOCK).write_text(ELSEWHERE.format(lease=lock.LEASE))
    with held(tmp_path):
        assert f"pid={os.getpid()}" in (tmp_path / LOCK).read_text()
    assert "process 7 on elsewhere was writing it; waiting up to" in capfd.readouterr().err
    survived("lock: left by a host that is gone")


def test_another_host_that_is_not_silent_keeps_its_lock(tmp_path, short_lease, survived):
    file, ended = tmp_path / LOCK, threading.Event()
    file.write_text(ELSEWHERE.format(lease=lock.LEASE))

    def touch():
        while not ended.wait(lock.LEASE / 6):
            os.utime(file)

    toucher = threading.Thread(target=touch)
    toucher.start()
    try:
        with pytest.raises(BadInput, match="process 7 on elsewhere is writing it"), held(tmp_path):
            pass
    finally:
        ended.set()
        toucher.join()
    assert "elsewhere" in file.read_text()
    survived("training: a second one on another host")


def until_refused(still_held):
    """For as long as the holder's heartbeat has not seen what happened."""
    while True:
        still_held()
        threading.Event().wait(0.01)


def test_who_has_lost_its_lock_stops(tmp_path, short_lease, survived):
    with held(tmp_path) as still_held:
        still_held()
        other = tmp_path / "other"
        other.write_text(ELSEWHERE.format(lease=lock.LEASE))
        other.rename(tmp_path / LOCK)
        with pytest.raises(BadInput, match="another process has taken over"):
            until_refused(still_held)
    assert "elsewhere" in (tmp_path / LOCK).read_text()  # not its own to remove
    survived("lock: lost to another host while its machine slept")


def test_who_waits_for_a_process_of_this_machine_says_so(tmp_path, capfd):
    with ThreadPoolExecutor(1) as other:
        with held(tmp_path):
            waiting = other.submit(lambda: held(tmp_path, math.inf).__enter__())
            said = ""
            while not said.endswith("\n"):  # the line comes in pieces
                assert not waiting.done()
                said += capfd.readouterr().err
        waiting.result()
    assert said == f"{tmp_path}: waiting for process {os.getpid()}, which is writing it\n"


def test_a_folder_that_was_made_for_nothing_is_gone(tmp_path):
    with pytest.raises(ZeroDivisionError), held(tmp_path / "new"):
        1 / 0  # noqa: B018
    assert not (tmp_path / "new").exists()


def test_what_a_process_left_that_nobody_can_ask_for_stays(tmp_path, monkeypatch):
    left = tmp_path / f"{LOCK}.{10**20}.token"
    left.touch()
    with held(tmp_path):
        assert left.exists()
    left = left.rename(tmp_path / f"{LOCK}.7.token")
    monkeypatch.setattr(lock.sys, "platform", "win32")
    monkeypatch.setattr(lock.os, "kill", lambda *_: pytest.fail("a process was interrupted"))
    lock._remove_leftovers(tmp_path)
    assert left.exists()
