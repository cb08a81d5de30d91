import math

import numpy as np
import pytest
import torch
from torch import nn

from landscape.core.posterior.prior import GaussianPrior
from landscape.core.problem.parameters import ParameterSpace
from landscape.errors import InputError

D, H = 5, 3


def space():
    model = nn.Sequential(nn.Linear(D, H), nn.Tanh(), nn.Linear(H, 2)).double()
    return ParameterSpace.of(dict(model.named_parameters()))


def inputs(count=12):
    x = torch.randn(count, D, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    x[:, 0] = 0.0  # dead
    x[:, 2] = 2 * x[:, 1]
    return x + 7.0 * torch.tensor([0.0, 1, 2, 0, 0], dtype=torch.float64)


def empcov(**options):
    return GaussianPrior.empirical_covariance(space(), inputs(), variance=0.1, **options)


def dense(prior):
    """T column by column, and so Σ = TTᵀ."""
    T = prior.colour(torch.eye(prior.size, dtype=torch.float64)).T
    return T, T @ T.T


PRIORS = {
    "isotropic": lambda: GaussianPrior.isotropic(space(), 0.1),
    "sum": empcov,
    "product": lambda: empcov(form="product"),
}


def test_covariance_is_that_of_the_inputs_unit_by_unit():
    """Oracle: numpy's covariance, C: α C + ε I with the scale and the floor put in by hand.

    α is what makes the mean prior variance of a weight that of the others, before the floor.
    """
    covariance = np.cov(inputs().numpy(), rowvar=False)
    alpha = 0.1 / (np.trace(covariance) / D)
    want = np.diag(np.full(space().size, 0.1))
    for unit in range(H):
        rows = slice(unit * D, (unit + 1) * D)
        want[rows, rows] = alpha * covariance + 1e-6 * np.eye(D)
    np.testing.assert_allclose(dense(empcov())[1].numpy(), want, atol=1e-12)
    given = dense(empcov(scale=2.0, floor=0.5))[1].numpy()[:D, :D]
    np.testing.assert_allclose(given, 2.0 * covariance + 0.5 * np.eye(D), atol=1e-12)


def test_product_is_the_published_code():
    """Oracle: the precision of the published code, a w (C + 1e-10 I)⁻¹ + w I, inverted by numpy."""
    covariance = np.cov(inputs().numpy(), rowvar=False) + 1e-10 * np.eye(D)
    for options, own in (({}, 10.0), ({"scale": 0.25}, 4.0)):
        precision = own * np.linalg.inv(covariance) + 10.0 * np.eye(D)
        found = dense(empcov(form="product", **options))[1].numpy()[:D, :D]
        np.testing.assert_allclose(found, np.linalg.inv(precision), atol=1e-8)


def test_draws_have_the_variance_of_each_eigenvector():
    """Oracle: numpy's eigenpairs of the covariance; 5,000 draws, within five standard errors."""
    prior, draws = empcov(), 5000
    v = torch.randn(draws, prior.size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    first = prior.colour(v)[:, :D].numpy()
    spectrum, axes = np.linalg.eigh(np.cov(inputs().numpy(), rowvar=False))
    want = 0.1 / spectrum.mean() * spectrum + 1e-6
    found = (first @ axes).var(axis=0, ddof=1)
    assert (np.abs(found / want - 1) < 5 * math.sqrt(2 / (draws - 1))).all()


@pytest.mark.parametrize("name", PRIORS)
def test_maps_belong_together(name):
    """Oracle: dense matrices of the maps, and torch's multivariate normal distribution."""
    prior = PRIORS[name]()
    T, covariance = dense(prior)
    generator = torch.Generator().manual_seed(1)
    v, g = torch.randn(2, prior.size, dtype=torch.float64, generator=generator)
    theta = prior.colour(v)
    torch.testing.assert_close(theta, T @ v)
    torch.testing.assert_close(prior.whiten(theta), v, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(prior.pull(g), T.T @ g)
    for u in (g, v):
        assert float(prior.variance(u)) == pytest.approx(float(u @ covariance @ u), rel=1e-9)
    if name == "product":  # a variance of 1e-11 is beyond torch's Cholesky factor
        return
    exact = torch.distributions.MultivariateNormal(torch.zeros(prior.size, dtype=torch.float64), covariance)
    assert float(prior.log_density(theta)) == pytest.approx(float(exact.log_prob(theta)), rel=1e-9)


def test_narrow_numbers_are_as_good_as_a_narrow_model():
    """Oracle: the float64 prior of the same numbers, to the rounding of float32."""
    narrow = ParameterSpace.of(
        {name: torch.zeros(shape) for name, shape in zip(space().names, space().shapes, strict=True)}
    )
    prior = GaussianPrior.empirical_covariance(narrow, inputs(), variance=0.1)
    v = torch.randn(prior.size, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    for of in ("colour", "pull"):
        torch.testing.assert_close(getattr(prior, of)(v), getattr(empcov(), of)(v), rtol=1e-5, atol=1e-6)
        assert getattr(prior, of)(v).dtype == torch.float64


def test_a_name_stands_for_a_prior_and_its_numbers_tell_it():
    """Oracle: the constructors themselves; hashes of different numbers differ."""
    x = inputs()
    one = GaussianPrior.named("isotropic", space(), x, 0.1)
    other = GaussianPrior.named("empirical_covariance", space(), x, 0.1, {"form": "product"})
    assert one.fingerprint == PRIORS["isotropic"]().fingerprint
    assert other.fingerprint == PRIORS["product"]().fingerprint
    assert len({make().fingerprint for make in PRIORS.values()}) == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianPrior.isotropic(space(), 0.0), "positive, finite variance; got 0"),
        (lambda: empcov(scale=-1.0), "positive, finite scale; got -1"),
        (lambda: empcov(floor=0.0), "positive, finite floor; got 0"),
        (lambda: empcov(form="sums"), "no prior of form 'sums'; did you mean 'sum'"),
        (
            lambda: empcov(layer="0.wait"),
            "no weights '0.wait' read inputs of 5 numbers; did you mean '0.weight'",
        ),
        (
            lambda: GaussianPrior.empirical_covariance(space(), inputs()[:1], variance=1.0),
            "two or more; got 1",
        ),
        (
            lambda: GaussianPrior.empirical_covariance(space(), inputs()[:, :4], variance=1.0),
            r"a first layer with weights \(units, 4\)",
        ),
        (
            lambda: GaussianPrior.empirical_covariance(space(), torch.ones(4, D), variance=1.0),
            "inputs that are finite and that vary",
        ),
        (lambda: GaussianPrior.named("flat", space(), inputs(), 1.0), "no prior 'flat'"),
        (
            lambda: GaussianPrior.named("isotropic", space(), inputs(), 1.0, {"form": "sum"}),
            "'isotropic' has no option 'form'; it has none",
        ),
    ],
)
def test_what_does_not_fit_is_named(make, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        make()
