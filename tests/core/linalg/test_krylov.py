"""The Krylov basis keeps A V = V H + P B through every operation it offers."""

import pytest
import torch

from landscape.core.linalg.krylov import KrylovBasis
from landscape.core.linalg.operators import DenseOperator
from landscape.testing import matrix_with_spectrum

N = 40


def spread(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return matrix_with_spectrum(torch.linspace(-1, 2, N), dtype=dtype)


def check(basis: KrylovBasis, A: torch.Tensor, among: int | None = None) -> None:
    """Ritz values are Rayleigh quotients, and residual norms are true, by products with A."""
    theta, S, residuals = basis.ritz(among)
    U = basis.vectors(S)
    eps = torch.finfo(A.dtype).eps
    assert torch.allclose(U.T @ U, torch.eye(len(theta), dtype=U.dtype), rtol=0, atol=50 * eps)
    U = U.double()
    assert torch.allclose(((A.double() @ U) * U).sum(0), theta, rtol=0, atol=50 * eps)
    true = (A.double() @ U - U * theta).norm(dim=0)
    assert torch.allclose(true, residuals, rtol=0, atol=50 * eps)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("width", [1, 3])
def test_residuals_stay_true_through_every_operation(width, dtype):
    """Independent: products with the dense matrix."""
    A = spread(dtype)
    basis = KrylovBasis(DenseOperator(A), 30)
    assert basis.inject_random(width) == width
    for _ in range(4):
        basis.expand(width)
        check(basis, A)
    basis.restart(basis.ritz()[1][:, -3:])
    check(basis, A)
    basis.sort_pending(basis.ritz()[1][:, :1])
    check(basis, A)
    basis.expand(1)
    check(basis, A)
    basis.park(limit=3)
    assert (basis.pending, basis.parked) == (0, width)
    check(basis, A)
    basis.inject_random(1)
    for _ in range(5):
        basis.expand(1)
        check(basis, A)
    basis.unpark()
    assert (basis.pending, basis.parked) == (1 + width, 0)
    check(basis, A)
    basis.expand(basis.pending)
    check(basis, A)
    assert basis.products == 4 * width + 1 + 5 + 1 + width


def test_residuals_still_count_what_parking_drops():
    """Independent: products with the dense matrix; the vectors kept are those of before."""
    A = spread()
    basis = KrylovBasis(DenseOperator(A), 30)
    basis.inject_random(3)
    basis.expand(3)
    basis.park(limit=1)
    assert basis.parked == 1
    check(basis, A)


def test_dependent_directions_are_left_out():
    """Independent: by construction there are two directions among four."""
    basis = KrylovBasis(DenseOperator(spread()), 10)
    a, b = torch.eye(N, dtype=torch.float64)[:2]
    assert basis.inject(torch.stack([a, 1e6 * b, a + b, 0 * a])) == 2


def test_a_full_space_leaves_nothing_to_inject():
    """Independent: n vectors span the space; Ritz values are then eigenvalues."""
    A = spread()
    basis = KrylovBasis(DenseOperator(A), N + 5)
    basis.inject_random(5)
    while basis.pending:
        basis.expand(min(5, basis.pending))
    assert basis.expanded == N
    assert basis.inject_random(1) == 0
    theta, _, residuals = basis.ritz()
    assert torch.allclose(theta, torch.linspace(-1, 2, N).double(), rtol=0, atol=1e-12)
    assert float(residuals.max()) < 1e-12


def test_the_chain_of_one_vector_is_the_projection_of_the_matrix():
    """Independent: the projection computed with the dense matrix."""
    A = spread()
    basis = KrylovBasis(DenseOperator(A), 12)
    basis.inject_random(1)
    for _ in range(6):
        basis.expand(1)
    alpha, beta = basis.tridiagonal(0)
    V = basis.vectors(torch.eye(6, dtype=torch.float64))
    T = torch.diag(alpha) + torch.diag(beta[:-1], 1) + torch.diag(beta[:-1], -1)
    assert torch.allclose((V.T @ A @ V).abs(), T.abs(), rtol=0, atol=1e-13)
    last = (A @ V - V @ (V.T @ A @ V))[:, -1].norm()
    assert abs(float(beta[-1])) == pytest.approx(float(last), abs=1e-13)
