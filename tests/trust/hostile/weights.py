"""model.safetensors files that lie, and what of them a model can and cannot take."""

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from tests.trust.hostile.doors import Case
from tests.trust.hostile.pictures import NO_FILES, in_place
from tests.trust.hostile.settings import broken_weights
from vidpred import runs

NAME = "posterior.mu.weight"
WEIGHTS = Path(runs.WEIGHTS)


def header(tensors: object, content: bytes = b"", length: int | None = None) -> bytes:
    """A file of a header, as it stands or with another length."""
    text = tensors if isinstance(tensors, bytes) else json.dumps(tensors).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + content


def entry(shape=(1,), first=0, end=4, dtype="F32") -> dict:
    """What a header says of a tensor."""
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [first, end]}


FILES = {
    "empty": b"",
    "seven bytes": b"\0" * 7,
    "a pickle": b"\x80\x04\x95cos\nsystem\n(S'true'\ntR.",
    "a zip": b"PK\x03\x04" + bytes(100),
    "a header of 2^63 bytes": header({}, length=2**63),
    "a header longer than the file": header({}, length=5000),
    "a header of 100 MB": header({}, length=10**8),
    "an empty header": header(b""),
    "a header that is a list": header([]),
    "a header that is no JSON": header(b"{'a': 1}"),
    "a header of NUL": header(bytes(64)),
    "100,000 nested lists": header(b'{"a":' + b"[" * 100_000),
    "an offset beyond the end": header({NAME: entry(end=2**62, shape=(2**60,))}),
    "an offset below 0": header({NAME: entry(first=-4, end=0)}),
    "overlapping tensors": header({"a": entry(), "b": entry(first=2, end=6)}, bytes(6)),
    "a hole between tensors": header({"a": entry(), "b": entry(first=8, end=12)}, bytes(12)),
    "a shape that overflows": header({NAME: entry(shape=(2**40, 2**40))}, bytes(4)),
    "a shape below 0": header({NAME: entry(shape=(-1,))}, bytes(4)),
    "a shape of text": header({NAME: entry(shape=("4",))}, bytes(4)),
    "an unknown type": header({NAME: entry(dtype="X32")}, bytes(4)),
    "bytes behind the end": header({NAME: entry()}, bytes(10)),
    "no tensor": header({}),
    "100,000 tensors": header(
        {f"tensor {i}": entry(first=4 * i, end=4 * i + 4) for i in range(100_000)}, bytes(400_000)
    ),
    "a name of 100,000 characters": header({"n" * 100_000: entry()}, bytes(4)),
    "a name of two lines and markup": header({"a\n<b>": entry()}, bytes(4)),
}
TENSORS: dict[str, Callable[[dict[str, Tensor]], dict[str, Tensor]]] = {
    "one missing": lambda w: {k: v for k, v in w.items() if k != NAME},
    "one too many": lambda w: {**w, "extra": torch.zeros(1)},
    "one of another shape": lambda w: {**w, NAME: torch.zeros(2, 2)},
    "one transposed": lambda w: {**w, NAME: w[NAME].t().contiguous()},
    "one of no size": lambda w: {**w, NAME: torch.zeros(0)},
    "NaN": lambda w: {**w, NAME: w[NAME] * float("nan")},
    "infinity": lambda w: {**w, NAME: w[NAME] + float("inf")},
    "64 bits that are infinite in 32": lambda w: {**w, NAME: w[NAME].double() + 1e300},
    "a variance below 0": lambda w: {k: -v - 1 if k.endswith("running_var") else v for k, v in w.items()},
    "another model's": lambda w: {f"model.{k}": v for k, v in w.items()},
}


def cases() -> Iterator[Case]:
    """A run's weights in every state."""
    family = "weights"
    for what, content in FILES.items():
        yield Case(family, what, broken_weights(lambda run, c=content: (run / WEIGHTS).write_bytes(c)), runs.WEIGHTS)

    def cut(run: Path) -> None:
        (run / WEIGHTS).write_bytes((run / WEIGHTS).read_bytes()[:-1])

    yield Case(family, "a byte short", broken_weights(cut), runs.WEIGHTS)
    for what, change in TENSORS.items():

        def changed(run: Path, change=change) -> None:
            tensors = change(safetensors.torch.load_file(run / WEIGHTS))
            safetensors.torch.save_file(tensors, run / WEIGHTS)

        yield Case(family, what, broken_weights(changed), runs.WEIGHTS)
    for what, put in NO_FILES.items():
        yield Case(family, what, broken_weights(in_place(WEIGHTS, put), uploaded=False), "run")
    yield Case(family, "missing", broken_weights(lambda run: (run / WEIGHTS).unlink(), uploaded=False), "run")
