"""The benchmark's commands: yardstick and project compute the same, and what is told is complete."""

import json
import sys
from dataclasses import replace

import pytest

from tests.commands import fails, succeeds
from train.benchmark import harness, training_step
from train.benchmark import memory as memory_file
from train.benchmark.published import PUBLISHED
from train.benchmark.rollout import rollout
from train.benchmark.step import step
from vidpred import runs
from vidpred.errors import BadInput
from vidpred.presets import preset


@pytest.fixture
def measured(capsys):
    """What a command prints as its last line, after one turn."""

    def run(command, **options):
        command(**options, rounds=1, json=True)
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    return run


def test_step(measured, monkeypatch):
    """What is timed is the step that trains. The losses agree although the yardstick's is computed frame by frame; the
    project multiplies less for it."""
    steps = []
    original = training_step.train_step

    def train_step(*given, **options):
        steps.append(options["feedback"])
        return original(*given, **options)

    monkeypatch.setattr(training_step, "train_step", train_step)
    result = measured(step, size="small", batch=2, frames=3, precision="no", cpu=True)
    assert steps == ["truth"] * 2 + ["prediction"] * 2  # profiled, then timed
    assert result["peak_gflops"]["no"] > 0
    for name in ("teacher_forced", "free_running"):
        part = result[name]
        assert part["ratio"] == pytest.approx(part["yardstick_s"] / part["project_s"])
        assert part["loss_difference"] < 1e-5
        assert 0 < part["project_gflop"] < 0.9 * part["yardstick_gflop"]
        share = part["project_gflop"] / part["project_s"] / result["peak_gflops"]["no"]
        assert part["project_share_of_peak"] == pytest.approx(share)
        assert part["project_peak_memory_gb"] > 0.1


def test_rollout(measured):
    """One by one and together: the same frames, with fewer multiplications."""
    result = measured(rollout, samples=3, n_future=2, cpu=True)
    assert result["largest_difference"] < 1e-4
    assert result["ratio"] == pytest.approx(result["yardstick_s"] / result["project_s"])


def test_loader_by_its_command():
    said = succeeds("train.benchmark", "loader", "--batches", 10, "--rounds", 1, "--json")
    result = json.loads(said.splitlines()[-1])
    assert result["clips"] == 32
    speeds = [result[f"{way}_frames_per_s"] for way in ("yardstick", "packed", "shards", "packed_as_float")]
    assert min(speeds) > 0
    assert result["ratio"] == pytest.approx(speeds[1] / speeds[0])


def test_the_loaders_are_credited_what_they_read(monkeypatch):
    """A second a turn: frames per second are frames."""
    monkeypatch.setattr(harness, "take_turns", lambda ways, *_: dict.fromkeys(ways, 1.0))
    said = succeeds("train.benchmark", "loader", "--batches", 19, "--batch", 2, "--rounds", 1, "--json")
    result = json.loads(said.splitlines()[-1])
    assert (result["yardstick_frames_per_s"], result["packed_frames_per_s"]) == (2 * 12, 19 * 2 * 12)


def test_startup_by_its_command():
    assert "first_page_s" in succeeds("train.benchmark", "startup", "--rounds", 1)


def test_pace():
    said = succeeds("train.benchmark", "pace", "--candidates", "debug", "--rounds", 1, "--json")
    cost = json.loads(said.splitlines()[-1])["debug"]
    assert cost["batch"] == preset("debug").train.batch_size
    assert 0 < cost["predicted_frame_ms"] < 1000 * cost["teacher_forced_s"]  # of a frame, not of a whole future
    assert "no-such" in fails("train.benchmark", "pace", "--candidates", "no-such")


def test_memory(tiny_data, monkeypatch):
    """A process is measured from outside, whole; one that fails is told of in its own words."""
    hold = "import time; b = bytearray(b'x') * 400_000_000; del b; time.sleep(0.5)"
    assert 0.404 < memory_file.most_held([sys.executable, "-c", hold]) < 0.5
    for ends, said in (("print('mine', file=sys.stderr); sys.exit(2)", "mine"), ("sys.exit(3)", "has ended with 3")):
        with pytest.raises(BadInput, match=said):
            memory_file.most_held([sys.executable, "-c", f"import sys; {ends}"])
    monkeypatch.setattr(memory_file, "WAYS", {"as it is": ()})
    said = succeeds("train.benchmark", "memory", "--data", tiny_data, "--preset", "debug", "--json")
    assert 0.2 < json.loads(said.splitlines()[-1])["peak_memory_gb"]["as it is"] < 3
    assert "nowhere" in fails("train.benchmark", "memory", "--data", "nowhere")


def test_turns_are_taken_and_the_median_counts():
    order = []
    works = {name: lambda name=name: order.append(name) for name in "ab"}
    assert set(harness.take_turns(works, 3, "")) == {"a", "b"}
    assert order == list("ab" * 4)  # one turn to warm up


