"""How long a training step takes."""

from dataclasses import replace
from typing import Literal

import torch

from train.benchmark import harness
from train.benchmark.training_step import project_step, yardstick_step
from train.cli import Cpu, Json, require_at_least
from vidpred.config import SpeedConfig, SVGConfig
from vidpred.training.settings import resolved_precision

SWITCHES = {
    "hoist_skips off": {"hoist_skips": False},
    "fold_upsampling off": {"fold_upsampling": False},
    "winograd off": {"winograd": False},
    "steps_per_call 1": {"steps_per_call": 1},
    "steps_per_call all": {"steps_per_call": 1000},
    "channels_last off": {"channels_last": False},
    "fused_optimizer off": {"fused_optimizer": False},
    "keep_memory off": {"keep_memory": False},
    "checkpoint_activations on": {"checkpoint_activations": True},
}


def step(
    size: harness.Size = "svg",
    batch: int = 12,
    frames: int = 12,
    rounds: int = 3,
    precision: Literal["no", "bf16", "auto"] = "auto",
    cuda_graphs: bool | None = None,
    compile: Literal["no", "layers"] = "no",
    norm_stats: Literal["per_step", "pooled"] = "per_step",
    switches: bool = False,
    growth: bool = False,
    cpu: Cpu = False,
    json: Json = False,
) -> None:
    """One training step of the learned-prior SVG: the report's loop (float32, frame by frame) and the project's.

    Args:
        size: svg (published network) or small
        batch: clips in a batch
        frames: frames of a clip, two of them given
        rounds: turns of each; medians are compared
        precision: of the project (auto: bf16 where the processor computes in it)
        cuda_graphs: of the project (None: on a GPU)
        compile: torch.compile of the project: no or layers
        norm_stats: statistics of the project's batch normalisation; pooled gives other results
        switches: also measure the project with each switch thrown alone
        growth: also measure how the project's time grows with clips and frames
    """
    require_at_least(1, rounds=rounds)
    require_at_least(2, batch=batch)
    require_at_least(3, frames=frames)
    device = harness.chosen_device(cpu)
    precision = resolved_precision(precision, device)
    config = replace(harness.report_model(size), norm_stats=norm_stats)
    speed = SpeedConfig(cuda_graphs=cuda_graphs, compile=compile)
    result = {"device": harness.device_name(device), "size": size, "batch": batch, "frames": frames}
    result |= {"precision": precision, "cuda_graphs": cuda_graphs, "compile": compile, "norm_stats": norm_stats}
    result |= {"torch": torch.__version__, "rounds": rounds}
    peaks = {"no": _peak(device, torch.float32)}
    if precision == "bf16":
        peaks["bf16"] = _peak(device, torch.bfloat16)
    result["peak_gflops"] = peaks
    for feedback, name in (("truth", "teacher_forced"), ("prediction", "free_running")):
        given = (config, batch, frames, device, feedback)
        works = {"yardstick": yardstick_step(*given), "project": project_step(*given, precision, speed)}
        profiled = works
        if device == "cuda" and cuda_graphs is not False:  # what a graph launches cannot be counted
            works["launched_singly"] = project_step(*given, precision, replace(speed, cuda_graphs=False))
            profiled = {"yardstick": works["yardstick"], "project": works["launched_singly"]}
        profiles = {who: harness.profile(work, device) for who, work in profiled.items()}  # from the same weights
        if profiled is not works:
            works["project"]()  # captured
        seconds = harness.take_turns(works, rounds, name, device, warm_up=False)
        measured = {f"{who}_s": value for who, value in seconds.items()}
        measured["ratio"] = seconds["yardstick"] / seconds["project"]
        measured["loss_difference"] = abs(profiles["yardstick"].result - profiles["project"].result)
        for who, profile in profiles.items():
            peak = peaks["no" if who == "yardstick" else precision]
            measured[f"{who}_gflop"] = profile.gflop
            measured[f"{who}_share_of_peak"] = profile.gflop / seconds[who] / peak
            measured[f"{who}_peak_memory_gb"] = profile.memory
        result[name] = measured
        del works  # with its weights and batches, before the next are made
    if switches:
        result["switches"] = _measure_switches(config, batch, frames, device, precision, rounds)
    if growth:
        by_clips = {n: project_step(config, n, frames, device, "truth", precision) for n in (4, 8, 16)}
        by_frames = {n: project_step(config, batch, n, device, "truth", precision) for n in (6, 12, 24)}
        result["exponents"] = {
            "batch": harness.exponent(by_clips, rounds, device),
            "frames": harness.exponent(by_frames, rounds, device),
        }
    harness.report(result, json)


def _measure_switches(
    config: SVGConfig, batch: int, frames: int, device: str, precision: str, rounds: int
) -> dict[str, float]:
    """Time of the teacher-forced step with each switch thrown, over the time with none."""
    given = (batch, frames, device, "truth")
    works = {"": project_step(config, *given, precision)}
    for name, values in SWITCHES.items():
        works[name] = project_step(config, *given, precision, SpeedConfig(**values))
    works["norm_stats pooled"] = project_step(replace(config, norm_stats="pooled"), *given, precision)
    other = "bf16" if precision == "no" else "no"
    works[f"precision {other}"] = project_step(config, *given, other)
    seconds = harness.take_turns(works, rounds, "switches", device)
    return {name: value / seconds[""] for name, value in seconds.items() if name}


def _peak(device: str, dtype: torch.dtype) -> float:
    """GFLOP/s of a large matrix product: what the machine can do."""
    size = 8192 if device == "cuda" else 3072
    a = torch.randn(size, size, device=device).to(dtype)
    seconds = [harness.take_turns({"": lambda: a @ a}, 1, "peak", device, warm_up=False)[""] for _ in range(6)]
    return 2 * size**3 / 1e9 / min(seconds)
