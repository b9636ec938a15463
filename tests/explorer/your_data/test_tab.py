"""What the widgets call: what a visitor uploads is chosen and drawn, for that visitor alone."""

import functools
import json
import shutil
import urllib.request
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import torch

from tests.explorer.menus import names_of
from tests.explorer.your_data.files import files_of, png, sent, zipped
from tests.hub import Hub
from vidpred import render, runs
from vidpred.errors import BadInput
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.prediction import predict_clip
from vidpred.explorer.ui.run_colors import COLOURS
from vidpred.explorer.your_data import tab
from vidpred.explorer.your_data.sessions import MOST_SESSIONS
from vidpred.explorer.your_data.tab import YourDataHandlers, build
from vidpred.hub import fetch_run

CLIP = "traj_0_to_255/1"
NUMBERS = {"seed": 0, "temperature": 1.0, "samples": 1, "n_future": 3}
FIELDS = {"session_id": "", "runs": ["free"], "clip": CLIP, **NUMBERS}


@pytest.fixture(scope="module")
def handlers(library):
    return YourDataHandlers(library)


def refusal(answer):
    """The one line of an upload that changes nothing else."""
    _, description, *rest = answer
    assert all(update == gr.skip() for update in rest)
    assert description.endswith("What is drawn is still what was there before.") and "\n" not in description
    return description


def laid_out(library):
    """The tab alone: (page, its parts)."""
    with gr.Blocks() as demo:
        return demo, build(library, demo)


@pytest.fixture(scope="module")
def draw(library):
    """The event that draws."""
    return drawing(library)


def drawing(library):
    """(fields, to what it drew last) -> (values of player and chart, to what they are an answer)."""
    _, parts = laid_out(library)
    ((event,),) = parts.opened

    def draw(answered=None, **fields):
        values = event["fn"](answered=answered, **{**FIELDS, **fields})
        return (values, answered) if values == gr.skip() else (values[:2], values[2])

    return draw


# --- what is uploaded -------------------------------------------------------------------------------------------------


def test_a_film_is_continued_by_the_runs_that_need_no_actions(handlers, library, film):
    session_id, description, picture, clip, able, n_future = handlers.upload("", sent(film), 1, ["tiny"], CLIP)
    assert "film.gif" in description and "trained on a simulated robot arm" in description
    assert picture["visible"] is True
    assert (clip["value"], clip["choices"]) == ("film.gif", ["film.gif", *library.clips])  # one's own first
    assert (names_of(able["choices"]), able["value"]) == (["free"], ["free"])
    assert n_future["maximum"] == 10
    fields = {"seed": 3, "temperature": 1.0, "samples": 2, "n_future": 4}
    value, curves = handlers.draw(session_id, ["free"], "film.gif", **fields)
    own = handlers.sessions.find(session_id).library(library)
    expected = predict_clip(own, own.run("free"), own.clip("film.gif"), **fields)
    assert value["n_past"] == expected.settings.n_past
    drawn = value["tiles"][1]["scores"]["PSNR"][0][2]
    assert drawn == pytest.approx(expected.futures[0].scores["PSNR"][0, 0], abs=1e-4)
    assert curves["panels"]
    with pytest.raises(BadInput, match="tiny continues clips with known actions: film.gif is none"):
        handlers.draw(session_id, ["tiny"], "film.gif", **fields)


def test_a_film_is_read_again_with_another_step_after_the_upload_is_gone(handlers, film):
    session_id, *_ = handlers.upload("", sent(film), 1, [], CLIP)
    film.unlink()
    again, description, _, clip, *_ = handlers.read_again(session_id, 3, [], CLIP)
    assert (again, clip["value"]) == (session_id, "film.gif")
    assert "every 3rd frame taken" in description
    # a mouse's choice comes twice
    assert handlers.read_again(session_id, 3, [], CLIP) == (session_id, *[gr.skip()] * 5)
    for stranger in ("", "guess", None):
        assert handlers.read_again(stranger, 3, [], CLIP) == (stranger, *[gr.skip()] * 5)


