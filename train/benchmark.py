"""Measure vidpred beside the published way of doing it: `python -m train.benchmark {step,rollout,loader,startup}`.

Yardstick and project take turns in one process, and the medians are compared: a shared machine changes its speed from
one minute to the next by more than most changes gain.
"""

import contextlib
import ctypes
import math
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from train.cli import print_json, run_commands
from train.yardstick import PublishedClips, PublishedSVG, copy_weights
from vidpred import checkpoint, presets, processes
from vidpred.clip import Clip
from vidpred.config import DataConfig, SpeedConfig, SVGConfig
from vidpred.data.batches import Clips, open_split, training_batch, window_batch
from vidpred.data.shards import write_shards
from vidpred.errors import BadInput
from vidpred.losses import loss_terms, reduce_terms, total_loss
from vidpred.models import build_model
from vidpred.models.batch_norm import merge_batch_norm, update_running_statistics
from vidpred.randomness import generator
from vidpred.rollout import predict, rollout_noise
from vidpred.training import keep_freed_memory, resolved_precision

ROOT = Path(__file__).parent.parent
RUN = ROOT / "assets/runs/push-free-learned-cyclical"
CLIPS = ROOT / "assets/data/robot_push"
Size = Literal["svg", "small"]
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
    size: Size = "svg",
    batch: int = 12,
    frames: int = 12,
    rounds: int = 3,
    precision: Literal["no", "bf16", "auto"] = "auto",
    compile: Literal["no", "layers", "graphs"] = "no",
    norm_stats: Literal["per_step", "pooled"] = "per_step",
    switches: bool = False,
    growth: bool = False,
    cpu: bool = False,
    json: bool = False,
) -> None:
    """One training iteration of the learned-prior SVG: the report's loop (float32, frame by frame) and the project's.

    Args:
        size: svg (published network) or small
        batch: clips in a batch
        frames: frames of a clip, two of them given
        rounds: turns of each; medians are compared
        precision: of the project (auto: bf16 where the processor computes in it)
        compile: torch.compile of the project: no, layers or graphs
        norm_stats: statistics of the project's batch normalisation; pooled gives other results
        switches: also measure the project with each switch thrown alone
        growth: also measure how the project's time grows with clips and frames
        cpu: stay on the CPU even where there is a GPU
        json: print one JSON object as the last line
    """
    _at_least(rounds=(rounds, 1), batch=(batch, 2), frames=(frames, 3))
    device = _device(cpu)
    precision = resolved_precision(precision, device)
    config = replace(_sizes(size), norm_stats=norm_stats)
    result = {"device": _device_name(device), "size": size, "batch": batch, "frames": frames, "precision": precision}
    result |= {"compile": compile, "norm_stats": norm_stats, "torch": torch.__version__, "rounds": rounds}
    result["peak_gflops"] = {name: _peak(device, dtype) for name, dtype in _dtypes(precision).items()}
    for name in ("teacher_forced", "free_running"):
        forced = name == "teacher_forced"
        yardstick = YardstickStep(config, batch, frames, device, forced)
        speed = SpeedConfig(compile=compile)
        project = ProjectStep(config, batch, frames, device, forced, precision, speed, yardstick.weights)
        works = {"yardstick": yardstick.run, "project": project.run}
        looks = {who: _look(work, device) for who, work in works.items()}  # from the same weights; it warms them up
        times = _take_turns(works, rounds, name, device, warm_up=False)
        measured = {f"{who}_s": statistics.median(values) for who, values in times.items()}
        measured["ratio"] = measured["yardstick_s"] / measured["project_s"]
        measured["loss_difference"] = abs(looks["yardstick"].result - looks["project"].result)
        for who, look in looks.items():
            peak = result["peak_gflops"]["no" if who == "yardstick" else precision]
            measured[f"{who}_gflop"] = look.gflop
            measured[f"{who}_share_of_peak"] = look.gflop / measured[f"{who}_s"] / peak
            measured[f"{who}_peak_memory_gb"] = look.memory
        result[name] = measured
        del yardstick, project
    base = (config, batch, frames, device, True, precision)
    if switches:
        result["switches"] = _measure_switches(base, rounds)
    if growth:
        result["exponents"] = {
            "batch": _exponent({n: ProjectStep(config, n, frames, *base[3:]).run for n in (4, 8, 16)}, rounds),
            "frames": _exponent({n: ProjectStep(config, batch, n, *base[3:]).run for n in (6, 12, 24)}, rounds),
        }
    _report(result, json)


