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


@pytest.mark.parametrize("after", [2, 9])
def test_a_run_goes_on_with_the_same_bits(after, tmp_path, monkeypatch):
    """Oracle: an undisturbed run in memory; the second run makes the products that are left, no more."""
    monkeypatch.setattr(_resume, "SAVE_EVERY_S", 0.0)

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


def test_a_spectrum_to_start_from_gives_the_sum_of_its_vectors():
    """Oracle: NumPy's sum; tensors and nothing pass through."""
    vectors = np.arange(6.0).reshape(3, 2)
    ds = xr.Dataset({"eigenvectors": (("parameter", "eigenpair"), vectors)})
    np.testing.assert_array_equal(start_from(ds).numpy(), vectors.sum(1))
    given = torch.ones(3)
    assert start_from(given) is given and start_from(None) is None
    with pytest.raises(InputError, match="holds no eigenvectors: compute it with vectors=True"):
        start_from(ds.drop_vars("eigenvectors"))
