"""Scores of predicted frames in the features of trained networks: LPIPS and FVD (`pip install .[perceptual]`).

The names stand for these features and no others: a weights file is used only if it is the published one, and
it is never fetched (docs/quality.md says where it comes from and where it goes).
"""

import functools
import hashlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vidpred import metrics
from vidpred.errors import BadInput

ALEXNET, I3D = "alexnet-owt-7be5be79.pth", "i3d_pretrained_400.pt"
SHA256 = {ALEXNET: "7be5be79", I3D: "55095f049e706479d48e221adcdb145b2b9dc930ba28b081ed72367ffaa32343"}
"""What the digest of each weights file begins with; torchvision publishes no more of it."""
FRAMES_AT_ONCE, VIDEOS_AT_ONCE = 64, 4  # through a network: more take gigabytes, and no less time
LEAST_FRAMES = 9  # that I3D's last pooling takes


class Measure(NamedTuple):
    """A metric that `evaluate` takes by name.

    score: predicted and true frames, two (N, B, T, C, H, W) in [0, 1] -> (…, B, numbers of a clip). summary: the scores
    of all clips -> what eval.json says. protocol: what a name does not say, beside clips, samples and frames. least:
    clips and frames that it needs.
    """

    score: Callable[[Tensor, Tensor], Tensor]
    summary: Callable[[Tensor], dict[str, float]]
    protocol: dict[str, str] = {}  # noqa: RUF012 - nothing changes it
    least: tuple[int, int] = (1, 1)


class Weights(NamedTuple):
    """A file of published weights."""

    path: Path
    sha256: str


@functools.cache
def measure(name: str) -> Measure:
    """The metric of a name; BadInput for an unknown one, or where a package or a file that it needs is missing."""
    if name in PERCEPTUAL:
        return PERCEPTUAL[name]()
    if name not in metrics.METRICS:
        raise BadInput(f"unknown metric {name!r}: choose one of {', '.join([*metrics.METRICS, *PERCEPTUAL])}")
    return Measure(metrics.METRICS[name], _mean_and_best)


def require_enough(name: str, clips: int, frames: int) -> None:
    """BadInput for fewer clips or predicted frames than a metric takes."""
    least_clips, least_frames = measure(name).least
    if clips < least_clips or frames < least_frames:
        raise BadInput(
            f"{name} needs at least {least_clips} clips and {least_frames} predicted frames, got {clips} and {frames}"
        )


def published_weights(name: str) -> Weights:
    """The file of published weights, where torch keeps such files; BadInput if it is missing or another one."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.is_file():
        raise BadInput(f"{path} is missing: docs/quality.md says how to get it (nothing is downloaded)")
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(SHA256[name]):
        raise BadInput(f"{path}: not the published weights: SHA-256 {found} does not begin with {SHA256[name]}")
    return Weights(path, found)


def _lpips() -> Measure:
    """LPIPS of Zhang et al. 2018, version 0.1 with AlexNet, of each frame in its own size; lower is better."""
    try:
        from torchmetrics.image import LearnedPerceptualImagePatchSimilarity
    except ImportError:
        raise BadInput("lpips needs torchmetrics: pip install .[perceptual]") from None
    weights = published_weights(ALEXNET)  # torchvision would fetch it
    net = LearnedPerceptualImagePatchSimilarity("alex").net

    @torch.no_grad()
    def score(x_pred: Tensor, x: Tensor) -> Tensor:
        net.to(x.device)
        values = [
            net(a.float(), b.float(), normalize=True).flatten()
            for one, other in zip(x_pred, x)
            for a, b in zip(*(frames.flatten(0, 1).split(FRAMES_AT_ONCE) for frames in (one, other)))
        ]
        return torch.cat(values).double().view(x.shape[:3])

    def summary(values: Tensor) -> dict[str, float]:
        return {"mean": values.mean().item(), "best": -metrics.best_of_n(-values).mean}

    protocol = {
        "features": f"AlexNet of torchvision, linear heads v0.1 of torchmetrics {version('torchmetrics')}",
        "sample": "mean: over all samples; best: of each clip the sample whose mean over its frames is lowest",
    }
    return Measure(score, summary, protocol | {"weights": ALEXNET, "weights_sha256": weights.sha256})


def _fvd() -> Measure:
    """FVD of Unterthiner et al. 2018: Fréchet distance of the logits of I3D (Kinetics-400); lower is better.

    The score of some clips is features, those of the samples and after them those of the truth: (N + 1, B, 400).
    """
    try:
        from cdfvd.third_party.i3d.utils import frechet_distance, load_i3d_model, preprocess_i3d
    except ImportError:
        raise BadInput("fvd needs cd-fvd: pip install .[perceptual]") from None
    weights = published_weights(I3D)  # cd-fvd would fetch it
    net = load_i3d_model("cpu", str(weights.path))

    @torch.no_grad()
    def features(videos: Tensor) -> Tensor:
        net.to(videos.device)
        levels = (videos.clamp(0, 1) * 255).round().float().movedim(2, -1)
        return torch.cat([net(preprocess_i3d(piece.cpu()).to(videos.device)) for piece in levels.split(VIDEOS_AT_ONCE)])

    def score(x_pred: Tensor, x: Tensor) -> Tensor:
        return torch.stack([features(videos) for videos in (*x_pred, x[0])]).double()

    def summary(values: Tensor) -> dict[str, float]:
        distances = [frechet_distance(sample, values[-1]).item() for sample in values[:-1]]
        return {"mean": sum(distances) / len(distances)}

    protocol = {
        "features": f"400 logits of I3D, Kinetics-400, as cd-fvd {version('cd-fvd')} takes them: 8 bits, 224 x 224",
        "sample": "mean over k of the distance between the k-th samples of the clips and the true clips",
    }
    return Measure(
        score, summary, protocol | {"weights": I3D, "weights_sha256": weights.sha256}, least=(2, LEAST_FRAMES)
    )


def _mean_and_best(values: Tensor) -> dict[str, float]:
    """Higher is better."""
    return {"mean": values.mean().item(), "best": metrics.best_of_n(values).mean}


PERCEPTUAL = {"lpips": _lpips, "fvd": _fvd}
