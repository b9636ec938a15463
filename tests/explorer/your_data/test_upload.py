"""What visitors hand in: it becomes a clip or a run of theirs alone, or one friendly line."""

import functools
import io
import json
import shutil
import stat
import zipfile
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from tests.hub import Hub
from vidpred import render, runs
from vidpred.checkpoint import save_weights
from vidpred.data.batches import open_split
from vidpred.errors import BadInput
from vidpred.explorer.runs.comparison import compare_clip
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.prediction import predict_clip
from vidpred.explorer.your_data import tab as yours_tab
from vidpred.explorer.your_data import upload
from vidpred.explorer.your_data.sessions import MOST_CLIPS, MOST_RUNS, MOST_VISITS, Visits
from vidpred.explorer.your_data.tab import YourDataHandlers
from vidpred.explorer.your_data.upload import crop_picture, holds_run, take_clip, take_run
from vidpred.hub import fetch_run
from vidpred.models import build_model

CLIP = "traj_0_to_255/1"


def zipped(path, files):
    """A zip of name -> bytes, or name -> file."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content if isinstance(content, (bytes, str)) else Path(content).read_bytes())
    return path


def files_of(folder, prefix=""):
    return {prefix + p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}


def png(value=0, size=(64, 64)):
    file = io.BytesIO()
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="session")
def free_run(tmp_path_factory, tiny_settings):
    """A run that knows no actions, untrained."""
    folder = tmp_path_factory.mktemp("runs") / "free"
    config = replace(tiny_settings, model=replace(tiny_settings.model, condition="none"))
    torch.manual_seed(0)
    save_weights(folder / runs.WEIGHTS, build_model(config.model))
    runs.write_config(folder, config, {})
    return folder


@pytest.fixture
def opened(tiny_run, free_run, dance_run, tiny_data, tiny_dance):
    return Library([tiny_run, free_run, dance_run], [tiny_data, tiny_dance])


@pytest.fixture
def handlers(opened):
    return YourDataHandlers(opened)


@pytest.fixture
def film(tmp_path):
    frames = np.repeat(np.arange(12, dtype=np.uint8) * 20, 80 * 100 * 3).reshape(12, 80, 100, 3)
    render.save_gif(tmp_path / "film.gif", frames)
    return tmp_path / "film.gif"


def handed(path):
    """A file as the browser sends it."""
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}}


def refusal(answer):
    """The one line that is told, where nothing else changes."""
    _, told, *rest = answer
    assert all(update == gr.skip() for update in rest)
    assert told.endswith("What is drawn is still what was there before.") and "\n" not in told
    return told


# --- clips ------------------------------------------------------------------------------------------------------------


def test_a_zipped_clip_is_the_clip_it_was(tiny_data, tmp_path):
    clip = tiny_data / "test" / CLIP
    for number, prefix in enumerate(("", "some folder/", "./a.b/")):
        files = files_of(clip, prefix) | {"__MACOSX/a/._0.png": b"junk", "a/.DS_Store": b"junk"}
        taken = take_clip(zipped(tmp_path / "clip.zip", files), tmp_path / f"out{number}")
        packed, source = open_split(taken.entry.root, taken.entry.split), open_split(tiny_data, "test")
        assert packed.ids == [taken.entry.id]
        for mine, theirs in zip(packed.window(0, 0, 16), source.window(0, 0, 16)):
            assert np.array_equal(mine, theirs)
        assert (taken.entry.frames, taken.entry.known, taken.entry.has_poses, taken.entry.has_actions) == (
            16, 16, False, True)  # fmt: skip


def test_frames_come_in_the_order_of_their_numbers(tmp_path):
    files = {f"frame_{n}.png": png(n) for n in (10, 9, 100, 1)}
    taken = take_clip(zipped(tmp_path / "a.zip", files), tmp_path / "out")
    assert taken.footage.frames[:, 0, 0, 0].tolist() == [1, 9, 10, 100]
    assert taken.entry.has_actions is False


def test_a_zipped_dance_is_the_dance_it_was(tiny_dance, tmp_path):
    taken = take_clip(zipped(tmp_path / "dance.zip", files_of(tiny_dance / "val")), tmp_path / "out")
    for mine, theirs in zip(
        open_split(taken.entry.root, taken.entry.split).window(0, 0, 12),
        open_split(tiny_dance, "validate").window(0, 0, 12),
    ):
        assert np.array_equal(mine, theirs)
    assert taken.entry.has_poses


def test_a_film_is_cropped_and_says_so(film, tmp_path):
    taken = take_clip(film, tmp_path / "out", every=5)
    assert taken.footage.frames[:, 30, 30, 0].tolist() == [0, 100, 200]
    assert "3 frames of 100 x 80 pixels (every 5th frame taken, the centre cut out, made 64 x 64)" in taken.told
    picture = crop_picture(taken.footage)
    assert picture.shape == (192, 240 + 16 + 192, 3)
    assert picture[100, 5].max() < picture[100, 120].max() or picture[100, 120].max() == 0


def tampered(name, size):
    """A zip whose index says that an entry is smaller than it is."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, b"\0" * size)
    content = bytearray(file.getvalue())
    at = content.rindex(b"PK\1\2") + 24
    content[at : at + 4] = (100).to_bytes(4, "little")
    return bytes(content)


