"""How quickly futures are predicted."""

import tempfile
from pathlib import Path

import torch

from train.benchmark import harness
from train.benchmark.yardstick import PublishedSVG, copy_weights
from train.cli import Cpu, Json, require_at_least
from vidpred.clip import Clip
from vidpred.data.batches import open_split, window_batch
from vidpred.models import build_model
from vidpred.models.batch_norm import merge_batch_norm
from vidpred.rollout import predict, rollout_noise


def rollout(
    size: harness.Size = "small",
    samples: int = 20,
    n_future: int = 28,
    rounds: int = 3,
    growth: bool = False,
    cpu: Cpu = False,
    json: Json = False,
) -> None:
    """Futures of one clip: sampled one by one by the published loop, and by the project.

    Args:
        size: svg (published network) or small, untrained
        samples: futures
        n_future: predicted frames
        rounds: turns of each; medians are compared
        growth: also measure how the project's time grows with samples and frames
    """
    require_at_least(1, rounds=rounds, samples=samples, n_future=n_future)
    device = harness.chosen_device(cpu)
    config = harness.report_model(size)
    model = build_model(config).eval()
    yardstick = PublishedSVG(config).eval()
    copy_weights(model, yardstick)
    yardstick.to(device)
    merge_batch_norm(model)
    model.to(device).to(memory_format=model.memory_format)
    with tempfile.TemporaryDirectory() as cache:
        some = window_batch(open_split(harness.CLIPS, "test", Path(cache)), [0], 2)
    clip = Clip(some.to_clip(2, device).frames, torch.zeros(1, n_future + 1, 7, device=device), 2)

    def one_by_one() -> torch.Tensor:
        futures = []
        for k in range(samples):
            noise = list(rollout_noise(model, 0, k, "clip", n_future + 1).to(device)[:, None])
            conditions = list(clip.conditions.transpose(0, 1))
            frames = yardstick.generate(list(clip.frames.transpose(0, 1)), conditions, noise, 2, n_future + 1)
            futures.append(torch.stack(frames[2:], 1))
        return torch.stack(futures)

    def together(samples: int = samples, n_future: int = n_future) -> torch.Tensor:
        return predict(model, clip, ["clip"], n_future=n_future, samples=samples)

    result = {"device": harness.device_name(device), "size": size, "samples": samples, "n_future": n_future}
    result |= {"torch": torch.__version__, "rounds": rounds}
    works = {"yardstick": one_by_one, "project": together}
    profiles = {who: harness.profile(work, device) for who, work in works.items()}
    difference = profiles["yardstick"].result - profiles["project"].result
    result["largest_difference"] = difference.abs().max().item()
    seconds = harness.take_turns(works, rounds, "rollout", device, warm_up=False)
    result |= {f"{who}_s": value for who, value in seconds.items()}
    result["ratio"] = seconds["yardstick"] / seconds["project"]
    for who, profile in profiles.items():
        result[f"{who}_gflop"] = profile.gflop
        result[f"{who}_peak_memory_gb"] = profile.memory
    if growth:
        samples_works = {n: lambda n=n: together(samples=n) for n in (20, 40, 80)}
        frames_works = {n: lambda n=n: together(n_future=n - 1) for n in (8, 15, 29)}
        result["exponents"] = {
            "samples": harness.exponent(samples_works, rounds, device),
            "frames": harness.exponent(frames_works, rounds, device),
        }
    harness.report(result, json)