def test_growth_is_the_exponent_of_the_size(monkeypatch):
    """Seconds of 2, 16 and 128 at sizes 1, 2 and 4: to the power 3."""
    monkeypatch.setattr(harness, "take_turns", lambda works, *_: {size: 2.0 * int(size) ** 3 for size in works})
    assert harness.exponent({1: None, 2: None, 4: None}, 1, "cpu") == pytest.approx(3)


def test_results_for_a_person(capsys):
    harness.report({"rounds": 3, "one": {"s": 1.23456, "n": 2}, "other": {"s": 10.0, "n": 3}, "peak": {"no": 1}}, False)
    assert capsys.readouterr().out.splitlines() == [
        "rounds                         3",
        "",
        "|   | one   | other |",
        "| - | ----- | ----- |",
        "| s | 1.235 | 10    |",
        "| n | 2     | 3     |",
        "",
        "|    | peak |",
        "| -- | ---- |",
        "| no | 1    |",
    ]


def test_quality(tiny_data, tmp_path, monkeypatch):
    """A candidate is scored at both points of its way, then the report's training, which gets no less time; a second
    call trains nothing and says the same."""
    report = PUBLISHED["published"]
    small = replace(report.model, width=3, g_dim=8, z_dim=5, rnn_size=12)
    monkeypatch.setitem(PUBLISHED, "published", replace(report, model=small, train=replace(report.train, batch_size=2)))
    options = ("--data", tiny_data, "--out", tmp_path, "--minutes", 0.02, "--points", 2, "--samples", 2, "--clips", 2)
    options += ("--iterations", 8, "--candidates", "published", "debug", "--json")
    said = [succeeds("train.benchmark", "quality", *options) for _ in range(2)]
    first, again = (json.loads(text.splitlines()[-1]) for text in said)
    assert first == again
    longer = [0.04 if option == 0.02 else option for option in options]
    begun = "was begun with --minutes 0.02 --points 2 --iterations 8: give the same, or another --out"
    assert begun in fails("train.benchmark", "quality", *longer)
    rows = first["rows"]
    assert [row["candidate"] for row in rows] == ["published", "published", "debug", "debug"]
    published, ours = rows[:2], rows[2:]
    assert ours[0]["step"] * 2 == ours[1]["step"]
    logged = {epoch["step"]: epoch["processor_seconds"] for epoch in runs.read_metrics(tmp_path / "debug")}
    assert all(row["processor_seconds"] == logged[row["step"]] for row in ours)
    assert published[1]["processor_seconds"] >= max(60 * 0.02, ours[1]["processor_seconds"])
    assert published[0]["step"] < published[1]["step"]
    assert all(row["psnr_best"] > row["psnr"] > 3 and row["sharpness_first"] > 0 for row in rows)
    assert all(row["psnr"] > 5 and row["sharpness_first"] < 2 for row in ours)
    assert "\n| debug " in said[0] and "\n| published " in said[0]


def test_ceiling(simulator, capsys):
    """Two clips: the physics is far better than a copied frame, and worse the further it has to guess."""
    said = succeeds("train.benchmark", "ceiling", "--samples", 4, "--clips", 2, "--json")
    result = json.loads(said.splitlines()[-1])
    assert result["clips"] == 2
    assert result["first_frame"] > 30 > result["psnr_best"] > result["psnr"] > 18
    assert 0.9 < result["sharpness_last"] < 1.1
    assert result["diversity"] > 0.05


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("step", "--batch", 1), "--batch must be at least 2, got 1"),
        (("step", "--size", "huge"), "size"),
        (("rollout", "--samples", 0), "--samples must be at least 1, got 0"),
        (("loader", "--data", "nowhere"), "nowhere"),
        (("loader", "--data", "assets/data/bounce"), "assets/data/bounce: the published loader reads robot clips"),
        (("loader", "--data", "assets/data/dance", "--split", "val"), "the published loader reads robot clips"),
        (("startup", "--rounds", 0), "--rounds must be at least 1, got 0"),
        (("ceiling", "--samples", 5000), "--samples must be at most 4000, got 5000"),
        (("nonsense",), "nonsense"),
    ],
)
def test_bad_input_is_one_line(arguments, said):
    assert said in fails("train.benchmark", *arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--minutes", 0), "--minutes must be positive, got 0"),
        (("--candidates", "first", "huge"), "unknown candidate 'huge': first, unshuffle"),
        (("--candidates", "pose"), "unknown candidate 'pose'"),
        (("--points", 0), "--points must be at least 1, got 0"),
    ],
)
def test_bad_input_of_quality(arguments, said, tmp_path):
    assert said in fails("train.benchmark", "quality", "--data", "nowhere", "--out", tmp_path, *arguments)
