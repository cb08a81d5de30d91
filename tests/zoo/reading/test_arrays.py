"""Arrays of numpy in pickles: numpy's own numbers, from their bytes alone."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest

from landscape.zoo.reading.archive import read_inert
from landscape.zoo.reading.arrays import Dtype, scalar
from landscape.zoo.reading.stubs import DamagedError, Stub

ARRAYS = [
    np.arange(6.0).reshape(2, 3),
    np.arange(6, dtype=">i4"),
    np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    np.array(3.5),
    np.zeros((0, 2)),
    np.array([True, False]),
    np.array([1 + 2j]),
]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}{a.shape}")
def test_arrays_and_scalars_are_numpy_s(array, protocol, tmp_path):
    """Oracle: what numpy wrote."""
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps({"a": array, "s": array.reshape(-1)[:1].sum()}, protocol))
    content = read_inert(path)
    assert content.unknown == ()
    np.testing.assert_array_equal(content.value["a"], array)
    assert content.value["a"].dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
    assert content.value["s"] == array.reshape(-1)[:1].sum()


def test_arrays_of_objects_are_not_made(tmp_path):
    """Oracle: the objects, of which none is there."""
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps({"a": np.array([io.StringIO, 1], dtype=object)}, 4))
    assert read_inert(path).value["a"].size == 0


def test_bytes_that_do_not_fit_are_damage():
    """Oracle: eight bytes are needed."""
    with pytest.raises(DamagedError):
        scalar(Dtype("f8"), b"1234")
    assert isinstance(scalar(Dtype("O8"), b""), Stub)
    assert isinstance(scalar(Dtype("f8; import os"), b""), Stub)
