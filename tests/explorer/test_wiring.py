"""Which widget feeds which parameter, what is open to the outside, and the app as a client sees it."""

import json
import subprocess
import sys
import time
import types
import urllib.error
import urllib.request

import gradio as gr
import numpy as np
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image

from tests.commands import ROOT, run
from vidpred import runs
from vidpred.explorer.runs.prediction import predict_clip
from vidpred.explorer.server.visitors import MOST_WAITING

ASKED = {"run": "tiny", "clip": "traj_0_to_255/2", "seed": 5, "temperature": 1.5, "n_future": 6}
API = {
    "/predict": {
        **{"run": None, "clip": None, "seed": 0, "temperature": 1.0, "n_future": None, "n_past": None},
        **{"samples": 1, "prior": None, "sweep": False},
    },
    "/compare": {"runs": None, "clip": None, "seed": 0, "temperature": 1.0, "samples": 3},
    "/curves": {"runs": None},
}
NEEDED = {"run", "runs", "clip"}


@pytest.fixture(scope="module")
def client(url):
    return Client(url, ssl_verify=False, analytics_enabled=False, verbose=False)


def test_the_api_is_documented_and_names_its_parameters(client):
    """And nothing else is public."""
    api = client.view_api(return_format="dict", print_info=False)
    assert api["unnamed_endpoints"] == {}
    assert api["named_endpoints"].keys() == API.keys()
    for name, endpoint in api["named_endpoints"].items():
        assert len(endpoint["description"]) > 40
        parameters = {p["parameter_name"]: p["parameter_default"] for p in endpoint["parameters"]}
        assert (name, parameters) == (name, API[name])
        assert {p["parameter_name"] for p in endpoint["parameters"] if not p["parameter_has_default"]} <= NEEDED


def test_no_tab_hides_in_a_menu(demo):
    """On a phone the tabs within Drive would not fit: the last one would be behind three dots."""
    assert {b.overflow_behavior for b in demo.blocks.values() if isinstance(b, gr.Tabs)} == {"wrap"}


def test_whatever_waits_for_the_model_can_be_taken_back(demo):
    """And a player says meanwhile how far it is."""
    (bar,) = (fn for fn in demo.fns.values() if fn.cancels)
    waiting = [fn for fn in demo.fns.values() if fn.concurrency_id in ("model", "physics") and fn.targets]
    assert waiting and sorted(bar.cancels) == sorted(fn._id for fn in waiting)
    for fn in waiting:
        told = fn.show_progress_on or fn.outputs
        assert fn.show_progress == "minimal" and any("player-widget" in widget.elem_classes for widget in told), fn.name


def test_widgets_feed_the_parameters_of_their_name(demo):
    """And models run one by one, with our own checks instead of Gradio's."""
    drawing = [fn for fn in demo.fns.values() if any(widget.elem_id == "player" for widget in fn.outputs)]
    assert len(drawing) == 5  # the tab is looked at; a field, the run, the clip or the context has changed
    labels = {
        **{"run": "Run", "clip": "Clip", "seed": "Seed", "temperature": "Temperature", "samples": "Samples"},
        **{"n_future": "Predicted frames", "n_past": "Context frames", "prior": "Prior at test"},
        "sweep": "Side by side: T = 0, 0.5, 1, 1.5, 2",
    }
    for fn in drawing:
        fed = dict(zip(fn.input_parameter_names, (widget.label for widget in fn.inputs), strict=True))
        assert {name: label for name, label in fed.items() if name not in ("shown", "answered")} == labels
        assert (fn.concurrency_id, fn.concurrency_limit, fn.preprocess) == ("model", 1, False)
        assert fn.api_visibility == "private"
    (public,) = (fn for fn in demo.fns.values() if fn.api_name == "predict")
    assert (public.concurrency_id, public.concurrency_limit, public.api_visibility) == ("model", 1, "public")
    assert demo._queue.max_size == MOST_WAITING
    assert demo.api_open is False
    assert demo.analytics_enabled is False


def test_no_event_is_checked_by_gradio_first(demo):
    """It refuses what is not among a menu's first choices, lists them all in a toast, and prints a traceback."""
    called = [fn for fn in demo.fns.values() if fn.fn and fn.inputs and fn.api_visibility != "public"]
    assert len(called) > 20
    assert [fn.name for fn in called if fn.preprocess] == []


def test_only_asked_for_timers_tick(demo):
    timers = [block for block in demo.blocks.values() if isinstance(block, gr.Timer)]
    assert timers and not any(timer.active for timer in timers)


