"""Runs from the Hub, by the real client from a stand-in for the Hub on this machine."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.hub import Hub
from vidpred import runs
from vidpred.errors import BadInput
from vidpred.hub import fetch_run

ROOT = Path(__file__).parent.parent
FILES = (runs.CONFIG, runs.WEIGHTS, runs.METRICS, runs.EVAL)


@pytest.fixture
def hub(monkeypatch):
    """A stand-in, a token that must stay here, and no way to another host."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    connect = socket.socket.connect

    def connect_here(self, address):
        assert address[0] == "127.0.0.1", f"a request left for {address}"
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_here)
    hub = Hub()
    yield hub
    assert not any("authorization" in headers for headers in hub.headers)
    assert not any("torch" in headers["user-agent"] for headers in hub.headers)
    hub.server.shutdown()
    hub.server.server_close()


@pytest.fixture(scope="module")
def files(tiny_run):
    """name -> bytes of a run's four files."""
    result = {runs.EVAL: json.dumps({"psnr": 25.0, "protocol": "finn"}).encode()}
    return result | {name: (tiny_run / name).read_bytes() for name in FILES if name != runs.EVAL}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_run_at_the_top_is_fetched_as_it_is(hub, files, tmp_path):
    more = {"README.md": b"#", "last/state.safetensors": b"1", "evil.pth": b"2", "samples/a.gif": b"3"}
    commit = hub.commit("ann/push", {**files, **more})
    fetched = fetch_run("ann/push", tmp_path / "runs", endpoint=hub.url)
    assert fetched == (tmp_path / "runs" / f"ann~push~{commit[:12]}", "ann/push", commit)
    assert contents(fetched.folder) == files
    assert hub.fetched == set(FILES)
    assert hub.asked[0] == "/api/models/ann/push/revision/main?blobs=true"
    assert all(f"/ann/push/resolve/{commit}/" in path for path in hub.asked[1:])
    assert runs.list_runs([tmp_path / "runs"]) == {fetched.folder.name: fetched.folder}
    asked = len(hub.asked)
    assert fetch_run("ann/push", tmp_path / "runs", endpoint=hub.url) == fetched
    assert len(hub.asked) == asked + 1  # which commit it is; the files are there
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [fetched.folder.name]


def test_a_run_in_a_folder_at_a_revision(hub, files, tmp_path):
    own = {f"runs/small-1.0/{name}": content for name, content in files.items() if name != runs.EVAL}
    commit = hub.commit("ann/push", {**own, **files, "runs/small-1.0/deeper/config.json": b"{}"}, "refs/pr/1")
    hub.commit("ann/push", {"README.md": b"#"})
    for revision in ("refs/pr/1", commit):
        fetched = fetch_run(f" ann/push/runs/small-1.0@{revision} ", tmp_path / revision, endpoint=hub.url)
        assert fetched[1:] == ("ann/push/runs/small-1.0", commit)
        assert contents(fetched.folder) == {name: files[name] for name in FILES[:3]}
    assert hub.fetched == {f"runs/small-1.0/{name}" for name in FILES[:3]}
    assert fetch_run("ann/push", tmp_path, commit, hub.url).folder.name == f"ann~push~{commit[:12]}"


def test_a_branch_that_moves_is_fetched_as_it_was(hub, files, tmp_path):
    commit = hub.commit("ann/push", files)
    hub.after_info = lambda: hub.commit("ann/push", dict.fromkeys(FILES, b"another"))
    fetched = fetch_run("ann/push", tmp_path, endpoint=hub.url)
    assert fetched.commit == commit
    assert contents(fetched.folder) == files


def test_another_hub_is_asked_where_the_environment_names_one(hub, files, tmp_path):
    commit = hub.commit("ann/push", files)
    command = "import sys; from vidpred.hub import fetch_run; print(*fetch_run('ann/push', sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", command, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "HF_ENDPOINT": hub.url},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    folder, *told = done.stdout.split()
    assert told == ["ann/push", commit]
    assert contents(Path(folder)) == files
    assert {path.split("/")[1] for path in hub.asked} == {"api", "ann"}


@pytest.mark.parametrize(
    "address",
    [None, "", "push", "ann/", "/ann/push", "ann//push", "ann/push/../other", "ann/..", "ann/push@", "ann/push@a@b"]
    + ["ann/push@../x", "ann/pu sh", "ann/pu--sh", "ann/pu\nsh", "ann/" + "x" * 200, "a/b/" + "c/" * 200]
    + ["https://huggingface.co/ann/push", "ann/push?x=1", "ann/<b>"],
)
def test_what_is_no_address_is_refused_unasked(hub, address, tmp_path):
    with pytest.raises(BadInput, match="This is no address on the Hub: expected owner/name"):
        fetch_run(address, tmp_path, endpoint=hub.url)
    assert not hub.asked


