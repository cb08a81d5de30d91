"""The evidence against exact marginal likelihoods."""

import math

import numpy as np
import pytest
import torch
from posterior_cases import regression

from landscape.core.linalg.psd_quadrature import PsdQuadrature
from landscape.core.posterior.curve import evidence_curve
from landscape.core.posterior.evidence import EvidenceCurve
from landscape.core.posterior.likelihood import likelihood_of
from landscape.core.problem.problem import Problem
from landscape.errors import InputError

DELTAS = [0.05, 0.7, 10.0]


def ridge(delta, noise):
    """A linear regression whose parameters are the posterior mean for a prior precision."""
    problem = regression()
    x, y = problem.first.inputs, problem.first.target
    eye = torch.eye(x.shape[1], dtype=torch.float64)
    model = torch.nn.Linear(x.shape[1], 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.linalg.solve(x.T @ x / noise + delta * eye, x.T @ y / noise).T)
    return Problem(model, "half_squared_error", (x, y)), x, y


@pytest.mark.parametrize("delta", DELTAS)
def test_bayesian_linear_regression_is_exact(delta):
    """Oracle: ln N(y; 0, σ²I + XXᵀ/δ), the marginal density itself, in closed form."""
    noise = 0.3
    problem, x, y = ridge(delta, noise)
    covariance = noise * torch.eye(len(x), dtype=torch.float64) + x @ x.T / delta
    normal = torch.distributions.MultivariateNormal(torch.zeros(len(x), dtype=torch.float64), covariance)
    curve = evidence_curve(problem, likelihood_of(problem, noise))
    found = curve.at([delta])
    assert float(found.middle[0]) == pytest.approx(float(normal.log_prob(y[:, 0])), rel=1e-10)
    assert float(found.error[0]) == 0.0


def test_the_best_precision_is_where_the_evidence_is_stationary():
    """Oracle: MacKay's condition N(δ) = δ‖θ‖², which the search does not use."""
    values = np.array([100.0, 10.0, 1.0, 0.1])
    curve = EvidenceCurve(-3.0, 2.0, 4, PsdQuadrature.exact(values))
    best = curve.best()
    assert (values / (values + best)).sum() == pytest.approx(2.0 * best, rel=1e-6)
    assert curve.at([best]).middle >= curve.at(curve.grid()).middle.max()


def test_bounds_are_on_the_right_sides():
    """Oracle: too high a determinant is too low an evidence."""
    rules = np.array([[[0.5, 2.0]], [[0.5, 0.5]]]), np.array([[[0.0, 1.5]], [[0.4, 0.6]]])
    found = EvidenceCurve(0.0, 1.0, 10, PsdQuadrature(np.zeros(0), 10, *rules, products=2)).at([1.0])
    high = 10 * (0.5 * math.log(1.5) + 0.5 * math.log(3.0))
    assert float(found.low[0]) == pytest.approx(-0.5 - high / 2)
    assert float(found.high[0]) == pytest.approx(-0.5 - 10 * 0.6 * math.log(2.5) / 2)


def test_grids_span_six_decades():
    curve = EvidenceCurve(0.0, 4.0, 100, PsdQuadrature.exact(np.ones(100)))
    assert curve.grid(2.0)[0] == pytest.approx(2e-3)
    assert curve.grid(2.0)[-1] == pytest.approx(2e3)
    assert curve.grid()[12] == pytest.approx(0.25)


def test_undefined_spectra_have_no_best_and_zero_weights_no_grid():
    nothing = np.zeros((2, 1, 0))
    broken = EvidenceCurve(0.0, 1.0, 5, PsdQuadrature(np.zeros(0), 5, nothing, nothing, 3, defined=False))
    assert math.isnan(broken.best())
    with pytest.raises(InputError, match="all parameters are zero"):
        EvidenceCurve(0.0, 0.0, 1, PsdQuadrature.exact(np.ones(1))).best()
    with pytest.raises(InputError, match="positive and finite"):
        EvidenceCurve(0.0, 1.0, 1, PsdQuadrature.exact(np.ones(1))).at([0.0])
