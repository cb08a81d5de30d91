"""A pickle machine that calls nothing: it follows the operations, and what they would make stays a stub.

Python's own unpickler looks up any name and calls it. This one knows a short table of names
(`landscape.zoo.reading.names`), whose functions are landscape's own; for every other name it puts a `Stub`,
so that the tensors beside it can be read. Whatever it keeps is counted first: depth, operations, memory.
"""

from __future__ import annotations

import pickletools
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np

from landscape.zoo.reading.arrays import Dtype, fill
from landscape.zoo.reading.stubs import Budget, DamagedError, Name, RefusedError, Stub, UnsupportedError

__all__ = ["Machine"]

_MOST_OPERATIONS = 5_000_000
_DEEPEST = 200  # of tuples, which are hashed by recursion in C
_LARGEST_KEY = 1 << 60  # whole numbers beyond can be chosen to have one hash, and then a table takes for ever
_COST = {
    "MARK": 80,
    "EMPTY_LIST": 88,
    "EMPTY_DICT": 96,
    "EMPTY_SET": 250,
    "FROZENSET": 250,
    "LIST": 120,
    "DICT": 250,
    "REDUCE": 1000,
    "NEWOBJ": 500,
    "NEWOBJ_EX": 500,
    "OBJ": 500,
    "INST": 500,
    "SETITEM": 100,
    "SETITEMS": 100,
    "GLOBAL": 200,
    "STACK_GLOBAL": 200,
    "TUPLE": 80,
    "TUPLE1": 80,
    "TUPLE2": 80,
    "TUPLE3": 90,
    "MEMOIZE": 100,
    "BINPUT": 100,
    "LONG_BINPUT": 100,
    "PUT": 100,
}
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_VALUES = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_NO_EFFECT = {"PROTO", "FRAME", "READONLY_BUFFER"}