@pytest.mark.parametrize(
    ("files", "line"),
    [
        ({}, "expected one folder of frames"),
        ({"readme.txt": b"x"}, "found 0 and 0"),
        ({"a/0.png": png(), "b/0.png": png()}, "found 2 and 0"),
        ({"img/0.png": png(), "label/0.png": png(), "pose/0.png": png()}, "found 1 and 2"),
        ({"img/0.png": png(), "img/1.png": png(), "label/0.png": png()}, "2 frames and 1 pose pictures"),
        ({"0.png": b"GIF89a"}, "0.png: not a readable PNG or JPEG"),
        ({"0.png": png(), "1.png": png(size=(32, 64))}, "pictures of different sizes"),
        ({f"{n}.png": png() for n in range(121)}, "121 frames, at most 120"),
        ({"0.png": png(), "actions.csv": "0,0,0,0"}, "not both of actions.csv and endeffector_positions.csv"),
        ({"0.png": png(), "actions.csv": "1,2", "endeffector_positions.csv": "0,0,0"}, "row 0 has 2 numbers"),
        ({"0.png": png(), "actions.csv": "", "endeffector_positions.csv": "0,0,0"}, "0 rows for 1 frames"),
        ({"0.png": png(), "actions.csv": "nan,0,0,0", "endeffector_positions.csv": "0,0,0"}, "not finite"),
    ],
)
def test_what_is_no_clip_is_one_line(tmp_path, files, line):
    path = zipped(tmp_path / "mine.zip", files)
    with pytest.raises(BadInput, match="mine.zip|0.png") as error:
        take_clip(path, tmp_path / "out")
    assert line in str(error.value)
    assert "\n" not in str(error.value)
    assert str(tmp_path) not in str(error.value)


def test_archives_cannot_fill_the_disk_or_leave_their_folder(tmp_path, monkeypatch):
    outside = zipped(tmp_path / "out.zip", {"../../0.png": png(1), "../../1.png": png(2)})
    taken = take_clip(outside, tmp_path / "in" / "clip")
    assert {p.parent for p in tmp_path.rglob("1.png")} == {taken.entry.root / taken.entry.id}
    monkeypatch.setattr(upload, "MOST_BYTES", 10_000)
    with pytest.raises(BadInput, match="at most 5,000 and"):
        take_clip(zipped(tmp_path / "big.zip", {"0.png": b"\0" * 10_001}), tmp_path / "big")
    monkeypatch.setattr(upload, "MOST_FILES", 3)
    with pytest.raises(BadInput, match="4 files"):
        take_clip(zipped(tmp_path / "many.zip", {f"{n}.txt": b"" for n in range(4)}), tmp_path / "many")
    (tmp_path / "lies.zip").write_bytes(tampered("0.png", 10**6))
    with pytest.raises(BadInput, match=r"lies\.zip|0\.png"):
        take_clip(tmp_path / "lies.zip", tmp_path / "lies")
    (tmp_path / "no.zip").write_bytes(b"no zip")
    with pytest.raises(BadInput, match=r"no\.zip: not a readable zip"):
        take_clip(tmp_path / "no.zip", tmp_path / "no")


# --- runs -------------------------------------------------------------------------------------------------------------


def test_a_zipped_run_is_the_run_it_was(free_run, tmp_path):
    files = files_of(free_run, "my run/") | {"my run/last/state.pth": b"never", "my run/samples/0.gif": b"no"}
    path = zipped(tmp_path / "run.zip", files)
    assert holds_run(path)
    take_run(path, tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} <= {"config.json", "model.safetensors", "metrics.jsonl"}
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "out" / name).read_bytes() == (free_run / name).read_bytes()


