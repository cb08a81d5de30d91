"""Gaussian posteriors against dense linear algebra."""

import pytest
import torch

from landscape.core.posterior.gaussian import DensePosterior, DiagonalPosterior, LowRankPosterior
from landscape.errors import InputError

N, C, S = 4, 3, 12


def curvature(rank: int = S) -> torch.Tensor:
    A = torch.randn(rank, S, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return A.T @ A


def jacobian() -> torch.Tensor:
    return torch.randn(N, C, S, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def cases():
    """Posteriors with their covariances by torch.linalg.inv."""
    H, eye = curvature(), torch.eye(S, dtype=torch.float64)
    values, vectors = torch.linalg.eigh(H)
    top, U = values[-5:], vectors[:, -5:]
    low = (U * top) @ U.T
    return {
        "dense": (DensePosterior(H + 0.3 * eye), torch.linalg.inv(H + 0.3 * eye)),
        "diagonal": (DiagonalPosterior(H.diag() + 0.3), torch.diag(1 / (H.diag() + 0.3))),
        "low rank": (LowRankPosterior(U, top, 0.3), torch.linalg.inv(low + 0.3 * eye)),
    }


@pytest.mark.parametrize("name", ["dense", "diagonal", "low rank"])
def test_covariances_of_linear_functions(name):
    """Oracle: JΣJᵀ with Σ the inverse of the dense precision."""
    posterior, Sigma = cases()[name]
    J = jacobian()
    exact = J @ Sigma @ J.mT
    torch.testing.assert_close(posterior.covariance(J), exact)
    torch.testing.assert_close(posterior.variance(J), exact.diagonal(dim1=1, dim2=2))


@pytest.mark.parametrize("name", ["dense", "diagonal", "low rank"])
def test_draws_have_the_covariance(name):
    """Oracle: Σ within five standard errors of a sample covariance; the square of 20,000 normal draws."""
    posterior, Sigma = cases()[name]
    draws = posterior.deviations(20_000)
    error = ((Sigma.diag()[:, None] * Sigma.diag() + Sigma**2) / len(draws)).sqrt()
    assert bool(((draws.T @ draws / len(draws) - Sigma).abs() < 5 * error).all())


@pytest.mark.parametrize("name", ["dense", "diagonal", "low rank"])
def test_a_draw_depends_on_the_seed_and_its_number_alone(name):
    """Oracle: fewer draws are the first of more; torch's own numbers are left alone."""
    posterior, _ = cases()[name]
    state = torch.get_rng_state()
    torch.testing.assert_close(posterior.deviations(3, seed=7), posterior.deviations(8, seed=7)[:3])
    assert not torch.equal(posterior.deviations(3, seed=8), posterior.deviations(3, seed=7))
    assert torch.equal(torch.get_rng_state(), state)


def test_low_rank_with_all_eigenvectors_is_dense():
    """Oracle: the dense posterior of the same curvature."""
    H = curvature(rank=7)  # with zeros, some of them negative by rounding
    values, vectors = torch.linalg.eigh(H)
    dense = DensePosterior(H + 0.5 * torch.eye(S, dtype=torch.float64))
    low = LowRankPosterior(vectors, values, 0.5)
    torch.testing.assert_close(low.covariance(jacobian()), dense.covariance(jacobian()))


def test_a_subset_conditions_on_the_others():
    """Oracle: the Schur complement: variances given the other entries are never larger than marginal ones."""
    H, at = curvature() + 0.3 * torch.eye(S, dtype=torch.float64), torch.tensor([1, 4, 5])
    marginal = torch.linalg.inv(H)[at][:, at]
    eye = torch.eye(3, dtype=torch.float64)
    subset = DensePosterior(H[at][:, at]).covariance(eye[None])[0]
    assert float(torch.linalg.eigvalsh(marginal - subset).min()) > -1e-12


def test_what_is_not_positive_is_refused():
    with pytest.raises(InputError, match="not positive definite"):
        DensePosterior(-torch.eye(2))
    with pytest.raises(InputError, match="not positive"):
        DiagonalPosterior(torch.tensor([1.0, 0.0]))
    with pytest.raises(InputError, match="positive and finite"):
        LowRankPosterior(torch.eye(2), torch.ones(2), 0.0)
    with pytest.raises(InputError, match="one or more times"):
        DiagonalPosterior(torch.ones(2)).deviations(0)
