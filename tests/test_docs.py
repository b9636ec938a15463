"""The tables of README, docs and cards say what is stored: of every bundled run its eval.json and its settings, of the
benchmarks what they printed.
Those of docs/findings.md are compared in tests/train/test_findings.py."""

import json
import re
from pathlib import Path

import pytest

from train.benchmark import app, browser
from train.benchmark.quality import table
from vidpred import runs
from vidpred.data.batches import open_split, window_batch
from vidpred.metrics import METRICS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "assets" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BUNDLED = {folder.name: folder for folder in (ROOT / "assets" / "runs").iterdir()}

NUMBERS = {  # header of a column: what it holds, of eval.json
    "PSNR": lambda e: [e["psnr"]],
    "SSIM": lambda e: [e["ssim"]],
    "best of 20": lambda e: e["psnr_best_of"][19:20],
    "best of 100": lambda e: e["psnr_best_of"][99:],
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


def test_bundled_runs_are_counted():
    word = {16: "sixteen", 17: "seventeen", 18: "eighteen"}[len(BUNDLED)]
    said = [found for page in PAGES for found in re.findall(r"(\w+) trained runs", page.read_text())]
    assert said == [word] * 2  # in README and in the assets' own


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


def prose(page):
    return " ".join((ROOT / page).read_text().split())


def test_prose_says_what_bundled_runs_score(tmp_path):
    readme, assets = prose("README.md"), prose("assets/README.md")
    robot, dance = (runs.read_eval(BUNDLED[name]) for name in ("push-learned-cyclical", "dance-cyclical"))
    assert f"repeated: {robot['copy_last_psnr']:.2f} dB" in readme
    assert f"z says most, {runs.read_eval(BUNDLED['push-free-learned-calibrated'])['kld_per_step']:.0f} nats" in readme
    assert f"The first frame repeated scores {dance['copy_last_psnr']:.1f} dB" in assets
    frames = window_batch(open_split(ROOT / "assets/data/dance", "val", tmp_path), [0], 630).to_clip(1, "cpu").frames[0]
    repeated = METRICS["psnr_joint"](frames[:-1], frames[1:]).mean().item()
    assert f"the previous true frame repeated {repeated:.1f} dB" in assets


def row(title, page="performance"):
    """The cells of the one line of a page in docs that begins so."""
    lines = (ROOT / "docs" / f"{page}.md").read_text().splitlines()
    lines = [line for line in lines if line.startswith(f"| {title} |")]
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
    assert row("20, 400 answers and 3 minutes")[1:] == [
        *(str(load[name]) for name in ("answers", "errors", "compared", "differing")),
        *(f"{load[name]:.1f} s" for name in ("median_s", "p95_s")),
        f"{load['memory_gb']:.2f} GB, {100 * load['growth']:+.1f} %",
    ]
    assert (load["clients"], load["warm_up"], load["minutes"]) == (20, 400, 3) and load["kept"]


WHO = ("yardstick", "project")
STEPS = {
    "step-svg": "published size, {}",
    "step-svg-bf16": "published size, {}, bf16",
    "step-small": "`--size small`, {}",
}


def gflop(one):
    """Of the published loop and the project."""
    return " → ".join(f"{one[f'{who}_gflop']:,.0f}" for who in WHO)


@pytest.mark.parametrize("command", STEPS)
def test_a_step_is_what_was_measured(command):
    measured = stored(command)
    assert measured["precision"] == ("bf16" if "bf16" in command else "no") and measured["batch"] == 12
    for feedback in ("teacher_forced", "free_running"):
        one = measured[feedback]
        times = [f"{one[f'{who}_s']:.3g} s" for who in WHO]
        shares = " → ".join(f"{100 * one[f'{who}_share_of_peak']:.0f} %" for who in WHO)
        expected = [*times, f"**{one['ratio']:.2f}**", gflop(one), shares]
        assert row(STEPS[command].format(feedback.replace("_", " ")))[1:] == expected


def test_prose_says_what_was_measured():
    """Of a step and of the first page."""
    page = prose("docs/performance.md")
    single, half, small = (stored(command) for command in STEPS)
    peaks = [
        single["peak_gflops"]["no"],
        half["peak_gflops"]["bf16"],
        half["peak_gflops"]["no"],
        small["peak_gflops"]["no"],
    ]
    told = (
        "reached {:.0f} GFLOP/s in float32 in the first run, {:.0f} in bf16 in the second:",
        "({:.0f} GFLOP/s in the second run, {:.0f} in",
    )
    assert told[0].format(*peaks[:2]) in page and told[1].format(*peaks[2:]) in page
    grows = small["exponents"]
    assert f"clips to the power {grows['batch']:.2f} and with frames to the power {grows['frames']:.2f}." in page
    assert f"to the first page, {stored('startup')['first_page_s']:.1f} s." in page


def test_a_switch_gains_what_was_measured():
    table = (ROOT / "docs" / "performance.md").read_text()
    written = [cells(line) for line in table.splitlines() if re.match(r"\| `--(speed|model|train)\.", line)]
    found = {(option.strip("`").split(".")[1].replace("-", "_"), to): time for option, to, time in written}
    measured = {tuple(switch.split()): f"{ratio:.2f}" for switch, ratio in stored("step-small")["switches"].items()}
    assert found == measured


def test_a_candidate_costs_what_was_measured():
    measured, lines = stored("pace"), (ROOT / "docs" / "quality.md").read_text().splitlines()
    for name in ("first", "batch-4", "free-map", "map"):
        one = measured[name]
        seconds = [f"{one[f'{feedback}_s']:.2f} s" for feedback in ("teacher_forced", "free_running")]
        frame = f"{one['predicted_frame_ms']:.1f} ms"
        assert "| " + " | ".join([f"`{name}`", str(one["batch"]), *seconds, frame]) + " |" in lines


def test_accumulation_saves_what_was_measured():
    held = stored("memory")["peak_memory_gb"]
    lines = (ROOT / "docs" / "performance.md").read_text().splitlines()
    at = lines.index("| " + " | ".join(held) + " |")
    assert cells(lines[at + 2]) == [f"{value:.2f} GB" for value in held.values()]


def test_a_future_takes_what_was_measured():
    one = stored("rollout")
    times = [f"{one[f'{who}_s']:.2f} s" for who in WHO]
    grows = f"to the power {one['exponents']['samples']:.2f}, {one['exponents']['frames']:.2f}"
    assert row(times[0])[1:] == [times[1], f"**{one['ratio']:.2f}**", gflop(one), grows]


LOADERS = {
    "yardstick": "PNG and CSV, item by item",
    "packed": "packed clips, bytes as handed to the device",
    "packed_as_float": "packed clips, floats on the CPU",
    "shards": "tar shards (`train.prepare shard`), bytes",
}


def test_clips_are_read_as_quickly_as_was_measured():
    one = stored("loader")
    way = {title: one[f"{name}_frames_per_s"] for name, title in LOADERS.items()}
    for title, rate in way.items():
        times = rate / one["yardstick_frames_per_s"]
        assert row(title)[1:] == [f"{float(f'{rate:.3g}'):,.0f}", "" if times == 1 else f"**{times:.0f}** times"]


@pytest.mark.parametrize(
    ("page", "command"), [("performance", "equal-time"), ("quality", "quality"), ("quality", "quality-ten-minutes")]
)
def test_a_table_of_candidates_is_what_was_measured(page, command):
    measured = stored(command)
    assert table(measured["rows"], measured["samples"]) in (ROOT / "docs" / f"{page}.md").read_text()


def test_what_length_buys_is_what_was_measured():
    rows = stored("length")["rows"]
    for one in rows:
        numbers = [f"{one[name]:.2f}" for name in ("psnr", "psnr_best", "first_frame")]
        sharpness = f"{one['sharpness_first']:.2f} / {one['sharpness_last']:.2f}"
        assert row(one["run"], "quality")[1:] == [*numbers, sharpness, f"{one['kld_per_step']:.1f}"]
    shipped = {one["run"].split(",")[0]: one["kld_per_step"] for one in rows if "(bundled)" in one["run"]}
    assert shipped == {name: runs.read_eval(BUNDLED[f"push-free-learned-{name}"])["kld_per_step"] for name in shipped}
    assert len(shipped) == 3


def test_the_ceiling_is_what_was_measured():
    one = stored("ceiling")
    numbers = (f"{one[name]:.2f}" for name in ("psnr", "psnr_best", "first_frame", "psnr_motion"))
    sharpness = f"{one['sharpness_first']:.2f} / {one['sharpness_last']:.2f}"
    assert row("the physics, its plan unknown", "quality")[1:] == [*numbers, sharpness]
    assert (one["clips"], one["samples"]) == (32, 20)


def test_a_step_on_a_gpu_is_what_was_measured():
    gpu = stored("step-gpu")
    assert gpu["device"] == "NVIDIA H200" and (gpu["size"], gpu["precision"], gpu["batch"]) == ("svg", "bf16", 12)
    for feedback, title in (("teacher_forced", "teacher forced on a GPU"), ("free_running", "free running on a GPU")):
        one = gpu[feedback]
        seconds = (one[f"{who}_s"] for who in ("yardstick", "launched_singly", "project"))
        memory = (f"{one[f'{who}_peak_memory_gb']:.1f}" for who in ("yardstick", "project"))
        cells = [*(f"{1000 * s:.0f} ms" for s in seconds), f"**{one['ratio']:.2f}**", f"{' → '.join(memory)} GB"]
        assert row(f"published size, {title}")[1:] == cells
