"""``posterior_mass`` against fitted Laplace predictives, which work in the space of weights."""

import numpy as np
import pytest
import torch
from posterior_cases import classifier, data, heteroscedastic, mlp, regression

import landscape
from landscape.core.problem.problem import Problem
from landscape.errors import InputError
from landscape.reference.uncertainty import fit_laplace

DELTA = 0.7


def variances(problem, x, **options):
    found = fit_laplace(problem, prior_precision=DELTA, **options)
    return found.posterior.variance(found.jacobian(x)[1].detach()), found(x).detach().exp()


@pytest.mark.parametrize("by", ["variance", "magnitude", "random", "curvature", "predictive"])
def test_shares_are_those_of_subnetwork_predictives(by):
    """Oracle: `fit_laplace` with the same selection, by Cholesky in the space of weights; its predictions."""
    problem = classifier()
    x, other = problem.first.inputs, 2 * data(count=9)[0]
    mass = landscape.posterior_mass(problem, by=[by], shares=[0.3, 1.0], prior_precision=DELTA, other=other)
    for place, inputs in enumerate((x, other)):
        full, p_full = variances(problem, inputs, structure="full")
        part, p_part = variances(problem, inputs, structure="subnetwork", size=12, select=by)
        found = mass.isel(by=0, inputs=place)
        assert float(found["variance_share"][0]) == pytest.approx(float(part.sum() / full.sum()), rel=1e-8)
        exact = float((p_part - p_full).abs().sum(1).mean() / 2)
        assert float(found["predictive_tv"][0]) == pytest.approx(exact, rel=1e-6)


def test_all_weights_keep_everything_and_layers_are_subsets():
    """Oracle: the whole; `last_layer` in closed form; shares of the trace by layer add up to one."""
    problem = classifier()
    mass = landscape.posterior_mass(problem, prior_precision=DELTA)
    whole = mass.isel(share=-1)
    for name in ("trace_share", "evidence_share", "variance_share"):
        np.testing.assert_allclose(whole[name], 1.0, rtol=1e-9)
    np.testing.assert_allclose(whole["predictive_tv"], 0.0, atol=1e-9)
    assert list(mass["layer"].values) == ["0", "2"]
    assert mass["layer_size"].values.tolist() == [24, 15]
    assert float(mass["layer_trace_share"].sum()) == pytest.approx(1.0)
    full, _ = variances(problem, problem.first.inputs, structure="full")
    last, _ = variances(problem, problem.first.inputs, structure="last_layer")
    exact = float(last.sum() / full.sum())
    assert float(mass["layer_variance_share"][1, 0]) == pytest.approx(exact, rel=1e-8)
    assert float(mass["map_predictive_tv"][0]) > float(mass["layer_predictive_tv"][1, 0])


def test_scores_of_labelled_inputs_are_those_of_predictives():
    """Oracle: the log-likelihood of the predictives of `fit_laplace`, and of the checkpoint, by torch."""
    problem = classifier()
    x, y = data(count=9)
    mass = landscape.posterior_mass(problem, shares=[1.0], prior_precision=DELTA, other=(2 * x, y)).isel(
        inputs=1
    )
    for who, options in (("full", {"structure": "full"}), ("diagonal", {"structure": "diagonal"})):
        _, p = variances(problem, 2 * x, **options)
        exact = torch.nn.functional.nll_loss(p.log(), y)
        assert float(mass[f"{who}_nll"]) == pytest.approx(float(exact), rel=1e-7)
    exact = torch.nn.functional.cross_entropy(problem.module(2 * x).detach(), y)
    assert float(mass["map_nll"]) == pytest.approx(float(exact), rel=1e-7)
    assert float(mass["layer_nll"][1]) > 0
    unlabelled = landscape.posterior_mass(problem, shares=[1.0], prior_precision=DELTA, other=2 * x)
    assert np.isnan(unlabelled["full_nll"][1])
    assert float(unlabelled["full_predictive_tv"][1]) == 0.0


def test_weights_of_inputs_that_are_always_zero_are_wasted_by_marginal_variance():
    """Oracle: four weights read the dead input; the prior's variance, the largest there is, is theirs."""
    x, y = data()
    x[:, 2] = 0.0
    problem = Problem(mlp(), "cross_entropy", (x, y))
    mass = landscape.posterior_mass(
        problem, by=["variance", "curvature"], shares=[4 / 39], prior_precision=1.0
    )
    assert mass["wasted"].values[:, 0].tolist() == [1.0, 0.0]
    assert float(mass["variance_share"][0, 0, 0]) == 0.0


def test_the_prior_is_that_of_weight_decay_or_of_most_evidence():
    """Oracle: N λ; `evidence` of the same problem."""
    assert float(landscape.posterior_mass(classifier(0.02))["prior_precision"]) == pytest.approx(0.8)
    best = float(landscape.evidence(classifier(0.0))["best_prior_precision"])
    assert (
        float(landscape.posterior_mass(classifier(0.02), prior_precision="evidence")["prior_precision"]) > 0.9
    )
    found = landscape.posterior_mass(classifier(0.0))
    assert float(found["prior_precision"]) == pytest.approx(best, rel=1e-5)


def test_the_gradient_is_that_of_the_data():
    """Oracle: the largest entries of the gradient without weight decay, one by one."""
    problem, plain = classifier(0.02), classifier(0.0)
    options = {"by": ["gradient"], "shares": [5 / 39], "prior_precision": 1.0}
    found, exact = (landscape.posterior_mass(p, **options) for p in (problem, plain))
    assert float(found["trace_share"][0, 0]) == float(exact["trace_share"][0, 0])


def test_a_regression_has_variance_and_no_classes():
    found = landscape.posterior_mass(regression(), prior_precision=1.0)
    assert np.isnan(found["predictive_tv"]).all()
    assert bool((found["variance_share"] > 0).all())


def test_of_a_network_that_puts_out_the_noise_the_variance_of_the_mean_counts():
    """Oracle: variances of outputs by `fit_laplace`, those of the mean, over one another."""
    problem = heteroscedastic()
    x, _ = data()
    mass = landscape.posterior_mass(problem, by=["curvature"], shares=[0.3], prior_precision=DELTA)
    size = round(0.3 * problem.size)
    posteriors = [
        fit_laplace(problem, prior_precision=DELTA, **options)
        for options in ({"structure": "subnetwork", "size": size}, {"structure": "full"})
    ]
    part, whole = (p.posterior.variance(p.jacobian(x)[1].detach())[:, 0].sum() for p in posteriors)
    assert float(mass["variance_share"][0, 0, 0]) == pytest.approx(float(part / whole), rel=1e-6)
    assert np.isnan(mass["predictive_tv"]).all()


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="above 0 and up to 1"):
        landscape.posterior_mass(classifier(), shares=[0.0])
