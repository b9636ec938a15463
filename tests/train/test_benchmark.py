"""The benchmark's commands: yardstick and project compute the same, and what is printed is complete."""

import json

import pytest

from tests.commands import fails, succeeds


def measured(*arguments):
    return json.loads(succeeds("train.benchmark", *arguments, "--rounds", 1, "--json").splitlines()[-1])


def test_step():
    """The losses agree although one is computed frame by frame; the project multiplies less for it."""
    options = ("--size", "small", "--batch", 2, "--frames", 4, "--precision", "no", "--cpu")
    result = measured("step", *options)
    assert result["peak_gflops"]["no"] > 0
    for name in ("teacher_forced", "free_running"):
        part = result[name]
        assert part["ratio"] == pytest.approx(part["yardstick_s"] / part["project_s"])
        assert part["loss_difference"] < 1e-5
        assert part["project_gflop"] < 0.9 * part["yardstick_gflop"]
        assert 0 < part["project_share_of_peak"] < 1
        assert part["project_peak_memory_gb"] > 0.1


def test_rollout():
    """One by one and together: the same frames, with fewer multiplications."""
    result = measured("rollout", "--samples", 3, "--n-future", 3, "--cpu")
    assert result["largest_difference"] < 1e-4
    assert result["ratio"] == pytest.approx(result["yardstick_s"] / result["project_s"])


def test_loader():
    result = measured("loader", "--batches", 10)
    assert result["clips"] == 32
    assert result["ratio"] > 5  # tens on an idle machine
    assert min(result[f"{way}_frames_per_s"] for way in ("yardstick", "packed", "shards", "packed_as_float")) > 0


def test_startup():
    assert 0 < measured("startup", "--port", 7993)["first_page_s"] < 60


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("step", "--batch", 1), "--batch must be at least 2, got 1"),
        (("step", "--size", "huge"), "size"),
        (("rollout", "--samples", 0), "--samples must be at least 1, got 0"),
        (("loader", "--data", "nowhere"), "nowhere"),
        (("startup", "--rounds", 0), "--rounds must be at least 1, got 0"),
    ],
)
def test_bad_input_is_one_line(arguments, said):
    assert said in fails("train.benchmark", *arguments)
