"""The queue, what is kept of a visitor, and what is handed in: bounded, and gone with whoever has left."""

import contextlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.commands import ROOT
from tests.explorer.server.until import function, until
from train.benchmark.visitor import Visitor, completed
from vidpred import render
from vidpred.data.batches import open_split, window_batch
from vidpred.data.video import MOST_FRAMES, MOST_PIXELS
from vidpred.errors import BadInput
from vidpred.explorer.runs import prediction
from vidpred.explorer.server import gate, uploads, visitors
from vidpred.explorer.server.storage import storage
from vidpred.explorer.your_data import archive, sessions, tab, upload
from vidpred.models import build_model
from vidpred.rollout import predict, wanted

pytestmark = pytest.mark.trust

CLIP = "traj_0_to_255/1"
EASY = {"seconds": 3600.0, "unheard": 3600.0}  # nobody is given up


def question(app, seed=0):
    """The number of the API's prediction, and what it is given."""
    return function(app.demo, "predict")[0], ["tiny", CLIP, seed, 1.0, 2, None, 1, None, False]


def film():
    """A GIF, as it is handed in."""
    path = storage().private / "film.gif"
    render.save_gif(path, np.zeros((4, 64, 64, 3), np.uint8))
    return path.read_bytes()


def hand_in(app, visitor):
    """The film in a visitor's session."""
    (path,) = json.loads(visitor.upload("film.gif", film())[1])
    number, labels = function(app.demo, "upload")
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    return visitor.call(number, [file if "film" in str(label) else 1 if label else None for label in labels])


# --- the queue --------------------------------------------------------------------------------------------------------


def test_what_nobody_listens_to_is_never_computed(open_app, survived):
    app, times = open_app(unheard=0.5), 10
    with app.library.model_lock:  # another prediction is under way
        for seed in range(times):
            status, _ = Visitor(app.url).join(*question(app, seed))
            assert status == 200
        until(lambda: not len(app.queue) and not app.queue.pending_event_ids_session)
    answer = Visitor(app.url).call(*question(app, times))
    assert answer["success"]
    assert len(app.library._results) == 1
    survived("predictions whose answer nobody listens to", times)


def test_one_visitor_cannot_fill_the_queue(open_app):
    app = open_app(**EASY)
    visitor = Visitor(app.url)
    with app.library.model_lock:
        assert visitor.join(*question(app))[0] == 200
        until(lambda: not len(app.queue))  # it is under way
        answers = [visitor.join(*question(app, seed)) for seed in range(visitors.MOST_OF_MODEL + 1)]
        other, event = Visitor(app.url), None
        status, event = other.join(*question(app, 99))
        assert status == 200
    assert [status for status, _ in answers] == [200] * visitors.MOST_OF_MODEL + [429]
    assert answers[-1][1] == f"{visitors.MOST_OF_MODEL} of your requests are waiting already: please let them end first"
    with other.stream() as lines:
        assert completed(lines, event)["success"]


def test_a_full_queue_says_so(open_app, monkeypatch):
    monkeypatch.setattr(visitors, "MOST_WAITING", 3)
    app = open_app(**EASY)
    with app.library.model_lock:
        assert Visitor(app.url).join(*question(app))[0] == 200
        until(lambda: not len(app.queue))
        answers = [Visitor(app.url).join(*question(app, seed)) for seed in range(4)]
        said = "3 requests are waiting already: please try again in a minute"
        assert [status for status, _ in answers] == [200] * 3 + [503] and answers[-1][1] == said
    until(lambda: not len(app.queue))
    assert Visitor(app.url).call(*question(app, 9))["success"]


def test_a_visitor_who_vanishes_frees_the_place(open_app, survived):
    """Of what waits, and of what is under way: neither is computed."""
    app = open_app(unheard=0.5)
    vanishing = [Visitor(app.url) for _ in range(4)]
    with app.library.model_lock:
        for seed, visitor in enumerate(vanishing):
            assert visitor.join(*question(app, seed))[0] == 200
            with visitor.stream() as lines:
                lines.readline()
        until(lambda: not len(app.queue))
        stays = Visitor(app.url)
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(stays.call, *question(app, 9))
            until(lambda: not app.queue.pending_event_ids_session.keys() & {visitor.session for visitor in vanishing})
            app.library.model_lock.release()
            try:
                assert answer.result()["success"]
            finally:
                app.library.model_lock.acquire()
    assert len(app.library._results) == 1
    survived("visitors who vanish before the answer", len(vanishing))


def test_a_cancelled_event_frees_the_place(open_app):
    app = open_app(**EASY)
    visitor, (number, data) = Visitor(app.url), question(app)
    with app.library.model_lock:
        assert Visitor(app.url).join(number, data)[0] == 200
        until(lambda: not len(app.queue))
        _, event = visitor.join(number, [*data[:2], 1, *data[3:]])
        assert len(app.queue) == 1
        body = {"session_hash": Visitor(app.url).session, "fn_index": number, "event_id": "of-a-stranger"}
        visitor.post("cancel", body)
        assert len(app.queue) == 1
        visitor.post("cancel", {"session_hash": visitor.session, "fn_index": number, "event_id": event})
        assert len(app.queue) == 0


