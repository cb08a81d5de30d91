"""The run behind `eigenpairs`, with a basis much smaller than the space."""

from __future__ import annotations

import torch

from landscape.core.linalg.krylov import KrylovBasis
from landscape.core.linalg.operators import DenseOperator
from landscape.core.linalg.thick_restart import ThickRestart
from landscape.testing import matrix_with_spectrum

SPECTRUM = [9.0, 9.0, -7.0, 5.0, *torch.linspace(-1, 1, 76).tolist()]


def run(search):
    reports = []
    basis = KrylovBasis(DenseOperator(matrix_with_spectrum(SPECTRUM)), 17, seed=1)
    basis.inject_random(1)
    solver = ThickRestart(basis, 4, "LM", 1e-8, 1, 500, reports.append)
    return solver.solve(vectors=True, search=search), reports


def test_restarts_and_the_search_find_all_copies():
    """Oracle: the spectrum that the matrix was made with; residuals by the matrix itself."""
    found, reports = run(search=True)
    torch.testing.assert_close(found.values, torch.tensor([9.0, 9.0, -7.0, 5.0]).double(), rtol=1e-9, atol=0)
    assert found.converged and found.complete and found.products > 17
    A = matrix_with_spectrum(SPECTRUM)
    residuals = torch.linalg.vector_norm(A @ found.vectors - found.vectors * found.values, dim=0)
    assert (residuals <= 1e-8 * 9.0 * 1.01).all()
    assert [r.products for r in reports] == list(range(1, found.products + 1))
    assert reports[-1].checking and not reports[0].checking


def test_without_the_search_nothing_is_called_complete():
    """Oracle: the reports of the run: it ends as soon as the residuals are small."""
    found, reports = run(search=False)
    assert found.converged and not found.complete and not any(r.checking for r in reports)
    assert reports[-1].converged == 4 and all(r.converged < 4 for r in reports[:-1])
