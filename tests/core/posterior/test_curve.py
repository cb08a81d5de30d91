"""Evidence curves of problems against the log-determinant of the dense Gauss-Newton matrix."""

import numpy as np
import pytest
import torch
from posterior_cases import classifier, heteroscedastic

from landscape.core.curvature.operator import ggn
from landscape.core.posterior import curve as module
from landscape.core.posterior.curve import evidence_curve, summed_curvature
from landscape.core.posterior.likelihood import likelihood_of

DELTAS = [1e-3, 0.1, 1.0, 30.0]


def exact(problem, delta):
    """By hand: ln p(D | θ) − ½δ‖θ‖² − ½ ln det(I + (N/δ) G), of the operator's dense matrix by torch."""
    eye = torch.eye(problem.size, dtype=torch.float64)
    G = ggn(problem).dense() - problem.weight_decay * eye
    n, theta = problem.examples, problem.theta
    fit = -n * problem.measure().data_loss
    return fit - delta / 2 * float(theta @ theta) - 0.5 * float(torch.logdet(eye + n / delta * G))


@pytest.mark.parametrize("problem", [classifier(), heteroscedastic(0.02)], ids=["classes", "noise"])
def test_small_models_are_exact(problem):
    """Oracle: torch.logdet of the dense matrix, of products where the curve takes Jacobians."""
    found = evidence_curve(problem, likelihood_of(problem)).at(DELTAS)
    np.testing.assert_allclose(found.middle, [exact(problem, d) for d in DELTAS], rtol=1e-10)


@pytest.mark.parametrize("k", [1, 6])
def test_large_models_are_bounded(k, monkeypatch):
    """Oracle: torch.logdet; with as many steps as dimensions, the error over probes is all that is left."""
    monkeypatch.setattr(module, "SMALL", 0)
    problem = classifier()
    values = np.array([exact(problem, d) for d in DELTAS])
    for steps in (4, 40):
        found = evidence_curve(problem, likelihood_of(problem), k=k, probes=6, steps=steps).at(DELTAS)
        assert (found.low - 4 * found.error <= values).all()
        assert (values <= found.high + 4 * found.error).all()
    np.testing.assert_allclose(found.low, found.high, atol=1e-5)


def test_the_operator_is_that_of_the_data_alone():
    """Oracle: weight decay taken off and the mean undone."""
    problem = classifier()
    v = torch.ones(problem.size, dtype=torch.float64)
    found = summed_curvature(problem, likelihood_of(problem)) @ v
    torch.testing.assert_close(found, 40 * (ggn(problem) @ v - problem.weight_decay * v))
