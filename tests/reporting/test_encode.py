"""Encoding: JSON that parses back to the numbers, within the digits it keeps."""

from __future__ import annotations

import base64
import gzip
import json
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from landscape.reporting.encode import DIGITS, compact, packed


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=False), max_size=20))
def test_arrays_keep_their_digits(values: list[float]) -> None:
    """Oracle: Python's own parser and a bound on the relative error; what is not finite is null."""
    back = json.loads(compact(np.array(values, dtype=np.float64)))
    for value, found in zip(values, back, strict=True):
        if math.isfinite(value):
            assert math.isclose(value, found, rel_tol=10.0 ** (1 - DIGITS), abs_tol=1e-300)
        else:
            assert found is None


def test_rounded_numbers_are_short() -> None:
    """Oracle: the texts written out by hand, over many sizes."""
    values = np.array([1 / 3, 2e5 / 3, 1e10 / 3, 1e-7 / 3, -0.1, 0.0])
    texts = "[0.333333,66666.7,3333330000.0,3.33333e-08,-0.1,0.0]"
    assert compact(values) == texts


def test_everything_nested_is_encoded() -> None:
    """Oracle: the JSON written out by hand."""
    value = {"a": (np.int64(3), np.float32(0.5), float("inf")), "b": np.array([[True]]), "c": None}
    assert json.loads(compact(value)) == {"a": [3, 0.5, None], "b": [[True]], "c": None}


def test_packs_unpack_and_are_the_same_each_time() -> None:
    """Oracle: the standard library's own reader."""
    assert gzip.decompress(base64.b64decode(packed("ä"))).decode() == "ä"
    assert packed("x" * 100) == packed("x" * 100)