def test_a_tab_is_filled_from_its_own_widgets(demo):
    fed = {
        block.elem_id: {widget.label for widget in fn.inputs if getattr(widget, "label", None)}
        for fn in demo.fns.values()
        for block in fn.outputs
        if block.elem_id in ("training-chart", "lens-sources", "lens-player") and "shown" in fn.input_parameter_names
    }
    assert fed == {
        "training-chart": {"Runs", "x axis", "Smoothing", "Logarithmic scale", "Seeds as mean and band"},
        "lens-sources": {"Run", "Clip", "Seed", "Dimension of z"},  # the last stays as chosen
        "lens-player": {"Run", "Clip", "Dimension of z"},
    }


def test_a_page_load_copies_no_model(demo, url):
    """Gradio copies all of the page's settings for each visitor: a bound method among them would take along whatever
    its object holds."""

    def heavy(value):
        if isinstance(value, (dict, list, tuple)):
            parts = value.values() if isinstance(value, dict) else value
            return [found for part in parts for found in heavy(part)]
        return [] if isinstance(value, (str, int, float, type(None), types.FunctionType)) else [value]

    assert heavy(demo.config) == []


def test_an_idle_app_does_not_spin(demo, url, monkeypatch):
    """Gradio looks for a question a thousand times a second."""
    looks = []
    monkeypatch.setattr(type(demo._queue), "__len__", lambda queue: looks.append(queue is demo._queue) or 0)
    time.sleep(1)
    assert 0 < sum(looks) < 200


def test_plain_http_cannot_skip_the_queue(url):
    body = json.dumps({"data": list(ASKED.values())}).encode()
    request = urllib.request.Request(
        f"{url}gradio_api/run/predict", body, {"Content-Type": "application/json"}, method="POST"
    )
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(request)


def test_a_client_gets_the_very_pixels(client, library):
    value = client.predict(**ASKED, samples=2, api_name="/predict")
    fields = {**ASKED, "run": library.run("tiny"), "clip": library.clip(ASKED["clip"])}
    expected = predict_clip(library, **fields, samples=2)
    (sheet,) = value["sheets"]
    picture = np.asarray(Image.open(sheet["file"]["path"] if isinstance(sheet["file"], dict) else sheet["file"]))
    rows = picture.reshape(-1, 64, 8, 64, 3).swapaxes(1, 2)
    truth, prediction = value["tiles"][:2]
    assert np.array_equal(rows[truth["clips"][0]], expected.truth)
    for k in (0, 1):
        assert np.array_equal(rows[prediction["clips"][k]], expected.futures[0].samples[k])
        scores = expected.futures[0].scores["PSNR"][k]
        assert prediction["scores"]["PSNR"][k][2:] == pytest.approx(scores, abs=1e-4)


def test_comparing_needs_two_runs(client):
    with pytest.raises(AppError, match="Please choose two to 4 runs, not 1"):
        client.predict(runs=["tiny"], clip=ASKED["clip"], api_name="/compare")


def test_curves_are_the_lines_of_the_run(client, tiny_run):
    assert client.predict(runs=["tiny"], api_name="/curves") == {"tiny": runs.read_metrics(tiny_run)}
    with pytest.raises(AppError, match="There is no run “other” here"):
        client.predict(runs=["other"], api_name="/curves")


@pytest.mark.parametrize(
    "bad", [{"seed": 1.7}, {"seed": None}, {"n_future": 15}, {"temperature": 3}, {"run": ["tiny"]}, {"clip": "nothing"}]
)
def test_bad_values_over_the_api_are_told(client, bad):
    with pytest.raises(AppError) as error:
        client.predict(**{**ASKED, **bad}, api_name="/predict")
    assert "Traceback" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--runs", "nowhere"], "nowhere: no such folder of runs"),
        (["--data", "nowhere"], "no such folder of clips"),
        (["--port", "high"], "invalid int value: 'high'"),
        (["--port", "70000"], "--port must lie between 1 and 65535"),
        (["--what"], "unrecognized arguments: --what"),
    ],
)
def test_bad_options_are_one_line(tiny_run, arguments, line):
    done = run("app", *([] if "--runs" in arguments else ["--runs", tiny_run]), *arguments)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert line in done.stderr


def test_the_page_stands_before_torch_and_matplotlib(tiny_run, tiny_data):
    code = (
        "import sys; from pathlib import Path; from vidpred.explorer.runs.library import Library; "
        "from vidpred.explorer.page import build_demo; "
        f"build_demo(Library([Path({str(tiny_run)!r})], [Path({str(tiny_data)!r})])); "
        "print([m for m in ('torch', 'matplotlib', 'torchvision') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