def rollout(
    size: Size = "small",
    samples: int = 20,
    n_future: int = 28,
    rounds: int = 3,
    growth: bool = False,
    cpu: bool = False,
    json: bool = False,
) -> None:
    """Futures of one clip: sampled one by one by the published loop, and by the project.

    Args:
        size: small (a bundled run) or svg (published network, untrained)
        samples: futures
        n_future: predicted frames
        rounds: turns of each; medians are compared
        growth: also measure how the project's time grows with samples and frames
        cpu: stay on the CPU even where there is a GPU
        json: print one JSON object as the last line
    """
    _at_least(rounds=(rounds, 1), samples=(samples, 1), n_future=(n_future, 1))
    device = _device(cpu)
    config = replace(checkpoint.runs.read_config(RUN).model, skip_frame="published", prior_at_test="standard")
    config = config if size == "small" else _sizes("svg")
    model = build_model(config).eval()
    if size == "small":
        checkpoint.load_weights(RUN / "model.safetensors", model)
    yardstick = PublishedSVG(config).eval()
    copy_weights(model, yardstick)
    yardstick.to(device)
    merge_batch_norm(model)
    model.to(device).to(memory_format=model.memory_format)
    with tempfile.TemporaryDirectory() as cache:
        some = window_batch(open_split(CLIPS, "test", Path(cache)), [0], 2)
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

    result = {"device": _device_name(device), "size": size, "samples": samples, "n_future": n_future}
    result |= {"torch": torch.__version__, "rounds": rounds}
    works = {"yardstick": one_by_one, "project": together}
    looks = {who: _look(work, device) for who, work in works.items()}
    result["largest_difference"] = (looks["yardstick"].result - looks["project"].result).abs().max().item()
    times = _take_turns(works, rounds, "rollout", device, warm_up=False)
    result |= {f"{who}_s": statistics.median(values) for who, values in times.items()}
    result["ratio"] = result["yardstick_s"] / result["project_s"]
    for who, look in looks.items():
        result[f"{who}_gflop"] = look.gflop
        result[f"{who}_peak_memory_gb"] = look.memory
    if growth:
        result["exponents"] = {
            "samples": _exponent({n: lambda n=n: together(samples=n) for n in (20, 40, 80)}, rounds),
            "frames": _exponent({n: lambda n=n: together(n_future=n - 1) for n in (8, 15, 29)}, rounds),
        }
    _report(result, json)


def loader(
    data: Path = CLIPS, split: str = "test", batch: int = 12, batches: int = 50, rounds: int = 3, json: bool = False
) -> None:
    """Batches of 12-frame windows on one core, as they are handed to the training loop: PNG and CSV read item by item
    (floats, as published), packed clips and tar shards (bytes, which become floats on the device).

    Args:
        data: clips in the robot-push layout
        split: of the data
        batch: clips in a batch
        batches: in a turn of the project; the yardstick takes a tenth
        rounds: turns of each; medians are compared
        json: print one JSON object as the last line
    """
    _at_least(rounds=(rounds, 1), batch=(batch, 1), batches=(batches, 10))
    config = DataConfig()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        packed = open_split(data, split, Path(folder) / "packed")
        write_shards(packed, Path(folder) / "shards" / "test", 8)
        sharded = open_split(Path(folder) / "shards", "test")
        published = PublishedClips(data / split, config.length)

        def one_by_one() -> None:
            for i in range(batches // 10):
                published.batch(batch, i)

        def read(clips: Clips) -> None:
            for i in range(batches):
                training_batch(clips, config, batch, 0, i)

        def read_as_float() -> None:
            for i in range(batches):
                training_batch(packed, config, batch, 0, i).to_clip(config.n_past)

        ways = {"yardstick": one_by_one, "packed": lambda: read(packed), "shards": lambda: read(sharded)}
        times = _take_turns({**ways, "packed_as_float": read_as_float}, rounds, "loader")
        memory = _look(ways["packed"], "cpu").memory
    torch.set_num_threads(threads)
    frames = batches * batch * config.length
    result = {"device": _device_name("cpu"), "clips": len(packed), "batch": batch, "rounds": rounds}
    for way, values in times.items():
        result[f"{way}_frames_per_s"] = (frames / 10 if way == "yardstick" else frames) / statistics.median(values)
    result["ratio"] = result["packed_frames_per_s"] / result["yardstick_frames_per_s"]
    result["ratio_as_float"] = result["packed_as_float_frames_per_s"] / result["yardstick_frames_per_s"]
    result["peak_memory_gb"] = memory
    _report(result, json)


def startup(port: int = 7990, rounds: int = 3, json: bool = False) -> None:
    """`python app.py` from start to its first page.

    Args:
        port: to listen on
        rounds: starts; the median counts
        json: print one JSON object as the last line
    """
    _at_least(rounds=(rounds, 1), port=(port, 1))
    seconds = []
    for _ in tqdm(range(rounds), desc="startup", leave=False):
        began = time.perf_counter()
        app = subprocess.Popen([sys.executable, "app.py", "--port", str(port)], cwd=ROOT, stdout=subprocess.DEVNULL)
        try:
            while True:
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30).read()
                    break
                if app.poll() is not None or time.perf_counter() - began > 120:
                    raise BadInput(f"app.py did not start on port {port}")
                time.sleep(0.02)
            seconds.append(time.perf_counter() - began)
        finally:
            app.terminate()
            app.wait()
    _report({"device": _device_name("cpu"), "rounds": rounds, "first_page_s": statistics.median(seconds)}, json)


