"""What the benchmarks share: turns, medians, growth, what a piece of work takes, and how results are told."""

import contextlib
import math
import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from train.cli import print_json
from vidpred import metrics, presets, processes
from vidpred.config import SVGConfig
from vidpred.errors import BadInput
from vidpred.evaluation import Scores
from vidpred.training.settings import resolved_precision

ROOT = Path(__file__).parents[2]
CLIPS = ROOT / "assets/data/robot_push"
Size = Literal["svg", "small"]


class Profile(NamedTuple):
    """What a piece of work gave, and what it took: multiplications and additions, and GB at the peak."""

    result: Any
    gflop: float
    memory: float | None


def take_turns(
    works: dict[str, Callable], rounds: int, what: str, device: str = "cpu", warm_up: bool = True
) -> dict[str, float]:
    """Median seconds of each piece of work, in turn, `rounds` times; with warm_up a first turn is not counted."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in tqdm(range(-warm_up, rounds), desc=what, unit="round", leave=False):
        for name, work in works.items():
            _wait(device)
            began = time.perf_counter()
            work()
            _wait(device)
            if turn >= 0:
                times[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in times.items()}


def exponent(works: dict[int, Callable], rounds: int, device: str) -> float:
    """p of seconds ~ size^p, by least squares over the medians (in logarithms)."""
    times = take_turns({str(size): work for size, work in works.items()}, rounds, "growth", device)
    points = [(math.log(int(size)), math.log(seconds)) for size, seconds in times.items()]
    return statistics.linear_regression(*zip(*points)).slope


def profile(work: Callable, device: str) -> Profile:
    """Do the work once, slowly. Memory: what the process or the GPU holds at most; None where it cannot be told."""
    high_water = Path("/proc/self/clear_refs")
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    elif high_water.exists():
        with contextlib.suppress(OSError):
            high_water.write_text("5")  # sets the mark back
    with FlopCounterMode(display=False) as counter:
        result = work()
    if device == "cuda":
        memory = torch.cuda.max_memory_allocated() / 1e9
    else:
        held = memory_of("self", "VmHWM")
        memory = held and held / 1e9
    return Profile(result, counter.get_total_flops() / 1e9, memory)


def memory_of(pid: int | str, what: Literal["VmRSS", "RssAnon", "VmHWM"]) -> int | None:
    """Bytes that a process holds (VmRSS), holds beside mapped files (RssAnon) or has ever held at most (VmHWM), as
    Linux counts them; None where it has gone, and elsewhere."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    found = re.search(rf"{what}:\s+(\d+) kB", status)
    return 1024 * int(found[1]) if found else None


def report_model(size: Size) -> SVGConfig:
    """The report's learned-prior model, at the size of a preset."""
    published, sizes = presets.preset("report-robot-learned-cyclical").model, presets.preset(size).model
    return replace(published, **{name: getattr(sizes, name) for name in ("width", "g_dim", "z_dim", "rnn_size")})


def chosen_device(cpu: bool) -> str:
    """cuda where there is a GPU, unless the CPU is asked for."""
    if processes.count() > 1:
        raise BadInput("the benchmark measures one process")
    return "cuda" if torch.cuda.is_available() and not cpu else "cpu"


def device_name(device: str) -> str:
    """What the figures were measured on."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    features = "with bf16" if resolved_precision("auto", "cpu") == "bf16" else "without bf16"
    return f"CPU, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()} {features}"


def summary(found: Scores) -> dict:
    """What predictions score; sharpness at the first and the last predicted frame."""
    sharp = found.sharpness.nanmean((0, 1))
    return {
        "psnr": found.psnr.mean().item(),
        "psnr_best": metrics.best_of_n(found.psnr).mean,
        "first_frame": found.psnr[..., 0].mean().item(),
        "psnr_motion": found.psnr_motion.nanmean(2).nanmean().item(),
        "sharpness_first": sharp[0].item(),
        "sharpness_last": sharp[-1].item(),
        "diversity": found.diversity.mean().item(),
    }


def report(result: dict, json: bool) -> None:
    """The figures as one JSON object, or for a person: values by line, groups of the same figures side by side."""
    if json:
        print_json(result)
        return
    groups: dict[tuple, list[str]] = {}
    for name, value in result.items():
        if isinstance(value, dict):
            groups.setdefault(tuple(value), []).append(name)
        else:
            print(f"{name:30} {_text(value)}")
    for keys, names in groups.items():
        print("\n" + table(["", *names], [[key, *(result[name][key] for name in names)] for key in keys]))


class Figure(NamedTuple):
    """What is measured, its unit, its limit on an idle machine, and whether more is better."""

    title: str
    unit: str
    limit: float
    more: bool = False

    def cells(self, median: float) -> list[str]:
        """What it is, its median and its limit, as they are printed."""
        return [self.title, f"{float(f'{median:.3g}'):g} {self.unit}", f"{self.limit:g} {self.unit}"]

    def holds(self, median: float) -> bool:
        return median >= self.limit if self.more else median < self.limit


def report_figures(figures: dict[str, Figure], values: dict[str, list[float]], json: bool, **about: Any) -> None:
    """Medians beside the limits; as JSON with every value. about: what else names the measurement."""
    medians = {name: statistics.median(found) for name, found in values.items()}
    if json:
        found = {
            name: {"median": medians[name], "unit": figure.unit, "limit": figure.limit, "values": values[name]}
            for name, figure in figures.items()
        }
        print_json({"device": device_name("cpu"), **about, **found})
        return
    rows = [
        [*figure.cells(medians[name]), len(values[name]), "" if figure.holds(medians[name]) else "falls short"]
        for name, figure in figures.items()
    ]
    print(f"{device_name('cpu')}\n\n{table(['what', 'median', 'limit', 'of', ''], rows)}")


def table(head: Sequence[str], rows: Sequence[Sequence]) -> str:
    """A table in Markdown, its columns aligned."""
    cells = [[_text(value) for value in row] for row in [head, *rows]]
    widths = [max(map(len, column)) for column in zip(*cells)]
    cells.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells)


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _wait(device: str) -> None:
    if str(device).startswith("cuda"):
        torch.cuda.synchronize()
