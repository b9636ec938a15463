"""Weights fit their config or say why not. A run folder from a stranger is taken whole or refused in one line, before
it costs memory or time."""

import json
import shutil
import struct

import pytest
import safetensors.torch
import torch

from vidpred import checkpoint, runs
from vidpred.checkpoint import MAX_HEADER, check_run
from vidpred.data.batches import open_split, window_batch
from vidpred.errors import BadInput
from vidpred.rollout import predict

NAME = "prior.mu.weight"


@pytest.fixture
def run(tiny_run, tmp_path):
    """A run that a test may change, with all four files."""
    folder = shutil.copytree(tiny_run, tmp_path / "secret place" / "run")
    (folder / runs.EVAL).write_text(json.dumps({"psnr": 25.0, "protocol": "finn", "per_frame": {"psnr": [25.0]}}))
    return folder


def refusal(folder):
    """The line that a visitor sees."""
    with pytest.raises(BadInput) as error:
        check_run(folder)
    line = str(error.value)
    assert "secret" not in line and "<" not in line
    assert line.isprintable()
    assert len(line) < 320
    return line


def config(part, **changes):
    """A hostile change of config.json."""

    def change(folder):
        values = json.loads((folder / runs.CONFIG).read_text())
        values[part] |= changes
        (folder / runs.CONFIG).write_text(json.dumps(values))

    return change


def text(name, content):
    """Another text in a file's place."""
    return lambda folder: (folder / name).write_text(content)


def tensors(change):
    """Changed weights."""

    def changed(folder):
        weights = safetensors.torch.load_file(folder / runs.WEIGHTS)
        safetensors.torch.save_file(change(weights), folder / runs.WEIGHTS)

    return changed


def header(content):
    """Weights that are a header and nothing else."""
    return lambda folder: (folder / runs.WEIGHTS).write_bytes(content)


HOSTILE = [
    *[(text(runs.CONFIG, content), "config.json: not readable as JSON")
      for content in ("", "{", "[" * 100_000, '{"train": {"lr": 1' + "0" * 400 + "}}")],
    (text(runs.CONFIG, "[]"), "config.json: expected an object"),
    (text(runs.CONFIG, '{"model": {"kind": []}, "data": {}, "train": {}}'), "config.json: model: unknown kind []"),
    (text(runs.CONFIG, "{}"), "config.json: no 'model' in it"),
    (lambda folder: (folder / runs.CONFIG).unlink(), "config.json: missing; is this a run folder?"),
    (config("model", width=10**9), "model.width is 1,000,000,000, at most 4,096 is taken"),
    (config("model", rnn_size=4096), "parameters, at most 40,000,000 are taken"),
    (config("model", predictor_layers=10**9), "model.predictor_layers is 1,000,000,000, at most 8 is taken"),
    (config("model", predictor_layers=10**30), "config.json: not readable as JSON"),
    (config("model", condition_scale=[0.0] * 7), "scales are positive"),
    (config("model", condition_mean=[1.0] * 10**5), "condition_mean needs 7 finite numbers, got (1.0,"),
    (config("model", **{"<b>\n" + "x" * 10**5: 1}), "config.json: model: unknown key ' b"),
    (config("train", lr=float("nan")), "train.lr must not be negative, got nan"),
    (config("train", init=3), "config.json: train.init: expected str, got 3"),
    (header(b""), "model.safetensors: not a safetensors file"),
    (header(b"\x80\x04\x95 a pickle"), "model.safetensors: not a safetensors file"),
    (header(struct.pack("<Q", MAX_HEADER + 1)), "not a safetensors file (a header of 1,048,577 bytes, at most"),
    (header(struct.pack("<Q", 50) + b"{}"), "model.safetensors: not a safetensors file"),
    (lambda folder: (folder / runs.WEIGHTS).unlink(), "missing; weights are opened as safetensors only"),
    (tensors(lambda w: {**w, "<img src=x>\n": torch.zeros(1)}), "img src=x \\n' is unknown to this model"),
    (tensors(lambda w: {k: v for k, v in w.items() if k != NAME}), f"{NAME} is missing"),
    (tensors(lambda w: {**w, NAME: torch.zeros(2, 2)}), f"{NAME} is (2, 2), the config asks for"),
    (tensors(lambda w: {**w, NAME: w[NAME].double() * 1e300}), f"{NAME} is of type F64, weights must be"),
    (tensors(lambda w: {**w, NAME: w[NAME].to(torch.float8_e4m3fn)}), f"{NAME} is of type F8_E4M3, weights must be"),
    (tensors(lambda w: {**w, NAME: w[NAME] * float("inf")}), f"{NAME} holds values that are not finite"),
    (tensors(lambda w: {**w, "decoder.norm.running_var": -w["decoder.norm.running_var"] - 1}), "a variance below 0"),
    (text(runs.METRICS, "[]"), "metrics.jsonl: line 1 is not an epoch's JSON object"),
    (text(runs.METRICS, '{"epoch": -1}'), "metrics.jsonl: line 1 is not an epoch's JSON object"),
    (text(runs.METRICS, '{"epoch": 0, "step": "<b>"}'), "metrics.jsonl: step of epoch 0 is no number"),
    (text(runs.METRICS, "\n".join(["[" * 100_000] * 3)), "metrics.jsonl: line 1 is not"),
    (text(runs.METRICS, " " * 5_000_001), "metrics.jsonl has 5 MB, at most 5 MB are taken"),
    (text(runs.EVAL, "[]"), "eval.json: expected an object"),
    (text(runs.EVAL, '{"protocol": "![](http://somewhere/else.png)"}'), "eval.json: protocol is no single word"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "line"), HOSTILE)