class YardstickStep:
    """The report's iteration on random clips: weights, optimizer and batch, made once."""

    def __init__(self, config: SVGConfig, batch: int, frames: int, device: str, forced: bool):
        torch.manual_seed(0)
        start = build_model(config)
        self.weights = {name: value.clone() for name, value in start.state_dict().items()}
        self.model = PublishedSVG(config)
        copy_weights(start, self.model)
        self.model.to(device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), 0.002)
        clip, noise = _random_clip(config, batch, frames, device)
        self.inputs = [list(x.transpose(0, 1)) for x in (clip.frames, clip.conditions, noise)]
        self.forced = forced

    def run(self) -> float:
        """An iteration; the loss."""
        with _memory_given_back():  # as it is for a program that asks for nothing else
            self.optimizer.zero_grad()
            loss, _, _ = self.model.loss(*self.inputs, n_past=2, beta=1e-4, teacher_forcing=self.forced)
            loss.backward()
            self.optimizer.step()
            return loss.item()


class ProjectStep:
    """The same iteration as vidpred.training does it."""

    def __init__(
        self,
        config: SVGConfig,
        batch: int,
        frames: int,
        device: str,
        forced: bool,
        precision: str,
        speed: SpeedConfig | None = None,
        weights: dict[str, torch.Tensor] | None = None,
    ):
        self.speed = speed or SpeedConfig()
        torch.manual_seed(0)
        self.model = build_model(config, self.speed)
        if weights is not None:
            self.model.load_state_dict(weights)
        self.model.to(device).to(memory_format=self.model.memory_format)
        self.unroll = self.model
        if self.speed.compile == "graphs":
            self.unroll = torch.compile(self.model, mode="reduce-overhead")
        self.optimizer = torch.optim.Adam(self.model.parameters(), 0.002, fused=self.speed.fused_optimizer)
        self.clip, self.noise = _random_clip(config, batch, frames, device)
        self.precision, self.device = precision, device
        self.feedback = "truth" if forced else "prediction"

    def run(self) -> float:
        """An iteration; the loss."""
        with _memory_kept() if self.speed.keep_memory else _memory_given_back():
            self.optimizer.zero_grad()
            with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16"):
                unrolled = self.unroll(self.clip, self.noise, "posterior", self.feedback)
            loss = total_loss(reduce_terms(loss_terms(unrolled, self.clip)), 1e-4)
            loss.backward()
            self.optimizer.step()
            update_running_statistics(self.model)
            return loss.item()


def _sizes(size: Size) -> SVGConfig:
    """The report's learned-prior model, at the size of a preset."""
    published, sizes = presets.preset("report-robot-learned-cyclical").model, presets.preset(size).model
    return replace(published, **{name: getattr(sizes, name) for name in ("width", "g_dim", "z_dim", "rnn_size")})


def _random_clip(config: SVGConfig, batch: int, frames: int, device: str) -> tuple[Clip, torch.Tensor]:
    source = generator("benchmark")
    pixels = source.normal((batch, frames, 3, 64, 64)).sigmoid()
    conditions = source.normal((batch, frames, 7))
    noise = source.normal((batch, frames - 1, config.z_dim))
    return Clip(pixels.to(device), conditions.to(device), 2), noise.to(device)