def test_pickled_weights_are_never_opened(free_run, tmp_path):
    class Opened:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "opened",))

    torch.save(Opened(), tmp_path / "model.pth")
    path = zipped(tmp_path / "run.zip", {"config.json": free_run / "config.json", "model.pth": tmp_path / "model.pth"})
    with pytest.raises(BadInput, match=r"no model\.safetensors beside config\.json; model\.pth could run code"):
        take_run(path, tmp_path / "out")
    assert not (tmp_path / "opened").exists()
    shutil.copy(tmp_path / "model.pth", tmp_path / "model.safetensors")
    files = {name: tmp_path / name for name in ("model.safetensors",)} | {"config.json": free_run / "config.json"}
    handlers = YourDataHandlers(Library([free_run], []))
    told = refusal(handlers.take("", handed(zipped(tmp_path / "renamed.zip", files)), 1, [], None))
    assert "not a safetensors file" in told
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize("what", ["config", "weights", "fit", "two", "encrypted"])
def test_damaged_runs_are_one_line_and_not_kept(opened, free_run, tiny_run, tmp_path, what):
    files = files_of(free_run)
    if what == "config":
        files["config.json"] = b"{}"
    elif what == "weights":
        files["model.safetensors"] = b"junk"
    elif what == "fit":
        files["model.safetensors"] = tiny_run / "model.safetensors"
    elif what == "two":
        files |= {"other/config.json": b"{}"}
    path = zipped(tmp_path / "mine.zip", files)
    if what == "encrypted":
        content = bytearray(path.read_bytes())
        for mark, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            at = 0
            while (at := content.find(mark, at)) >= 0:
                content[at + offset] |= 1
                at += 4
        path.write_bytes(content)
    handlers = YourDataHandlers(opened)
    assert "vidpred-visit" not in refusal(handlers.take("", handed(path), 1, [], CLIP))
    (own,) = handlers.visits._visits.values()
    assert not own.runs
    assert list(Path(own._folder.name).iterdir()) == []


def test_a_run_comes_from_the_hub_when_someone_asks(handlers, free_run, monkeypatch):
    hub = Hub()
    monkeypatch.setattr(yours_tab, "fetch_run", functools.partial(fetch_run, endpoint=hub.url))
    commit = hub.commit("ann/runs", {f"free/{p.name}": p.read_bytes() for p in free_run.iterdir()})
    assert hub.asked == []
    visit, told, _, clip, able, _ = handlers.fetch("", "ann/runs/free", CLIP)
    name = f"ann/runs/free@{commit[:7]}"
    assert told.startswith(f"**{name}**: ")
    assert (clip["value"], able["value"]) == (CLIP, [name])
    value, _ = handlers.imagine(visit, [name], CLIP, 0, 1.0, 1, 3)
    assert value["tiles"][1]["label"] == "Prediction"
    for bad in (None, "", 3, "free", "ann/other", "ann/runs@nowhere", ["ann/runs/free"], "../..", "ann/runs"):
        refusal(handlers.fetch(visit, bad, CLIP))
    hub.server.shutdown()
    hub.server.server_close()


# --- the tab ----------------------------------------------------------------------------------------------------------


def test_a_film_is_continued_by_the_runs_that_need_no_actions(handlers, film):
    visit, told, picture, clip, able, horizon = handlers.take("", handed(film), 1, ["tiny"], CLIP)
    assert "film.gif" in told and "trained on a simulated robot arm" in told
    assert picture["visible"] is True
    assert clip["value"] == "film.gif"
    assert (able["choices"], able["value"]) == ([("free", "free")], ["free"]) or able["choices"] == ["free"]
    assert horizon["maximum"] == 10
    value, curves = handlers.imagine(visit, ["free"], "film.gif", 3, 1.0, 2, 4)
    own = handlers.visits.library_of(visit)
    expected = predict_clip(own, "free", "film.gif", 3, 1.0, 4, samples=2)
    assert value["n_past"] == expected.asked.n_past
    assert value["tiles"][1]["scores"]["PSNR"][0][2] == pytest.approx(
        expected.futures[0].scores["PSNR"][0, 0], abs=1e-4
    )
    assert curves["panels"] is not None
    value, _ = handlers.imagine(visit, ["tiny"], "film.gif", 3, 1.0, 2, 4)
    assert value["message"] == "tiny continues clips with known actions: film.gif is none."


def test_an_uploaded_run_stands_beside_the_others(handlers, free_run, tiny_data, tmp_path):
    path = zipped(tmp_path / "mine.zip", files_of(free_run))
    visit, told, _, clip, able, _ = handlers.take("", handed(path), 1, [], CLIP)
    assert told.startswith("**mine**: **Learned prior** · action-free")
    assert (clip["value"], able["value"]) == (CLIP, ["mine"])
    value, _ = handlers.imagine(visit, ["mine", "free"], CLIP, 0, 1.0, 1, 3)
    mine, free = (tile for tile in value["tiles"] if tile["kind"] == "prediction")
    assert mine["scores"] == free["scores"]  # the same weights
    library = handlers.visits.library_of(visit)
    assert [tile.label for tile in compare_clip(library, ["mine", "free"], CLIP, 0, 1.0, 1).tiles][1:] == [
        "mine",
        "free",
    ]