def test_another_step_takes_the_place_of_the_clip_and_of_no_other(handlers, library, film, tmp_path):
    other = shutil.copy(film, tmp_path / "other.gif")
    session_id, *_ = handlers.upload("", sent(film), 1, [], CLIP)
    handlers.upload(session_id, sent(other), 1, [], CLIP)
    session = handlers.sessions.find(session_id)
    for every in (2, 3, 2, 1, 4):
        *_, clip, _, _ = handlers.read_again(session_id, every, [], CLIP)
        assert clip["value"] == "other.gif" and list(session.clips) == ["film.gif", "other.gif"]
    folders = [clip.root for clip in session.clips.values()]
    assert all(folder.is_dir() for folder in folders)
    assert sum(path.is_dir() for path in session.folder.iterdir()) == 3  # and the original
    refusal(handlers.read_again(session_id, 99, [], CLIP))
    assert list(session.clips) == ["film.gif", "other.gif"]
    _, description, *_ = handlers.read_again(session_id, 4, [], CLIP)  # what stands there is the refusal
    assert "every 4th frame taken" in description


def test_a_film_that_was_read_again_is_drawn_again(library, film):
    handlers = YourDataHandlers(library)
    session_id, *_ = handlers.upload("", sent(film), 1, [], CLIP)
    fields = {"session_id": session_id, "runs": ["free"], "clip": "film.gif", **NUMBERS}
    before, drawn = handlers.progress(**fields), handlers.draw(**fields)[0]
    handlers.read_again(session_id, 2, [], CLIP)
    assert handlers.progress(**fields) != before
    assert handlers.draw(**fields)[0]["sheets"] != drawn["sheets"]


def test_what_is_said_of_a_clip_of_ones_own_goes_with_it(handlers, film, free_run, tmp_path):
    session_id, film_said, crop, *_ = handlers.upload("", sent(film), 1, [], CLIP)
    other = shutil.copy(film, tmp_path / "other.gif")
    handlers.upload(session_id, sent(other), 1, [], CLIP)
    said, hidden, *_ = handlers.fit(session_id, ["free"], CLIP)
    assert (said, hidden["visible"]) == (tab.WELCOME, False)
    said, shown, *_ = handlers.fit(session_id, ["free"], "film.gif")
    assert said == film_said and shown["visible"] and (shown["value"] == crop["value"]).all()
    handlers.upload(session_id, sent(zipped(tmp_path / "mine.zip", files_of(free_run))), 1, [], CLIP)
    assert handlers.fit(session_id, ["mine"], CLIP)[:2] == (gr.skip(), gr.skip())  # what is said of a run stays


def test_a_step_between_frames_is_for_films_alone(library, tiny_run, tmp_path):
    handlers = YourDataHandlers(library)
    for file in (
        zipped(tmp_path / "myrun.zip", {name: tiny_run / name for name in (runs.CONFIG, runs.WEIGHTS)}),
        zipped(tmp_path / "pictures.zip", {f"{i}.png": png(20 * i) for i in range(6)}),
    ):
        session_id, *_ = handlers.upload("", sent(file), 1, [], CLIP)
        session = handlers.sessions.find(session_id)
        kept = [*session.runs, *session.clips]
        assert handlers.read_again(session_id, 3, [], CLIP) == (session_id, *[gr.skip()] * 5)
        assert [*session.runs, *session.clips] == kept and len(kept) == 1


def test_what_is_refused_takes_nobody_s_place(library, film, tmp_path):
    handlers = YourDataHandlers(library)
    mine, *_ = handlers.upload("", sent(film), 1, [], CLIP)
    (tmp_path / "bad.gif").write_bytes(b"GIF89a")
    for _ in range(MOST_SESSIONS + 8):
        session_id, *_ = handlers.upload("", sent(tmp_path / "bad.gif"), 1, [], CLIP)
        assert session_id == ""
        handlers.fetch("", "no address", CLIP)
    assert len(handlers.sessions) == 1
    assert handlers.draw(mine, ["free"], "film.gif", **NUMBERS)


def test_a_film_that_is_too_short_is_kept_and_drawing_it_says_so(handlers, tmp_path):
    render.save_gif(tmp_path / "short.gif", np.zeros((1, 64, 64, 3), np.uint8))
    session_id, _, _, clip, able, n_future = handlers.upload("", sent(tmp_path / "short.gif"), 1, [], CLIP)
    assert (clip["value"], able["value"], n_future) == ("short.gif", ["free"], gr.skip())
    with pytest.raises(BadInput, match="short.gif has 1 frame: too short for free, which is given 2"):
        handlers.draw(session_id, ["free"], "short.gif", **NUMBERS)


