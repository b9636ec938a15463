"""Run folders of which a part is missing, torn or made up: one line and exit code 2, and nothing is called finished."""

import json
import os
import shutil
from dataclasses import replace

import pytest

from tests.trust.faults import contents
from tests.trust.work import evaluated, exported, generated, prepared, training
from vidpred import runs
from vidpred.training.state import STATE

pytestmark = pytest.mark.trust

FRESH = "use --fresh to start over"
TORN = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "torn": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
}
PROGRESS = {
    "iteration": ("12", "twelve", None, True, 1.5, -1, 11, 10**9, 10**400, [12], {}),
    "skipped_steps": ("0", -1, None, 0.5),
    "restarts": ({}, 3, ["1"], "3", [-1]),
    "sums": ({"loss": 1.0}, [1], {"loss": "1"}),
    "best_psnr": ("20", 10**400, [20.0]),
    "clips": (3, ["a"], True),
    "mse": (None, "0.1", float("nan")),
}
OTHERS = {
    "tensors": (None, 3, [], "", "..", STATE, "/etc/passwd", "x\0y", "a" * 5000, "../../config.json"),
    "progress": (None, [], "x", {"iteraton": 12}),
}


@pytest.fixture
def refused(capsys):
    """The one line with which something ends that must not go well."""

    def ask(function, *args):
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            function(*args)
        said = capsys.readouterr()
        assert stop.value.code == 2
        lines = [line for line in said.err.splitlines() if line.strip() and not line.endswith("]")]  # as a bar does
        assert len(lines) == 1 and len(lines[0]) < 1000, said.err
        assert "finished" not in said.out
        return lines[0]

    return ask


@pytest.fixture
def copies(tiny_run, tmp_path):
    """Makes copies of a finished run."""

    def make():
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        return shutil.copytree(tiny_run, tmp_path / "run")

    return make


def test_a_finished_run_of_which_a_file_is_missing_or_torn_is_not_finished(
    copies, refused, tiny_settings, tiny_data, survived
):
    """Its best weights, those to go on from, its rows, its settings and its state."""
    count = 0
    for file in (runs.WEIGHTS, f"{runs.LAST}/step-00000012.safetensors", runs.METRICS, f"{runs.LAST}/{STATE}"):
        for tear in TORN.values():
            run = copies()
            tear(run / file)
            before = contents(run)
            said = refused(training, run, tiny_settings, tiny_data)
            assert str(run / file) in said or "is a bundled run: nothing to resume" in said
            assert contents(run) == before
            count += 1
    survived("training: goes on with a run of which a file is missing or torn", count)


def test_a_state_that_no_training_has_written_is_named(copies, refused, tiny_settings, tiny_data, survived):
    """A string as its iteration was a traceback; one beyond the end was "finished"."""
    run = copies()
    whole, count = (run / runs.LAST / STATE).read_text(), 0
    for part, fields in (("progress", PROGRESS), (None, OTHERS)):
        for field, values in fields.items():
            for value in values:
                state = json.loads(whole)
                (state if part is None else state[part])[field] = value
                (run / runs.LAST / STATE).write_text(json.dumps(state))
                said = refused(training, run, tiny_settings, tiny_data)
                assert said == f"train: {run / runs.LAST / STATE}: not readable; {FRESH}", (field, value)
                count += 1
    (run / runs.LAST / STATE).unlink()
    os.mkfifo(run / runs.LAST / STATE)  # that would be waited for
    assert "not readable" in refused(training, run, tiny_settings, tiny_data)
    survived("training: goes on with a state that no training has written", count + 1)


@pytest.mark.parametrize("size", [10**9, 10**15])
def test_a_model_beyond_every_machine_is_refused(copies, refused, tiny_settings, tiny_data, tmp_path, survived, size):
    """By every command that would make it."""
    wider, out = replace(tiny_settings, model=replace(tiny_settings.model, z_dim=size)), tmp_path / "out"
    assert "to train, this machine has" in refused(training, out, wider, tiny_data)
    run = copies()
    runs.write_config(run, wider, {})
    assert "to train, this machine has" in refused(training, run, wider, tiny_data)
    words = (run, "--data", tiny_data, "--cpu")
    for function, args in (
        (evaluated, words),
        (generated, (*words, "--out", out)),
        (prepared, ("bundle", run, out)),
        (exported, (run, out)),
    ):
        assert "the config asks for" in refused(function, *args)
    assert not out.exists()
    survived("a model of more numbers than a machine holds", 6)
