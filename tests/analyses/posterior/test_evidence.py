"""``evidence`` on problems whose marginal likelihood is known."""

import numpy as np
import pytest
import torch
from posterior_cases import classifier, regression

import landscape
from landscape.core.curvature.operator import ggn
from landscape.core.posterior import curve
from landscape.errors import InputError


def test_bayesian_linear_regression_is_exact():
    """Oracle: ln N(y; 0, σ²I + XXᵀ/δ); as δ → 0 the posterior's mode is the least squares."""
    problem = regression()
    x, y = problem.first.inputs, problem.first.target
    delta, noise = 1e-7, 0.3
    covariance = noise * torch.eye(len(x), dtype=torch.float64) + x @ x.T / delta
    normal = torch.distributions.MultivariateNormal(torch.zeros(len(x), dtype=torch.float64), covariance)
    found = landscape.evidence(problem, prior_precision=[delta], noise=noise)
    assert float(found["log_evidence"][0]) == pytest.approx(float(normal.log_prob(y[:, 0])), rel=1e-6)
    assert float(found["noise"]) == noise


def test_parts_make_the_whole_and_the_best_is_the_best():
    """Oracle: the formula over its parts; a finer grid finds nothing better."""
    found = landscape.evidence(classifier())
    whole = found["log_likelihood"] - found["scatter"] / 2 - found["log_determinant"] / 2
    np.testing.assert_allclose(found["log_evidence"], whole)
    assert float(found["decay_prior_precision"]) == pytest.approx(0.8)
    assert float(found["prior_precision"][12]) == pytest.approx(0.8)
    fine = landscape.evidence(classifier(), prior_precision=list(np.geomspace(1e-3, 1e3, 500)))
    assert float(fine["log_evidence"].max()) <= float(found["best_log_evidence"]) + 1e-9
    assert float(fine["log_evidence"].max()) == pytest.approx(float(found["best_log_evidence"]), abs=1e-2)
    assert bool(found["best_inside"])
    assert not bool(landscape.evidence(classifier(), prior_precision=[1e-4, 1e-3])["best_inside"])


def test_probes_bound_what_dense_eigenvalues_give(monkeypatch):
    """Oracle: torch.logdet of the dense matrix."""
    problem = classifier()
    eye = torch.eye(problem.size, dtype=torch.float64)
    H = 40 * (ggn(problem).dense() - problem.weight_decay * eye)
    monkeypatch.setattr(curve, "SMALL", 0)
    found = landscape.evidence(problem, prior_precision=[0.1, 1.0, 10.0], k=3, probes=6, steps=12)
    exact = [float(torch.logdet(eye + H / d)) for d in (0.1, 1.0, 10.0)]
    value = found["log_likelihood"] - found["scatter"] / 2 - np.array(exact) / 2
    assert bool((found["log_evidence_low"] - 4 * found["log_evidence_se"] <= value).all())
    assert bool((value <= found["log_evidence_high"] + 4 * found["log_evidence_se"]).all())
    assert int(found["products"]) == 72


def test_a_loss_that_diverged_has_no_evidence():
    problem = classifier()
    problem.first.inputs[0] = torch.inf
    with pytest.raises(InputError, match="no evidence"):
        landscape.evidence(problem)


def test_figures_mark_the_best():
    figures = {
        f.name: f for f in landscape.analyses()["evidence"].plots({"net": landscape.evidence(classifier())})
    }
    assert list(figures) == ["evidence", "terms", "dimension"]
    assert len(figures["evidence"].marks) == 2