def test_a_prediction_that_nobody_waits_for_stops_at_the_next_frame(tiny_data, tiny_settings):
    torch.manual_seed(0)
    model = build_model(tiny_settings.model).eval()
    batch = window_batch(open_split(tiny_data, "test"), [0], 8)
    asked = iter([True, True, False])
    token = wanted.set(lambda futures: next(asked))
    try:
        with pytest.raises(BadInput, match="Nobody waits"):
            predict(model, batch.to_clip(2), batch.ids, n_future=6)
    finally:
        wanted.reset(token)
    assert next(asked, None) is None


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_what_a_visitor_handed_in_goes_a_while_after_they_have_left(open_app, survived):
    app = open_app(seconds=1.0)
    visitor, before = Visitor(app.url), set(storage().private.glob("session-*"))
    with visitor.heartbeat() as alive:
        alive.readline()
        hand_in(app, visitor)
        folders = set(storage().private.glob("session-*")) - before
        assert [path.name for folder in folders for path in (folder / "original").iterdir()] == ["film.gif"]
        assert visitor.session in app.app.state_holder
    until(lambda: visitor.session not in app.app.state_holder)
    assert not any(folder.exists() for folder in folders)
    survived("visits that end", 1)


def test_a_drive_ends_with_the_visit(open_app):
    app = open_app(seconds=1.0)
    visitor = Visitor(app.url)
    number, labels = function(app.demo, "begin")
    given = {"Run": "tiny", "Clip": CLIP, "Seed": 0, "Temperature": 1.0}
    (component,) = (number for number, block in app.demo.blocks.items() if block.elem_id == "drive")

    def press(drive):
        body = {"data": {"drive": drive, "what": "refresh"}, "component_id": component, "fn_name": "press"}
        return visitor.post("component_server", {**body, "session_hash": Visitor(app.url).session})[1]

    with visitor.heartbeat() as alive:
        alive.readline()
        message = visitor.call(number, [given.get(label) for label in labels])
        assert message["success"]
        (drive,) = re.findall(r'"drive": "([\w-]+)"', json.dumps(message["output"]["data"]))
        assert b"frames" in press(drive)
    until(lambda: visitor.session not in app.app.state_holder)
    assert b"This drive has ended" in press(drive)


def test_the_page_says_what_is_true():
    assert visitors.SECONDS_KEPT == 300
    assert "five minutes after you have left" in tab.WELCOME


def test_sessions_are_bounded_and_those_who_are_there_keep_theirs(open_app, monkeypatch):
    monkeypatch.setattr(visitors, "MOST_VISITORS", 5)
    app = open_app(**EASY)
    number, _ = function(app.demo, "curves")
    present = Visitor(app.url)
    with contextlib.ExitStack() as stack:
        stack.enter_context(present.heartbeat()).readline()
        hand_in(app, present)
        for _ in range(20):
            assert Visitor(app.url).call(number, [["tiny"]])["success"]
        assert len(app.app.state_holder.session_data) <= 5
        assert present.session in app.app.state_holder
        for _ in range(4):
            stack.enter_context(Visitor(app.url).heartbeat()).readline()
        assert Visitor(app.url).join(number, [["tiny"]]) == (
            503,
            "Too many visitors are here at the moment: please try again later",
        )
        assert present.call(number, [["tiny"]])["success"]


def test_one_address_makes_room_among_its_own(open_app, monkeypatch):
    monkeypatch.setattr(visitors, "MOST_VISITORS_OF_ADDRESS", 3)
    app = open_app(**EASY)
    number, _ = function(app.demo, "curves")
    stranger = Visitor(app.url, "127.0.0.2")
    assert hand_in(app, stranger)["success"]
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(Visitor(app.url).heartbeat()).readline()
        assert Visitor(app.url).join(number, [["tiny"]])[0] == 503
    until(lambda: Visitor(app.url).join(number, [["tiny"]])[0] == 200)  # one of the three has gone
    assert stranger.session in app.app.state_holder


@pytest.mark.parametrize(("of_model", "others"), [(2, visitors.MOST_OF_ONE - 2), (visitors.MOST_OF_MODEL, 1)])
def test_the_number_of_ones_requests_is_that_of_the_bound(of_model, others):
    events = [
        SimpleNamespace(session_hash="me", concurrency_id=name, request=SimpleNamespace(scope={}))
        for name in ["model"] * of_model + ["files"] * others
    ]
    queue = SimpleNamespace(event_queue_per_concurrency_id={"all": SimpleNamespace(queue=events)})
    app = SimpleNamespace(get_blocks=lambda: SimpleNamespace(_queue=queue))
    said = visitors.Visitors(app).refusal("me", "1.1.1.1", SimpleNamespace(concurrency_id="model"))
    most = visitors.MOST_OF_MODEL if of_model == visitors.MOST_OF_MODEL else visitors.MOST_OF_ONE
    assert said == f"{most} of your requests are waiting already: please let them end first"