def test_an_uploaded_run_stands_beside_the_others(handlers, library, free_run, tmp_path):
    path = zipped(tmp_path / "mine.zip", files_of(free_run))
    session_id, description, picture, clip, able, _ = handlers.upload("", sent(path), 1, [], CLIP)
    assert description.startswith("**mine**: **Learned prior, no actions**")
    assert picture["visible"] is False
    assert (clip["value"], able["value"]) == (CLIP, ["mine"])
    assert names_of(able["choices"]) == ["mine", "tiny", "free"]  # one's own first, and none that continues dances
    value, _ = handlers.draw(session_id, ["mine", "free"], CLIP, **NUMBERS)
    mine, free = (tile for tile in value["tiles"] if tile["kind"] == "prediction")
    assert (mine["label"], free["label"]) == ("mine", "free")
    assert mine["scores"] == free["scores"]  # the same weights


def test_a_run_for_which_there_is_no_clip_is_kept_until_there_is_one(
    tiny_run, dance_run, tiny_data, tiny_dance, tmp_path
):
    handlers = YourDataHandlers(Library([tiny_run], [tiny_data]))
    path = zipped(tmp_path / "mine.zip", {p.name: p for p in dance_run.iterdir() if p.is_file()})
    answer = handlers.upload("", sent(path), 1, [], CLIP)
    assert "mine is kept, but none of the clips here is for it: hand one in" in refusal(answer)
    path = zipped(tmp_path / "dance.zip", files_of(tiny_dance / "val"))
    _, _, _, clip, able, _ = handlers.upload(answer[0], sent(path), 1, [], CLIP)
    assert (clip["value"], able["value"]) == ("dance.zip", ["mine"])


def test_pickled_weights_are_never_opened(library, handlers, free_run, tmp_path):
    class Opened:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "opened",))

    torch.save(Opened(), tmp_path / "model.safetensors")
    files = {"model.safetensors": tmp_path / "model.safetensors", "config.json": free_run / "config.json"}
    answer = handlers.upload("", sent(zipped(tmp_path / "renamed.zip", files)), 1, [], None)
    assert "not a safetensors file" in refusal(answer)
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize("what", ["config", "weights", "fit", "two"])
def test_damaged_runs_are_one_line_and_not_kept(handlers, free_run, tiny_run, tmp_path, what):
    files = files_of(free_run)
    if what == "config":
        files["config.json"] = b"{}"
    elif what == "weights":
        files["model.safetensors"] = b"junk"
    elif what == "fit":
        files["model.safetensors"] = tiny_run / "model.safetensors"
    elif what == "two":
        files |= {"other/config.json": b"{}"}
    answer = handlers.upload("", sent(zipped(tmp_path / "mine.zip", files)), 1, [], CLIP)
    assert "vidpred-session" not in refusal(answer)
    session = handlers.sessions.find(answer[0])
    assert not session.runs
    assert list(session.folder.iterdir()) == []


def test_a_run_comes_from_the_hub_when_someone_asks(handlers, free_run, monkeypatch):
    hub = Hub()
    monkeypatch.setattr(tab, "fetch_run", functools.partial(fetch_run, endpoint=hub.url))
    commit = hub.commit("ann/runs", {f"free/{p.name}": p.read_bytes() for p in free_run.iterdir()})
    assert hub.asked == []
    session_id, description, _, clip, able, _ = handlers.fetch("", "ann/runs/free", CLIP)
    name = f"ann/runs/free@{commit[:7]}"
    assert description.startswith(f"**{name}**: ")
    assert (clip["value"], able["value"]) == (CLIP, [name])
    value, _ = handlers.draw(session_id, [name], CLIP, **NUMBERS)
    assert value["tiles"][1]["label"] == "Prediction"
    for bad in (None, "", 3, "free", "ann/other", "ann/runs@nowhere", ["ann/runs/free"], "../..", "ann/runs"):
        refusal(handlers.fetch(session_id, bad, CLIP))
    hub.server.shutdown()
    hub.server.server_close()