def test_what_is_hostile_is_refused_in_a_line(run, change, line):
    change(run)
    assert line in refusal(run)


def test_a_z_that_fills_the_memory_is_refused(dance_run, tmp_path):
    folder = shutil.copytree(dance_run, tmp_path / "run")
    config("model", z_channels=65)(folder)
    assert "z has 133,120 numbers a step" in refusal(folder)


def test_nothing_is_made_or_read_before_its_size_is_known(run, monkeypatch):
    """A config of 30 billion parameters is refused with all tensors on the meta device and no weight opened."""
    config("model", width=4096)(run)
    (run / runs.WEIGHTS).unlink()
    monkeypatch.setattr(checkpoint, "load_tensors", pytest.fail)
    assert "parameters, at most 40,000,000 are taken" in refusal(run)


def test_a_folder_is_not_told_however_it_is_named(run, monkeypatch):
    (run / runs.WEIGHTS).unlink()
    monkeypatch.chdir(run)
    assert refusal(".") == refusal(run) == "model.safetensors: missing; weights are opened as safetensors only"


def test_a_good_run_is_taken(run, dance_run):
    assert check_run(run) == runs.read_config(run)
    for name in (runs.METRICS, runs.EVAL):
        (run / name).unlink()
    check_run(run)
    check_run(dance_run)


def test_weights_fit_their_config_or_say_why_not(tiny_run, tmp_path):
    config = runs.read_config(tiny_run)
    weights = safetensors.torch.load_file(tiny_run / runs.WEIGHTS)
    runs.write_config(tmp_path, config, {})

    def refused(changed, said):
        safetensors.torch.save_file(changed, tmp_path / runs.WEIGHTS)
        with pytest.raises(BadInput, match=said) as error:
            checkpoint.load_model(tmp_path)
        assert "\n" not in str(error.value)

    name = "prior.mu.weight"
    refused({k: v for k, v in weights.items() if k != name}, f"{name} is missing")
    refused({**weights, "extra": torch.zeros(1)}, "extra is unknown")
    refused({**weights, name: torch.zeros(2, 2)}, r"is \(2, 2\), the config asks for")
    refused({**weights, name: weights[name] * float("nan")}, "not finite")
    (tmp_path / runs.WEIGHTS).write_bytes(b"not weights")
    with pytest.raises(BadInput, match="not a safetensors file"):
        checkpoint.load_model(tmp_path)
    (tmp_path / runs.WEIGHTS).unlink()
    with pytest.raises(BadInput, match="missing"):
        checkpoint.load_model(tmp_path)


def test_half_precision_weights_give_the_same_model(tiny_run, tmp_path):
    model = checkpoint.load_trained(tiny_run)
    runs.write_config(tmp_path, runs.read_config(tiny_run), {})
    checkpoint.save_weights(tmp_path / runs.WEIGHTS, model, torch.float16)
    halved = checkpoint.load_trained(tmp_path)
    for (name, a), b in zip(model.named_parameters(), halved.parameters()):
        assert b.dtype == torch.float32
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6, msg=name)


def test_a_run_is_opened_in_float32_whatever_the_default(tiny_run, tiny_data):
    batch = window_batch(open_split(tiny_data, "test"), [0], 6)

    def futures():
        return predict(checkpoint.load_model(tiny_run), batch.to_clip(2), batch.ids, n_future=4)

    expected = futures()
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(futures(), expected)
    finally:
        torch.set_default_dtype(torch.float32)
    assert expected.dtype == torch.float32
