"""Several processes under torchrun do together what one does."""

import json

import pytest

from tests.commands import succeeds, torchrun
from tests.promise import same_numbers
from vidpred import runs

NUMBERS = ("loss", "mse", "kld", "train_psnr", "val_loss", "val_psnr", "val_ssim", "lr", "teacher_forced")


def together(count, module, *arguments):
    """The output of a command that `count` processes run with torchrun."""
    done = torchrun(count, module, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def train_20(folder, data, *settings, processes=1, steps=20):
    arguments = ("tests.training.shared", folder, data, steps, *settings)
    together(processes, *arguments) if processes > 1 else succeeds(*arguments)
    return runs.read_metrics(folder)


def differences(one, other, names=NUMBERS, steps=20):
    assert len(one) == len(other) == steps
    return max(abs(a[name] - b[name]) / max(abs(a[name]), 1e-12) for a, b in zip(one, other) for name in names)


@pytest.fixture(scope="module")
def alone(tiny_data, tmp_path_factory):
    return train_20(tmp_path_factory.mktemp("alone") / "run", tiny_data, "precision=float64")


def test_two_processes_train_as_one_in_float64(alone, tiny_data, tmp_path):
    """Each step: loss, its terms, the scores of the sharded validation; both kinds of feedback occur."""
    two = train_20(tmp_path / "run", tiny_data, "precision=float64", processes=2)
    assert {row["teacher_forced"] for row in alone} == {0.0, 1.0}
    assert differences(alone, two, ("loss", "mse", "train_psnr")) <= 1e-10
    assert differences(alone, two) <= 1e-6  # the KL is near 0, and so are its last digits


def test_two_processes_train_as_one_in_float32(tiny_data, tmp_path):
    """At a small learning rate: Adam's first steps have the size of the rate whatever the gradient, and turn the last
    bits of a gradient near 0 into steps of their own."""
    pair = [train_20(tmp_path / str(n), tiny_data, "lr=0.0001", processes=n) for n in (1, 2)]
    assert differences(*pair, ("loss", "mse", "train_psnr")) <= 1e-4


def test_resumes_with_another_number_of_processes(alone, tiny_data, tmp_path):
    train_20(tmp_path / "run", tiny_data, "precision=float64", processes=2, steps=7)
    assert len(runs.read_metrics(tmp_path / "run")) == 7
    rows = train_20(tmp_path / "run", tiny_data, "precision=float64")
    assert differences(alone, rows, ("loss", "mse", "train_psnr")) <= 1e-10


def test_parts_of_a_batch_are_shared_alike(tiny_data, tmp_path):
    """With gradient accumulation each part is normalised over the clips that it holds in all processes."""
    settings = ("precision=float64", "accumulation=2")
    pair = [train_20(tmp_path / str(n), tiny_data, *settings, processes=n, steps=5) for n in (1, 2)]
    assert differences(*pair, ("loss", "mse", "train_psnr"), steps=5) <= 1e-10


def test_the_pose_cvae_trains_alike(tiny_dance, tmp_path):
    """With the strategies that move weights or ratio between epochs: every process must do the same."""
    settings = (
        "precision=float64",
        "beta_max=0.0001",
        "tfr_mix=1",
        "plateau_patience=2",
        "plateau_threshold=99",
        "interpolate_every=2",
    )
    pair = [train_20(tmp_path / str(n), tiny_dance, *settings, processes=n, steps=5) for n in (1, 2)]
    assert differences(*pair, steps=5) <= 1e-8
    assert len({row["tfr"] for row in pair[0]}) > 1


def test_evaluation_is_shared_and_equal(tiny_run, tiny_data, tmp_path):
    arguments = (tiny_run, "--data", tiny_data, "--samples", 12, "--cpu", "--out")
    succeeds("train.evaluate", *arguments, tmp_path / "one.json")
    printed = together(2, "train.evaluate", *arguments, tmp_path / "two.json")
    assert printed.count("wrote") == 1
    assert same_numbers(*(json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two")))


def test_a_batch_that_cannot_be_shared_is_one_line(tiny_data, tmp_path):
    options = ("--data", tiny_data, "--out", tmp_path / "run", "--preset", "debug", "--train.batch-size", 5)
    done = torchrun(2, "train.svg", *options, "--data.n-future", 4)
    assert done.returncode != 0
    assert done.stderr.count("2 processes cannot share 5 clips evenly") == 1
    assert not (tmp_path / "run").exists()
