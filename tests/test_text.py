"""Text for files: what is written is read back by Python's own reader of the format."""

from __future__ import annotations

import tomllib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from landscape.text import toml_table, toml_value

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_what_is_written_is_read_back(values):
    """Oracle: ``tomllib`` of the standard library."""
    assert tomllib.loads(toml_table("", values)) == values
    assert tomllib.loads(toml_table("[x]", values)) == {"x": values}
    assert tomllib.loads(f"x = {toml_value(values)}") == {"x": values}


def test_every_value_is_one_line_and_plain_keys_are_bare():
    """Oracle: the text that one would write by hand."""
    assert toml_value({"width": 8, "a.b": "x\ny", "none": []}) == '{ width = 8, "a.b" = "x\\ny", none = [] }'
    assert toml_value({}) == "{}"


def test_numbers_of_numpy_are_numbers():
    """Oracle: the same numbers of Python."""
    assert toml_value([np.float64(0.1), float("inf"), float("nan")]) == "[0.1, inf, nan]"
