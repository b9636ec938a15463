"""The tables of README, docs and cards say what is stored: of every bundled run its eval.json and its settings, of the
benchmarks what they printed.
Those of docs/findings.md are compared in tests/train/test_findings.py."""

import json
import re
from pathlib import Path

import pytest

from train.benchmark import app, browser
from vidpred import runs

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "assets" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BUNDLED = {folder.name: folder for folder in (ROOT / "assets" / "runs").iterdir()}

NUMBERS = {  # header of a column: what it holds, of eval.json
    "PSNR": lambda e: [e["psnr"]],
    "SSIM": lambda e: [e["ssim"]],
    "best of 20": lambda e: [e["psnr_best"]] if e["samples"] == 20 else [],
    "first frame": lambda e: [e["per_frame"]["psnr"][0]],
    "KL per step": lambda e: [e["kld_per_step"]],
    "PSNR where it moves": lambda e: [e["psnr_motion"]],
    "sharpness, first / last frame": lambda e: [e["per_frame"]["sharpness"][0], e["per_frame"]["sharpness"][-1]],
    "first 100 frames": lambda e: [sum(e["per_frame"]["psnr"][:100]) / 100],
    "last 100": lambda e: [sum(e["per_frame"]["psnr"][-100:]) / 100],
    "first frame repeated": lambda e: [e["copy_last_psnr"]],
    **{
        f"z: {where}": lambda e, where=where: [e["z_from"][where]]
        for where in ("posterior", "prior", "zero", "shuffled")
    },
    **{
        f"conditions: {which}": lambda e, which=which: [e["conditions"][which]] if e["conditions"] else []
        for which in ("true", "shuffled", "reversed", "zeroed")
    },
    "KL at a wall": lambda e: [e["bounces"]["kld_at"]],
    "KL elsewhere": lambda e: [e["bounces"]["kld_between"]],
    "spread before the first wall": lambda e: [e["bounces"]["diversity_before"]],
    "spread after it": lambda e: [e["bounces"]["diversity_after"]],
}
WORDS = {  # of config.json
    "knows": lambda c: "frames" if c.model.condition == "none" else "actions",
    "prior": lambda c: "learned" if c.model.learned_prior else "N(0, I)",
    "weights of epoch": lambda c: f"of {c.train.epochs}",
}


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def tables():
    """(page, line number, run, header, cell) of every table that has a line for each of several bundled runs."""
    for page in PAGES:
        headers = None
        for number, line in enumerate(page.read_text().splitlines(), 1):
            if not line.startswith("|"):
                headers = None
            elif headers is None:
                headers = cells(line)
            elif (name := cells(line)[0].strip("`")) in BUNDLED:
                for header, cell in zip(headers[1:], cells(line)[1:], strict=True):
                    yield page.relative_to(ROOT).as_posix(), number, name, header, cell


CELLS = list(tables())


def test_tables_are_found():
    assert {"README.md", "assets/README.md", "docs/quality.md"} <= {page for page, *_ in CELLS}
    assert {name for _, _, name, *_ in CELLS} == set(BUNDLED)  # every bundled run has its numbers somewhere


@pytest.mark.parametrize(("page", "line"), sorted({cell[:2] for cell in CELLS}))
def test_a_line_of_a_table_is_what_is_stored(page, line):
    for name, header, cell in [found[2:] for found in CELLS if found[:2] == (page, line)]:
        folder = BUNDLED[name]
        if header in WORDS:
            assert WORDS[header](runs.read_config(folder)) in cell, header
            continue
        stored, written = NUMBERS[header](runs.read_eval(folder)), re.findall(r"-?\d+(?:\.\d+)?", cell)
        digits = [len(number.partition(".")[2]) for number in written]
        assert written == [f"{value:.{digits[i]}f}" for i, value in enumerate(stored)], header
        assert all(digits) and (written or cell == "–"), header


def row(title):
    """The cells of the one line of docs/performance.md that begins so."""
    lines = [
        line for line in (ROOT / "docs" / "performance.md").read_text().splitlines() if line.startswith(f"| {title} |")
    ]
    assert len(lines) == 1, title
    return cells(lines[0])


def stored(command):
    return json.loads((ROOT / "assets" / "benchmark" / f"{command}.json").read_text())


@pytest.mark.parametrize("command", [app, browser], ids=["app", "browser"])
def test_what_a_person_waits_for_is_what_was_measured(command):
    measured = stored(command.__name__.rpartition(".")[2])
    for name, figure in command.FIGURES.items():
        median = measured[name]["median"]
        title, written, limit = figure.cells(median)
        assert row(title) == [title, written if figure.holds(median) else f"**{written}**", limit]


def test_what_many_visitors_met_is_what_was_measured():
    load = stored("load")
    assert row("20 for 3 minutes")[1:] == [
        *(str(load[name]) for name in ("answers", "errors", "compared", "differing")),
        *(f"{load[name]:.1f} s" for name in ("median_s", "p95_s")),
        f"{load['memory_gb']:.2f} GB, {100 * load['growth']:+.1f} %",
    ]
    assert (load["clients"], load["minutes"]) == (20, 3)


def test_a_step_on_a_gpu_is_what_was_measured():
    gpu = stored("step-gpu")
    assert gpu["device"] == "NVIDIA H200" and (gpu["size"], gpu["precision"], gpu["batch"]) == ("svg", "bf16", 12)
    for feedback, title in (("teacher_forced", "teacher forced on a GPU"), ("free_running", "free running on a GPU")):
        one = gpu[feedback]
        seconds = (one[f"{who}_s"] for who in ("yardstick", "launched_singly", "project"))
        memory = (f"{one[f'{who}_peak_memory_gb']:.1f}" for who in ("yardstick", "project"))
        cells = [*(f"{1000 * s:.0f} ms" for s in seconds), f"**{one['ratio']:.2f}**", f"{' → '.join(memory)} GB"]
        assert row(f"published size, {title}")[1:] == cells
