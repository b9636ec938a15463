"""LPIPS and FVD: on the real networks, with random weights whose digests stand in for the published ones."""

import hashlib
import json

import pytest
import torch
import torchvision
from cdfvd.third_party.i3d.pytorch_i3d import InceptionI3d
from cdfvd.third_party.i3d.utils import load_i3d_model

from tests.commands import fails, succeeds
from vidpred import perceptual
from vidpred.errors import BadInput
from vidpred.perceptual import ALEXNET, I3D, measure

N_FUTURE = perceptual.LEAST_FRAMES


def narrow(tensor):
    """One number in the place of a large tensor's, so that the file is small."""
    return tensor if tensor.numel() < 2**20 else torch.full((), 0.01).expand(tensor.shape)


@pytest.fixture(scope="session")
def some_weights(tmp_path_factory):
    """A folder as torch keeps weights in, and the digests of what lies there."""
    home = tmp_path_factory.mktemp("torch")
    (home / "hub/checkpoints").mkdir(parents=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for name, net in ((ALEXNET, torchvision.models.alexnet()), (I3D, InceptionI3d(400, in_channels=3))):
            torch.save({key: narrow(v) for key, v in net.state_dict().items()}, home / "hub/checkpoints" / name)
    files = {name: home / "hub/checkpoints" / name for name in (ALEXNET, I3D)}
    yield home, {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()}
    files[I3D].unlink()  # 50 MB


@pytest.fixture
def weights(some_weights, monkeypatch):
    """The names of the metrics stand for these weights, for as long as a test."""
    home, digests = some_weights
    monkeypatch.setenv("TORCH_HOME", str(home))
    monkeypatch.setattr(perceptual, "SHA256", digests)
    measure.cache_clear()
    yield digests
    measure.cache_clear()


@pytest.fixture
def no_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    measure.cache_clear()
    yield tmp_path / "hub/checkpoints"
    measure.cache_clear()


def videos(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_name_is_that_of_the_file_that_torchvision_would_fetch():
    assert torchvision.models.AlexNet_Weights.DEFAULT.url.endswith(f"/{ALEXNET}")


@pytest.mark.parametrize(("name", "file"), [("lpips", ALEXNET), ("fvd", I3D)])
def test_missing_weights_are_named_in_one_line_and_nothing_is_fetched(name, file, no_weights, tiny_run, tiny_data):
    line = fails("train.evaluate", tiny_run, "--data", tiny_data, "--also", name, "--cpu")
    assert f"{no_weights / file} is missing" in line and "docs/quality.md" in line
    assert not no_weights.exists()


@pytest.mark.parametrize(("name", "file"), [("lpips", ALEXNET), ("fvd", I3D)])
def test_other_weights_are_refused(name, file, no_weights):
    no_weights.mkdir(parents=True)
    torch.save({}, no_weights / file)
    with pytest.raises(BadInput, match=f"{file}: not the published weights"):
        measure(name)


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [("lpips", "torchmetrics.image", "torchmetrics"), ("fvd", "cdfvd.third_party.i3d.utils", "cd-fvd")],
)
def test_a_missing_package_is_named(name, module, package, no_weights, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(BadInput, match=rf"{name} needs {package}: pip install \.\[perceptual\]"):
        measure(name)


def test_an_unknown_metric_is_named():
    with pytest.raises(BadInput, match="unknown metric 'lpisp': choose one of .*ssim_finn.*, lpips, fvd"):
        measure("lpisp")


def test_lpips_of_each_frame(weights, monkeypatch):
    x, x_pred = videos(1, 2, 3, 3, 64, 64), videos(2, 2, 3, 3, 64, 64, seed=1)
    truth = x.expand_as(x_pred).clone()
    x_pred[1, 0, 2] = truth[1, 0, 2]
    scores = measure("lpips").score(x_pred, truth)
    assert scores.shape == (2, 2, 3) and scores.dtype == torch.float64
    assert scores[1, 0, 2] == 0 and (scores.flatten().sort().values[1:] > 0).all()
    monkeypatch.setattr(perceptual, "FRAMES_AT_ONCE", 4)
    again = measure("lpips").score(x_pred.flip(1, 2), truth.flip(1, 2)).flip(1, 2)
    torch.testing.assert_close(scores, again, rtol=1e-4, atol=1e-7)
    nearer = measure("lpips").score((x_pred + 3 * truth) / 4, truth)
    assert (nearer.mean(2) < scores.mean(2)).all()


def test_the_best_sample_is_the_one_with_the_lowest_lpips(weights):
    scores = torch.tensor([[[0.1, 0.5], [0.9, 0.9]], [[0.2, 0.2], [1.0, 1.0]]]).double()
    assert measure("lpips").summary(scores) == pytest.approx({"mean": 0.6, "best": (0.2 + 0.9) / 2})


def test_fvd_is_the_distance_of_two_gaussians(weights):
    """Shifted by d in each of 400 features: 400 d^2; scaled by s about its mean: (s - 1)^2 times the variance."""
    truth = torch.randn(60, 400, generator=torch.Generator().manual_seed(0)).double()
    mean = truth.mean(0)
    summary = measure("fvd").summary
    assert summary(torch.stack([truth, truth]))["mean"] == pytest.approx(0, abs=1e-6)
    assert summary(torch.stack([truth[torch.randperm(60)] + 0.5, truth]))["mean"] == pytest.approx(100, abs=1e-6)
    scaled = mean + 3 * (truth - mean)
    spread = truth.var(0, correction=1).sum().item()
    assert summary(torch.stack([scaled, truth]))["mean"] == pytest.approx(4 * spread, rel=1e-6)
    # several samples: each is a set of its own
    assert summary(torch.stack([scaled, truth + 0.5, truth]))["mean"] == pytest.approx((4 * spread + 100) / 2, rel=1e-6)


def test_fvd_features_are_i3d_logits_of_frames_of_8_bits(weights, some_weights):
    x_pred, truth = videos(1, 2, N_FUTURE, 3, 64, 64), videos(1, 2, N_FUTURE, 3, 64, 64, seed=1)
    x_pred = (x_pred * 255).round() / 255
    features = measure("fvd").score(x_pred + 0.001, truth)  # less than half a level
    assert features.shape == (2, 2, 400) and features.dtype == torch.float64
    net = load_i3d_model("cpu", str(some_weights[0] / "hub/checkpoints" / I3D))
    frames = torch.nn.functional.interpolate(x_pred[0, 1], (224, 224), mode="bilinear")
    with torch.no_grad():
        expected = net(2 * frames.transpose(0, 1)[None] - 1)
    torch.testing.assert_close(features[0, 1].float(), expected[0], rtol=1e-3, atol=1e-5)


def test_evaluate_writes_the_protocol_beside_the_number(weights, tiny_run, tiny_data, tmp_path):
    options = ["--data", tiny_data, "--samples", 1, "--clips", 2, "--n-future", N_FUTURE, "--out", tmp_path / "e.json"]
    said = succeeds("train.evaluate", tiny_run, *options, "--also", "lpips,fvd", "psnr_joint", "--cpu")
    also = json.loads((tmp_path / "e.json").read_text())["also"]
    assert also["lpips"]["mean"] == pytest.approx(also["lpips"]["best"], rel=1e-12)  # summed in another order
    assert also["lpips"]["mean"] > 0 and also["fvd"]["mean"] > 0
    assert set(also["psnr_joint"]) == {"mean", "best"}  # its name says it all
    for name, file in (("lpips", ALEXNET), ("fvd", I3D)):
        protocol = also[name]["protocol"]
        assert (protocol["weights"], protocol["weights_sha256"]) == (file, weights[file])
        assert [protocol[key] for key in ("clips", "samples", "frames", "context")] == [2, 1, N_FUTURE, "not counted"]
        assert f"features: {protocol['features']}" in said and f"sample: {protocol['sample']}" in said


@pytest.mark.parametrize("options", [["--clips", 1, "--n-future", N_FUTURE], ["--clips", 2, "--n-future", 4]])
def test_too_little_for_fvd_is_one_line(weights, tiny_run, tiny_data, tmp_path, options):
    line = fails("train.evaluate", tiny_run, "--data", tiny_data, *options, "--also", "fvd", "--cpu")
    clips, frames = options[1::2]
    assert f"fvd needs at least 2 clips and 9 predicted frames, got {clips} and {frames}" in line
