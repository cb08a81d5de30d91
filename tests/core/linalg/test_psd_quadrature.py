"""Sums over eigenvalues against their definition, on matrices of known spectrum."""

import numpy as np
import pytest
import torch

from landscape.core.linalg.operators import DenseOperator
from landscape.core.linalg.psd_quadrature import PsdQuadrature, gauss_radau, psd_quadrature
from landscape.core.linalg.quadrature import gauss_quadrature
from landscape.core.linalg.tridiagonal import lanczos
from landscape.errors import InputError
from landscape.testing import matrix_with_spectrum

DELTAS = np.array([1e-2, 1.0, 30.0])


def spectrum(n: int = 300, rank: int = 200) -> torch.Tensor:
    values = torch.zeros(n, dtype=torch.float64)
    values[:rank] = torch.logspace(2, -3, rank, dtype=torch.float64)
    return values


def nothing(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros(0), torch.zeros(n, 0)


def log_determinant(x):
    return np.log1p(x / DELTAS)


@pytest.mark.parametrize("steps", [8, 40])
def test_the_log_determinant_lies_within_bounds_and_errors(steps):
    """Oracle: Σ ln(1 + λ/δ) over the given eigenvalues."""
    values = spectrum()
    exact = log_determinant(values.numpy()[:, None]).sum(0)
    A = DenseOperator(matrix_with_spectrum(values))
    rules = psd_quadrature(A, *nothing(300), probes=8, steps=steps)
    found = rules.sum(log_determinant)
    assert (found.lower <= found.upper + 1e-9).all()
    assert (found.lower - 4 * found.error <= exact).all()
    assert (exact <= found.upper + 4 * found.error).all()
    assert rules.products == 8 * steps


@pytest.mark.parametrize("steps", [1, 3, 9])
def test_each_probe_is_bounded_from_both_sides(steps):
    """Oracle: vᵀ ln(I + A/δ) v of the dense matrix; Gauss above, Radau with a node at zero below."""
    values = spectrum(60, 40)
    A = matrix_with_spectrum(values)
    V = torch.randn(60, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    run = lanczos(DenseOperator(A), steps, V)
    w, U = torch.linalg.eigh(A)
    for delta in DELTAS:
        logs = torch.log1p(w.clamp(min=0) / delta)
        exact = ((U.T @ V).square() * logs[:, None]).sum(0) / V.square().sum(0)
        high, low = (
            (weights * torch.log1p(nodes.clamp(min=0) / delta)).sum(1)
            for nodes, weights in (gauss_quadrature(run), gauss_quadrature(gauss_radau(run, 0.0)))
        )
        assert bool((low <= exact + 1e-9).all())
        assert bool((exact <= high + 1e-9).all())


def test_known_eigenvalues_count_exactly():
    """Oracle: the sum over the eigenvalues, of which rounding below zero counts as zero."""
    values = np.array([4.0, 1.0, 0.0, -1e-15])
    found = PsdQuadrature.exact(values).sum(log_determinant)
    exact = np.log1p(4.0 / DELTAS) + np.log1p(1.0 / DELTAS)
    np.testing.assert_allclose(found.upper, exact)
    np.testing.assert_allclose(found.lower, exact)
    assert (found.error == 0).all()


def test_without_a_rest_there_is_nothing_to_probe():
    """Oracle: the trace of the given diagonal."""
    A = DenseOperator(torch.diag(torch.tensor([3.0, 1.0])))
    rules = psd_quadrature(A, torch.tensor([3.0, 1.0]), torch.eye(2))
    assert rules.products == 0
    assert rules.sum(lambda x: x).upper.tolist() == [4.0]


def test_negative_eigenvalues_leave_nothing_defined():
    """A logarithm of 1 + λ/δ is none where λ < −δ: no bound is better than a wrong one."""
    A = DenseOperator(torch.diag(torch.linspace(-1.0, 2.0, 20, dtype=torch.float64)))
    rules = psd_quadrature(A, *nothing(20))
    assert not rules.defined
    assert np.isnan(rules.sum(log_determinant).upper).all()


def test_counts_are_checked():
    A = DenseOperator(torch.eye(3))
    with pytest.raises(InputError, match="probes >= 1"):
        psd_quadrature(A, *nothing(3), probes=0)
