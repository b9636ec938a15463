"""The exported graphs, run by ONNX Runtime, imagine what torch does: whole rollouts, every kind of model."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.commands import ROOT, fails, succeeds
from vidpred import checkpoint, runs
from vidpred.clip import Clip
from vidpred.config import DataConfig, RunConfig, SVGConfig
from vidpred.data.batches import open_split, window_batch
from vidpred.models import build_model
from vidpred.onnx_export import DESCRIPTION, moved_by_half
from vidpred.onnx_graphs import graphs
from vidpred.presets import preset
from vidpred.rollout import predict, rollout_noise

onnxruntime = pytest.importorskip("onnxruntime")
N_FUTURE, SAMPLES, SEED, TEMPERATURE = 28, 2, 7, 0.8
RUNS, DATA = ROOT / "assets" / "runs", ROOT / "assets" / "data"
SIZES = SVGConfig(width=4, g_dim=16, z_dim=6, rnn_size=24, condition_mean=(0.1,) * 7, condition_scale=(0.5,) * 7)
KINDS = {
    "one context frame, fresh skips": (1, replace(SIZES, last_frame_skip=True)),
    "a prior that is not used": (2, replace(SIZES, learned_prior=True, prior_at_test="standard", stem="unshuffle")),
    "actions at the decoder alone": (2, replace(SIZES, learned_prior=True)),
    "frames alone": (2, replace(SIZES, condition="none", condition_mean=(), condition_scale=())),
    "map": (
        2,
        replace(
            SIZES,
            **{"code": "map", "stem": "unshuffle", "composite": "mask", "norm_stats": "group", "learned_prior": True},
            **{"g_dim": 8, "z_dim": 2, "rnn_size": 8, "condition_at": "everywhere"},
        ),
    ),
}


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options)


def imagined(look, step, model, clip, ids, n_future):
    """What `rollout.predict` does, by the two graphs: (samples, 1, n_future, C, H, W). look, step: functions from named
    arrays to named arrays that take no more than they need."""
    n_past, warm_up = clip.n_past, clip.n_past - 1
    drawn = [rollout_noise(model, SEED, k, ids[0], warm_up + n_future) for k in range(SAMPLES)]
    eps = TEMPERATURE * torch.stack(drawn).to(clip.frames.dtype)
    given = {"frames": clip.frames[:, :n_past], "rows": torch.zeros(SAMPLES, dtype=torch.long), "eps": eps[:, :warm_up]}
    if clip.conditions is not None:
        given["conditions"] = clip.conditions[:, :warm_up]
    state, frames = look(given), []
    for t in range(n_past, n_past + n_future):
        now = state | {"eps": eps[:, t - 1]}
        if clip.conditions is not None:
            row = clip.conditions[:, t - model.condition_lag]
            now["conditions"] = row.expand(SAMPLES, *row.shape[1:])
        made = step(now)
        state |= {name: made[f"next_{name}"] for name in state if f"next_{name}" in made}
        frames.append(made["frame"])
    return torch.stack(frames, 1)[:, None].numpy()


def by_torch(graph):
    """A graph before it is traced."""

    def call(tensors):
        with torch.no_grad():
            made = graph.module({name: tensors[name] for name in graph.example})
        assert list(made) == list(graph.outputs)
        return made

    return call


def read_description(folder):
    return json.loads((folder / DESCRIPTION).read_text())


def by_onnx(folder, name, weights="float32"):
    """A graph as it was written."""
    about = read_description(folder)
    runtime = session(folder / about["files"][weights][name]["file"])
    inputs, outputs = ([one["name"] for one in about["graphs"][name][side]] for side in ("inputs", "outputs"))
    assert [put.name for put in runtime.get_inputs()] == inputs

    def call(tensors):
        values = runtime.run(outputs, {name: tensors[name].numpy() for name in inputs})
        return dict(zip(outputs, map(torch.from_numpy, values)))

    return call


def expected(model, clip, ids, n_future, samples=SAMPLES):
    options = {"n_future": n_future, "samples": samples, "seed": SEED, "temperature": TEMPERATURE}
    return predict(model, clip, ids, **options).numpy()


def random_run(folder, n_past, config):
    """A run as training writes it, of weights and running statistics that differ everywhere."""
    torch.manual_seed(0)
    model = build_model(config).eval()
    for p in model.parameters():
        p.data.add_(torch.randn_like(p) * 0.15)
    model.frame_predictor.embed.weight.data[:, config.g_dim : config.g_dim + config.z_dim] *= 20  # z is to be seen
    for name, value in model.named_buffers():
        if "running" in name:
            value.uniform_(0.5, 1.5)
    runs.write_config(folder, RunConfig(config, DataConfig(n_past=n_past), preset("debug").train), {})
    checkpoint.save_weights(folder / runs.WEIGHTS, model)
    return folder


def made_up(config, n_past, n_future):
    """A clip of noise, with what is known about its steps."""
    torch.manual_seed(1)
    frames = torch.rand(1, n_past, 3, *config.frame_size)
    poses = config.condition == "poses"
    known = torch.rand(1, 1 + n_future, *frames.shape[2:]) if poses else torch.randn(1, n_past + n_future, 7)
    return Clip(frames, known, n_past)


@pytest.mark.parametrize(("n_past", "config"), KINDS.values(), ids=KINDS)
def test_the_graphs_of_every_kind_make_a_rollout(n_past, config, tmp_path):
    """Before they are traced, which takes longest, and in float64: their state loses nothing."""
    run = random_run(tmp_path, n_past, config)
    clip, known = made_up(config, n_past, N_FUTURE), config.condition != "none"
    clip = clip._replace(frames=clip.frames.double(), conditions=clip.conditions.double())
    model, traced = checkpoint.load_model(run).double(), checkpoint.load_model(run)
    wanted = expected(model, clip, ["a"], N_FUTURE)
    look, step = (by_torch(graph) for graph in graphs(traced, n_past).values())
    traced.double()
    found = imagined(look, step, model, clip if known else clip._replace(conditions=None), ["a"], N_FUTURE)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-10)
    assert np.abs(wanted[0] - wanted[1]).max() > 1e-6  # else noise could be anything
    assert np.abs(wanted[:, :, -1] - wanted[:, :, -2]).max() > 1e-6  # and the state


def test_a_row_names_the_clip_that_a_future_continues(tmp_path):
    n_past, config = KINDS["frames alone"]
    model = checkpoint.load_model(random_run(tmp_path, n_past, config))
    look = by_torch(graphs(model, n_past)["context"])
    model.double()
    frames, eps = torch.rand(2, n_past, 3, 64, 64).double(), torch.randn(3, n_past - 1, *model.z_shape).double()
    several = look({"frames": frames, "rows": torch.tensor([1, 0, 1]), "eps": eps})
    for future, clip in enumerate([1, 0, 1]):
        one = slice(future, future + 1)
        alone = look({"frames": frames[clip : clip + 1], "rows": torch.tensor([0]), "eps": eps[one]})
        for name, value in alone.items():
            np.testing.assert_allclose(several[name][:, one], value, rtol=0, atol=1e-10)


def test_onnx_runtime_imagines_what_torch_does(exported_site, site_library):
    """From float16 weights that batch normalisation scales afterwards."""
    folder, model = exported_site[0] / "models" / "0", checkpoint.load_model(site_library.run("tiny").folder)
    clip = made_up(model.config, 2, N_FUTURE)
    wanted = expected(model, clip, ["a"], N_FUTURE)
    graphs = (by_onnx(folder, name, "float16") for name in ("context", "step"))
    found = imagined(*graphs, model, clip, ["a"], N_FUTURE)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-5)
    assert np.abs(wanted[0] - wanted[1]).max() > 0.01
    assert read_description(folder)["float16"]["exact"]


def test_a_dance_of_629_poses_is_that_of_torch(exported_site, site_library, monkeypatch):
    monkeypatch.setattr("tests.test_onnx_export.SAMPLES", 1)
    folder, model = exported_site[0] / "models" / "1", checkpoint.load_model(site_library.run("dance").folder)
    clip = made_up(model.config, 1, 629)
    wanted = expected(model, clip, ["a"], 629, 1)
    found = imagined(by_onnx(folder, "context"), by_onnx(folder, "step"), model, clip, ["a"], 629)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-3)
    assert np.abs(wanted[:, :, -1] - wanted[:, :, -2]).max() > 0.01
    about = read_description(folder)  # weights that are not float16, and no clips to try such on
    assert not about["float16"]["tried"] and list(about["files"]) == ["float32"]


def test_a_bundled_run_is_as_near_to_float64_as_torch_is(tmp_path):
    """A run without actions magnifies the last bits of float32, far from its context more than 2e-5, in torch as well:
    so both are compared with float64. With float16 weights too, which its file has: nothing is lost."""
    run = RUNS / "push-free-learned-cyclical"
    said = succeeds("train.export", run, tmp_path, "--json").splitlines()[-1]
    about = read_description(tmp_path)
    assert json.loads(said) == about
    batch = window_batch(open_split(DATA / "robot_push", "test"), [3], 2 + N_FUTURE)
    model, clip = checkpoint.load_model(run), batch.to_clip(2)._replace(conditions=None)
    in_torch = expected(model, clip, batch.ids, N_FUTURE)
    model.futures_per_call = {"cpu": SAMPLES}  # a call is not filled up
    exact = expected(model.double(), clip._replace(frames=clip.frames.double()), batch.ids, N_FUTURE)
    for weights in ("float32", "float16"):
        graphs = (by_onnx(tmp_path, name, weights) for name in ("context", "step"))
        found = imagined(*graphs, model, clip, batch.ids, N_FUTURE)
        for frames in (1, N_FUTURE):
            apart = {"torch": in_torch, "ONNX Runtime": found}
            apart = {who: (frame - exact)[:, :, :frames] for who, frame in apart.items()}
            root = {who: np.sqrt(np.square(off).mean()) for who, off in apart.items()}
            told = [f"{who} {np.abs(off).max():.1e}, {root[who]:.1e}" for who, off in apart.items()]
            print(f"{weights} weights, {frames} frames, off float64 at most and on average: {'; '.join(told)}")
            assert root["ONNX Runtime"] <= 2 * root["torch"]
        for file in about["files"][weights].values():
            assert file["bytes"] == (tmp_path / file["file"]).stat().st_size
    large, small = (sum(file["bytes"] for file in about["files"][kind].values()) for kind in ("float32", "float16"))
    assert small < 0.6 * large


def test_float16_is_measured_on_clips(tiny_run, tiny_data, tmp_path):
    clips, config = open_split(tiny_data, "test"), runs.read_config(tiny_run)
    assert 0 < moved_by_half(tiny_run, config, clips) < 0.02
    weights = checkpoint.load_tensors(tiny_run / runs.WEIGHTS)
    beyond = {name: 1e9 * value if "weight_hh" in name else value for name, value in weights.items()}
    runs.write_config(tmp_path, config, {})
    checkpoint.save_tensors(tmp_path / runs.WEIGHTS, beyond)
    assert moved_by_half(tmp_path, config, clips) is None


def test_bad_input_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    assert "a file, not a folder" in fails("train.export", RUNS / "dance-cyclical", tmp_path / "file")
    assert "config.json" in fails("train.export", tmp_path, tmp_path / "out")
    assert "into itself" in fails("train.export", RUNS / "dance-cyclical", RUNS / "dance-cyclical")
    assert not (tmp_path / "out").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model.json").write_text('{"format": "graph-model"}')
    said = fails("train.export", RUNS / "dance-cyclical", tmp_path / "other")
    assert "model.json is another program's; give another folder" in said
