"""Requests that no page sends: one line each, nothing of the machine in it and nothing of them in the log; and the app
goes on serving."""

import contextlib
import http.client
import json
import os
import sys
import tempfile
from pathlib import Path

import pytest

from tests.commands import ROOT
from tests.explorer.server.until import function
from train.benchmark.visitor import Visitor, completed
from vidpred.explorer.server.storage import storage

pytestmark = pytest.mark.trust

MARK = "sent-by-a-stranger"
SECRET = "a-secret-of-the-machine"
CLIP = "traj_0_to_255/1"
LONGEST_ANSWER = 500  # letters of a refusal
BODIES = [
    b"",
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b'{"a":' * 20_000,
    b"null",
    b'"text"',
    b"{} {}",
    b'{"data": NaN}',
    json.dumps({"data": [MARK * 100_000], "fn_index": 1, "session_hash": "abc"}).encode(),
    *(
        json.dumps({"data": [MARK], "fn_index": number, "session_hash": "abc"}).encode()
        for number in (None, -1, 10**30, 99_999, 1.5, True, "1", [1], {MARK: 1})
    ),
    *(
        json.dumps({"data": data, "fn_index": 1, "session_hash": "abc"}).encode()
        for data in (None, MARK, {}, [], [MARK], [MARK] * 1000)
    ),
    *(
        json.dumps({"data": [], "fn_index": 1, "session_hash": session}).encode()
        for session in (None, "", 3, [MARK], "a" * 65, "../../etc", "a b", "a\n")
    ),
    json.dumps({"data": [], "fn_index": 1, "session_hash": "abc", "trigger_id": MARK}).encode(),
    json.dumps({"data": MARK, "component_id": 1, "session_hash": "abc", "fn_name": "__init__"}).encode(),
    json.dumps({"data": MARK, "component_id": MARK, "session_hash": "abc", "fn_name": "press"}).encode(),
    json.dumps({"component_id": 1, "session_hash": "abc", "fn_name": [MARK]}).encode(),
    json.dumps({"event_id": {MARK: 1}}).encode(),
]
DOORS = [
    *("queue/join", "run/predict", "api/predict", "call/predict", f"call/{MARK}", "call/v2/predict", f"call/v2/{MARK}"),
    *("component_server", "cancel", "reset", "upload"),
]
CLOSED = [  # pages of Gradio's that ours does not need
    *("/gradio_api/deep_link?session_hash=abc", "/gradio_api/dev/reload", "/gradio_api/proxy=http://127.0.0.1:1/"),
    *("/gradio_api/process_recording", "/gradio_api/vibe-edit", "/gradio_api/vibe-code", "/monitoring"),
    *("/monitoring/summary", "/gradio_api/stream/abc/1/2/playlist.m3u8", "/gradio_api/custom_component/a/b/c/d"),
    *("/gradio_api/runs", "/gradio_api/run-history/records", "/svelte/a.js", "/docs", "/redoc", "/openapi.json"),
    *("/login", "/logout", "/.env", "/gradio_api/profiling/traces", "/gradio_api//queue/join", f"/{MARK}"),
]
OUTSIDE = [
    *("/etc/passwd", "../../etc/passwd", "/proc/self/environ", "%2e%2e/%2e%2e/etc/passwd", "..%2f..%2fetc%2fpasswd"),
    *("C:/Windows/win.ini", "//etc/passwd", "/etc/passwd%00.png", "~/.ssh/id_rsa", ".gradio/cached_examples"),
    *("https://example.com/", "http://169.254.169.254/latest/meta-data", "file:///etc/passwd", "\\\\host\\share"),
    *(str(ROOT / "README.md"), str(ROOT / "app.py"), sys.executable, "{served}/../private", "{served}/../.running"),
    *("{served}", "{served}/%2e%2e/%2e%2e/x", "{link}", "{private}"),
]


@pytest.fixture
def quiet(capfd, monkeypatch):
    """Nothing of what was sent, no traceback and no path of the machine is said; neither in answers nor in the log."""
    monkeypatch.setenv("VIDPRED_SECRET", SECRET)
    said = []
    yield said.append
    log = "".join(capfd.readouterr())
    paths = {str(ROOT), tempfile.gettempdir(), str(Path.home()), sys.prefix, os.getcwd()} - {"/"}
    for text in (*said, log):
        for hidden in ("Traceback", MARK, SECRET, "root:", *paths):
            assert hidden not in text, text[:LONGEST_ANSWER]
    for text in said:
        assert len(text) < LONGEST_ANSWER


