"""What a pickle may hold, as values without behaviour, and the few calls in it that are answered.

Plain values are built as they are, tensors as descriptions of where their numbers lie, instances of every class as
shells with its name. Nothing is imported and nothing is called: whatever a file asks for beyond that, or names of
Python's own library but plain containers, is refused by its name.
"""

import math
import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from vidpred.errors import BadInput

MOST_DIMENSIONS = 8
LONGEST_NAME = 1000  # of a class with its module

DTYPES = {
    **{"FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16},
    **{"BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32},
    **{"ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool},
}
CONTAINERS = {"collections.OrderedDict", "collections.defaultdict", "collections.Counter"}
LISTS = {f"builtins.{name}" for name in ("set", "frozenset", "list", "tuple")}
WRAPPERS = {  # of the tensor that is their first argument
    *("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"),
    *("torch.nn.parameter.Parameter", "torch.autograd.variable.Variable"),
}
TENSORS = {"torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"}
SHELLS = {  # what may be called where nothing of it is needed: the call is kept as a shell
    *("torch.Size", "torch.device", "_codecs.encode", "copyreg._reconstructor"),
    *(f"pathlib.{name}" for name in ("Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")),
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
    *("numpy.dtype", "numpy.ndarray"),
}
CALLED = CONTAINERS | LISTS | WRAPPERS | TENSORS | SHELLS | {"torch._tensor._rebuild_from_type_v2"}
NAMED = CALLED | {  # of Python's own library, what may stand in a file at all
    *("argparse.Namespace", "types.SimpleNamespace"),
    *(f"builtins.{name}" for name in ("object", "int", "float", "str", "bool", "dict")),
}


class Global(NamedTuple):
    """A class or function that a pickle names; it is never looked up."""

    path: str


@dataclass(eq=False)
class Shell:
    """An instance of some class: its name and its attributes, without any behaviour."""

    path: str
    state: dict[str, Any] = field(default_factory=dict)


class Storage(NamedTuple):
    """Numbers that lie outside the pickle: `numel` of them from `start` on, in the file's part named `key`."""

    key: str
    dtype: torch.dtype
    start: int
    numel: int


class StoredTensor(NamedTuple):
    """A tensor that has not been read."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def span(self) -> int:
        """Numbers of the storage from the first to the last that it holds."""
        if 0 in self.shape:
            return 0
        return 1 + sum((n - 1) * step for n, step in zip(self.shape, self.stride))


class Damaged(ValueError):
    """What stands in a stream cannot be what a pickle of torch's has there."""


def named(module: Any, attribute: Any) -> Global:
    if not (isinstance(module, str) and isinstance(attribute, str) and len(module) + len(attribute) <= LONGEST_NAME):
        raise Damaged("a class without a name, or with a name longer than any has")
    # protocol 2, torch's, has Python 2's names: pickle writes subprocess.Popen as commands.Popen
    module, attribute = NAME_MAPPING.get((module, attribute), (IMPORT_MAPPING.get(module, module), attribute))
    found = Global(f"{module}.{attribute}")
    if module.split(".")[0] in sys.stdlib_module_names and found.path not in NAMED:
        known = f"os.{attribute} ({found.path})" if module in ("posix", "nt") else found.path
        raise BadInput(f"refused: it names {known}, and a checkpoint has no use for that; nothing of it was run")
    return found


def called(target: Any, arguments: Any) -> Any:
    """What a call of one of the few known functions gives."""
    path = target.path if isinstance(target, Global) else None
    if path not in CALLED:
        raise BadInput(f"refused: opening it would call {path or 'what it makes itself'}; nothing of it was run")
    if not isinstance(arguments, tuple):
        raise Damaged(f"{path} without arguments")
    if path in TENSORS:
        return tensor_of(*arguments[:4])
    if path in WRAPPERS:
        return arguments[0]
    if path == "torch._tensor._rebuild_from_type_v2":  # (function, class, its arguments, attributes)
        return called(arguments[0], arguments[2])
    if path in CONTAINERS:
        pairs = arguments[-1] if arguments and isinstance(arguments[-1], list) else []
        made_of = put({}, (pair for pair in pairs if len(pair) == 2))
        pairs.clear()  # a list is copied once, however often a stream hands it on
        return made_of
    if path in LISTS:
        return arguments[0] if arguments and isinstance(arguments[0], (list, tuple)) else []
    if path == "copyreg._reconstructor":
        return made(arguments[0], ())
    return Shell(path)


def made(target: Any, arguments: Any) -> Any:
    """An instance of a class, which for the classes of tensors is the tensor."""
    if not isinstance(target, Global):
        raise Damaged("an instance of what is no class")
    if target.path in CALLED:
        return called(target, arguments)
    return Shell(target.path)


def put(target: Any, pairs: Iterable[tuple[Any, Any]]) -> Any:
    """Items of a dict whose keys are plain; others are left out: nothing looks for them."""
    if not isinstance(target, dict):
        raise Damaged("items of what is no dictionary")
    for key, value in pairs:
        if type(key) in (str, int, float, bool):
            target[key] = value
    return target


def _whole(values: Any, most: int = 2**62) -> bool:
    return all(type(value) is int and 0 <= value <= most for value in values)


def storage_of(given: Any) -> Storage:
    """Of ("storage", class, key, device, numbers, and in old files None or (key of a part, its start, its numbers))."""
    if not (isinstance(given, tuple) and len(given) in (5, 6) and given[0] == "storage"):
        raise Damaged("a reference to something outside that is no storage")
    kind, key, numel, part = given[1], given[2], given[4], given[5] if len(given) == 6 else None
    name = kind.path.split(".")[-1] if isinstance(kind, Global) and kind.path.startswith("torch.") else None
    if name not in DTYPES:
        raise Damaged(f"numbers of type {name or 'unknown'}; weights are floating-point numbers")
    start = 0
    if part is not None:
        _, start, length = part
        if not _whole((start, length, numel)) or start + length > numel:
            raise Damaged("a part of a storage that lies outside it")
        numel = length
    if not isinstance(key, str) or not _whole((numel,)):
        raise Damaged("a storage without name or size")
    return Storage(key, DTYPES[name], start, numel)


def tensor_of(storage: Any, offset: Any, shape: Any, stride: Any) -> StoredTensor:
    if not (
        isinstance(storage, Storage)
        and isinstance(shape, (tuple, list))
        and isinstance(stride, (tuple, list))
        and len(shape) == len(stride) <= MOST_DIMENSIONS
        and _whole((offset, *shape, *stride))
    ):
        raise Damaged("a tensor without storage or shape")
    tensor = StoredTensor(storage, offset, tuple(shape), tuple(stride))
    # more numbers than the storage has would be the same ones again and again: a small file, a full memory
    if offset + tensor.span > storage.numel or math.prod(shape) > storage.numel:
        raise Damaged(f"a tensor {tensor.shape} in a storage of {storage.numel:,} numbers")
    return tensor
