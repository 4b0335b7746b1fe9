"""Pickles read as data: a small stack machine that builds inert values and calls nothing.

`pickletools` splits the stream into opcodes; what a pickle would import becomes a `Global`,
what it would call an `Object`. No class or function of the file, or of Python, is looked up.
"""

import dataclasses
import pickletools
import warnings
from collections.abc import Callable, Hashable
from typing import Any

from convert_weights.limits import NAME_LENGTH, Budget
from ilo_jax.files.checkpoint import CheckpointError

_CONSTANTS = {
    "NONE": None,
    "NEWTRUE": True,
    "NEWFALSE": False,
    "EMPTY_TUPLE": (),
}
_LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
    "BYTEARRAY8", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
}  # fmt: skip
_NEW = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": list}
_MARK = object()
_DAMAGED = (
    ValueError, IndexError, KeyError, TypeError, MemoryError, OverflowError, DeprecationWarning,
)  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class Global:
    """The name of a class or function that the pickle would import."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclasses.dataclass(eq=False, slots=True)
class Object:
    """What the pickle would build by calling `function(*args)`, and then fill.

    Attributes:
      state: what it would hand to `__setstate__` or `__dict__.update`.
      items, pairs: what it would append, and set by key.
    """

    function: Any
    args: Any
    state: Any = None
    items: list = dataclasses.field(default_factory=list)
    pairs: dict = dataclasses.field(default_factory=dict)

    def calls(self, *names: str) -> bool:
        """Whether it is built by one of the functions with these dotted names."""
        return isinstance(self.function, Global) and str(self.function) in names


def load(
    stream: Any,
    budget: Budget,
    persistent: Callable[[Any], Any] | None = None,
    load_from_bytes: Callable[[bytes], Any] | None = None,
) -> Any:
    """Reads one pickle from `stream`, which is left behind its end.

    Args:
      stream: an object with `read`, `readline` and `tell`, whose `read` takes no more memory
        than there is data: `io.BytesIO` or `mmap.mmap`, not a file.
      persistent: makes a value of a persistent id.
      load_from_bytes: makes one of a file of torch.save inside of the pickle.

    Returns:
      Plain Python values, `Global` and `Object`, and what `persistent` returns.

    Raises:
      CheckpointError: it is not a pickle, or one that no checkpoint would need.
    """
    machine = _Machine(budget, persistent, load_from_bytes)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # escapes that text does not have
            for opcode, argument, _ in pickletools.genops(stream):
                budget.opcode()
                machine.step(opcode.name, argument)
        return machine.pop()
    except CheckpointError:
        raise
    except _DAMAGED as error:
        raise CheckpointError("not a pickle, or a truncated or damaged one") from error


class _Machine:
    def __init__(
        self,
        budget: Budget,
        persistent: Callable[[Any], Any] | None,
        load_from_bytes: Callable[[bytes], Any] | None,
    ):
        self.stack: list = []
        self.memo: dict = {}
        self.budget = budget
        self.persistent = persistent
        self.load_from_bytes = load_from_bytes

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("mark where a value was expected")
        return value

    def pop_mark(self) -> list:
        values = []
        while (value := self.stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def step(self, name: str, argument: Any) -> None:
        push = self.stack.append
        match name:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "MARK":
                push(_MARK)
            case _ if name in _LITERALS:
                push(argument)
            case _ if name in _CONSTANTS:
                push(_CONSTANTS[name])
            case _ if name in _NEW:
                push(_NEW[name]())
            case "BINGET" | "LONG_BINGET" | "GET":
                push(self.memo[argument])
            case "BINPUT" | "LONG_BINPUT" | "PUT":
                self.memo[_hashable(argument)] = self._top()
            case "MEMOIZE":
                self.memo[len(self.memo)] = self._top()
            case "POP":
                self.stack.pop()
            case "POP_MARK":
                self.pop_mark()
            case "DUP":
                push(self._top())
            case "TUPLE" | "LIST" | "FROZENSET":
                values = self.pop_mark()
                push(tuple(values) if name == "TUPLE" else values)
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                push(tuple([self.pop() for _ in range(int(name[-1]))][::-1]))
            case "DICT":
                values = self.pop_mark()
                push(_set({}, values))
            case "APPEND":
                value = self.pop()
                self._items().append(value)
            case "APPENDS" | "ADDITEMS":
                values = self.pop_mark()
                self._items().extend(values)
            case "SETITEM":
                value, key = self.pop(), self.pop()
                _set(self._pairs(), [key, value])
            case "SETITEMS":
                values = self.pop_mark()
                _set(self._pairs(), values)
            case "GLOBAL":
                module, _, attribute = argument.partition(" ")
                push(_global(module, attribute))
            case "STACK_GLOBAL":
                attribute, module = self.pop(), self.pop()
                push(_global(module, attribute))
            case "REDUCE" | "NEWOBJ":
                args, function = self.pop(), self.pop()
                push(self._call(function, args))
            case "NEWOBJ_EX":
                kwargs, args, function = self.pop(), self.pop(), self.pop()
                push(Object(function, (args, kwargs)))
            case "INST":
                module, _, attribute = argument.partition(" ")
                push(self._call(_global(module, attribute), tuple(self.pop_mark())))
            case "OBJ":
                function, *args = self.pop_mark()
                push(self._call(function, tuple(args)))
            case "BUILD":
                state, target = self.pop(), self._top()
                if not isinstance(target, Object):
                    if isinstance(target, dict):  # an OrderedDict with attributes of its own
                        return
                    raise ValueError("state for what has none")
                target.state = state
            case "PERSID" | "BINPERSID" if self.persistent is not None:
                push(self.persistent(argument if name == "PERSID" else self.pop()))
            case _:
                raise CheckpointError(f"a pickle with opcode {name}, which no checkpoint needs")

    def _call(self, function: Any, args: Any) -> Any:
        if not isinstance(args, tuple):
            raise ValueError("arguments that are not a tuple")
        if isinstance(function, Global):
            match str(function), args:
                case "collections.OrderedDict", ():
                    return {}
                case "_codecs.encode", (str(text), "latin1"):  # bytes, in protocol 2
                    self.budget.unfold(len(text))
                    return text.encode("latin1")
                case "torch.storage._load_from_bytes", (bytes(content),) if self.load_from_bytes:
                    return self.load_from_bytes(content)
        return Object(function, args)

    def _top(self) -> Any:
        value = self.pop()
        self.stack.append(value)
        return value

    def _items(self) -> list:
        target = self._top()
        target = target.items if isinstance(target, Object) else target
        if not isinstance(target, list):
            raise ValueError("items for what is not a list")
        return target

    def _pairs(self) -> dict:
        target = self._top()
        target = target.pairs if isinstance(target, Object) else target
        if not isinstance(target, dict):
            raise ValueError("pairs for what is not a dict")
        return target


def _global(module: Any, attribute: Any) -> Global:
    for name in (module, attribute):
        if not (isinstance(name, str) and len(name) <= NAME_LENGTH):
            raise ValueError("the name of a global is no short text")
    return Global(module, attribute)


def _set(target: dict, values: list) -> dict:
    if len(values) % 2:
        raise ValueError("a key without a value")
    for key, value in zip(values[::2], values[1::2], strict=True):
        target[_hashable(key)] = value
    return target


def _hashable(key: Any) -> Hashable:
    """Refuses keys that could be made to collide, or, nested deeply, to exhaust the C stack."""
    scalars = (str, bytes, bool, type(None), Global)
    if isinstance(key, (*scalars, float)):
        return key
    if isinstance(key, int) and abs(key) < 2**60:  # beyond, hashes repeat
        return key
    if isinstance(key, tuple) and all(isinstance(k, scalars) for k in key):
        return key
    raise ValueError("a key that is no plain value")
