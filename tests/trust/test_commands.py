"""Commands that are killed and run again: the same files as in one go, and no others."""

import random
import signal

import pytest

from tests.data.test_bair_tfrecord import make_record, write_file
from tests.training.trainings import rows_without_time
from tests.trust.faults import BeforeOperation, OnceThere, contents, in_process
from tests.trust.work import prepared, swept, training
from train.sweep.table import read_table
from vidpred import runs

pytestmark = pytest.mark.trust

KILLS = 6
TABLE = """
[runs.one]
preset = "debug"
data.n-future = 1
train.epochs = 2
train.iterations-per-epoch = 2
train.batch-size = 2
train.validation-clips = 1
train.gif-every = 0
train.kl-anneal = "none"
"""


@pytest.fixture
def killed(tmp_path, survived):
    """Kills a command that writes `out`, again and again as it goes on, and compares with one that is not killed."""

    def kill(name, function, words, kills=KILLS):
        whole, died, number = tmp_path / "whole" / "out", 0, 0
        count = BeforeOperation(whole.parent, 0, tmp_path / "count.txt")
        ended = in_process(tmp_path, function, *words(whole), fault=count)
        assert ended.status == 0, ended.said
        operations, source = int((tmp_path / "count.txt").read_text()), random.Random(0)
        while died < kills:
            out, number, status = tmp_path / f"killed{number}" / "out", number + 1, -signal.SIGKILL
            while status:
                place = BeforeOperation(out.parent, source.randint(1, operations * 2 // 3))
                status, said = in_process(tmp_path, function, *words(out), fault=place if died < kills else None)
                assert status in (0, -signal.SIGKILL), said
                died += status != 0
            assert contents(out.parent) == contents(whole.parent)
        survived(f"{name}: killed before an operation on files", died)

    return kill


def test_import_bair(killed, tmp_path):
    records = tmp_path / "records"
    for number, name in enumerate(("train/traj_0_to_255", "train/traj_256_to_511", "test/traj_0_to_255")):
        write_file(records / f"{name}.tfrecords", [make_record(number)])
    killed("import-bair", prepared, lambda out: ("import-bair", records, out))


def test_clips_that_an_earlier_version_had_begun_are_removed(tmp_path):
    records, begun = tmp_path / "records", tmp_path / "out" / "test" / "traj_0_to_255" / ".1.abcd1234"
    for name in ("train", "test"):
        write_file(records / name / "traj_0_to_255.tfrecords", [make_record(0)])
    begun.mkdir(parents=True)
    prepared("import-bair", records, tmp_path / "out")
    assert not begun.exists()


def test_shard(killed, tiny_data):
    """With clips that are packed for it."""
    killed(
        "shard and packing",
        prepared,
        lambda out: ("shard", tiny_data, out, "--clips-per-shard", 4, "--cache", out.with_name("cache")),
    )


def test_bundle(killed, whole):
    killed("bundle", prepared, lambda out: ("bundle", whole[0], out))


def test_simulate(killed, tmp_path, survived):
    """The command is killed at its own operations, and while its workers make clips."""

    def words(out):
        numbers = ("--train", 6, "--validate", 1, "--test", 1, "--seed", 3, "--size", 32)
        return ("simulate-bounce", out, *numbers, "--workers", 1)

    killed("simulate-bounce", prepared, words, kills=2)
    out = tmp_path / "again" / "out"
    for clip in (1, 3):
        file = out / "train" / "bounce_0_to_255" / str(clip)
        assert in_process(tmp_path, prepared, *words(out), fault=OnceThere(file)).status == -signal.SIGKILL
    assert in_process(tmp_path, prepared, *words(out)).status == 0
    assert contents(out) == contents(tmp_path / "whole" / "out")
    survived("simulate-bounce: killed while its workers make clips", 2)


def test_sweep(tiny_data, tmp_path, survived):
    """The sweep's own process is killed; what it had begun ends by itself, and the next sweep waits for that."""
    table, out = tmp_path / "table.toml", tmp_path / "out"
    table.write_text(TABLE)
    words = (table, "--data", tiny_data, "--out", out, "--at-once", 1, "--cpu")
    begun = OnceThere(out / "one" / runs.LAST / "state.json")
    assert in_process(tmp_path, swept, *words, fault=begun).status == -signal.SIGKILL
    ended = in_process(tmp_path, swept, *words)
    assert ended.status == 0, ended.said
    assert in_process(tmp_path, training, tmp_path / "alone", read_table(table)[0].config, tiny_data).status == 0
    assert rows_without_time(out / "one") == rows_without_time(tmp_path / "alone")
    assert (out / "one" / runs.WEIGHTS).read_bytes() == (tmp_path / "alone" / runs.WEIGHTS).read_bytes()
    assert contents(out / "one").keys() == contents(tmp_path / "alone").keys()
    survived("sweep: killed")
