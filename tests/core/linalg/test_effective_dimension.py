"""Effective dimension against its definition on matrices of known spectrum."""

import numpy as np
import pytest
import torch

from landscape.core.linalg.effective_dimension import effective_dimension, gauss_radau
from landscape.core.linalg.operators import DenseOperator
from landscape.core.linalg.quadrature import gauss_quadrature
from landscape.core.linalg.tridiagonal import lanczos
from landscape.errors import InputError
from landscape.testing import matrix_with_spectrum

ALPHAS = np.array([1e-3, 1e-1, 1.0, 10.0])


def spectrum(n: int = 400, rank: int = 300) -> torch.Tensor:
    """A few large eigenvalues, a decaying bulk and many zeros."""
    values = torch.zeros(n, dtype=torch.float64)
    values[:rank] = torch.logspace(2, -3, rank, dtype=torch.float64)
    return values


def pairs(values: torch.Tensor, k: int) -> tuple[DenseOperator, torch.Tensor, torch.Tensor]:
    """The matrix and its k largest eigenpairs by NumPy."""
    A = matrix_with_spectrum(values)
    w, U = np.linalg.eigh(A.numpy())
    return DenseOperator(A), torch.from_numpy(w[::-1][:k].copy()), torch.from_numpy(U[:, ::-1][:, :k].copy())


@pytest.mark.parametrize("k", [0, 15])
@pytest.mark.parametrize("steps", [10, 40])
def test_the_sum_lies_within_bounds_and_errors(k, steps):
    """Oracle: the sum over the given eigenvalues."""
    values = spectrum()
    exact = (values[:, None] / (values[:, None] + torch.from_numpy(ALPHAS))).sum(0).numpy()
    found = effective_dimension(*pairs(values, k), ALPHAS, probes=10, steps=steps)
    assert (found.lower <= found.upper + 1e-9).all()
    assert (found.lower - 4 * found.error <= exact).all()
    assert (exact <= found.upper + 4 * found.error).all()
    assert found.products == 10 * steps
    if steps == 40 and k:
        np.testing.assert_allclose(found.lower[2:], found.upper[2:], rtol=1e-6)  # α of 1 and 10 are resolved


@pytest.mark.parametrize("steps", [1, 2, 5, 12])
def test_each_probe_is_bounded(steps):
    """Oracle: vᵀA(A + α)⁻¹v by a dense solver; Gauss above, Radau below, for every probe."""
    A = matrix_with_spectrum(spectrum(60, 40))
    V = torch.randn(60, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    run = lanczos(DenseOperator(A), steps, V)
    for alpha in ALPHAS:
        inverse = torch.linalg.inv(A + alpha * torch.eye(60))
        exact = (V * (A @ inverse @ V)).sum(0) / V.square().sum(0)
        high, low = (
            (w * x / (x + alpha)).sum(1)
            for x, w in (gauss_quadrature(run), gauss_quadrature(gauss_radau(run, 0.0)))
        )
        assert bool((low <= exact + 1e-9).all())
        assert bool((exact <= high + 1e-9).all())


def test_the_prescribed_node_is_there_and_moments_are_kept():
    """Oracle: Golub 1973: a rule of m nodes, one given, is exact to degree 2m - 2."""
    A = matrix_with_spectrum(torch.linspace(1, 4, 30))
    v = torch.randn(30, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    v /= v.norm()
    x, w = gauss_quadrature(gauss_radau(lanczos(DenseOperator(A), 5, v), 0.5))
    assert float((x - 0.5).abs().min()) < 1e-9
    for degree in range(9):
        exact = v @ torch.linalg.matrix_power(A, degree) @ v
        assert float((w * x**degree).sum()) == pytest.approx(float(exact), rel=1e-9)


def test_all_eigenvalues_known_is_exact():
    """Oracle: the sum; nothing is left to probe."""
    values = torch.tensor([3.0, 1.0, 0.5], dtype=torch.float64)
    found = effective_dimension(*pairs(values, 3), [1.0])
    assert found.upper[0] == pytest.approx(0.75 + 0.5 + 1 / 3)
    assert found.products == 0


def test_the_zero_matrix_determines_nothing():
    """Oracle: every term is zero."""
    A = DenseOperator(torch.zeros(30, 30))
    found = effective_dimension(A, torch.zeros(2), torch.eye(30)[:, :2], [0.1])
    assert (found.upper[0], found.lower[0]) == (0.0, 0.0)


def test_an_indefinite_matrix_has_no_effective_dimension():
    """Oracle: by inspection: λ/(λ + α) has a pole."""
    A = DenseOperator(torch.diag(torch.linspace(-1, 1, 40)))
    assert np.isnan(effective_dimension(A, torch.zeros(0), torch.zeros(40, 0), [0.1, 1.0]).upper).all()


def test_one_probe_has_no_error():
    """Oracle: one number has no spread."""
    found = effective_dimension(*pairs(spectrum(), 5), [1.0], probes=1)
    assert np.isnan(found.error).all()
    assert np.isfinite(found.upper).all()


@pytest.mark.parametrize(("alphas", "probes", "steps"), [([0.0], 2, 5), ([1.0], 0, 5), ([1.0], 2, 0)])
def test_unusable_arguments_are_named(alphas, probes, steps):
    """Oracle: the words of the sentence."""
    with pytest.raises(InputError, match="effective dimension needs"):
        effective_dimension(*pairs(spectrum(), 2), alphas, probes=probes, steps=steps)
