"""Several processes under torchrun do together what one does."""

import datetime
import json
from types import SimpleNamespace

import accelerate
import pytest

from tests.commands import succeeds, torchrun
from tests.promise import same_numbers
from vidpred import processes, runs

NUMBERS = ("loss", "mse", "kld", "train_psnr", "val_loss", "val_psnr", "val_ssim", "lr", "teacher_forced")


def together(count, module, *arguments):
    """The output of a command that `count` processes run with torchrun."""
    done = torchrun(count, module, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


POSE = ("beta_max=0.0001", "tfr_mix=1", "plateau_patience=2", "plateau_threshold=99", "interpolate_every=2")
STEPS = 5
TRAININGS = {  # name: data, steps, settings
    "float64": ("robot", STEPS, "precision=float64"),
    # Adam's first steps have the size of the rate whatever the gradient, and turn the last bits of a gradient near 0
    # into steps of their own: a small rate
    "float32": ("robot", STEPS, "lr=0.0001", "batch_size=8"),
    "accumulation": ("robot", 4, "precision=float64", "accumulation=2", "batch_size=8"),
    "dance": ("dance", 5, "precision=float64", "kld_reduction=length", *POSE),
}
EVALUATION = ("--samples", 12, "--cpu")
STOPPED = {"stopped": ("robot", 2, "precision=float64")}


def jobs(folder, trainings, data):
    """A file for tests.training.shared."""
    file = folder / "jobs.json"
    listed = [
        [str(folder / name), str(data[kind]), steps, *settings] for name, (kind, steps, *settings) in trainings.items()
    ]
    file.write_text(json.dumps(listed))
    return file


@pytest.fixture(scope="module")
def data(tiny_data, tiny_dance):
    return {"robot": tiny_data, "dance": tiny_dance}


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory):
    """A folder with the trainings of one process."""
    folder = tmp_path_factory.mktemp("alone")
    succeeds("tests.training.shared", jobs(folder, TRAININGS, data))
    return folder


@pytest.fixture(scope="module")
def two(data, tiny_run, tmp_path_factory):
    """The same by two processes, which are started once, and a training that they stopped after 2 steps; then they
    evaluate a run. What they printed is in `printed`."""
    folder = tmp_path_factory.mktemp("two")
    evaluation = ("train.evaluate", tiny_run, *EVALUATION, "--data", data["robot"], "--out", folder / "eval.json")
    printed = together(2, "tests.training.shared", jobs(folder, TRAININGS | STOPPED, data), *evaluation)
    (folder / "printed").write_text(printed)
    return folder


def rows(alone, two, name):
    return [runs.read_metrics(folder / name) for folder in (alone, two)]


def differences(one, other, names=NUMBERS, steps=STEPS):
    assert len(one) == len(other) == steps
    return max(abs(a[name] - b[name]) / max(abs(a[name]), 1e-12) for a, b in zip(one, other) for name in names)


def test_two_processes_train_as_one_in_float64(alone, two):
    """Each step: loss, its terms, the scores of the sharded validation; both kinds of feedback occur."""
    pair = rows(alone, two, "float64")
    assert {row["teacher_forced"] for row in pair[0]} == {0.0, 1.0}
    assert differences(*pair, ("loss", "mse", "train_psnr")) <= 1e-10
    assert differences(*pair) <= 1e-6  # the KL is near 0, and so are its last digits


def test_two_processes_train_as_one_in_float32(alone, two):
    assert differences(*rows(alone, two, "float32"), ("loss", "mse", "train_psnr")) <= 1e-4


def test_resumes_with_another_number_of_processes(alone, two, data):
    assert len(runs.read_metrics(two / "stopped")) == 2
    goes_on = {"stopped": ("robot", STEPS - 2, "precision=float64")}
    succeeds("tests.training.shared", jobs(two, goes_on, data))
    pair = runs.read_metrics(alone / "float64"), runs.read_metrics(two / "stopped")
    assert differences(*pair, ("loss", "mse", "train_psnr")) <= 1e-10


def test_parts_of_a_batch_are_shared_alike(alone, two):
    """With gradient accumulation each part is normalised over the clips that it holds in all processes."""
    assert differences(*rows(alone, two, "accumulation"), ("loss", "mse", "train_psnr"), steps=4) <= 1e-10


def test_the_pose_cvae_trains_alike(alone, two):
    """With the strategies that move weights or ratio between epochs: every process must do the same."""
    pair = rows(alone, two, "dance")
    assert differences(*pair, steps=5) <= 1e-8
    assert len({row["tfr"] for row in pair[0]}) > 1


def test_evaluation_is_shared_and_equal(two, tiny_run, tiny_data, tmp_path):
    succeeds("train.evaluate", tiny_run, *EVALUATION, "--data", tiny_data, "--out", tmp_path / "eval.json")
    assert (two / "printed").read_text().count("wrote") == 1
    assert same_numbers(*(json.loads((folder / "eval.json").read_text()) for folder in (tmp_path, two)))


def test_a_batch_that_cannot_be_shared_is_one_line(tiny_data, tmp_path):
    options = ("--data", tiny_data, "--out", tmp_path / "run", "--preset", "debug", "--train.batch-size", 5)
    done = torchrun(2, "train.svg", *options, "--data.n-future", 4)
    assert done.returncode != 0
    assert done.stderr.count("2 processes cannot share 5 clips evenly") == 1
    assert not (tmp_path / "run").exists()


def test_the_others_wait_while_one_packs_a_million_pictures(monkeypatch):
    """NCCL's own ten minutes are too few."""
    asked = []
    state = SimpleNamespace(device="cpu")
    monkeypatch.setattr(accelerate, "PartialState", lambda timeout, **_: asked.append(timeout) or state)
    processes.join(cpu=True)
    assert asked[0] >= datetime.timedelta(hours=2)
