"""Files that belong together: killed or interrupted wherever it is, what says that all are there tells the truth."""

import itertools
import json
import shutil
import signal

import pytest

from tests.trust.faults import BeforeOperation, BeforeRename, contents, in_process
from tests.trust.work import onnx_written, site_written, together
from vidpred.explorer.export.site import INDEX, VIEWS
from vidpred.files import LOCK, UNFINISHED
from vidpred.onnx_export import DESCRIPTION, FILES

pytestmark = pytest.mark.trust

FIRST = {"a": b"1", "b": b"1", "c": b"1", "folder/1": b"1"}
SECOND = {"a": b"2", "c": b"2", "folder/2": b"2"}  # b is one that the second does not have
KILLS = 6


def finished(folder):
    """What stands in a folder for good."""
    return {name: content for name, content in contents(folder).items() if not name.startswith((UNFINISHED, LOCK))}


@pytest.mark.parametrize(("sent", "each"), [(signal.SIGKILL, 1), (signal.SIGINT, 3)])
def test_at_every_operation(tmp_path, survived, sent, each):
    """Killed: the earlier ones, the new ones, or none that say they are all, and the next call goes through. Ctrl-C:
    the earlier ones or the new ones."""
    times = 0
    for number in itertools.count(1, each):
        folder = tmp_path / str(number)
        together(folder, "1")
        mine = folder / "mine.txt"
        mine.write_text("notes")
        fault = BeforeOperation(folder, number, signal=sent)
        ended = in_process(tmp_path, together, folder, "2", ("a", "c"), ("b",), fault=fault)
        if not ended.status:
            break
        assert mine.read_text() == "notes"
        mine.unlink()
        found = finished(folder)
        assert found in (FIRST, SECOND) or (sent == signal.SIGKILL and "c" not in found)
        together(folder, "2", ("a", "c"), ("b",))
        assert contents(folder) == SECOND
        times += 1
    assert times > 5
    survived(f"files that belong together: {signal.Signals(sent).name} before an operation on files", times)


def test_graphs(tmp_path, survived):
    """Of an export over an earlier one that had float16 weights too."""
    out, kept, count = tmp_path / "out", tmp_path / "kept", tmp_path / "count.txt"
    first = (dict.fromkeys(FILES, b"1"), {"n": 1})
    second = (dict.fromkeys(FILES[:2], b"2"), {"n": 2})
    onnx_written(out, *first)
    shutil.copytree(out, kept)
    assert in_process(tmp_path, onnx_written, out, *second, fault=BeforeOperation(out, 0, count)).status == 0
    earlier, whole, operations = contents(kept), contents(out), int(count.read_text())
    assert whole.keys() == {*FILES[:2], DESCRIPTION}
    shutil.rmtree(out)
    shutil.copytree(kept, out)
    for kill in range(1, KILLS + 1):
        place = BeforeOperation(out, operations * kill // (KILLS + 1))
        assert in_process(tmp_path, onnx_written, out, *second, fault=place).status == -signal.SIGKILL
        assert (found := finished(out)) in (earlier, whole) or DESCRIPTION not in found
    onnx_written(out, *second)
    assert contents(out) == whole
    survived("train.export: killed before an operation on files", KILLS)


def test_page(tiny_run, dance_run, tiny_data, tiny_dance, tmp_path, survived):
    """Killed when all but the page itself has taken its place; then another export goes through."""
    out, again = tmp_path / "out", (tiny_run, tiny_data)
    site_written(out, dance_run, tiny_dance)
    names = {path.name for path in out.iterdir()}
    assert in_process(tmp_path, site_written, out, *again, fault=BeforeRename(out / INDEX)).status == -signal.SIGKILL
    assert not (out / INDEX).exists()
    site_written(out, *again)
    assert {path.name for path in out.iterdir()} == names
    assert list(json.loads((out / VIEWS / "menu.json").read_text())) == ["tiny"]
    survived("vidpred.explorer.export: killed before an operation on files")