def still_serves(url, demo):
    """A prediction, as the page asks for it."""
    number, labels = function(demo, "predict")
    answer = Visitor(url).call(number, ["tiny", CLIP, 0, 1.0, 1, None, 1, None, False][: len(labels)])
    assert answer["success"], answer


@pytest.mark.parametrize("door", DOORS)
def test_bodies_that_no_page_sends(url, demo, quiet, survived, door):
    for body in BODIES:
        status, said = Visitor(url).ask("POST", f"/gradio_api/{door}", body, {"Content-Type": "application/json"})
        if status != 200:  # /cancel and /reset say so to whatever there is not
            assert status in (400, 404, 411, 413, 422, 429), (door, body[:80], said)
        quiet(said.decode("utf-8", "replace"))
    survived("requests that no page sends", len(BODIES))
    still_serves(url, demo)


def test_pages_that_ours_does_not_need_are_closed(url, quiet, survived):
    for path in CLOSED:
        for method in ("GET", "POST"):
            status, said = Visitor(url).ask(method, path, b"{}" if method == "POST" else None)
            assert status == 404, (method, path)
            quiet(said.decode("utf-8", "replace"))
    survived("pages of Gradio's that are closed", 2 * len(CLOSED))


def test_the_page_measures_nobody(url):
    config = json.loads(Visitor(url).get("/config")[1])
    assert config["analytics_enabled"] is False


def test_files_outside_the_served_folder(url, demo, quiet, survived, tmp_path):
    """By the address of a file, and by a file in what an event is given; through links too."""
    folders = storage()
    (tmp_path / "hidden").write_text("root:")
    link, private = folders.served / "link", folders.private / "hidden"
    link.symlink_to(tmp_path / "hidden")
    private.write_text("root:")
    names = [name.format(served=folders.served, link=link, private=private) for name in OUTSIDE]
    number, labels = function(demo, "upload")
    for name in names:
        for form in ("/gradio_api/file=", "/gradio_api/file/", "/static/", "/assets/"):
            status, said = Visitor(url).get(form + name.replace(" ", "%20"))
            assert status in (400, 403, 404), (form, name)
            quiet(said.decode("utf-8", "replace"))
        file = {"path": name, "meta": {"_type": "gradio.FileData"}, "url": name}
        data = [file if label == "Your film, pictures or run" else None for label in labels]
        assert Visitor(url).join(number, data)[0] == 400
    link.unlink()
    private.unlink()
    survived("files outside the served folder", 5 * len(names))


def test_a_file_comes_as_what_it_is_whatever_the_request_says(url, quiet):
    """Asked for a part of it, Gradio gave it the type that the request named, and its other headers back."""
    visitor = Visitor(url)
    (path,) = json.loads(visitor.upload("page.html", b"<script></script>")[1])
    sent = {"Range": "bytes=0-5", "Content-Type": "text/html", "Content-Disposition": "inline", "Set-Cookie": MARK}
    for more in ({}, {"Range": "bytes=0-0,1-1"}, {"Range": "bytes=a-b"}, {"Range": MARK * 100}):
        with contextlib.closing(http.client.HTTPConnection(visitor.host)) as connection:
            connection.request("GET", f"/gradio_api/file={path}", headers=sent | more)
            answer = connection.getresponse()
            content, headers = answer.read(), dict(answer.getheaders())
        assert (answer.status, content) == (200, b"<script></script>")
        assert headers["content-type"] == "application/octet-stream"
        assert headers["content-disposition"].startswith("attachment")
        quiet(str(headers))


HOSTILE = [
    *(None, True, -1, 1e308, float("nan"), 10**400, "", MARK, [], [[MARK]] * 50, {"path": 3}, {MARK: {MARK: [MARK]}}),
    *("../../etc/passwd\x00\n<img src=x>", ["tiny"] * 500),
]


def test_values_that_no_widget_gives(url, demo, quiet, survived):
    """To every function of the page and of the API, in every place."""
    visitor, times = Visitor(url), 0
    for number, fn in demo.fns.items():
        if fn.fn is None or not fn.inputs:
            continue
        for value in HOSTILE:
            status, event = visitor.join(number, [value] * len(fn.inputs))
            times += 1
            if status == 200:
                with visitor.stream() as lines:
                    quiet_answer(completed(lines, event), quiet)
            else:
                assert status == 400, (fn.name, value)
                quiet(event)
    survived("values that no widget gives", times)
    still_serves(url, demo)


def quiet_answer(message, quiet):
    """What a visitor is told of a failure, a name that there is not included."""
    if not message["success"]:
        quiet(json.dumps(message["output"]).replace(MARK, ""))
