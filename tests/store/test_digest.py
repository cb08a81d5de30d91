"""The digest behind a file: flipped bits and cuts are noticed, and other readers see nothing of it."""

from __future__ import annotations

import os
import random

import h5py
import numpy as np
import pytest
import xarray as xr

from landscape.errors import StoreError
from landscape.store import digest
from landscape.store.fast_read import read
from landscape.store.files import open as open_file
from landscape.store.files import save
from landscape.store.netcdf import image


@pytest.fixture
def result(tmp_path):
    ds = xr.Dataset({"y": ("x", np.array([1.0, np.nan]))}, coords={"x": [0, 1]}, attrs={"analysis": "a"})
    save(ds, tmp_path / "a.h5")
    return tmp_path / "a.h5", ds


def test_others_read_the_file_as_before(result):
    """Oracle: xarray, without being told the format, and h5py; HDF5's bytes are those without a digest."""
    path, ds = result
    assert path.read_bytes().startswith(image(ds))
    with xr.open_dataset(path) as plain:
        assert plain.identical(ds)
    with h5py.File(path, "r") as file:
        assert np.array_equal(file["y"][()], [1.0, np.nan], equal_nan=True)
    assert digest.check(path)
    assert open_file(path).identical(ds) and read(path).identical(ds)


def test_every_flipped_bit_of_the_digest_itself_is_noticed(result):
    """Oracle: all 800 of them, one after the other."""
    path, _ = result
    whole = path.read_bytes()
    for bit in range(8 * (len(whole) - 100), 8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        with pytest.raises(StoreError, match="damaged"):
            digest.check(path)


def test_cuts_zeros_and_additions_are_noticed(result):
    """Oracle: what was done to the file."""
    path, _ = result
    whole = path.read_bytes()
    rng = random.Random(0)
    cuts = [whole[:n] for n in (*rng.sample(range(1, len(whole) - 100), 20), len(whole) - 1, len(whole) - 90)]
    zeros = [whole[:-n] + bytes(n) for n in (1, 50, 100, 150, 4096)]
    added = [whole + b"x" * n for n in (1, 100, 1000)]
    for data in (*cuts, *zeros, *added):
        path.write_bytes(data)
        with pytest.raises(StoreError):
            open_file(path)
        with pytest.raises(StoreError):
            read(path)


def test_a_file_without_a_digest_is_read(result):
    """Oracle: the bytes that older versions wrote, and what h5py leaves when it writes to a file."""
    path, ds = result
    path.write_bytes(image(ds))
    assert not digest.check(path)
    assert open_file(path).identical(ds) and read(path).identical(ds)
    save(ds, path)
    with h5py.File(path, "r+") as file:
        file.attrs["more"] = "x"
    assert not digest.check(path)
    assert open_file(path).attrs["more"] == "x"


def test_a_file_is_checked_once_until_it_changes(result):
    """Oracle: the number of readings, which a check in between would add to."""
    path, _ = result
    old = path.stat().st_mtime_ns - 10**10
    os.utime(path, ns=(old, old))
    before = digest._remembered.cache_info().misses
    digest.check_once(path)
    digest.check_once(path)
    assert digest._remembered.cache_info().misses == before + 1
    data = bytearray(path.read_bytes())
    data[600] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match="damaged"):
        digest.check_once(path)


def test_only_what_was_written_is_intact(result, tmp_path):
    """Oracle: the bytes as they were written; one flipped bit, a cut, a file without a digest."""
    path, _ = result
    data = path.read_bytes()
    assert digest.intact(path) == data
    for place in random.Random(0).sample(range(len(data)), 200):
        other = bytearray(data)
        other[place] ^= 1 << place % 8
        (tmp_path / "b.h5").write_bytes(other)
        assert digest.intact(tmp_path / "b.h5") in (None, data)
        assert digest.intact(tmp_path / "b.h5") is None or place == digest._HELD
    for cut in (b"", data[:-1], data[:50], image(result[1])):
        (tmp_path / "b.h5").write_bytes(cut)
        assert digest.intact(tmp_path / "b.h5") is None
    with pytest.raises(FileNotFoundError):
        digest.intact(tmp_path / "c.h5")
