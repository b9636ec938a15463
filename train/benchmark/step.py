"""How long a training step takes."""

import contextlib
import ctypes
import platform
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal

import torch
from accelerate import Accelerator

from train.benchmark import harness
from train.benchmark.yardstick import PublishedSVG, copy_weights
from train.cli import Cpu, Json, require_at_least
from vidpred.clip import Clip
from vidpred.config import SpeedConfig, SVGConfig, TrainConfig
from vidpred.models import build_model
from vidpred.randomness import generator
from vidpred.training.memory import keep_freed_memory
from vidpred.training.settings import resolved_precision
from vidpred.training.step import build_learner, train_step

BETA = 1e-4
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
        cuda_graphs: of the project (none: on a GPU)
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
        works = {"yardstick": _yardstick_step(*given), "project": _project_step(*given, precision, speed)}
        profiled = works
        if device == "cuda" and cuda_graphs is not False:  # what a graph launches cannot be counted
            works["launched_singly"] = _project_step(*given, precision, replace(speed, cuda_graphs=False))
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
        by_clips = {n: _project_step(config, n, frames, device, "truth", precision) for n in (4, 8, 16)}
        by_frames = {n: _project_step(config, batch, n, device, "truth", precision) for n in (6, 12, 24)}
        result["exponents"] = {
            "batch": harness.exponent(by_clips, rounds, device),
            "frames": harness.exponent(by_frames, rounds, device),
        }
    harness.report(result, json)


def _yardstick_step(config: SVGConfig, batch: int, frames: int, device: str, feedback: str) -> Callable[[], float]:
    """The report's step on a random batch, from the weights that the project's starts from; gives the loss."""
    model = PublishedSVG(config)
    copy_weights(_start(config), model)
    model.to(device)
    optimizer = torch.optim.Adam(model.parameters(), 0.002)
    clip, noise = _random_batch(config, batch, frames, device)
    inputs = [list(x.transpose(0, 1)) for x in (clip.frames, clip.conditions, noise)]

    def run() -> float:
        with _memory_given_back():  # as it is for a program that asks for nothing else
            optimizer.zero_grad()
            loss, _, _ = model.loss(*inputs, n_past=2, beta=BETA, teacher_forcing=feedback == "truth")
            loss.backward()
            optimizer.step()
            return loss.item()

    return run


def _project_step(
    config: SVGConfig,
    batch: int,
    frames: int,
    device: str,
    feedback: str,
    precision: str,
    speed: SpeedConfig | None = None,
) -> Callable[[], float]:
    """The step that trains, on a random batch that is on the device already; gives the loss."""
    speed = speed or SpeedConfig()
    settings = TrainConfig(batch_size=batch, precision=precision)
    accelerator = Accelerator(mixed_precision="no", cpu=device == "cpu")
    learner = build_learner(_start(config, speed), settings, speed, accelerator, precision)
    parts = [_random_batch(config, batch, frames, device)]

    def run() -> float:
        with _memory_kept() if speed.keep_memory else _memory_given_back():
            return train_step(learner, settings, parts, beta=BETA, feedback=feedback).means["loss"]

    return run


def _start(config: SVGConfig, speed: SpeedConfig | None = None) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_model(config, speed)


def _random_batch(config: SVGConfig, batch: int, frames: int, device: str) -> tuple[Clip, torch.Tensor]:
    source = generator("benchmark")
    pixels = source.normal((batch, frames, 3, 64, 64)).sigmoid()
    conditions = source.normal((batch, frames, 7))
    noise = source.normal((batch, frames - 1, config.z_dim))
    return Clip(pixels.to(device), conditions.to(device), 2), noise.to(device)


def _measure_switches(
    config: SVGConfig, batch: int, frames: int, device: str, precision: str, rounds: int
) -> dict[str, float]:
    """Time of the teacher-forced step with each switch thrown, over the time with none."""
    given = (batch, frames, device, "truth")
    works = {"": _project_step(config, *given, precision)}
    for name, values in SWITCHES.items():
        works[name] = _project_step(config, *given, precision, SpeedConfig(**values))
    works["norm_stats pooled"] = _project_step(replace(config, norm_stats="pooled"), *given, precision)
    other = "bf16" if precision == "no" else "no"
    works[f"precision {other}"] = _project_step(config, *given, other)
    seconds = harness.take_turns(works, rounds, "switches", device)
    return {name: value / seconds[""] for name, value in seconds.items() if name}


def _peak(device: str, dtype: torch.dtype) -> float:
    """GFLOP/s of a large matrix product: what the machine can do."""
    size = 8192 if device == "cuda" else 3072
    a = torch.randn(size, size, device=device).to(dtype)
    seconds = [harness.take_turns({"": lambda: a @ a}, 1, "peak", device, warm_up=False)[""] for _ in range(6)]
    return 2 * size**3 / 1e9 / min(seconds)


@contextlib.contextmanager
def _memory_kept() -> Iterator[None]:
    keep_freed_memory()
    yield


@contextlib.contextmanager
def _memory_given_back() -> Iterator[None]:
    """glibc as it comes, at the thresholds that it reaches by itself in a program like this one."""
    if platform.libc_ver()[0] == "glibc":
        trim_threshold, mmap_threshold, mmap_max = -1, -3, -4
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_max, 65536)
        libc.mallopt(mmap_threshold, 32 * 2**20)
        libc.mallopt(trim_threshold, 64 * 2**20)
        libc.malloc_trim(0)
    yield
