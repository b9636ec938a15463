"""Checkpoints that attack whoever opens them: refused in one line, with nothing in them run, imported or allocated."""

import collections
import contextlib
import functools
import io
import operator
import os
import pickle
import random
import runpy
import shutil
import struct
import subprocess
import sys
import tracemalloc
import zipfile

import pytest
import torch

from tests.commands import fails
from tests.foreign.published import saved_by_a_script, svg_modules, svg_options
from vidpred.errors import BadInput
from vidpred.foreign import pickles, torch_files
from vidpred.foreign.checkpoints import import_checkpoint
from vidpred.foreign.torch_files import open_torch_file

pytestmark = pytest.mark.trust

MOST_MEMORY = 2**25  # bytes that reading a lie may take
LONGEST_LINE = 310


class Called:
    """Pickled as the call of a function."""

    def __init__(self, function, *arguments, state=None):
        self.call = function, arguments, *([] if state is None else [state])

    def __reduce__(self):
        return self.call


@pytest.fixture
def mark(tmp_path):
    """A file that every attack makes when it is run."""
    return tmp_path / "attacked"


@pytest.fixture(scope="module")
def nets():
    return svg_modules()


@pytest.fixture(params=[True, False], ids=["zip", "stream"])
def new_format(request):
    return request.param


@pytest.fixture
def trap(tmp_path, mark, monkeypatch):
    """A module that leaves the mark when it is imported."""
    (tmp_path / "set_a_trap.py").write_text(f"open({str(mark)!r}, 'w')\ndef spring(*_): open({str(mark)!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "set_a_trap"
    sys.modules.pop("set_a_trap", None)


def refused(file, said=""):
    """The one line that a person sees."""
    with pytest.raises(BadInput) as error:
        import_checkpoint(file, file.parent / "run")
    line = str(error.value)
    assert said in line, line
    assert line.isprintable() and "<" not in line and len(line.removeprefix(str(file))) < LONGEST_LINE
    assert not (file.parent / "run").exists()
    return line


def pickled(value, protocol=2):
    return pickle.dumps(value, protocol)


# --- what would be run -----------------------------------------------------------------------------------------------

ATTACKS = {
    "os.system": lambda mark: Called(os.system, f"touch {mark}"),
    "builtins.eval": lambda mark: Called(eval, f"open({str(mark)!r}, 'w')"),
    "builtins.exec": lambda mark: Called(exec, f"open({str(mark)!r}, 'w')"),
    "io.open": lambda mark: Called(open, str(mark), "w"),
    "subprocess.Popen": lambda mark: Called(subprocess.Popen, ["touch", str(mark)]),
    "subprocess.check_output": lambda mark: Called(subprocess.check_output, ["touch", str(mark)]),
    "runpy._run_code": lambda mark: Called(runpy._run_code, f"open({str(mark)!r}, 'w')", {}),
    "shutil.copyfile": lambda mark: Called(shutil.copyfile, __file__, str(mark)),
    "functools.partial": lambda mark: Called(functools.partial, os.system),
    "operator.attrgetter": lambda mark: operator.attrgetter("system"),
    "builtins.getattr": lambda mark: Called(getattr, Called(__import__, "os"), "system"),
    "collections.deque": lambda mark: Called(collections.deque, Called(map, os.system, [f"touch {mark}"])),
    "torch.hub.load": lambda mark: Called(torch.hub.load, "a", "b"),
    "torch.serialization.load": lambda mark: Called(torch.load, str(mark)),
}
PLACES = {
    "alone": lambda nets, attack: attack,
    "beside": lambda nets, attack: {**nets, "prior_of": attack},
    "instead": lambda nets, attack: {**nets, "encoder": attack},
    "in opt": lambda nets, attack: {**nets, "opt": svg_options(hidden=[{"deep": ({"er": attack},)}])},
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ATTACKS)
def test_a_call_is_refused_by_its_name(name, place, nets, new_format, mark, tmp_path, survived):
    values = PLACES[place]({"encoder": 1} if place != "instead" else nets, ATTACKS[name](mark))
    line = refused(saved_by_a_script(values, tmp_path / "model.pth", new_format), name)
    assert "refused" in line and "nothing of it was run" in line
    assert not mark.exists()
    survived("a pickle that runs code", 1)


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "subprocess.check_output"])
def test_the_attacks_are_real(name, mark):
    """Opened as pickles are, they do what they are for: the tests above can fail."""
    pickle.loads(pickled(ATTACKS[name](mark)))
    assert mark.exists()


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (b"cos\nsystem\n(S'touch MARK'\ntR.", "os.system"),
        (b"(S'touch MARK'\nios\nsystem\n.", "os.system"),
        (b"(cos\nsystem\nS'touch MARK'\no.", "os.system"),
        (b'c__builtin__\neval\n(S\'open("MARK", "w")\'\ntR.', "builtins.eval"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\nMARK\x85R.", "os.system"),
        (b"\x80\x02cset_a_trap\nspring\n)R.", "set_a_trap.spring"),
        (b"\x80\x02cset_a_trap\nspring\n)\x81}b.", ""),  # an instance: a shell, and so no checkpoint
        (b"\x80\x04\x8c\x0bcollections\x8c\x0dnamedtuple.os\x93)R.", "collections.namedtuple.os"),
        (b"\x80\x02ccopy_reg\n_reconstructor\ncos\nsystem\n\x85R.", "os.system"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(NKtR0ccommands\ngetoutput\n(tR.", ""),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"P0\n.", "PERSID"),
    ],
)
def test_streams_of_every_age_are_refused(stream, said, trap, mark, tmp_path, survived):
    """By hand: protocols 0, 2 and 4, classes made by opcodes of their own, as a file alone, as the old format's first,
    fourth and last pickle, and as an archive's."""
    stream, good = stream.replace(b"MARK", str(mark).encode()), old_format(pickled({}), [])
    second = good.index(pickled({}))
    files = {
        "alone": stream,
        "head": stream + good,
        "value": good[:second] + stream + pickled([]),
        "keys": good[: second + len(pickled({}))] + stream,
    }
    for name, content in files.items():
        (tmp_path / f"{name}.pth").write_bytes(content)
        refused(tmp_path / f"{name}.pth", said if name in ("value", "keys") or said.count(".") else "")
    refused(archive(tmp_path / "zip.pth", stream), said)
    assert not mark.exists() and "set_a_trap" not in sys.modules
    survived("a pickle that runs code", 5)


def test_no_class_is_imported(trap, mark, tmp_path, survived):
    """Of a module that is there: its instance is a shell with its attributes."""
    shell = b"cset_a_trap\nspring\n)\x81}X\x01\x00\x00\x00aK\x01sb"
    file = archive(tmp_path / "model.pth", b"\x80\x02}X\x03\x00\x00\x00opt" + shell + b"s.")
    found = open_torch_file(file).value["opt"]
    assert (found.path, found.state) == ("set_a_trap.spring", {"a": 1})
    assert not mark.exists() and "set_a_trap" not in sys.modules
    survived("a class that runs code when imported", 1)


def test_a_program_of_torch_is_refused(tmp_path, survived):
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), tmp_path / "model.pth")
    refused(tmp_path / "model.pth", "TorchScript archive, which is a program")
    survived("a pickle that runs code", 1)


