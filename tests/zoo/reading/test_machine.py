"""The pickle machine: what plain values are, that nothing is called, and that what it keeps is bounded."""

from __future__ import annotations

import io
import os
import pickle
from collections import OrderedDict

import pytest

from landscape.zoo.reading.machine import Machine
from landscape.zoo.reading.names import Names
from landscape.zoo.reading.stubs import Budget, DamagedError, RefusedError, Stub


def run(data, spare=10_000_000):
    unknown = {}
    budget = Budget(len(data), spare)
    made = Machine(Names(budget, lambda _: None, unknown), lambda _: None, budget).run(io.BytesIO(data))
    return made, list(unknown)


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_are_what_python_makes_of_them(protocol):
    """Oracle: the values themselves, which Python's own pickler wrote."""
    shared = [1, 2]
    value = {
        "numbers": [0, -1, 255, 70_000, 1 << 40, 1 << 70, 0.5, float("inf"), True, None, 2 + 1j],
        "texts": ["a", "ä\n", "x" * 300, b"\x00\xff", bytearray(b"ab"), ""],
        "tuples": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), ((1,), (2,))),
        "sets": [{1, 2}, frozenset({3})],
        "ordered": OrderedDict(a=shared, b=shared),
    }
    made, unknown = run(pickle.dumps(value, protocol))
    assert made == value
    assert made["ordered"]["a"] is made["ordered"]["b"]
    assert unknown == []


class Runs:
    """Makes a folder when it is unpickled by Python."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (os.mkdir, (self.path,), {"x": 1}, iter([4]), iter([("k", 5)]))


@pytest.mark.parametrize("protocol", range(6))
def test_a_function_stays_a_stub_with_its_words(protocol, tmp_path):
    """Oracle: the folder that Python's own unpickler makes, and this machine does not."""
    mark = tmp_path / "mark"
    data = pickle.dumps(["before", Runs(mark), "after"], protocol)
    (before, stub, after), unknown = run(data)
    assert (before, after) == ("before", "after")
    assert isinstance(stub, Stub)
    assert stub.name == f"{os.mkdir.__module__}.mkdir"
    assert (stub.arguments, stub.fields, stub.elements, stub.entries) == (
        (str(mark),),
        {"x": 1},
        [4],
        {"k": 5},
    )
    assert unknown == [stub.name]
    assert not mark.exists()
    with pytest.raises(Exception, match=r"append|attribute"):
        pickle.loads(data)
    assert mark.exists()


def test_the_name_is_the_one_that_the_stack_holds():
    """Oracle: what Python's own unpickler looks up, where other texts were pushed and dropped in between."""

    class Asked(pickle.Unpickler):
        def find_class(self, module, name):
            raise LookupError(f"{module}.{name}")

    def text(word):
        return b"\x8c" + bytes([len(word)]) + word.encode()

    decoy = b"\x80\x04" + text("os") + text("system") + text("collections") + b"0" + text("Counter") + b"0"
    memo = text("posix") + b"\x940" + text("argparse") + text("Namespace") + b"00h\x00" + text("system")
    for data in (decoy + text("posix") + text("getpid"), b"\x80\x04" + memo, decoy):
        with pytest.raises(LookupError) as asked:
            Asked(io.BytesIO(data + b"\x93.")).load()
        assert run(data + b"\x93.")[1] == [str(asked.value)]


def test_tuples_a_million_deep_are_refused():
    """Oracle: built so; hashing such a tuple by recursion would end the process."""
    deep = b"\x80\x04})" + b"\x85" * 1_000_000 + b"K\x01s."
    with pytest.raises(RefusedError, match="deep"):
        run(deep)
    nested = b"(" * 1000 + b"\x91" * 1000
    with pytest.raises(RefusedError, match="deep"):
        run(b"\x80\x04" + nested + b".")


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04" + b"]" * 120_000 + b".",  # empty lists: one byte each in the file, 88 in memory
        b"\x80\x04" + b"}" * 120_000 + b".",
        b"\x80\x04" + b"\x8f" * 50_000 + b".",
        b"\x80\x04" + b"N" * 1_000_000 + b".",
        b"\x80\x04c__builtin__\nbytearray\n(\x8a\x06\x00\x00\x00\x00\x01\x00tR.",  # 4 GB of zeros
        b"\x80\x04B\xff\xff\xff\x7fabc.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x00abc.",
        b"\x80\x04}\x8a\x10" + b"\xff" * 15 + b"\x00K\x01s.",
    ],
)
def test_what_would_fill_the_memory_is_refused(data):
    """Oracle: each is built to ask for more than it holds."""
    with pytest.raises((RefusedError, DamagedError)):
        run(data, 1_000_000)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x80", b"\x80\x04", b"\x80\x04.", b"\x80\x04K\x01a.", b"\x80\x04]K\x01s.", b"\x80\x04t.", b"R."],
)
def test_what_is_no_pickle_is_said_to_be_damaged(data):
    """Oracle: none is complete, or each takes what was never put."""
    with pytest.raises(DamagedError):
        run(data)


def test_a_mapping_may_hold_itself():
    """Oracle: identity, as Python has it."""
    value = {}
    value["self"] = value
    made, _ = run(pickle.dumps(value))
    assert made["self"] is made
