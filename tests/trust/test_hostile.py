"""Hostile and broken input, case by case: one clear line at every door, bounded work and memory, and the app goes on.

The corpus (tests/trust/hostile) is handed in by a process of its own, whose memory is measured."""

import json

import pytest

from tests.commands import run_process

FAMILIES = ("picture", "CSV", "config.json", "metrics.jsonl", "eval.json", "weights", "name", "address", "value",
            "upload", "shards", "grid")  # fmt: skip
MOST_BYTES = 1_000_000_000  # of the whole process, torch and Gradio among them
MOST_CALLS = 6_000_000  # of functions in a case: importing matplotlib, the most of all, takes 4.6 million
FEWEST_CASES = 200

pytestmark = pytest.mark.trust


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """What became of every case."""
    folder = tmp_path_factory.mktemp("hostile")
    done = run_process("-m", "tests.trust.hostile", folder, folder / "report.json", env={"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "report.json").read_text())


@pytest.mark.parametrize("family", FAMILIES)
def test_every_case_is_refused_in_one_line_or_taken_for_what_it_is(report, family, survived):
    answers = [answer for answer in report["answers"] if answer["family"] == family]
    survived(f"hostile input: {family}", len(answers))
    assert answers
    wrong = {answer["name"]: answer["wrong"] for answer in answers if answer["wrong"]}
    assert wrong == {}, "\n\n".join(f"{name}: {text}" for name, text in wrong.items())


def test_no_case_is_left_out(report):
    assert {answer["family"] for answer in report["answers"]} == set(FAMILIES)
    assert len(report["answers"]) >= FEWEST_CASES


def test_work_is_bounded(report):
    """Counted in calls of functions, which no busy machine changes."""
    busiest = max(report["answers"], key=lambda answer: answer["calls"])
    assert busiest["calls"] <= MOST_CALLS, busiest


def test_memory_is_bounded(report):
    print(f"{report['most_bytes'] / 1e6:.0f} MB at most, {report['start'] / 1e6:.0f} MB before the first case")
    assert report["most_bytes"] <= MOST_BYTES


def test_the_app_predicts_the_same_after_every_family(report):
    assert all(report["serving"].values()), report["serving"]
