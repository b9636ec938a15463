"""A stream of pickle as inert values. pickletools splits it into opcodes; its documentation says what each one does."""

import pickletools
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

from vidpred.errors import BadInput
from vidpred.foreign.inert import Damaged, Global, Shell, Storage, called, made, named, put, storage_of

MOST_OPCODES = 2_000_000  # a checkpoint of the published network has 10,000, of an optimizer's state as many again
MOST_BYTES = 2**26  # of names and values in a stream; the tensors' numbers lie outside
LONGEST = 2**24  # of them, one value: the source of a class is one
LONGEST_LINE = 1000  # of a name that ends with its line
DAMAGED = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError, struct.error)


class _Stream:
    """A file that gives no more than a pickle may need."""

    def __init__(self, file: BinaryIO):
        self._file, self._left = file, MOST_BYTES

    def read(self, size: int) -> bytes:
        if not 0 <= size <= LONGEST:
            raise Damaged("a value of more bytes than any can have")
        return self._counted(self._file.read(size))

    def readline(self) -> bytes:
        return self._counted(self._file.readline(LONGEST_LINE))

    def _counted(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise Damaged("more names and values than any checkpoint has")
        return data


def read_pickle(file: BinaryIO) -> tuple[Any, list[Storage]]:
    """The value of the pickle that begins here, and every storage it names; the file stands after it.

    BadInput names what it would call; Damaged says what is wrong with it.
    """
    machine = _Machine()
    try:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(_Stream(file))):
            if number > MOST_OPCODES:
                raise Damaged("more opcodes than any checkpoint has")
            if opcode.name == "STOP":
                return machine.stack.pop(), machine.storages
            machine.take(opcode.name, argument)
    except (BadInput, Damaged):
        raise
    except DAMAGED as error:
        raise Damaged(f"its pickle is cut off or damaged ({type(error).__name__})") from None
    raise Damaged("its pickle has no end")


class _Machine:
    """The stack machine of pickle, without what it could do to anyone."""

    def __init__(self):
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # stacks under the marks
        self.memo: dict[int, Any] = {}
        self.storages: list[Storage] = []

    def take(self, name: str, argument: Any) -> None:
        """One opcode."""
        push, pop, memo = self.stack.append, self.stack.pop, self.memo
        match name:
            case "PROTO" | "FRAME":
                pass
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                push({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
            case (
                "INT" | "BININT" | "BININT1" | "BININT2" | "LONG" | "LONG1" | "FLOAT" | "BINFLOAT" | "STRING"
                | "BINSTRING" | "SHORT_BINSTRING" | "UNICODE" | "BINUNICODE" | "SHORT_BINUNICODE" | "BINUNICODE8"
                | "BINBYTES" | "SHORT_BINBYTES" | "BINBYTES8" | "BYTEARRAY8"
            ):  # fmt: skip
                push(argument)
            case "EMPTY_LIST" | "EMPTY_SET":
                push([])
            case "EMPTY_DICT":
                push({})
            case "EMPTY_TUPLE":
                push(())
            case "MARK":
                self.below.append(self.stack)
                self.stack = []
            case "LIST" | "FROZENSET":
                self._since_mark(lambda items: items)
            case "TUPLE":
                self._since_mark(tuple)
            case "DICT":
                self._since_mark(lambda items: put({}, zip(items[::2], items[1::2])))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(name[-1])
                items = tuple(self.stack[-count:])
                del self.stack[-count:]
                push(items) if len(items) == count else self._underflow()
            case "POP":
                pop()
            case "POP_MARK":
                self.stack = self.below.pop()
            case "DUP":
                push(self.stack[-1])
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[argument] = self.stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = self.stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                push(memo[argument])
            case "APPEND" | "APPENDS" | "ADDITEMS":
                items = [pop()] if name == "APPEND" else self._items()
                if isinstance(self.stack[-1], list):
                    self.stack[-1].extend(items)
            case "SETITEM" | "SETITEMS":
                items = [pop(), pop()][::-1] if name == "SETITEM" else self._items()
                target = self.stack[-1]
                put(target.state if isinstance(target, Shell) else target, zip(items[::2], items[1::2]))
            case "GLOBAL":
                push(named(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                attribute, module = pop(), pop()
                push(named(module, attribute))
            case "REDUCE":
                arguments = pop()
                push(called(pop(), arguments))
            case "INST":
                self._since_mark(lambda items: called(named(*argument.split(" ", 1)), tuple(items)))
            case "OBJ":
                self._since_mark(lambda items: called(items[0], tuple(items[1:])))
            case "NEWOBJ" | "NEWOBJ_EX":
                if name == "NEWOBJ_EX":
                    pop()
                arguments = pop()
                push(made(pop(), arguments))
            case "BUILD":
                state = pop()
                self._build(self.stack[-1], state[0] if isinstance(state, tuple) and state else state)
            case "BINPERSID":
                push(self._persistent(pop()))
            case _:
                raise Damaged(f"its pickle has the opcode {name}, which torch never writes")

    def _items(self) -> list[Any]:
        items, self.stack = self.stack, self.below.pop()
        return items

    def _since_mark(self, make: Callable[[list[Any]], Any]) -> None:
        items = self._items()
        self.stack.append(make(items))

    def _build(self, target: Any, state: Any) -> None:
        """Attributes of a shell: the dictionary itself, never a copy, which a stream could ask for without end."""
        if isinstance(target, Shell) and isinstance(state, dict):
            if target.state:
                raise Damaged("an object whose attributes are set twice")
            target.state = state

    def _underflow(self) -> None:
        raise IndexError

    def _persistent(self, given: Any) -> Any:
        """What a persistent id stands for: the class of a module with its source, or a storage."""
        if isinstance(given, tuple) and len(given) == 4 and given[0] == "module" and isinstance(given[1], Global):
            return given[1]
        storage = storage_of(given)
        self.storages.append(storage)
        return storage
