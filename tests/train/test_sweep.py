"""A table of runs: reading, training side by side, what fails, what is stopped, and a cluster that loses a machine."""

import contextlib
import io
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.commands import ROOT, fails, run_process, succeeds
from tests.commands import run as run_command
from train.sweep import progress
from train.sweep.job import Job
from train.sweep.table import Evaluation, read_table
from train.sweep.training import train_logged
from train.training_command import Command
from vidpred import runs
from vidpred.config import SpeedConfig
from vidpred.data.batches import open_split
from vidpred.errors import BadInput
from vidpred.files import write_json
from vidpred.presets import PRESETS
from vidpred.training.loop import train

TINY = """
[defaults]
preset = "debug"
clips = "robot"
train.epochs = 2
train.iterations-per-epoch = 2
train.batch-size = 2
train.kl-anneal = "none"
train.gif-every = 0
train.validation-clips = 1
"""
ROBOT = TINY + "data.n-future = 2\n"
A = '[runs.a]\npreset = "debug"\n'


@pytest.fixture
def table(tmp_path):
    """Writes a table and returns its file."""

    def write(text):
        file = tmp_path / "table.toml"
        file.write_text(text)
        return file

    return write


@pytest.fixture(scope="module")
def data(tiny_data, tiny_dance, tmp_path_factory):
    """A folder of both kinds of clips."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "robot").symlink_to(tiny_data)
    (folder / "dance").symlink_to(tiny_dance)
    return folder


def alone(run, data, folder):
    """The same run as one training that is never interrupted."""
    splits = (open_split(data / run.clips, split) for split in ("train", "validate"))
    assert train(folder, run.config, *splits, cpu=True, show_progress=False)
    return folder


def trained(folder):
    """What does not depend on the clock: the weights' bytes, and the numbers of each epoch."""
    clock = ("seconds", "processor_seconds")
    rows = [{k: v for k, v in row.items() if k not in clock} for row in runs.read_metrics(folder)]
    return (folder / runs.WEIGHTS).read_bytes(), rows


def test_settings_come_from_preset_defaults_and_run(table):
    text = """
    [defaults]
    preset = "small"
    seeds = [3, 5]
    train.kl-anneal-cycles = 2
    train.epochs = 9
    evaluate.samples = 4

    [runs.learned]
    model.learned-prior = true
    train = { kl_anneal = "monotonic", epochs = 7 }

    [runs.dancer]
    preset = "pose"
    clips = "dance"
    seeds = [0]
    train.grad-clip = "None"
    evaluate.split = "validate"
    """
    first, second, dancer = read_table(table(text))
    start = PRESETS["small"]
    expected = replace(
        start,
        model=replace(start.model, learned_prior=True),
        train=replace(start.train, kl_anneal="monotonic", kl_anneal_cycles=2, epochs=7, seed=3),
    )
    assert first == ("learned-s3", "", expected, Evaluation(samples=4))
    assert second == (
        *("learned-s5", "", replace(expected, train=replace(expected.train, seed=5))),
        Evaluation(samples=4),
    )
    pose = PRESETS["pose"]
    expected = replace(pose, train=replace(pose.train, kl_anneal_cycles=2, epochs=9, grad_clip=None))
    assert dancer == ("dancer-s0", "dance", expected, Evaluation("validate", samples=4))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no [runs.NAME] in it"),
        ("runs = 3", "no [runs.NAME] in it"),
        ("[run.a]", "unknown key 'run'"),
        ("[runs.a]\n[runs.a]", "('runs', 'a') twice"),
        ("[defaults]\nsedes = [1]\n[runs.a]", "defaults: unknown key 'sedes'"),
        ("[runs.a]", "run a: no preset"),
        ("[runs]\na = 3", "run a: expected a table of settings, got 3"),
        ('[runs."../a"]\npreset = "debug"', "run ../a: a name is made of letters"),
        ('[runs.a]\npreset = "huge"', "run a: unknown preset 'huge'"),
        ('[runs.a]\npreset = ["debug"]', "run a: preset: expected a string"),
        (A + "clips = 3", "run a: clips: expected a string"),
        (A + "model = 3", "run a: model: expected a table"),
        (A + "train.lrr = 1", "run a: train: unknown key 'lrr'"),
        (A + 'model.kind = "pose_cvae"', "run a: model: unknown key 'kind'"),
        ('[runs.a]\npreset = "pose-debug"\nmodel.width = 4', "run a: model: unknown key 'width'"),
        (A + 'train.lr = "fast"', "run a: train.lr: expected float, got 'fast'"),
        (A + "train.lr = -1", "run a: train.lr must not be negative"),
        (A + 'train = {kl-anneal = "none", kl_anneal = "none"}', "run a: train.kl_anneal is given twice"),
        (A + "train.kl-anneal-cycles = 60", "run a: the rise of beta"),
        (A + f"model.condition-mean = {[0.0] * 7}\nmodel.condition-scale = {[1.0] * 7}", "are learned from"),
        (A + 'evaluate.split = "tests"', "run a: unknown split 'tests'"),
        (A + "evaluate.samples = 0", "run a: evaluate.samples must be at least 1, got 0"),
        (A + "evaluate.seed = 0", "run a: evaluate: unknown key 'seed'"),
        (A + "seeds = 3", "run a: seeds: expected a list of whole numbers, got 3"),
        (A + "seeds = []", "run a: seeds: expected a list"),
        (A + 'seeds = ["0"]', "run a: train.seed: expected int, got '0'"),
        (A + "seeds = [1, 1]", "run a: a-s1 is there already"),
        (A + 'seeds = [1]\n[runs.a-s1]\npreset = "debug"', "run a-s1: a-s1 is there already"),
        (A + "seeds = [1]\ntrain.seed = 2", "run a: seeds and train.seed exclude each other"),
    ],
)
def test_a_bad_table_is_refused_and_the_run_is_named(table, text, said):
    with pytest.raises(BadInput) as refused:
        read_table(table(text))
    assert str(refused.value).startswith(str(table(text)))
    assert said in str(refused.value)


