"""Sums over the data against landscape's Gauss-Newton operator, which shares no code with them."""

import pytest
import torch
from posterior_cases import classifier, image_classifier, regression

from landscape.core.curvature.operator import ggn
from landscape.core.posterior import sums
from landscape.core.posterior.head import HeadJacobian, find_head, head_entries
from landscape.core.posterior.likelihood import likelihood_of
from landscape.core.posterior.sums import diagonal_sums, summed_block, summed_head
from landscape.errors import InputError


def dense(problem):
    """The summed Gauss-Newton matrix of −ln p, by products with unit vectors."""
    decay = problem.weight_decay * torch.eye(problem.size, dtype=torch.float64)
    return likelihood_of(problem).scale * (ggn(problem).dense() - decay)


@pytest.mark.parametrize("make", [classifier, image_classifier, regression, lambda: regression("mse", 2)])
def test_blocks_and_diagonals_are_those_of_the_gauss_newton_matrix(make):
    """Oracle: double backward products of the operator, which knows neither Jacobians nor roots of Λ."""
    problem = make()
    exact, likelihood = dense(problem), likelihood_of(problem)
    torch.testing.assert_close(summed_block(problem, likelihood), exact)
    at = torch.tensor([0, 2, 4])
    torch.testing.assert_close(summed_block(problem, likelihood, at), exact[at][:, at])
    torch.testing.assert_close(diagonal_sums(problem, likelihood).curvature, exact.diag())


def test_the_head_has_its_block_in_closed_form():
    """Oracle: the same operator; and Σ Λ ⊗ φφᵀ needs no backward pass."""
    for problem in (classifier(), image_classifier()):
        name = find_head(problem.module, lambda problem=problem: problem.output(problem.first)[0])
        at = head_entries(problem.space, name)
        found = summed_head(problem, likelihood_of(problem), HeadJacobian(problem.module, name, bias=True))
        torch.testing.assert_close(found, dense(problem)[at][:, at])


def test_entries_that_no_example_feels_have_no_reach():
    """Oracle: an input that is always zero cannot move an output through its weights."""
    problem = classifier()
    x = problem.first.inputs
    x[:, 2] = 0.0
    found = diagonal_sums(problem, likelihood_of(problem))
    weight = found.reach[:20].view(4, 5)
    assert bool((weight[:, 2] == 0).all())
    assert bool((weight[:, [0, 1, 3, 4]] > 0).all())


def test_matrices_too_large_are_refused(monkeypatch):
    monkeypatch.setattr(sums, "LARGEST", 10)
    problem = classifier()
    with pytest.raises(InputError, match="structure='subnetwork' with size up to 10"):
        summed_block(problem, likelihood_of(problem))