def refusal(hub, tmp_path, address="ann/push", **options):
    """The line, once nothing is left behind."""
    with pytest.raises(BadInput) as error:
        fetch_run(address, tmp_path / "runs", **{"endpoint": hub.url, **options})
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())
    line = str(error.value)
    assert line.isprintable()
    assert str(tmp_path) not in line
    return line


def test_what_is_not_there_is_told(hub, files, tmp_path):
    hub.commit("ann/push", files)
    assert refusal(hub, tmp_path, "ann/pull") == "ann/pull: no such repository on the Hub, or a private one"
    assert refusal(hub, tmp_path, "ann/push@v2") == "ann/push: no revision v2 there"
    assert refusal(hub, tmp_path, revision="v3") == "ann/push: no revision v3 there"
    for address, revision in (("ann/push@v2", "v3"), ("ann/push", "../v3"), ("ann/push", "<b>")):
        assert refusal(hub, tmp_path, address, revision=revision).startswith("This is no address on the Hub")
    assert refusal(hub, tmp_path, "ann/push/small").startswith("ann/push/small: no config.json, so it is no run")
    hub.gated.add("ann/push")
    assert refusal(hub, tmp_path) == "ann/push: gated, and only public runs are fetched"


@pytest.mark.parametrize(
    ("there", "line"),
    [
        ({"a/config.json", "b/c/config.json"}, "no config.json, so it is no run; there is one in a, b/c"),
        ({"config.json"}, "no model.safetensors"),
        ({"config.json", "small/model.safetensors"}, "no model.safetensors"),
        *[({"config.json", name}, f"no model.safetensors; {name} could run code, so that only safetensors are opened")
          for name in ("model.pth", "model.pt", "pytorch_model.bin", "model.ckpt")],
    ],
)  # fmt: skip
def test_a_repository_that_is_no_run(hub, there, line, tmp_path):
    hub.commit("ann/push", dict.fromkeys(there, b"{}"))
    assert refusal(hub, tmp_path) == f"ann/push: {line}"
    assert not hub.fetched


@pytest.mark.parametrize(
    ("name", "size", "line"),
    [
        (runs.WEIGHTS, 200_000_001, "model.safetensors has 200 MB, at most 200 MB are fetched"),
        (runs.EVAL, 7_000_000, "eval.json has 7 MB, at most 5 MB are fetched"),
        (runs.CONFIG, None, "config.json has no size, at most 5 MB are fetched"),
    ],
)
def test_large_files_are_refused_before_anything_is_fetched(hub, files, name, size, line, tmp_path):
    hub.commit("ann/push", files)
    hub.sizes[name] = size
    assert refusal(hub, tmp_path) == f"ann/push: {line}"
    assert not hub.fetched


def test_a_run_that_is_damaged_is_not_kept(hub, files, tmp_path):
    hub.commit("ann/push", {**files, runs.WEIGHTS: b"\x80\x04 a pickle"})
    assert refusal(hub, tmp_path).startswith("ann/push: model.safetensors: not a safetensors file")


def test_a_hub_that_cannot_be_asked_is_told(hub, files, tmp_path, monkeypatch):
    from huggingface_hub import constants

    hub.commit("ann/push", files)
    told = "ann/push: the Hub cannot be reached, or does not answer as it should"
    assert refusal(hub, tmp_path, endpoint="http://127.0.0.1:1") == f"{told} (ConnectError)"
    monkeypatch.setattr("vidpred.hub.PATIENCE", 0.2)
    with monkeypatch.context() as slow:
        slow.setattr(hub, "after_info", lambda: threading.Event().wait(1))
        assert refusal(hub, tmp_path) == f"{told} (ReadTimeout)"
    with monkeypatch.context() as nonsense:
        nonsense.setattr(hub, "answer", lambda parts: (200, {}, b"<html>"))
        assert refusal(hub, tmp_path) == f"{told} (JSONDecodeError)"
        nonsense.setattr(hub, "answer", lambda parts: (500, {}, b""))
        assert refusal(hub, tmp_path).startswith(told)
    asked = len(hub.asked)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert refusal(hub, tmp_path) == "ann/push: the Hub cannot be asked, HF_HUB_OFFLINE is set here"
    assert len(hub.asked) == asked


def test_two_visitors_may_fetch_the_same_run_at_once(hub, files, tmp_path, monkeypatch):
    commit = hub.commit("ann/push", files)
    folder = tmp_path / f"ann~push~{commit[:12]}"

    def other_first(run):
        shutil.copytree(run, folder)

    monkeypatch.setattr("vidpred.checkpoint.check_run", other_first)
    assert fetch_run("ann/push", tmp_path, endpoint=hub.url).folder == folder
    assert contents(folder) == files