def test_dry_run_prints_every_run_and_writes_nothing(table, tmp_path):
    file = table(ROBOT + "[runs.a]\nseeds = [0, 1]\n[runs.b]\ntrain.lr = 0.5\n")
    said = json.loads(succeeds("train.sweep", file, "--data", "nowhere", "--out", tmp_path / "out", "--dry-run"))
    assert list(said) == ["a-s0", "a-s1", "b"]
    assert said["b"] == {"clips": "nowhere/robot", **read_table(file)[2].config.to_dict()}
    assert not (tmp_path / "out").exists()


def test_the_grids_of_the_package_are_tables():
    grids = [read_table(file) for file in (ROOT / "train" / "grids").glob("*.toml")]
    assert grids and all(len(grid) > 1 for grid in grids)


@pytest.mark.parametrize(
    ("added", "options", "said"),
    [
        ('[runs.b]\nclips = "nowhere"\n', [], "run b: "),
        ("[runs.b]\ndata.n-future = 40\n", [], "run b: "),
        ('[runs.b]\ntrain.init = "nowhere"\n', [], "run b: "),
        ("", ["--at-once", "-1"], "--at-once"),
        ("", ["--at-once", "2", "--ray", "auto"], "--at-once"),
        ("", ["--ray", "127.0.0.1:1"], "--ray 127.0.0.1:1: "),
    ],
)
def test_nothing_is_trained_before_all_is_checked(table, data, tmp_path, added, options, said):
    file = table(ROBOT + "[runs.a]\n" + added)
    assert said in fails("train.sweep", file, "--data", data, "--out", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


def test_clips_that_cannot_be_scored_are_refused_before_a_training(table, data, tiny_dance, tmp_path):
    """As published, a dance has no true frames to test on."""
    untold = shutil.copytree(
        tiny_dance, tmp_path / "data" / "untold", ignore=shutil.ignore_patterns("test_truth", ".*")
    )
    robot = "[runs.b]\ndata.n-future = 2\nevaluate.n-future = 15\n"
    dancer = '[runs.b]\npreset = "pose-debug"\nclips = "untold"\nevaluate.samples = 1\n'
    for run, folder, said in ((robot, data, "has 16 frames, 17 are needed"), (dancer, untold.parent, "(test_truth)")):
        refused = fails("train.sweep", table(TINY + run), "--data", folder, "--out", tmp_path / "out")
        assert refused.startswith("train.sweep: run b: clip test/") and said in refused
        assert not (tmp_path / "out").exists()


def test_fine_tuning_from_another_family_is_refused_as_training_does(table, data, dance_run, tmp_path):
    file = table(ROBOT + f'[runs.b]\ntrain.init = "{dance_run}"\n')
    said = fails("train.sweep", file, "--data", data, "--out", tmp_path / "out")
    assert said == f"train.sweep: run b: train.init {dance_run} is a model of another family"


def test_fine_tuning_starts_from_the_same_run_on_every_machine(table, data, tiny_run, tmp_path, monkeypatch):
    """A relative path is that of the folder where the sweep is started, which a task of a cluster is not started in."""

    def train_elsewhere(jobs, train_all):
        os.chdir(tmp_path)
        assert [train_logged(job) for job in jobs.values()] == [True]
        return []

    monkeypatch.setattr(progress, "watch", train_elsewhere)
    init = os.path.relpath(tiny_run, ROOT)
    file = table(ROBOT + f'[runs.b]\nmodel.learned-prior = true\ntrain.epochs = 1\ntrain.init = "{init}"\n')
    succeeds("train.sweep", file, "--data", data, "--out", tmp_path / "out")
    assert "finished" in (tmp_path / "out" / "b.log").read_text()


def test_both_families_train_and_are_not_trained_again(table, data, tmp_path):
    """One is scored too, again where its score is lost. Then settings are changed: refused, until what is there may
    be deleted."""
    arm = "[runs.arm]\ndata.n-future = 2\nevaluate.clips = 1\nevaluate.samples = 2\n"
    dancer = '[runs.dancer]\npreset = "pose-debug"\nclips = "dance"\n'
    file = table(TINY + arm + dancer)
    out = tmp_path / "out"
    cache = tmp_path / "cache"
    command = ("train.sweep", file, "--data", data, "--out", out, "--json", "--at-once", 2, "--cache", cache)
    lines = succeeds(*command).splitlines()
    for name in ("arm", "dancer"):
        assert [line.split()[1] for line in lines if line.startswith(name)][-1] == "2"
    said = json.loads(lines[-1])
    assert said["finished"] is True
    for result, run in zip(said["runs"], read_table(file)):
        rows = runs.read_metrics(out / run.name)
        assert result == {
            **{"name": run.name, "run": str(out / run.name), "state": "finished", "epochs": 2},
            **{"best_val_psnr": max(row["val_psnr"] for row in rows), "seconds": rows[-1]["seconds"], "error": None},
        }
        assert trained(out / run.name) == trained(alone(run, data, tmp_path / "alone" / run.name))

    assert len(list(cache.glob("vidpred-packed-*"))) == 2  # where every command looks for them

    score = out / "arm" / runs.EVAL
    before = json.loads(score.read_text())
    assert (before["split"], before["clips"], before["samples"]) == ("test", 1, 2)
    assert not (out / "dancer" / runs.EVAL).exists()
    score.unlink()
    assert json.loads(succeeds(*command).splitlines()[-1]) == said
    assert json.loads(score.read_text()) == before

    logs = {log: log.read_text() for log in out.glob("*.log")}
    assert len(logs) == 2
    assert json.loads(succeeds(*command).splitlines()[-1]) == said
    assert {log: log.read_text() for log in logs} == logs  # no training has begun

    for evaluation, expected in (
        ("evaluate.samples = 3\n", ("test", 4, 3, 2)),  # all clips
        ('evaluate = {split = "val", samples = 3, clips = 9, n_future = 1}\n', ("validate", 4, 3, 1)),
        ("evaluate.samples = 3\nevaluate.n-future = 2\n", ("test", 4, 3, 2)),
    ):
        table(TINY + "[runs.arm]\ndata.n-future = 2\n" + evaluation + dancer)
        assert json.loads(succeeds(*command).splitlines()[-1])["finished"] is True
        again = json.loads(score.read_text())
        assert (again["split"], again["clips"], again["samples"], again["n_future"]) == expected
        logs = {log: log.read_text() for log in out.glob("*.log")}
        succeeds(*command)
        assert {log: log.read_text() for log in logs} == logs
    score.write_text("torn")
    succeeds(*command)
    assert json.loads(score.read_text()) == again

    table(TINY + arm + "train.epochs = 1\n")
    refused = fails(*command)
    assert "run arm: " in refused and "train.epochs is 2, asked for 1" in refused
    assert "(with train.init " in refused and "or delete its folder to train it anew (--fresh deletes all" in refused
    assert json.loads(succeeds(*command, "--fresh").splitlines()[-1])["runs"][0]["epochs"] == 1


@pytest.mark.parametrize(
    ("other", "state"),
    [
        ({}, "finished"),
        ({"temperature": 0.0}, "unfinished"),
        ({"seed": 1}, "unfinished"),
        ({"precision": "bf16"}, "unfinished"),
        ({"n_past": 1}, "unfinished"),
        ({"prior_at_test": "learned"}, "unfinished"),
    ],
)
def test_a_run_that_was_scored_in_another_way_is_unfinished(table, tmp_path, other, state):
    [run] = read_table(table(TINY + "[runs.a]\nevaluate = {clips = 2, samples = 3, n-future = 4}\n"))
    command = Command(
        data=tmp_path,
        out=tmp_path,
        model=run.config.model,
        window=run.config.data,
        train=run.config.train,
        speed=SpeedConfig(),
    )
    scores = {"split": "test", "clips": 2, "samples": 3, "n_future": 4, "n_past": 2, "temperature": 1.0, "seed": 0}
    scores |= {"precision": "no", "prior_at_test": "standard", "psnr": 20.0}
    write_json(tmp_path / runs.EVAL, scores | other)
    assert Job(command, run.evaluation).state(2) == "unfinished"  # its weights are gone
    (tmp_path / runs.WEIGHTS).touch()
    assert Job(command, run.evaluation).state(2) == state


def test_a_run_that_fails_or_dies_takes_none_with_it(table, data, tmp_path, monkeypatch):
    """One cannot go on with what lies in its folder, and the process of another is killed after its first epoch."""
    out = tmp_path / "out"
    file = table(ROBOT + "[runs.torn]\n[runs.killed]\ntrain.epochs = 400\n[runs.well]\n")
    torn, _, well = read_table(file)
    alone(torn, data, out / "torn")
    (out / "torn" / runs.METRICS).unlink()
    for weights in (out / "torn" / runs.LAST).glob("step-*"):
        weights.write_bytes(b"not tensors")
    show = progress.Table.show

    def kill(self, now):
        show(self, now)
        if now["name"] == "killed" and now["epochs"]:
            for process in multiprocessing.active_children():
                if process.name == "killed":
                    process.kill()

    monkeypatch.setattr(progress.Table, "show", kill)
    done = run_command("train.sweep", file, "--data", data, "--out", out, "--at-once", 2, "--json")
    assert done.returncode == 1
    said = json.loads(done.stdout.splitlines()[-1])
    assert [result["state"] for result in said["runs"]] == ["failed", "failed", "finished"]
    named = dict(line.split(" failed: ") for line in done.stderr.splitlines())
    assert named["torn"] == (out / "torn.log").read_text().splitlines()[-1]
    assert named["killed"] == "the process was ended by SIGKILL"
    assert trained(out / "well") == trained(alone(well, data, tmp_path / "alone"))


@contextlib.contextmanager
def begun_sweep(*command):
    """`python -m train.sweep` in a process group of its own, after the first line that it has printed."""
    command = [sys.executable, "-m", "train.sweep", *map(str, command)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as sweep:
        yield sweep, int(sweep.stdout.readline().removeprefix("first").split()[0])


def test_ctrl_c_saves_and_the_same_command_goes_on(table, data, tmp_path):
    """Ctrl-C as a terminal sends it, to every process of the group. Then the sweep itself is killed: the training that
    it leaves behind saves and ends, else the next sweep would train beside it in the same folder."""
    out = tmp_path / "out"
    file = table(ROBOT + "[runs.first]\ntrain.epochs = 400\n[runs.second]\n")
    command = (file, "--data", data, "--out", out, "--at-once", 1)
    with begun_sweep(*command) as (sweep, epochs):
        assert epochs >= 1
        os.killpg(sweep.pid, signal.SIGINT)
        said = sweep.stdout.read()
    assert sweep.returncode == 0
    assert said.splitlines()[-1] == "0 of 2 runs are finished; the same command goes on"
    log = out / "first.log"
    assert "stopped and saved" in log.read_text().splitlines()[-1]
    saved = runs.read_metrics(out / "first")
    with begun_sweep(*command) as (sweep, epochs):
        assert epochs == len(saved)
        assert int(sweep.stdout.readline().split()[1]) > epochs
        sweep.kill()
        sweep.stdout.read()  # until the last process has ended that could write
    assert log.read_text().count("stopped and saved") == 2
    assert runs.read_metrics(out / "first")[: len(saved)] == saved
    assert not (out / "second").exists()


def test_a_terminal_shows_a_line_for_each_run_and_writes_it_anew(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    table = progress.Table({"first": 40, "second": 4})
    now = {"name": "first", "epochs": 3, "best_val_psnr": 21.5, "seconds": 61.2, "state": "unfinished", "error": None}
    table.show(now)
    table.show({**now, "epochs": 4, "best_val_psnr": None})
    table.close()
    written = sys.stdout.getvalue()
    assert "first      3 of 40 epochs  21.50 dB  0:01:01\rfirst      4 of 40" in written  # over the line before


def test_ray_is_imported_only_when_it_is_asked_for():
    modules = "train.sweep.__main__, train.sweep.local, train.sweep.cluster, train.sweep.progress"
    done = run_process("-c", f"import {modules}, sys; print('ray' in sys.modules)")
    assert done.stdout == "False\n", done.stderr


@pytest.fixture(scope="module")
def cluster():
    """A Ray cluster: a head without cores, and a machine of one core."""
    from ray.cluster_utils import Cluster

    often = {"health_check_initial_delay_ms": 100, "health_check_period_ms": 500}  # a dead machine is soon found so
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": often})
    yield cluster, cluster.add_node(num_cpus=1)
    cluster.shutdown()


def when_begun(monkeypatch, act):
    """Calls `act` once, when the first epoch of the run `first` has ended."""
    show, acted = progress.Table.show, []

    def watched(self, now):
        show(self, now)
        if now["name"] == "first" and now["epochs"] and not acted:
            acted.append(act())

    monkeypatch.setattr(progress.Table, "show", watched)


def test_ctrl_c_saves_on_a_cluster_too(cluster, table, data, tmp_path, monkeypatch):
    cluster, _ = cluster
    out = tmp_path / "out"
    file = table(ROBOT + "[runs.first]\ntrain.epochs = 400\n[runs.second]\n")
    when_begun(monkeypatch, lambda: signal.raise_signal(signal.SIGINT))
    said = succeeds("train.sweep", file, "--data", data, "--out", out, "--ray", cluster.address, "--cpu")
    assert said.splitlines()[-1] == "0 of 2 runs are finished; the same command goes on"
    assert "stopped and saved" in (out / "first.log").read_text().splitlines()[-1]
    assert not (out / "second").exists()


def test_a_cluster_that_loses_a_machine_trains_all_the_same(cluster, table, data, tmp_path, monkeypatch):
    """The one machine with a core is killed in the midst of a run, which goes on when another has come."""
    cluster, machine = cluster
    out = tmp_path / "out"
    file = table(ROBOT + "[runs.first]\ntrain.epochs = 30\n[runs.second]\n")

    def lose():
        cluster.remove_node(machine, allow_graceful=False)
        cluster.add_node(num_cpus=1)

    when_begun(monkeypatch, lose)
    said = succeeds("train.sweep", file, "--data", data, "--out", out, "--ray", cluster.address, "--cpu", "--json")
    assert json.loads(said.splitlines()[-1])["finished"] is True
    assert (out / "first.log").read_text().count("windows of") == 2  # it was begun twice
    assert (out / "first.log").read_text().count("finished") == 1
    for run in read_table(file):
        assert trained(out / run.name) == trained(alone(run, data, tmp_path / "alone" / run.name))