def test_visitors_see_their_own_things_alone(handlers, film, opened):
    visit, *_ = handlers.take("", handed(film), 1, [], CLIP)
    other, *_ = handlers.take("", handed(film), 3, [], CLIP)
    assert visit != other
    assert "film.gif" not in opened.clips
    mine, theirs = (handlers.visits.library_of(v) for v in (visit, other))
    assert (mine.clip("film.gif").frames, theirs.clip("film.gif").frames) == (12, 4)
    # one name, two clips: what is remembered of one is no answer about the other
    long, short = (predict_clip(lib, "free", "film.gif", n_future=2) for lib in (mine, theirs))
    assert not np.array_equal(long.truth, short.truth)
    for stranger in ("", "guess", None, [visit], 3):
        value, _ = handlers.imagine(stranger, ["free"], "film.gif", 0, 1.0, 1, 2)
        assert value["message"].startswith("There is no clip “film.gif” here")


def test_the_oldest_make_room_and_nothing_is_left_behind(opened, film, free_run):
    visits = Visits(opened)
    name, own = visits.find("")
    roots = []
    for _ in range(MOST_CLIPS + 1):
        with own.new_folder() as root:
            own.add_clip("film.gif", take_clip(film, root).entry, opened)
        roots.append(root)
    assert len(own.clips) == MOST_CLIPS
    assert list(own.clips)[-1] == f"film.gif ({MOST_CLIPS + 1})"
    assert [root.exists() for root in roots] == [False] + [True] * MOST_CLIPS
    for _ in range(MOST_RUNS + 1):
        with own.new_folder() as folder:
            shutil.copytree(free_run, folder)
        assert own.add_run("free", folder, opened) != "free"  # the name of one that is open here
    assert len(own.runs) == MOST_RUNS
    place = roots[-1].parent
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    del own
    for _ in range(MOST_VISITS):
        visits.find("")
    assert visits.library_of(name) is opened
    assert not place.exists()
    kept, own = visits.find("")
    place = Path(own._folder.name)
    visits.forget(kept)
    del own
    assert not place.exists()


@pytest.mark.parametrize(
    "bad",
    [
        *({"file": value} for value in (None, "film.gif", [], {"path": 3}, {})),
        *({"every": value} for value in (None, 0, 11, 1.5, float("nan"), "2", True)),
    ],
)
def test_bad_values_are_one_friendly_line(handlers, film, bad):
    asked = {"visit": "", "file": handed(film), "every": 1, "runs": ["free"], "clip": CLIP, **bad}
    refusal(handlers.take(**asked))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("runs", value) for value in (None, [], "free", ["nothing"], ["free"] * 2 + ["dance"], [["free"]])),
        *(("clip", value) for value in (None, "nothing", [CLIP], "../../etc")),
        *(("seed", value) for value in (None, -1, 1.5, float("nan"))),
        *(("temperature", value) for value in (None, 2.1, float("nan"))),
        *(("samples", value) for value in (None, 0, 6, 1.5)),
        *(("n_future", value) for value in (0, 15, 1.5, float("nan"), "3")),
    ],
)
def test_bad_values_of_a_prediction_are_told_by_the_player(handlers, name, value):
    asked = {
        **{"visit": "", "runs": ["free"], "clip": CLIP, "seed": 0, "temperature": 1.0, "samples": 1, "n_future": 3},
        name: value,
    }
    answer, _ = handlers.imagine(**asked)
    assert set(answer) == {"request", "message"}
    assert len(answer["message"].splitlines()) == 1


def test_a_choice_that_fits_stays(handlers):
    clip, able, horizon = handlers.fit("", ["free", "tiny"], CLIP)
    assert (clip["value"], able["value"], horizon["maximum"]) == (CLIP, ["free", "tiny"], 14)
    _, able, horizon = handlers.fit("", ["free", "tiny"], "validate")
    assert (able["value"], horizon["maximum"]) == (["dance"], 11)
    with pytest.raises(gr.Error, match="choose a clip"):
        handlers.fit("", ["free"], "nothing")


def test_files_of_the_server_cannot_be_handed_in(url, demo):
    """Gradio holds uploads to its own folder: a path of the server's is refused before a handler sees it."""
    import urllib.request

    index = next(i for i, fn in demo.fns.items() if fn.name == "take")
    body = {"data": [handed("/etc/passwd"), 1, "", [], CLIP], "fn_index": index, "session_hash": "abc"}
    names = demo.fns[index].input_parameter_names
    body["data"] = [{"file": handed("/etc/passwd"), "every": 1}.get(name) for name in names]
    request = urllib.request.Request(
        f"{url}gradio_api/queue/join", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request).close()
    with urllib.request.urlopen(f"{url}gradio_api/queue/data?session_hash=abc", timeout=30) as stream:
        last = [line for line in stream.read().decode().splitlines() if "process_completed" in line]
    (answer,) = (json.loads(line.removeprefix("data: ")) for line in last)
    assert answer["success"] is False
    assert "root:" not in json.dumps(answer)