class Machine:
    """Runs one pickle.

    Args:
        look_up: The value that a name stands for, by module and name.
        persistent: The value that a persistent identifier stands for.
        budget: Memory that may be taken.
    """

    def __init__(
        self, look_up: Callable[[str, str], Any], persistent: Callable[[Any], Any], budget: Budget
    ) -> None:
        self._look_up = look_up
        self._persistent = persistent
        self._budget = budget
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._depth: dict[int, int] = {}  # of tuples that hold tuples

    def run(self, file: BinaryIO) -> Any:
        """What the pickle at the file's position makes; the file stands behind it afterwards.

        Raises:
            DamagedError: If it is none.
            RefusedError: If it is too deep, or takes too much memory.
            UnsupportedError: If it does to a tensor what is not known here.
        """
        count = 0
        try:
            for operation, argument, _ in pickletools.genops(file):
                count += 1
                if count > _MOST_OPERATIONS:
                    raise RefusedError(f"its pickle has more than {_MOST_OPERATIONS:,} operations")
                name = operation.name
                self._budget.take(_COST.get(name, 16))
                if name in _VALUES:
                    self._budget.take(sys.getsizeof(argument))
                    self._stack.append(argument)
                elif name in _CONSTANTS:
                    self._stack.append(_CONSTANTS[name])
                elif name == "STOP":
                    return self._stack.pop()
                elif name not in _NO_EFFECT:
                    self._step(name, argument)
        except (DamagedError, RefusedError, UnsupportedError):
            raise
        except (MemoryError, RecursionError) as error:
            raise RefusedError(f"reading its pickle raised {type(error).__name__}") from error
        except Exception as error:
            raise DamagedError(str(error)) from error
        raise DamagedError("its pickle has no end")

    def _step(self, name: str, argument: Any) -> None:
        step = getattr(self, f"_do_{name.lower()}", None)
        if step is None:
            raise DamagedError(f"its pickle has the operation {name}, which checkpoints do not use")
        step(argument)

    # Memo and stack.

    def _do_mark(self, _: Any) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def _marked(self) -> list[Any]:
        items, self._stack = self._stack, self._marks.pop()
        return items

    def _do_pop(self, _: Any) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._marked()

    def _do_pop_mark(self, _: Any) -> None:
        self._marked()

    def _do_dup(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    def _do_memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _do_put(self, place: int) -> None:
        self._memo[place] = self._stack[-1]

    _do_binput = _do_long_binput = _do_put

    def _do_get(self, place: int) -> None:
        self._stack.append(self._memo[place])

    _do_binget = _do_long_binget = _do_get

    # Containers.

    def _do_empty_list(self, _: Any) -> None:
        self._stack.append([])

    def _do_empty_dict(self, _: Any) -> None:
        self._stack.append({})

    def _do_empty_set(self, _: Any) -> None:
        self._stack.append(set())

    def _do_list(self, _: Any) -> None:
        items = self._marked()
        self._stack.append(items)

    def _do_dict(self, _: Any) -> None:
        items = self._marked()
        made: dict[Any, Any] = {}
        self._stack.append(made)
        self._set(made, items)

    def _do_frozenset(self, _: Any) -> None:
        items = self._marked()
        self._push_frozen(frozenset(map(self._key, items)))

    def _do_tuple(self, _: Any) -> None:
        items = self._marked()
        self._push_frozen(tuple(items))

    def _do_tuple1(self, _: Any) -> None:
        self._last(1)

    def _do_tuple2(self, _: Any) -> None:
        self._last(2)

    def _do_tuple3(self, _: Any) -> None:
        self._last(3)

    def _last(self, count: int) -> None:
        if len(self._stack) < count:
            raise DamagedError("its pickle takes more than was put")
        items = tuple(self._stack[-count:])
        del self._stack[-count:]
        self._push_frozen(items)

    def _push_frozen(self, made: tuple[Any, ...] | frozenset[Any]) -> None:
        depth = 1 + max(
            (self._depth.get(id(part), 1) for part in made if type(part) in (tuple, frozenset)), default=0
        )
        if depth > _DEEPEST:
            raise RefusedError(f"its pickle nests tuples more than {_DEEPEST} deep")
        if depth > 1:
            self._depth[id(made)] = depth
        else:
            self._depth.pop(id(made), None)  # the place in memory may have been another's
        self._stack.append(made)

    def _do_append(self, _: Any) -> None:
        value = self._stack.pop()
        self._add([value])

    def _do_appends(self, _: Any) -> None:
        self._add(self._marked())

    def _add(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is list:
            target.extend(items)
        elif isinstance(target, Stub):
            target.elements.extend(items)
        else:
            raise DamagedError(f"its pickle appends to a {type(target).__name__}")

    def _do_additems(self, _: Any) -> None:
        items = self._marked()
        target = self._stack[-1]
        if type(target) is set:
            target.update(map(self._key, items))
        elif isinstance(target, Stub):
            target.elements.extend(items)
        else:
            raise DamagedError(f"its pickle adds to a {type(target).__name__}")

    def _do_setitem(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set(self._stack[-1], [key, value])

    def _do_setitems(self, _: Any) -> None:
        items = self._marked()
        self._budget.take(50 * len(items))
        self._set(self._stack[-1], items)

    def _set(self, target: Any, items: list[Any]) -> None:
        if isinstance(target, Stub):
            target = target.entries
        if type(target) not in (dict, OrderedDict):
            raise DamagedError(f"its pickle sets entries of a {type(target).__name__}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[self._key(key)] = value

    @staticmethod
    def _key(key: Any) -> Any:
        if isinstance(key, int) and abs(key) > _LARGEST_KEY:
            raise RefusedError("its pickle has numbers as keys that are larger than any index")
        return key

    # Names and objects.

    def _do_global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._push_name(module, name)

    def _do_stack_global(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if type(name) is not str or type(module) is not str:
            raise DamagedError("its pickle looks up a name that is no text")
        self._push_name(module, name)

    def _push_name(self, module: str, name: str) -> None:
        self._stack.append(self._look_up(module, name))

    def _do_reduce(self, _: Any) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        self._stack.append(self._call(function, arguments))

    def _do_newobj(self, _: Any) -> None:
        self._do_reduce(None)

    def _do_newobj_ex(self, _: Any) -> None:
        keywords, arguments, made_by = self._stack.pop(), self._stack.pop(), self._stack.pop()
        if not isinstance(keywords, dict) or type(arguments) is not tuple:
            raise DamagedError("its pickle calls something without arguments")
        made = Stub(made_by.name if isinstance(made_by, Name | Stub) else "?", arguments)
        made.fields.update(keywords)
        self._stack.append(made)

    def _do_obj(self, _: Any) -> None:
        function, *arguments = self._marked()
        self._stack.append(self._call(function, tuple(arguments)))

    def _do_inst(self, argument: str) -> None:
        arguments = self._marked()
        self._do_global(argument)
        self._stack.append(self._call(self._stack.pop(), tuple(arguments)))

    def _call(self, function: Any, arguments: Any) -> Any:
        if type(arguments) is not tuple:
            raise DamagedError("its pickle calls something without arguments")
        if isinstance(function, Name) and function.make is not None:
            return function.make(*arguments)
        return Stub(function.name if isinstance(function, Name | Stub) else "?", arguments)

    def _do_build(self, _: Any) -> None:
        state = self._stack.pop()
        target = self._stack[-1]
        if isinstance(target, Stub | Dtype):
            target.build(state)
        elif isinstance(target, OrderedDict):
            held = state.get("_metadata") if isinstance(state, dict) else None
            if isinstance(held, Mapping):
                target._metadata = held  # type: ignore[attr-defined]  # where torch keeps versions of layers
        elif isinstance(target, np.ndarray):
            fill(target, state, self._budget)
        else:
            raise UnsupportedError(f"its pickle gives a state to a {type(target).__name__}")

    def _do_persid(self, argument: str) -> None:
        self._stack.append(self._persistent(argument))

    def _do_binpersid(self, _: Any) -> None:
        self._stack.append(self._persistent(self._stack.pop()))
