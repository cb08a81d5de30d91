"""Densities of features against torch's own Gaussians."""

import pytest
import torch
from torch import nn
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from landscape.core.behaviour.selective import Ranking
from landscape.errors import InputError
from landscape.reference.uncertainty import feature_density, fit_density

torch.manual_seed(0)
X = torch.randn(60, 4, dtype=torch.float64) + 2 * torch.eye(4, dtype=torch.float64)[torch.arange(60) % 3]
Y = torch.arange(60) % 3
NEW = torch.randn(11, 4, dtype=torch.float64) * 3


def network(classes=3):
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, classes)).double()


def features(model, x):
    return model[1](model[0](x)).detach()


def gaussians(h, y, covariance):
    groups = [h[y == c] for c in range(3)]
    spreads = torch.stack([torch.cov(g.T) for g in groups])
    if covariance == "diagonal":
        spreads = torch.diag_embed(spreads.diagonal(dim1=1, dim2=2))
    if covariance == "tied":
        weights = [(len(g) - 1) / (len(h) - 3) for g in groups]
        spreads = sum(w * s for w, s in zip(weights, spreads, strict=True)).expand(3, -1, -1)
    return MultivariateNormal(torch.stack([g.mean(0) for g in groups]), spreads)


@pytest.mark.parametrize("covariance", ["full", "diagonal", "tied"])
@pytest.mark.parametrize("normalise", [False, True])
def test_the_density_is_that_of_a_mixture_of_gaussians(covariance, normalise):
    """Oracle: torch.distributions, with covariances by torch.cov; without priors ln of the sum."""
    model = network()
    prepare = nn.functional.normalize if normalise else lambda h: h
    h, new = prepare(features(model, X)), prepare(features(model, NEW))
    options = {"covariance": covariance, "normalise": normalise, "jitter": 0.0}
    found = feature_density([model], (X, Y), **options)
    parts = gaussians(h, Y, covariance)
    expected = parts.log_prob(new[:, None]).logsumexp(1)
    torch.testing.assert_close(found.draws(NEW).score, -expected, rtol=1e-9, atol=0)
    torch.testing.assert_close(found(NEW), model(NEW).log_softmax(-1))
    counted = feature_density([model], (X[:50], Y[:50]), **options, priors="counts")
    few = gaussians(prepare(features(model, X[:50])), Y[:50], covariance)
    mixture = MixtureSameFamily(Categorical(torch.bincount(Y[:50]).double()), few)
    torch.testing.assert_close(counted.draws(NEW).score, -mixture.log_prob(new), rtol=1e-9, atol=0)


def test_full_covariances_do_not_depend_on_the_axes_of_features():
    """Oracle: a density of Ah + b is that of h over |det A|, so that scores differ by a constant."""
    model, other = network(), network()
    A = torch.randn(4, 4, dtype=torch.float64)
    other = nn.Sequential(model[0], model[1], nn.Linear(4, 4).double(), nn.Linear(4, 3).double())
    with torch.no_grad():
        other[2].weight.copy_(A)
    first, second = (fit_density(m, (X, Y), jitter=0.0).draws(NEW).score for m in (model, other))
    shift = torch.linalg.slogdet(A).logabsdet
    torch.testing.assert_close(second - first, shift.expand(11), rtol=1e-8, atol=1e-8)


def test_dead_features_have_the_relative_jitter():
    """Oracle: a feature that is always 0 is a Gaussian about 0 with a thousandth of the mean variance."""
    model = network()
    with torch.no_grad():
        model[0].weight[3] = 0.0
        model[0].bias[3] = 0.0
    found = fit_density(model, (X, Y))
    assert bool(found.draws(NEW).score.isfinite().all())
    spread = torch.cov(features(model, X)[Y == 0].T)
    last = found.factors[0, 3, 3].square()
    torch.testing.assert_close(last, 1e-3 * spread.diagonal().mean())
    with pytest.raises(InputError, match="is too small"):
        fit_density(model, (X, Y), jitter=0.0)


def test_predicted_classes_may_take_the_place_of_labels():
    """Oracle: the fit on the labels that the network itself gives."""
    model = network()
    with torch.no_grad():  # so that it gives every class
        model[2].bias -= model(X).median(0).values
    own = model(X).argmax(1)
    assert len(own.unique()) == 3
    a, b = fit_density(model, (X, Y), classes="predicted"), fit_density(model, (X, own))
    assert torch.equal(a.draws(NEW).score, b.draws(NEW).score)


def test_an_ideal_order_has_raulc_1_and_a_reversed_one_is_below_0():
    """Oracle: definitions: errors after all right answers; before them; all tied, which is by chance."""
    correct = (torch.arange(40) % 4 > 0).double().numpy()
    assert Ranking.of(-correct, correct).raulc == pytest.approx(1.0)
    assert Ranking.of(correct, correct).raulc < 0
    assert Ranking.of(0 * correct, correct).raulc == pytest.approx(0.0, abs=1e-12)


def test_what_cannot_be_fitted_is_said():
    """Oracle: the declaration."""
    with pytest.raises(InputError, match="one classifier, not of 2"):
        feature_density([network(), network()], (X, Y))
    with pytest.raises(InputError, match="not that of a linear layer"):
        fit_density(nn.Sequential(nn.Linear(4, 3), nn.Tanh()).double(), (X, Y))
    with pytest.raises(InputError, match="two examples or more"):
        fit_density(network(), (X[:3], Y[:3]))
    with pytest.raises(InputError, match="covariance is none 'half'"):
        fit_density(network(), (X, Y), covariance="half")
    with pytest.raises(InputError, match="jitter is not negative"):
        fit_density(network(), (X, Y), jitter=-1.0)


def test_what_is_not_a_gaussian_s_data_is_named():
    """Oracle: the sentences the user must see; labels in a column are labels."""
    model, y = nn.Sequential(nn.Linear(2, 3)), torch.tensor([0] * 3 + [1] * 5)
    x = torch.randn(8, 2)
    assert torch.equal(fit_density(model, (x, y[:, None])).means, fit_density(model, (x, y)).means)
    with pytest.raises(InputError, match="one whole number an example"):
        fit_density(model, (x, torch.rand(8, 3)))
    x[:3] = 1.0
    with pytest.raises(InputError, match="all have the same features"):
        fit_density(model, (x, y))
    x[0] = torch.nan
    with pytest.raises(InputError, match="not finite"):
        fit_density(model, (x, y))
