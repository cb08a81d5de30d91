"""Lanczos runs that go on from what an earlier one has saved."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from landscape.analyses.curvature import _resume
from landscape.analyses.curvature._resume import resumed_eigenpairs, start_from
from landscape.base.ledger import MemoryLedger
from landscape.core.linalg.operators import DenseOperator
from landscape.errors import InputError
from landscape.store.ledger import FolderLedger
from landscape.testing import clustered, matrix_with_spectrum

A = DenseOperator(matrix_with_spectrum(clustered(40)))


class Killed(BaseException):
    pass


@pytest.mark.parametrize("after", [2, 9, 30])
def test_a_run_goes_on_with_the_same_bits(after, tmp_path, monkeypatch):
    """Oracle: an undisturbed run in memory; the second run makes the products that are left, no more."""
    monkeypatch.setattr(_resume, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(_resume, "LEAST_SHARE", 0.0)

    def run(ledger, stop=None):
        calls = 0

        def count(progress):
            nonlocal calls
            calls += 1
            if calls == stop:
                raise Killed

        found = resumed_eigenpairs(A, 4, ledger, "state", on_progress=count, seed=0)
        return found, calls

    whole, total = run(MemoryLedger())
    with pytest.raises(Killed):
        run(FolderLedger(tmp_path / "p"), after)
    found, left = run(FolderLedger(tmp_path / "p"))
    assert torch.equal(found.values, whole.values) and torch.equal(found.residuals, whole.residuals)
    assert left == total - after


def kept(folder):
    """The files of vectors, and when each was written."""
    return {f.name: f.stat().st_mtime_ns for f in folder.glob("state-*.npz")}


def test_only_new_vectors_are_written(tmp_path, monkeypatch):
    """Oracle: the folder: each file of a vector written once, as many as the basis holds, others removed."""
    monkeypatch.setattr(_resume, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(_resume, "LEAST_SHARE", 0.0)
    folder, before, written = tmp_path / "p", {}, 0

    def count(progress):
        nonlocal before, written
        now = kept(folder)
        assert all(now[name] == before[name] for name in now.keys() & before.keys())
        basis = progress.state().basis
        assert len(now) == len(basis.rows) + len(basis.parked)
        written += len(now.keys() - before.keys())
        before = now

    found = resumed_eigenpairs(A, 4, FolderLedger(folder), "state", on_progress=count, seed=0, basis=14)
    # a vector a product, two restarts of a few, and one that is parked, which changes with each product
    assert found.products < written < 3 * found.products


def test_a_damaged_vector_starts_anew(tmp_path, monkeypatch):
    """Oracle: an undisturbed run, with as many products."""
    monkeypatch.setattr(_resume, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(_resume, "LEAST_SHARE", 0.0)
    calls = 0

    def count(progress):
        nonlocal calls
        calls += 1
        if calls == 9:
            raise Killed

    with pytest.raises(Killed):
        resumed_eigenpairs(A, 4, FolderLedger(tmp_path / "p"), "state", on_progress=count, seed=0)
    torn = max((tmp_path / "p").glob("state-*.npz"))
    data = bytearray(torn.read_bytes())
    data[len(data) // 2] ^= 1
    torn.write_bytes(data)
    calls = 10
    found = resumed_eigenpairs(A, 4, FolderLedger(tmp_path / "p"), "state", on_progress=count, seed=0)
    whole = resumed_eigenpairs(A, 4, MemoryLedger(), "state", on_progress=lambda p: None, seed=0)
    assert torch.equal(found.values, whole.values) and calls == 10 + whole.iterations


def test_a_spectrum_to_start_from_gives_the_sum_of_its_vectors():
    """Oracle: NumPy's sum; tensors and nothing pass through."""
    vectors = np.arange(6.0).reshape(3, 2)
    ds = xr.Dataset({"eigenvectors": (("parameter", "eigenpair"), vectors)})
    np.testing.assert_array_equal(start_from(ds).numpy(), vectors.sum(1))
    given = torch.ones(3)
    assert start_from(given) is given and start_from(None) is None
    with pytest.raises(InputError, match="holds no eigenvectors: compute it with vectors=True"):
        start_from(ds.drop_vars("eigenvectors"))
