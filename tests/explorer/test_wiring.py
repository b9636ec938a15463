"""Which widget feeds which parameter, what is open to the outside, and the app as a client sees it."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image

from vidpred.explorer.predict import predict_clip

ROOT = Path(__file__).parent.parent.parent
ASKED = {"run": "tiny", "clip": "traj_0_to_255/2", "seed": 5, "temperature": 1.5, "n_future": 6}


@pytest.fixture(scope="module")
def client(url):
    return Client(url, ssl_verify=False, analytics_enabled=False, verbose=False)


def test_widgets_feed_the_parameters_of_their_name(client):
    (predict, curves) = (
        client.view_api(return_format="dict")["named_endpoints"][f"/{n}"] for n in ("predict", "curves")
    )
    labels = {p["parameter_name"]: p["label"] for p in predict["parameters"]}
    assert labels == {
        "run": "Run",
        "clip": "Clip",
        "seed": "Seed",
        "temperature": "Temperature",
        "n_future": "Predicted frames",
    }
    assert [p["parameter_name"] for p in curves["parameters"]] == ["run"]


def test_two_functions_are_public_and_models_run_one_by_one(demo):
    public = {fn.api_name for fn in demo.fns.values() if fn.api_visibility == "public"}
    assert public == {"predict", "curves"}
    predicting = [fn for fn in demo.fns.values() if fn.name == "predict"]
    assert len(predicting) == 2
    assert {(fn.concurrency_id, fn.concurrency_limit) for fn in predicting} == {("model", 1)}
    assert demo._queue.max_size == 16
    assert demo.api_open is False
    assert demo.analytics_enabled is False


def test_plain_http_cannot_skip_the_queue(url):
    body = json.dumps({"data": list(ASKED.values())}).encode()
    request = urllib.request.Request(
        f"{url}gradio_api/run/predict", body, {"Content-Type": "application/json"}, method="POST"
    )
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(request)


def test_a_client_gets_the_very_pixels(client, library):
    value = client.predict(**ASKED, api_name="/predict")
    expected = predict_clip(library, **ASKED)
    sheet = value["sheet"]
    picture = np.asarray(Image.open(sheet["path"] if isinstance(sheet, dict) else sheet).convert("RGB"))
    rows = picture.reshape(2, 64, 8, 64, 3).swapaxes(1, 2)
    assert np.array_equal(rows[0], expected.truth)
    assert np.array_equal(rows[1], expected.prediction)
    assert value["psnr"][2:] == pytest.approx(expected.psnr)


def test_a_client_gets_curves(client):
    about, *plots = client.predict("tiny", api_name="/curves")
    assert "Learned prior" in about
    assert [plot["columns"][1] for plot in plots] == ["nats", "beta", "share", "dB"]


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
    runs = [] if "--runs" in arguments else ["--runs", str(tiny_run)]
    done = subprocess.run(
        [sys.executable, "app.py", *runs, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert line in done.stderr
