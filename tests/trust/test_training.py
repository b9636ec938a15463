"""A training that is killed, wherever that happens, loses nothing."""

import random
import signal

import pytest
import safetensors.torch

from tests.training.trainings import assert_equal_tensors, rows_without_time, state_tensors
from tests.trust.faults import AfterProcessorTime, BeforeOperation, InsideWrite, contents, in_process
from tests.trust.work import training
from vidpred import checkpoint, runs
from vidpred.training.state import read_progress

pytestmark = pytest.mark.trust

KILLS = 30


def assert_loadable(run):
    """What a killed training leaves can be gone on with, and looked at."""
    _, tensors = read_progress(run / runs.LAST)
    if tensors is not None:
        checkpoint.load_tensors(tensors)
    if (run / runs.WEIGHTS).exists():
        checkpoint.load_trained(run)
    runs.read_metrics(run)


@pytest.mark.timeout(3000)  # a hang fails by name; under load, that many lives take long
def test_killed_anywhere_a_training_ends_as_if_it_had_not_been(whole, small_debug, tiny_data, tmp_path, survived):
    """Before an operation on files, inside a write, at any moment; each time the same command goes on."""
    expected, operations = whole
    source, kills, number = random.Random(0), {}, 0
    largest = max(path.stat().st_size for path in expected.rglob("*") if path.is_file())
    while sum(kills.values()) < KILLS:
        run = tmp_path / f"run{number}"
        number += 1
        status = -signal.SIGKILL
        while status:
            fault = source.choice(
                [
                    BeforeOperation(run, source.randint(1, operations // 2)),
                    BeforeOperation(run, source.randint(1, operations // 2)),
                    AfterProcessorTime(source.uniform(0.05, 1.5)),
                    InsideWrite(source.randint(1, largest - 1)),
                ]
            )
            fault = fault if sum(kills.values()) < KILLS else None
            status, said = in_process(tmp_path, training, run, small_debug, tiny_data, fault=fault)
            if status:
                assert status in (-signal.SIGKILL, -signal.SIGPROF, -signal.SIGXFSZ), said
                kills[type(fault)] = kills.get(type(fault), 0) + 1
                assert_loadable(run)
        assert_equal_tensors(state_tensors(run), state_tensors(expected))
        best, best_expected = (safetensors.torch.load_file(folder / runs.WEIGHTS) for folder in (run, expected))
        assert_equal_tensors(best, best_expected)
        assert rows_without_time(run) == rows_without_time(expected)
        assert contents(run).keys() == contents(expected).keys()
    survived("training: killed before an operation on files", kills[BeforeOperation])
    survived("training: killed inside a write", kills[InsideWrite])
    survived("training: killed at any moment", kills[AfterProcessorTime])
