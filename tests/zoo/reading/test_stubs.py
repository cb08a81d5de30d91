"""Stubs keep words and run nothing."""

from __future__ import annotations

import argparse

import pytest

from landscape.zoo.reading.stubs import Budget, RefusedError, Stub, attributes


def test_states_of_every_form():
    """Oracle: the forms that Python's pickle documents: a mapping, and one with slots beside it."""
    stub = Stub("a.B")
    stub.build({"x": 1})
    stub.build((None, {"y": 2}))
    stub.build([3])
    assert stub.fields == {"x": 1, "y": 2}
    assert attributes(stub) == {"x": 1, "y": 2}
    stub.entries["k"] = 4
    assert attributes(stub) == {"k": 4}
    assert attributes(argparse.Namespace(lr=1)) == {"lr": 1}
    assert attributes(3) == {}


def test_a_budget_ends():
    """Oracle: twice the file and the part for small ones."""
    budget = Budget(1000)
    budget.take(250_000_000 + 1000)
    with pytest.raises(RefusedError, match="1,000 bytes"):
        budget.take(1001)