def _measure_switches(base: tuple, rounds: int) -> dict[str, float]:
    """Time of the teacher-forced step with each switch thrown, over the time with none."""
    works = {"": ProjectStep(*base)} | {
        name: ProjectStep(*base, SpeedConfig(**values)) for name, values in SWITCHES.items()
    }
    pooled = ProjectStep(replace(base[0], norm_stats="pooled"), *base[1:])
    works["norm_stats pooled"] = pooled
    other = "bf16" if base[5] == "no" else "no"
    works[f"precision {other}"] = ProjectStep(*base[:5], other)
    times = _take_turns({name: work.run for name, work in works.items()}, rounds, "switches", base[3])
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {name: seconds / medians[""] for name, seconds in medians.items() if name}


def _take_turns(
    works: dict[str, Callable], rounds: int, what: str, device: str = "cpu", warm_up: bool = True
) -> dict[str, list[float]]:
    """Seconds of each piece of work, in turn, `rounds` times; with warm_up a first turn is not counted."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in tqdm(range(-warm_up, rounds), desc=what, unit="round", leave=False):
        for name, work in works.items():
            _wait(device)
            began = time.perf_counter()
            work()
            _wait(device)
            if turn >= 0:
                times[name].append(time.perf_counter() - began)
    return times


def _exponent(works: dict[int, Callable], rounds: int) -> float:
    """p of seconds ~ size^p, by least squares over the medians (in logarithms)."""
    times = _take_turns({str(size): work for size, work in works.items()}, rounds, "growth")
    points = [(math.log(int(size)), math.log(statistics.median(values))) for size, values in times.items()]
    return statistics.linear_regression(*zip(*points)).slope


class Look(NamedTuple):
    """What a piece of work gave, and what it took: multiplications and additions, and GB at the peak."""

    result: Any
    gflop: float
    memory: float | None


def _look(work: Callable, device: str) -> Look:
    """Do the work once, slowly. Memory: what the process or the GPU holds at most; None where it cannot be told."""
    high_water, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    elif high_water.exists():
        with contextlib.suppress(OSError):
            high_water.write_text("5")  # sets the mark back
    with FlopCounterMode(display=False) as counter:
        result = work()
    memory = torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else None
    if device == "cpu" and status.exists():
        memory = int(status.read_text().split("VmHWM:")[1].split()[0]) / 1e6
    return Look(result, counter.get_total_flops() / 1e9, memory)


def _peak(device: str, dtype: torch.dtype) -> float:
    """GFLOP/s of a large matrix product: what the machine can do."""
    size = 8192 if device == "cuda" else 3072
    a = torch.randn(size, size, device=device).to(dtype)
    times = _take_turns({"": lambda: a @ a}, 5, "peak", device)[""]
    return 2 * size**3 / 1e9 / min(times)


def _dtypes(precision: str) -> dict[str, torch.dtype]:
    return {"no": torch.float32} | ({"bf16": torch.bfloat16} if precision == "bf16" else {})


@contextlib.contextmanager
def _memory_kept():
    keep_freed_memory()
    yield


@contextlib.contextmanager
def _memory_given_back():
    """glibc as it comes, at the thresholds that it reaches by itself in a program like this one."""
    if platform.libc_ver()[0] == "glibc":
        trim_threshold, mmap_threshold, mmap_max = -1, -3, -4
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_max, 65536)
        libc.mallopt(mmap_threshold, 32 * 2**20)
        libc.mallopt(trim_threshold, 64 * 2**20)
        libc.malloc_trim(0)
    yield


def _wait(device: str) -> None:
    if str(device).startswith("cuda"):
        torch.cuda.synchronize()


def _device(cpu: bool) -> str:
    if processes.count() > 1:
        raise BadInput("the benchmark measures one process")
    return "cuda" if torch.cuda.is_available() and not cpu else "cpu"


def _device_name(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    features = "with bf16" if resolved_precision("auto", "cpu") == "bf16" else "without bf16"
    return f"CPU, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()} {features}"


def _at_least(**values: tuple[int, int]) -> None:
    for name, (value, least) in values.items():
        if value < least:
            raise BadInput(f"--{name.replace('_', '-')} must be at least {least}, got {value}")


def _report(result: dict, json: bool) -> None:
    if json:
        print_json(result)
        return
    for name, value in result.items():
        if isinstance(value, dict):
            print(f"{name}:")
            for key, number in value.items():
                print(f"  {key:28} {number:.4g}")
        else:
            print(f"{name:30} {value:.4g}" if isinstance(value, float) else f"{name:30} {value}")


if __name__ == "__main__":
    run_commands(
        {"step": step, "rollout": rollout, "loader": loader, "startup": startup}, prog="python -m train.benchmark"
    )
