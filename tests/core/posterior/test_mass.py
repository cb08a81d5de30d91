"""Posteriors of subsets in the size of the data, against those in the size of the weights."""

import pytest
import torch
from posterior_cases import classifier, data, image_classifier, mlp, regression

from landscape.core.posterior import mass
from landscape.core.posterior.gaussian import DensePosterior, DiagonalPosterior
from landscape.core.posterior.jacobians import data_jacobians
from landscape.core.posterior.likelihood import likelihood_of
from landscape.core.posterior.mass import PosteriorRows
from landscape.core.posterior.sums import diagonal_sums, summed_block
from landscape.core.problem.problem import Problem
from landscape.errors import InputError


def few():
    """Three outputs of four examples: fewer rows than the 39 weights."""
    return Problem(mlp(), "cross_entropy", data(count=4))


@pytest.mark.parametrize("make", [classifier, few, image_classifier, regression])
@pytest.mark.parametrize("index", [None, [0, 2, 4]])
def test_subsets_have_the_posterior_of_their_block(make, index):
    """Oracle: Cholesky of H_SS + δI and torch.logdet; `few` has fewer examples than weights."""
    problem, delta = make(), 0.4
    likelihood = likelihood_of(problem)
    at = None if index is None else torch.tensor(index)
    H = summed_block(problem, likelihood, at)
    eye = torch.eye(len(H), dtype=torch.float64)
    J = torch.cat([J for _, J in data_jacobians(problem, at)])
    found = PosteriorRows(problem, likelihood, {}).kept(at, delta)
    exact = DensePosterior(H + delta * eye).variance(J)
    torch.testing.assert_close(found.variance["data"], exact, rtol=1e-9, atol=1e-12)
    assert found.log_determinant == pytest.approx(float(torch.logdet(eye + H / delta)), rel=1e-10)


def test_the_diagonal_is_that_of_its_own_posterior():
    """Oracle: `DiagonalPosterior`, entry by entry."""
    problem = few()
    likelihood = likelihood_of(problem)
    J = torch.cat([J for _, J in data_jacobians(problem)])
    exact = DiagonalPosterior(diagonal_sums(problem, likelihood).curvature + 0.4).variance(J)
    torch.testing.assert_close(PosteriorRows(problem, likelihood, {}).diagonal(0.4)["data"], exact)


def test_other_inputs_have_the_variance_of_the_same_posterior():
    """Oracle: the same in the space of weights."""
    problem = classifier()
    x, y = data(count=7)
    other = Problem(mlp(), "cross_entropy", (2 * x, y))
    likelihood = likelihood_of(problem)
    found = PosteriorRows(problem, likelihood, {"other": other}).kept(None, 0.4)
    H = summed_block(problem, likelihood)
    J = torch.cat([J for _, J in data_jacobians(other)])
    exact = DensePosterior(H + 0.4 * torch.eye(len(H), dtype=torch.float64)).variance(J)
    torch.testing.assert_close(found.variance["other"], exact, rtol=1e-9, atol=1e-12)


def test_diagonals_and_eigenvalues():
    """Oracle: sums of a pass over the data, and eigenvalues of the block of all weights."""
    problem = classifier()
    likelihood = likelihood_of(problem)
    rows, sums = PosteriorRows(problem, likelihood, {}), diagonal_sums(problem, likelihood)
    torch.testing.assert_close(rows.sums.curvature, sums.curvature)
    torch.testing.assert_close(rows.sums.reach, sums.reach)
    exact = torch.linalg.eigvalsh(summed_block(problem, likelihood))
    torch.testing.assert_close(rows.eigenvalues(), exact, atol=1e-10, rtol=1e-10)


def test_data_too_large_are_refused_with_the_number_that_fits(monkeypatch):
    monkeypatch.setattr(mass, "MOST_BYTES", 10 * 3 * 39 * 8)
    with pytest.raises(InputError, match="take 10 examples or fewer"):
        PosteriorRows(classifier(), likelihood_of(classifier()), {})