@pytest.mark.parametrize(
    "bad",
    [
        *({"file": value} for value in (None, "film.gif", [], {"path": 3}, {})),
        *({"every": value} for value in (None, 0, 11, 1.5, float("nan"), "2", True)),
    ],
)
def test_bad_values_are_one_friendly_line(handlers, film, bad):
    fields = {"session_id": "", "file": sent(film), "every": 1, "runs": ["free"], "clip": CLIP, **bad}
    refusal(handlers.upload(**fields))


def test_visitors_see_their_own_things_alone(handlers, library, film):
    mine, *_ = handlers.upload("", sent(film), 1, [], CLIP)
    theirs, *_ = handlers.upload("", sent(film), 3, [], CLIP)
    assert mine != theirs
    assert "film.gif" not in library.clips
    for stranger in ("", "guess", None, [mine], 3):
        with pytest.raises(BadInput, match="There is no clip “film.gif” here"):
            handlers.draw(stranger, ["free"], "film.gif", **NUMBERS)
        assert handlers.fit(stranger, ["free"], CLIP)[2]["choices"] == list(library.clips)


# --- fields -----------------------------------------------------------------------------------------------------------


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
def test_bad_values_of_a_prediction_are_told_by_the_player(draw, name, value):
    (player, chart), _ = draw(**{name: value})
    assert set(player) == {"request", "message"}
    assert len(player["message"].splitlines()) == 1
    assert chart == gr.skip()


def test_no_run_at_all_is_told_in_words_that_fit(draw):
    (player, _), _ = draw(runs=[])
    assert player["message"] == "Please choose one to 4 runs, not 0."


def test_a_choice_that_fits_stays(handlers):
    *_, clip, able, n_future = handlers.fit("", ["free", "tiny"], CLIP)
    assert (clip["value"], able["value"], n_future["maximum"]) == (CLIP, ["free", "tiny"], 14)
    *_, able, n_future = handlers.fit("", ["free", "tiny"], "validate")
    assert (able["value"], n_future["maximum"]) == (["dance"], 11)
    assert handlers.fit("", [["free"], 3], CLIP)[3]["value"] == ["free"]
    with pytest.raises(gr.Error, match="choose a clip"):
        handlers.fit("", ["free"], "nothing")


def test_how_far_these_runs_can_go(handlers):
    update = handlers.limit_future("", ["free", "tiny"], CLIP)
    assert (update["value"], update["maximum"]) == (4, 14)
    assert [handlers.limit_future("", ["free", "tiny"], CLIP, n)["value"] for n in (7, 99, None)] == [7, 14, 4]
    assert handlers.fit("", ["free", "tiny"], CLIP, 7)[4]["value"] == 7
    assert handlers.fit("", ["free"], "validate", 7)[4]["value"] != 7  # of another family
    assert handlers.limit_future("", ["free"], "validate") == gr.skip()
    assert handlers.limit_future("", ["other"], CLIP) == gr.skip()


# --- drawing again ----------------------------------------------------------------------------------------------------


def test_the_same_question_is_answered_once_until_an_epoch_has_ended(free_run, tiny_data, tmp_path):
    run = shutil.copytree(free_run, tmp_path / "free")
    draw = drawing(Library([run], [tiny_data]))
    _, answered = draw()
    assert draw(answered)[0] == gr.skip()
    shutil.copy(run / runs.WEIGHTS, tmp_path / "next")
    (tmp_path / "next").replace(run / runs.WEIGHTS)
    (player, _), answered = draw(answered)
    assert player["tiles"]
    assert draw(answered)[0] == gr.skip()
    runs.write_metrics(run, [{"epoch": 0, "step": 3, "kld": 1.0, "beta": 1.0, "loss": 2.0}])
    (_, chart), _ = draw(answered)
    assert any(panel["lines"] for panel in chart["panels"])


def test_a_refusal_is_no_answer(free_run, tiny_data, tmp_path):
    run = shutil.copytree(free_run, tmp_path / "free")
    (run / runs.WEIGHTS).unlink()
    draw = drawing(Library([run], [tiny_data]))
    (player, _), answered = draw()
    assert player["message"] == "free has no weights yet: its first epoch has not ended."
    (player, _), answered = draw(answered)
    assert "message" in player  # said again, not skipped
    shutil.copy(free_run / runs.WEIGHTS, run / runs.WEIGHTS)
    (player, _), _ = draw(answered)
    assert player["tiles"]


