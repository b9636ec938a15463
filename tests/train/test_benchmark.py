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


def test_quality(tiny_data, tmp_path):
    """A candidate is scored at both points of its way; a second call trains nothing and says the same."""
    options = ("--data", tiny_data, "--out", tmp_path, "--minutes", 0.02, "--points", 2, "--samples", 3, "--clips", 4)
    said = [succeeds("train.benchmark", "quality", *options, "--candidates", "debug", "--json") for _ in range(2)]
    first, again = (json.loads(text.splitlines()[-1]) for text in said)
    assert first == again
    rows = first["rows"]
    assert [row["candidate"] for row in rows] == ["debug", "debug"]
    assert rows[0]["step"] * 2 == rows[1]["step"] and rows[0]["processor_seconds"] < rows[1]["processor_seconds"]
    assert all(row["psnr_best"] > row["psnr"] > 5 and 0 < row["sharpness_first"] < 2 for row in rows)
    assert "| debug |" in said[0]


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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--minutes", 0), "--minutes must be positive, got 0"),
        (("--candidates", "first", "huge"), "unknown preset 'huge'"),
        (("--candidates", "pose"), "pose is no preset of SVG"),
        (("--points", 0), "--points must be at least 1, got 0"),
    ],
)
def test_bad_input_of_quality(arguments, said, tmp_path):
    assert said in fails("train.benchmark", "quality", "--data", "nowhere", "--out", tmp_path, *arguments)