# --- lies ------------------------------------------------------------------------------------------------------------


class Lie:
    """Stands for a persistent id, which pickle writes as it is."""

    def __init__(self, *identity):
        self.identity = identity if len(identity) > 1 else identity[0]


class LyingPickler(pickle.Pickler):
    def persistent_id(self, value):
        return value.identity if isinstance(value, Lie) else None


def lied(value):
    file = io.BytesIO()
    LyingPickler(file, 2).dump(value)
    return file.getvalue()


def old_format(value, keys, data=b""):
    """A file of the stream format from its fourth pickle on."""
    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True, "protocol_version": 1001}]
    return b"".join(map(pickled, head)) + value + pickled(keys) + data


def archive(path, value, parts=(), compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in (("m/data.pkl", value), ("m/byteorder", b"little"), *parts):
            file.writestr(name, data)
    return path


def tensor(storage, offset=0, shape=(2, 2), stride=(2, 1)):
    return Called(torch._utils._rebuild_tensor_v2, storage, offset, shape, stride, False, collections.OrderedDict())


FLOATS = torch.FloatStorage
GOOD = ("storage", FLOATS, "0", "cpu", 4)
LIES = [
    tensor(Lie(*GOOD), shape=(10**9, 10**9), stride=(0, 0)),
    tensor(Lie(*GOOD), shape=(2**62,) * 8, stride=(0,) * 8),
    tensor(Lie(*GOOD), shape=(2, 2), stride=(-1, 1)),
    tensor(Lie(*GOOD), shape=(-2, -2)),
    tensor(Lie(*GOOD), shape=(2.0, 2)),
    tensor(Lie(*GOOD), shape=(1,) * 200, stride=(1,) * 200),
    tensor(Lie(*GOOD), shape=(2,), stride=()),
    tensor(Lie(*GOOD), offset=1),
    tensor(Lie(*GOOD), offset=-4),
    tensor(Lie(*GOOD), offset=2**80),
    tensor("no storage"),
    tensor(Lie("storage", FLOATS, "0", "cpu", 2**61), shape=(2**61,), stride=(1,)),
    tensor(Lie("storage", FLOATS, "0", "cpu", 5)),
    tensor(Lie("storage", FLOATS, "0", "cpu", -4)),
    tensor(Lie("storage", FLOATS, "0", "cpu", 4.0)),
    tensor(Lie("storage", FLOATS, "0", "cpu", "4")),
    tensor(Lie("storage", torch.DoubleStorage, "0", "cpu", 4)),
    tensor(Lie("storage", FLOATS, "../../../../etc/passwd", "cpu", 4)),
    tensor(Lie("storage", FLOATS, "/etc/passwd", "cpu", 4)),
    tensor(Lie("storage", FLOATS, 0, "cpu", 4)),
    tensor(Lie("storage", FLOATS, ["0"], "cpu", 4)),
    tensor(Lie("storage", torch.nn.Linear, "0", "cpu", 4)),
    tensor(Lie("storage", "FloatStorage", "0", "cpu", 4)),
    tensor(Lie("storage", FLOATS, "0", "cpu", 4, ("0", 3, 2))),
    tensor(Lie("storage", FLOATS, "0", "cpu", 4, "no part")),
    tensor(Lie("storage", FLOATS)),
    tensor(Lie("module", FLOATS, None, None)),
    tensor(Lie("module", "os.system", "/etc/passwd", "import os")),
    Lie("0"),
    Lie(7),
    Lie(None, None),
    [tensor(Lie(*GOOD)), tensor(Lie("storage", torch.IntStorage, "0", "cpu", 4))],
]  # fmt: skip


@pytest.mark.parametrize("value", LIES, ids=range(len(LIES)))
def test_lies_about_storages_are_refused(value, tmp_path, survived):
    """In both formats, before anything of the size is allocated: all have the four numbers that they speak of."""
    data, value = struct.pack("<4f", 1, 2, 3, 4), lied({"encoder": value})
    files = [tmp_path / "stream.pth", archive(tmp_path / "zip.pth", value, [("m/data/0", data)])]
    files[0].write_bytes(old_format(value, ["0"], struct.pack("<q", 4) + data))
    tracemalloc.start()
    try:
        for file in files:
            refused(file)
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
    finally:
        tracemalloc.stop()
    survived("a checkpoint that lies about its tensors", 2)


def test_the_truth_is_read(tmp_path):
    """What the lies are lies about, a part of a storage and a parameter as the first versions of torch wrote them: the
    tests above can fail."""
    parameter = Called(torch.nn.Parameter, tensor(Lie(*GOOD)), True)
    data, value = struct.pack("<4f", 1, 2, 3, 4), lied({"a": parameter, "b": tensor(
        Lie("storage", FLOATS, "0", "cpu", 4, ("1", 2, 2)), shape=(2,), stride=(1,))})  # fmt: skip
    stream = tmp_path / "stream.pth"
    stream.write_bytes(old_format(value, ["0"], struct.pack("<q", 4) + data))
    for file in (stream, archive(tmp_path / "zip.pth", value, [("m/data/0", data)])):
        found = open_torch_file(file)
        assert found.read(found.value["a"]).tolist() == [[1, 2], [3, 4]]
        assert found.read(found.value["b"]).tolist() == [3, 4]


CALL = b"ctorch._tensor\n_rebuild_from_type_v2\n"
SET = b"c__builtin__\nset\nh\x00\x85R"
HUGE = {
    "bytes of 2^62": b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"a.",
    "text of 2^62": b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"a.",
    "text of 4 GB": b"\x80\x02X" + struct.pack("<I", 2**32 - 1) + b"a.",
    "negative length": b"\x80\x02T" + struct.pack("<i", -5) + b"a.",
    "number of 2 GB": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"1.",
    "number of 5000 digits": b"I" + b"9" * 5000 + b"\n.",
    "memo at 4 billion": b"\x80\x02Nr" + struct.pack("<I", 2**32 - 1) + b".",
    "frame of 2^63": b"\x80\x04\x95" + struct.pack("<Q", 2**63) + b"N.",
    "nothing on the stack": b"\x80\x02.",
    "no mark": b"\x80\x02t.",
    "from an empty memo": b"\x80\x02h\x07.",
    "nested 20,000 deep": b"\x80\x02)" + b"\x85" * 20_000 + b".",
    "lists in lists": b"\x80\x02" + b"]" * 20_000 + b"a" * 19_999 + b".",
    "itself in itself": b"\x80\x02]q\x00h\x00a.",
    "a key of 2^40 parts": b"\x80\x02})" + b"q\x00h\x00\x86" * 40 + b"Ns.",
    "calls of calls": b"\x80\x02" + CALL * 2000 + b"N" * 2000 + b"\x87" * 1999 + b"R.",
    "one list a thousand times": b"\x80\x02](" + b"N" * 40_000 + b"eq\x00" + SET * 1000 + b".",
    "attributes again and again": b"\x80\x02cm\nC\n)\x81}(" + b"".join(b"K%cN" % i for i in range(200)) + b"uq\x00b"
                                  + b"h\x00b" * 9000 + b".",
    "long names of classes": b"\x80\x04X\x00\x00\x10\x00" + b"a" * 2**20 + b"\x94" + b"h\x00h\x00\x93" * 9000 + b".",
    "a name of markup": b"\x80\x02}X\x0e\x00\x00\x00<b>\n\x1b[31m\xe2\x80\xae</b>K\x01s.",
    "a name of half a letter": b"\x80\x02}X\x03\x00\x00\x00\xed\xa0\x80K\x01s.",
    "a name of a megabyte": b"\x80\x02}X\x00\x00\x10\x00" + b"a" * 2**20 + b"K\x01s.",
    "a class of a megabyte": b"\x80\x02c" + b"a" * 2**20 + b"\nb\n.",
    "60,000 opcodes": b"\x80\x02" + b"N" * 60_000,
}  # fmt: skip


@pytest.mark.parametrize("name", HUGE)
def test_huge_and_broken_streams_are_refused(name, tmp_path, monkeypatch, survived):
    monkeypatch.setattr(pickles, "MOST_OPCODES", 50_000)  # the bound itself, in less time
    stream = tmp_path / "stream.pth"
    stream.write_bytes(old_format(HUGE[name], []))
    for file in (stream, archive(tmp_path / "zip.pth", HUGE[name])):
        tracemalloc.start()
        try:
            refused(file)
            assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
        finally:
            tracemalloc.stop()
    survived("a checkpoint that is huge, endless or broken", 2)


def module(**state):
    """A whole module in a pickle."""
    made = torch.nn.Module()
    made._modules.update(state)
    return made


def without_end():
    made = module()
    made._modules["again"] = made
    return made


def doubled():
    """2^40 layers of 40 modules."""
    made = torch.nn.Linear(1, 1)
    for _ in range(25):
        made = module(a=made, b=made)
    return made


@pytest.mark.parametrize(("make", "said"), [(without_end, "without end"), (doubled, "more layers than any published")])
def test_modules_without_end_are_refused(make, said, nets, tmp_path, survived):
    refused(saved_by_a_script({**nets, "encoder": make()}, tmp_path / "model.pth", True), said)
    survived("a checkpoint that is huge, endless or broken", 1)


def test_a_network_beyond_all_measure_is_refused_before_it_is_made(nets, tmp_path, survived):
    """In a file of a few hundred megabytes' shapes whose numbers are all the same: the sizes are looked at first."""
    state = {name: net.state_dict() for name, net in nets.items()}
    state["encoder"]["c1.0.main.0.weight"] = torch.zeros(4097, 3, 3, 3)
    refused(saved_by_a_script(state, tmp_path / "model.pth", True), "model.width is 4,097, at most 4,096 is taken")
    state["encoder"]["c1.0.main.0.weight"] = torch.zeros(640, 3, 3, 3)
    refused(saved_by_a_script(state, tmp_path / "model.pth", True), "parameters, at most 40,000,000 are taken")
    survived("a checkpoint that is huge, endless or broken", 2)


def test_archives_that_are_bombs_or_no_checkpoints_are_refused(tmp_path, monkeypatch, survived):
    good = lied({"encoder": tensor(Lie(*GOOD))})
    numbers = [("m/data/0", bytes(16))]
    bomb = archive(tmp_path / "bomb.pth", b"\x80\x02" + bytes(10**7), compression=zipfile.ZIP_DEFLATED)
    refused(bomb, "compressed or encrypted archive")
    packed = archive(tmp_path / "packed.pth", good, compression=zipfile.ZIP_DEFLATED, parts=numbers)
    refused(packed, "compressed or encrypted archive")
    refused(archive(tmp_path / "other.pth", b"") and shutil.copy(packed, tmp_path / "copy.pth"))
    with zipfile.ZipFile(tmp_path / "none.pth", "w") as file:
        file.writestr("array.npy", b"")
    refused(tmp_path / "none.pth", "none that torch.save wrote")
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = archive(tmp_path / "twice.pth", good, parts=[("n/data.pkl", b"."), ("m/byteorder", b"big")])
    refused(twice)
    refused(archive(tmp_path / "lost.pth", good), "are missing")
    big = archive(tmp_path / "big.pth", good, numbers).read_bytes().replace(b"little", b"biggle")
    (tmp_path / "big.pth").write_bytes(big)
    refused(tmp_path / "big.pth", "the other byte order")
    monkeypatch.setattr(torch_files, "MOST_DIRECTORY", 2000)
    crowd = archive(tmp_path / "crowd.pth", good, [(f"m/data/{i}", b"") for i in range(100)])
    refused(crowd, "more parts than any checkpoint has")
    survived("a checkpoint that is huge, endless or broken", 8)


# --- damage ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def good(nets, tmp_path_factory):
    """A small checkpoint in both formats."""
    folder = tmp_path_factory.mktemp("good")
    values = {**nets, "opt": svg_options()}
    return {new: saved_by_a_script(values, folder / f"{new}.pth", new).read_bytes() for new in (True, False)}


def test_a_file_cut_at_every_tenth_is_refused(good, new_format, tmp_path, survived):
    whole, file = good[new_format], tmp_path / "model.pth"
    for tenth in range(10):
        file.write_bytes(whole[: len(whole) * tenth // 10])
        refused(file)
    file.write_bytes(whole[:-1])
    refused(file)
    survived("a checkpoint cut off", 11)


def test_changed_bytes_are_refused_or_read_and_never_run(good, new_format, mark, tmp_path, survived):
    """60 files with up to eight changed bytes, most of them in the pickle: a line, or values, and nothing else."""
    whole, file, refusals = good[new_format], tmp_path / "model.pth", 0
    start = whole.index(b"encoder")
    for seed in range(60):
        draw, changed = random.Random(seed), bytearray(whole)
        for _ in range(draw.randint(1, 8)):
            changed[draw.randrange(start, start + 20_000 if seed % 3 else len(whole))] = draw.randrange(256)
        file.write_bytes(changed)
        with contextlib.suppress(BadInput):
            open_torch_file(file)
            continue
        refusals += 1
    assert refusals > 10 and not mark.exists()
    survived("a checkpoint with changed bytes", 60)


def test_what_is_no_checkpoint_is_said(tmp_path, survived):
    for number, (content, said) in enumerate(
        [
            (b"", "empty"),
            (b"hello", "not a file of torch.save"),
            (b"PK\x03\x04", "cut off or damaged"),
            (pickled({"encoder": 1}), "not one that torch.save wrote"),
            (struct.pack("<Q", 50) + b'{"a": 1}', "not a file of torch.save"),
            (old_format(pickled({}), []).replace(b"\x88", b"\x89", 1), "the other byte order"),
        ]
    ):
        (tmp_path / f"{number}.pth").write_bytes(content)
        refused(tmp_path / f"{number}.pth", said)
    with pytest.raises(BadInput, match="no such file"):
        import_checkpoint(tmp_path, tmp_path / "run")
    survived("a checkpoint that is huge, endless or broken", 6)


def test_the_command_refuses_in_one_line(mark, tmp_path, survived):
    file = saved_by_a_script({"encoder": ATTACKS["os.system"](mark)}, tmp_path / "model.pth", True)
    line = fails("train.prepare", "import-checkpoint", file, tmp_path / "run")
    assert "os.system (posix.system)" in line and not mark.exists() and not (tmp_path / "run").exists()
    survived("a pickle that runs code", 1)