def test_an_own_run_changes_nobody_s_colour(free_run, tiny_data, tmp_path):
    """In the pictures of a library that has as many runs as there are colours."""
    names = [f"run{i}" for i in range(COLOURS)]
    for name in names:
        shutil.copytree(free_run, tmp_path / name)
    handlers = YourDataHandlers(Library([tmp_path], [tiny_data]))

    def colours(session_id, *chosen):
        player, chart = handlers.draw(session_id, list(chosen), CLIP, **NUMBERS)
        tiles = {tile["label"]: tile["colour"] for tile in player["tiles"] if tile["kind"] == "prediction"}
        assert [(entry["name"], entry["colour"]) for entry in chart["legend"]] == list(tiles.items())
        return tiles

    before = colours("", "run2", "run7")
    session_id, *_ = handlers.upload("", sent(zipped(tmp_path / "mine.zip", files_of(free_run))), 1, [], CLIP)
    after = colours(session_id, "mine", "run2", "run7")
    assert before == {"run2": 2, "run7": 7}
    assert {name: after[name] for name in before} == before
    assert after["mine"] not in before.values()


# --- in the page ------------------------------------------------------------------------------------------------------


def test_widgets_feed_the_parameters_of_their_name(library):
    """And models run one by one, files one by one, with our own checks instead of Gradio's."""
    demo, _ = laid_out(library)
    labels = {
        **{"file": "Your film, pictures or run", "every": "Every n-th frame", "repository": "Repository"},
        **{"clip": "Clip", "runs": "Runs", "temperature": "Temperature", "samples": "Samples of each run"},
        **{"n_future": "Predicted frames", "seed": "Seed"},
    }
    queues = {"draw": "model", "upload": "files", "read_again": "files", "fetch": "files"}
    events = [fn for fn in demo.fns.values() if fn.name in {*queues, "fit", "limit_future"}]
    assert {fn.name for fn in events} == {*queues, "fit", "limit_future"}
    for fn in events:
        fed = dict(zip(fn.input_parameter_names, fn.inputs, strict=True))
        states = {name for name, widget in fed.items() if isinstance(widget, gr.State)}
        assert states <= {"session_id", "answered"}
        assert all(fed[name].label == labels[name] for name in fed.keys() - states)
        assert (fn.preprocess, fn.api_visibility) == (False, "private")
        if fn.name in queues:
            assert (fn.concurrency_id, fn.concurrency_limit) == (queues[fn.name], 1)


def test_a_page_load_copies_no_library(library):
    """Gradio copies all of the page's settings for each visitor: a bound method among them would take along whatever
    its object holds."""
    demo, _ = laid_out(library)
    (state,) = (block for block in demo.blocks.values() if isinstance(block, gr.State) and block.value == "")
    assert not hasattr(state.delete_callback, "__self__")


def test_files_of_the_server_cannot_be_uploaded(library):
    """Gradio holds uploads to its own folder: a path of the server's is refused before a handler sees it."""
    demo, _ = laid_out(library)
    index = next(i for i, fn in demo.fns.items() if fn.name == "upload")
    fields = {"file": sent("/etc/passwd"), "every": 1, "runs": [], "clip": CLIP}
    data = [fields.get(name) for name in demo.fns[index].input_parameter_names]
    body = json.dumps({"data": data, "fn_index": index, "session_hash": "abc"}).encode()
    _, url, _ = demo.queue(api_open=False).launch(prevent_thread_lock=True, quiet=True)
    try:
        request = urllib.request.Request(f"{url}gradio_api/queue/join", body, {"Content-Type": "application/json"})
        urllib.request.urlopen(request).close()
        with urllib.request.urlopen(f"{url}gradio_api/queue/data?session_hash=abc", timeout=30) as stream:
            last = [line for line in stream.read().decode().splitlines() if "process_completed" in line]
    finally:
        demo.close()
    (answer,) = (json.loads(line.removeprefix("data: ")) for line in last)
    assert answer["success"] is False
    assert "root:" not in json.dumps(answer)
