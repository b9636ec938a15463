"""What visitors uploaded is theirs alone, bounded, and deleted with their session."""

import shutil
import stat

import numpy as np

from vidpred.explorer.runs.prediction import predict_clip
from vidpred.explorer.your_data.sessions import (
    MOST_CLIPS,
    MOST_OF_ONE,
    MOST_RUNS,
    MOST_SESSIONS,
    SECONDS_KEPT,
    Session,
    Sessions,
)
from vidpred.explorer.your_data.upload import convert_clip


def filled(session, film, every=1, others=()):
    """A session with a film."""
    session.take(film)
    with session.new_folder() as folder:
        session.add_clip(convert_clip(film, folder, every).clip, others)
    return session


def opened(sessions, address=""):
    """A session that is kept, and its id."""
    session = sessions.find("")
    return sessions.keep("", session, address), session


def test_the_oldest_make_room(library, film, free_run):
    session, roots = Session(), []
    for _ in range(MOST_CLIPS + 1):
        session.take(film)
        with session.new_folder() as root:
            session.add_clip(convert_clip(film, root).clip, library.clips)
        roots.append(root)
    assert len(session.clips) == MOST_CLIPS
    assert list(session.clips)[-1] == f"film.gif ({MOST_CLIPS + 1})"
    assert all(name == clip.name for name, clip in session.clips.items())
    assert [root.exists() for root in roots] == [False] + [True] * MOST_CLIPS
    for _ in range(MOST_RUNS + 1):
        with session.new_folder() as folder:
            shutil.copytree(free_run, folder)
        assert session.add_run("free", folder, library.runs) != "free"  # the name of one that is open here
    assert len(session.runs) == MOST_RUNS
    assert sum(path.is_dir() for path in session.folder.iterdir()) == MOST_CLIPS + MOST_RUNS + 1  # and the original
    assert stat.S_IMODE(session.folder.stat().st_mode) == 0o700


def test_own_things_come_after_the_others_in_a_library(library, film, free_run):
    session = filled(Session(), film)
    session.add_run("mine", free_run, library.runs)
    own = session.library(library)
    assert list(own.runs) == [*library.runs, "mine"]
    assert list(own.clips) == [*library.clips, "film.gif"]
    assert "film.gif" not in library.clips


def test_the_same_name_in_two_sessions_is_two_clips(library, film):
    sessions = [filled(Session(), film, every) for every in (1, 3)]
    mine, theirs = (session.library(library) for session in sessions)
    assert (mine.clip("film.gif").frames, theirs.clip("film.gif").frames) == (12, 4)
    # what is cached for one is no answer about the other
    long, short = (predict_clip(own, own.run("free"), own.clip("film.gif"), n_future=2).truth for own in (mine, theirs))
    assert not np.array_equal(long, short)


def test_a_session_is_found_by_its_id_alone(library):
    sessions = Sessions()
    session_id, session = opened(sessions)
    assert len(session_id) > 20
    assert sessions.keep(session_id, session) == session_id
    assert sessions.find(session_id) is session
    for stranger in ("", "guess", None, [session_id], {}, 3):
        assert sessions.find(stranger) is not session
        assert sessions.find(stranger).library(library) is library
    assert len(sessions) == 1  # looking for one that is not there keeps nothing


def test_the_longest_idle_session_makes_room_and_its_files_go(film):
    sessions = Sessions(most_of_one=100)
    idle_id, idle = opened(sessions)
    used_id, used = opened(sessions)
    folders = [filled(session, film).folder for session in (idle, used)]
    del idle, used
    for _ in range(MOST_SESSIONS - 1):
        sessions.find(used_id)
        opened(sessions)
    assert len(sessions) == MOST_SESSIONS
    assert sessions.find(used_id).clips
    assert not sessions.find(idle_id).clips
    assert [folder.exists() for folder in folders] == [False, True]


def test_one_address_cannot_take_every_place(film):
    """Of its own the longest idle one goes, and nobody else's."""
    sessions = Sessions()
    other_id, _ = opened(sessions, "192.0.2.1")
    ids = [opened(sessions, "192.0.2.2")[0] for _ in range(MOST_OF_ONE)]
    for session_id in (other_id, *ids):
        filled(sessions.find(session_id), film)
    sessions.find(ids[0])  # used: the second is now the longest idle
    for _ in range(2):
        filled(sessions.find(opened(sessions, "192.0.2.2")[0]), film)
    assert [bool(sessions.find(session_id).clips) for session_id in (other_id, *ids[:4])] == [
        True,
        True,
        False,
        False,
        True,
    ]


def test_the_last_original_is_kept_with_the_session(film, tmp_path):
    """The cache to which it came is cleared in the meantime."""
    sessions = Sessions()
    _, session = opened(sessions)
    session.take(film)
    content = film.read_bytes()
    film.unlink()
    assert session.original.read_bytes() == content
    (tmp_path / "next.gif").write_bytes(b"next")
    session.take(tmp_path / "next.gif")
    assert [path.name for path in session.original.parent.iterdir()] == ["next.gif"]
    assert session.folder in session.original.parents


def test_sessions_go_a_while_after_their_last_use(film):
    now = 0.0
    sessions = Sessions(timer=lambda: now)
    ids = [opened(sessions)[0] for _ in range(2)]
    folders = [filled(sessions.find(session_id), film).folder for session_id in ids]
    now = SECONDS_KEPT - 1.0
    sessions.find(ids[1])
    now = SECONDS_KEPT + 1.0
    sessions.find("")  # whoever comes next clears away
    assert [folder.exists() for folder in folders] == [False, True]
    assert not sessions.find(ids[0]).clips
    assert sessions.find(ids[1]).clips
    now += SECONDS_KEPT + 1.0
    sessions.close("")  # or leaves
    assert not folders[1].exists()


def test_files_of_a_closed_session_stay_while_someone_reads_them(film):
    sessions = Sessions()
    session_id, reading = opened(sessions)
    folder = filled(reading, film).folder
    sessions.close(session_id)
    assert not sessions.find(session_id).clips
    assert folder.exists()
    del reading
    assert not folder.exists()


def test_a_failed_block_leaves_nothing():
    session = Session()
    try:
        with session.new_folder() as folder:
            folder.mkdir()
            raise OSError("disk full")
    except OSError:
        pass
    assert list(session.folder.iterdir()) == []