def test_the_id_of_another_ones_session_is_not_taken_from_a_request(open_app):
    """Gradio keeps it beside the page; what a program sends in its place means nothing."""
    app = open_app(**EASY)
    mine, theirs = Visitor(app.url), Visitor(app.url)
    hand_in(app, mine)
    (mine_id,) = (
        value
        for value in app.app.state_holder.session_data[mine.session].state_data.values()
        if isinstance(value, str) and len(value) > 20
    )
    number, labels = function(app.demo, "read_again")
    given = {"Every n-th frame": 2, "Runs": [], "Clip": CLIP, None: mine_id}
    data = [given[label] for label in labels]
    assert "film.gif" not in json.dumps(theirs.call(number, data))
    assert "film.gif" in json.dumps(mine.call(number, data))


# --- what is handed in ------------------------------------------------------------------------------------------------


def test_uploads_are_bounded_one_by_one_and_together(open_app, monkeypatch, survived):
    monkeypatch.setattr(gate, "MOST_UPLOADED", 2**19)
    monkeypatch.setattr(uploads, "MOST_BYTES", 2**20)
    app = open_app(**EASY)
    status, said = Visitor(app.url).upload("large.gif", bytes(2**20))
    assert status == 413 and b"MB are taken" in said
    statuses = [Visitor(app.url).upload(f"{number}.gif", bytes([number]) * 2**18)[0] for number in range(5)]
    assert statuses == [200, 200, 200, 503, 503]
    monkeypatch.setattr(uploads, "MOST_OF_ONE", 2**17)
    monkeypatch.setattr(uploads, "MOST_BYTES", 2**30)
    assert Visitor(app.url).upload("5.gif", bytes(2**18))[0] == 503
    survived("uploads beyond the quota", 4)


def test_uploads_go_when_no_visit_has_taken_them(monkeypatch, open_app):
    monkeypatch.setattr(uploads, "SECONDS_KEPT", 0.5)
    app = open_app(**EASY)
    (path,) = json.loads(Visitor(app.url).upload("film.gif", film())[1])
    assert path.startswith(str(storage().served))
    until(lambda: not Path(path).exists())
    number, labels = function(app.demo, "upload")
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    data = [file if "film" in str(label) else 1 if label else None for label in labels]
    assert Visitor(app.url).join(number, data) == (400, gate.GONE)


NAMES = ["../../../escaped.gif", "/etc/escaped.gif", "..", "a\x00b.gif", "a" * 5000, "", "ü\u202e.gif", "a%0Ab.gif"]


def test_an_uploaded_name_is_no_path(url, survived):
    for name in NAMES:
        status, said = Visitor(url).upload(name, b"GIF89a")
        assert status in (200, 400, 413), name
        if status == 200:
            assert all(path.startswith(str(storage().served)) for path in json.loads(said))
    assert not list(storage().served.parent.glob("*.gif"))
    survived("uploads whose name is a path", len(NAMES))


def test_the_notes_on_security_say_the_bounds_that_hold():
    notes = " ".join((ROOT / "SECURITY.md").read_text().split())
    for text in (
        f"| {gate.MOST_BYTES // 2**10} kB,",
        f"| {gate.MOST_UPLOADED // 2**20} MB; {MOST_PIXELS / 1e6:.1f} million pixels a picture; {MOST_FRAMES} frames",
        f"({upload.MOST_POSES} of a dance); {archive.MOST_FILES:,} files and {archive.MOST_BYTES // 2**20} MB of a zip",
        f"in ten minutes | {uploads.MOST_BYTES // 2**30} GB, half of it from one address",
        f"{sessions.MOST_CLIPS} clips, {sessions.MOST_RUNS} runs; {sessions.MOST_SESSIONS} visits, "
        f"{sessions.MOST_OF_ONE} from one address",
        f"{visitors.MOST_WAITING} requests; {visitors.MOST_OF_ONE} of one visitor, {visitors.MOST_OF_MODEL} of them "
        f"for the model; {visitors.MOST_OF_ADDRESS} from one address",
        f"{prediction.MAX_FRAMES:,} frames, of all samples and runs together",
        f"| {visitors.MOST_VISITORS}, {visitors.MOST_VISITORS_OF_ADDRESS} from one address",
        f"nobody listens to for {visitors.SECONDS_UNHEARD:.0f} seconds",
    ):
        assert text in notes, text
    assert uploads.SECONDS_KEPT == 600 and 2 * uploads.MOST_OF_ONE == uploads.MOST_BYTES
