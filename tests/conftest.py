"""Fixtures that several test folders use."""

import gc
import itertools
import os
import shutil
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

# Read when torch is loaded: the workers share the cores, and what they start inherits it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch

from tests.commands import lines_said, run
from vidpred import checkpoint, runs
from vidpred.data.batches import open_split
from vidpred.data.dance import video_folders, write_pair
from vidpred.data.robot_push import write_clip
from vidpred.presets import preset
from vidpred.training.loop import train


def pytest_configure():
    """Commands that a shell has put into the background ignore Ctrl-C, and so would all that the tests start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


SLOW = (  # a browser, or processes that train, simulate and are measured
    "tests/e2e/",
    "tests/test_onnx_export.py",
    "tests/test_processes.py",
    "tests/train/prepare/test_simulate.py",
    "tests/train/test_benchmark.py",
    "tests/train/test_sweep.py",
)
TOGETHER = (
    # trace models to ONNX: a process's first trace takes twice as long as the next, and the page's graphs are shared
    ("test_onnx_export", "test_browser_colours", "test_browser_export", "test_browser_live"),
    # open the app with everything that is bundled, which is a process of its own
    ("test_tour", "test_readme", "test_browser_traffic", "test_browser_training", "test_browser_words"),
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A file's tests go to one worker, and so do those of files that share what is slow to make."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return next((str(files) for files in TOGETHER if Path(file).stem in files), file)

    return Scheduling(config, log)


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items):
    """Mark what is slow. Long files first: a worker that got one of them last would leave the other without work."""
    long = ("tests/models/", "tests/train/", "tests/training/", "tests/test_processes.py", "tests/e2e/", "tests/trust/")
    items.sort(key=lambda item: not item.nodeid.startswith(long))
    for item in items:
        if item.nodeid.startswith(SLOW):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish():
    """Collections leave alone what was imported: a twentieth of the time."""
    gc.freeze()


@pytest.fixture
def survived(request):
    """survived(fault, times): note faults that this test injects, for the table at the end of the tests."""

    def note(fault, times=1):
        request.node.user_properties.append(("survived", [fault, times]))  # travels from xdist's workers

    return note


def pytest_terminal_summary(terminalreporter):
    """The table of faults, as docs/reliability.md keeps it; those of a test that failed are not survived."""
    times, survived = Counter(), Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            if report.when == "call":
                for name, (fault, count) in report.user_properties:
                    if name == "survived":
                        times[fault] += count
                        survived[fault] += count * report.passed
    if times:
        terminalreporter.section("faults survived")
        terminalreporter.line("| fault | times | survived |\n|---|---|---|")
    for fault in sorted(times):
        terminalreporter.line(f"| {fault} | {times[fault]} | {survived[fault]} |")


def pytest_addoption(parser):
    parser.addoption(
        "--pictures", action="store_true", help="write the tour's pictures to docs/ (tests/e2e/test_tour.py)"
    )


@pytest.fixture(scope="session")
def simulator():
    """The robot simulator. Where it cannot run, its tests are skipped; in CI that is a failure."""
    from vidpred.errors import BadInput
    from vidpred.simulate.robot_push.scene import draw_scene
    from vidpred.simulate.robot_push.simulation import RobotSimulation

    try:
        simulator = RobotSimulation()
        simulator.reset(draw_scene(np.random.default_rng(0), (0, 0, 0)))
        simulator.render(64)
    except BadInput as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
    with simulator:
        yield simulator


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory):
    """Clips of a disc that a random push moves, in the robot-push layout: 12 to train, 4 to validate, 4 to test."""
    root = tmp_path_factory.mktemp("clips")
    random = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64]
    for split, clips in (("train", 12), ("validate", 4), ("test", 4)):
        for i in range(1, clips + 1):
            place, frames, actions, positions = random.uniform(14, 50, 2), [], [], []
            for _ in range(16):
                push = random.uniform(-5, 5, 2)
                disc = (y - place[0]) ** 2 + (x - place[1]) ** 2 < 100
                frames.append(np.where(disc[..., None], (230, 120, 40), (40, 60, 90)).astype(np.uint8))
                actions.append([*push / 5, 0, 0])
                positions.append([*place / 64, 0])
                place = np.clip(place + push, 10, 54)
            write_clip(
                root / split / "traj_0_to_255" / str(i), np.stack(frames), np.array(actions), np.array(positions)
            )
    return root


@pytest.fixture(scope="session")
def tiny_settings():
    """A training of seconds: 4 epochs of 3 iterations, with everything switched on that can change a result."""
    start = preset("debug")
    return replace(
        start,
        model=replace(start.model, learned_prior=True),
        data=replace(start.data, n_future=4),
        train=replace(start.train, iterations_per_epoch=3, kl_anneal_cycles=1, tfr_decay_start=0, tfr=0.6),
    )


@pytest.fixture(scope="session")
def tiny_run(tiny_data, tiny_settings, tmp_path_factory):
    """A run folder as training leaves it."""
    run = tmp_path_factory.mktemp("runs") / "tiny"
    splits = (open_split(tiny_data, split) for split in ("train", "validate"))
    assert train(run, tiny_settings, *splits, cpu=True, show_progress=False)
    return run


@pytest.fixture(scope="session")
def tiny_dance(tmp_path_factory):
    """A square that moves over a gradient, its pose a cross at the same place, in the dance layout: 40 frames to train,
    12 to validate, two sequences of 9 to test."""
    root = tmp_path_factory.mktemp("dance")
    y, x = np.mgrid[:32, :64]
    videos = [("train", 0, 40), ("validate", 0, 12), ("test", 0, 9), ("test", 1, 9)]
    for video, (split, sequence, length) in enumerate(videos):
        for t in range(length):
            across, down = 32 + 18 * np.sin(0.4 * t + video), 16 + 6 * np.cos(0.3 * t + video)
            near = (abs(x - across) < 6) & (abs(y - down) < 6)
            frame = np.where(near[..., None], (220, 60, 40), np.stack([60 + x, 90 + 2 * y, 120 + 0 * x], -1))
            cross = (abs(x - across) < 1.5) | (abs(y - down) < 1.5)
            pose = np.where(cross[..., None], (255, 255, 255), (0, 0, 0))
            write_pair(video_folders(root, split, sequence), t, frame.astype(np.uint8), pose.astype(np.uint8))
    return root


@pytest.fixture(scope="session")
def dance_settings():
    """A training of seconds with every strategy switched on that goes with the others."""
    start = preset("pose-debug")
    switches = {
        **{"iterations_per_epoch": 2, "batch_size": 2, "kl_anneal_cycles": 1, "optimizer": "adamw", "grad_clip": 1.0},
        **{"tfr": 0.9, "tfr_decay": "every", "tfr_decay_start": 1, "tfr_decay_step": 0.3, "tfr_floor": 0.3},
        **{"tfr_coin": "epoch", "tfr_mix": True, "plateau_patience": 2, "plateau_threshold": 100.0},
        **{"interpolate_every": 1, "fast_train_epoch": 2, "fast_partial": 0.5, "data_fraction": 0.9},
        **{"lr_milestones": (3,), "best_by": "both", "save_every": 2},
    }
    return replace(start, train=replace(start.train, **switches))


@pytest.fixture(scope="session")
def dance_run(tiny_dance, dance_settings, tmp_path_factory):
    """A run folder of the pose CVAE as training leaves it."""
    run = tmp_path_factory.mktemp("runs") / "dance"
    splits = (open_split(tiny_dance, split) for split in ("train", "validate"))
    assert train(run, dance_settings, *splits, cpu=True, show_progress=False)
    return run


@pytest.fixture(scope="session")
def site_library(tiny_run, tiny_data, dance_run, tiny_dance, tmp_path_factory):
    """What the exported page holds: a run and clips of each family."""
    from vidpred.explorer.runs.library import Library

    folder = tmp_path_factory.mktemp("stirred")
    stirred = [stir(tiny_run, folder / "tiny", 0.14, half=True), stir(dance_run, folder / "dance", 0.15)]
    return Library(stirred, [tiny_data, tiny_dance])


def stir(run, copy, scale, half=False):
    """A copy of a run whose frames depend on z, conditions and state: those of a training of seconds hardly do. scale:
    of noise in its weights; with a little more a model turns chaotic, and magnifies the last bits of float32.
    half: of numbers of float16, as bundled runs are."""
    shutil.copytree(run, copy)
    config, generator = runs.read_config(run).model, torch.Generator().manual_seed(0)
    weights = checkpoint.load_tensors(run / runs.WEIGHTS)
    for name, value in weights.items():
        if "running" in name:
            value.uniform_(0.5, 1.5, generator=generator)
        elif value.is_floating_point():
            value += scale * torch.randn(value.shape, generator=generator)
    if config.kind == "svg":
        weights["frame_predictor.embed.weight"][:, config.g_dim : config.g_dim + config.z_dim] *= 20
    if half:
        weights = {name: v.half().to(v.dtype) if v.is_floating_point() else v for name, v in weights.items()}
    checkpoint.save_tensors(copy / runs.WEIGHTS, weights)
    return copy


@pytest.fixture(scope="session")
def exported_site(site_library, tiny_data, tiny_dance, tmp_path_factory):
    """The folder of an exported page, and what its models lack to run in a browser, "" for nothing. The graphs of the
    tiny run are models/0 (float16), of the dance models/1: tracing is slow, so tests of the graphs take these."""
    folder = tmp_path_factory.mktemp("site")
    shown = [("--runs", one.folder) for one in site_library.all_runs()]
    shown += [("--data", tiny_data), ("--data", tiny_dance)]
    done = run("vidpred.explorer.export", folder, "--clips", 1, *itertools.chain(*shown))
    assert "wrote 2 views" in done.stdout, done.stderr
    return folder, "\n".join(line for line in lines_said(done.stderr) if line.startswith("vidpred.explorer.export: "))
