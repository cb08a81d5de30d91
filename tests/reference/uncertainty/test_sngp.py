"""SNGP against kernels, dense posteriors and Monte Carlo."""

import math

import pytest
import torch
from torch import nn

from landscape.core.behaviour.predictive import Mixture
from landscape.errors import InputError
from landscape.reference.uncertainty import SNGP, RandomFeatureGP, fit_sngp, sngp, sngp_network

MLP = {"builder": "landscape.reference.models:mlp", "kwargs": {"widths": [3, 6, 4]}, "shape": [3]}


def network(count=64, **options):
    torch.manual_seed(0)
    return sngp_network(**{**MLP, "count": count, **options})


def test_random_features_are_the_gaussian_kernel():
    """Oracle: exp(−‖h − h′‖²/(2 length²)) itself; orthogonal rows err less than 1/√m."""
    torch.manual_seed(0)
    head = RandomFeatureGP(5, 3, count=4096, length=2.0)
    h = torch.randn(40, 5)
    phi = head.features(h)
    kernel = (-torch.cdist(h, h).square() / 8.0).exp()
    assert float((phi @ phi.T - kernel).square().mean().sqrt()) < 1 / math.sqrt(4096)
    unscaled = RandomFeatureGP(5, 3, count=4096, scaled=False)
    assert float(unscaled.features(h).square().sum(1).mean()) == pytest.approx(2048, rel=0.05)


@pytest.mark.parametrize("scaled", [True, False])
def test_the_variance_is_that_of_gaussian_process_regression(scaled):
    """Oracle: k(z, z) − k(z, X)(K + sI)⁻¹k(X, z), by the other side of Woodbury's identity."""
    model = network(ridge=0.3, scaled=scaled).double()
    x, z = torch.randn(20, 3, dtype=torch.float64), torch.randn(7, 3, dtype=torch.float64)
    predictive = fit_sngp(model, (x, torch.zeros(20, dtype=torch.long)), batch=6)
    body = nn.Sequential(*list(model.children())[:-1])
    head = model.fc2
    phi, at = (head.features(body(v)).detach() for v in (x, z))
    K = phi @ phi.T + 0.3 * torch.eye(20, dtype=torch.float64)
    exact = (at @ at.T - at @ phi.T @ torch.linalg.inv(K) @ phi @ at.T).diagonal()
    torch.testing.assert_close(predictive.draws(z).score, exact, rtol=1e-7, atol=0)
    few = fit_sngp(model, (x[:10], torch.zeros(10, dtype=torch.long)))
    assert bool((few.draws(z).score >= predictive.draws(z).score).all())
    # far away, features know nothing of the data
    far = fit_sngp(model, (x, torch.zeros(20, dtype=torch.long))).draws(1e3 * z)
    assert bool((far.score <= head.features(body(1e3 * z)).square().sum(1) + 1e-9).all())


def test_the_mean_field_goes_with_the_scale_of_the_features():
    """Oracle: the formula; π/8, π/4 of two classes, 20 of features that are not scaled."""
    model = network()
    x = torch.randn(9, 3)
    predictive = sngp([model], (x, torch.arange(9) % 4))
    variance = predictive.draws(x).score[:, None]
    expected = (model(x) / (1 + math.pi / 8 * variance).sqrt()).log_softmax(-1)
    torch.testing.assert_close(predictive.draws(x).mixture(), expected, check_dtype=False)
    torch.testing.assert_close(predictive(x), predictive.draws(x).mixture(), rtol=0, atol=0)
    assert network(scaled=False) and fit_sngp(network(scaled=False), (x, x)).scale == 20.0
    two = network(kwargs={"widths": [3, 6, 2]})
    assert fit_sngp(two, (x, x)).scale == pytest.approx(math.pi / 4)


@pytest.mark.parametrize(
    ("classes", "right", "wrong"), [(2, math.pi / 4, math.pi / 8), (10, math.pi / 8, 0.0)]
)
def test_the_mean_field_is_near_monte_carlo(classes, right, wrong):
    """Oracle: means of softmax over 100,000 independent normal logits: for two classes π/4, not π/8."""
    generator = torch.Generator().manual_seed(0)
    distances = []
    for _ in range(10):
        logits, variance = 2 * torch.randn(classes, generator=generator), 4.0
        noise = torch.randn(100_000, classes, generator=generator)
        p = (logits + math.sqrt(variance) * noise).softmax(1).mean(0)
        distances.append(
            [
                float((p - (logits / math.sqrt(1 + scale * variance)).softmax(0)).abs().sum() / 2)
                for scale in (right, wrong)
            ]
        )
    of_right, of_wrong = (sum(column) / 10 for column in zip(*distances, strict=True))
    assert of_right < 0.6 * of_wrong


def test_draws_are_of_one_process_however_data_are_cut():
    """Oracle: the variance of 4,000 draws of the logits about their mean is the score, within 5 errors."""
    model = network().double()
    x = torch.randn(12, 3, dtype=torch.float64)
    predictive = fit_sngp(model, (x, x), samples=3)
    before = torch.random.get_rng_state()
    whole = predictive.draws(x, seed=5)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert whole.samples == 3
    parts = torch.cat([predictive.draws(part, seed=5).log_p for part in x.split(5)], dim=1)
    torch.testing.assert_close(parts, whole.log_p)
    assert not torch.equal(predictive.draws(x, seed=6).log_p, whole.log_p)
    many = predictive.draws(x[:2], 4000).log_p
    gaps = many[..., 0] - many[..., 1]  # of log probabilities: the difference of two logits
    found = gaps.var(0) / 2
    torch.testing.assert_close(found, predictive.draws(x[:2]).score, rtol=5 * math.sqrt(2 / 4000), atol=0)


def test_several_networks_are_mixed_and_what_does_not_fit_is_said():
    """Oracle: the declaration."""
    x = torch.randn(9, 3)
    both = sngp([network(), network(bound=None)], (x, x))
    assert isinstance(both, Mixture) and both.draws(x).samples == 2
    with pytest.raises(InputError, match="one RandomFeatureGP"):
        fit_sngp(nn.Linear(3, 2), (x, x))
    with pytest.raises(InputError, match="not finite"):
        fit_sngp(network(), (x * math.nan, x))
    with pytest.raises(InputError, match="the factor is"):
        SNGP(network(), torch.eye(3))
    with pytest.raises(InputError, match="are positive"):
        RandomFeatureGP(3, 2, count=0)
    with pytest.raises(InputError, match="no linear layer"):
        sngp_network("torch.nn:Flatten", {})


def test_the_head_takes_the_place_of_the_last_layer_however_layers_are_nested():
    """Oracle: the width of the network and its number of classes; the blocks before it stay as they are."""
    model = sngp_network(
        "landscape.reference.models:residual_mlp", {"width": 8, "depth": 2, "classes": 3}, [2], count=16
    )
    assert isinstance(model.head, RandomFeatureGP) and model.head.weight.shape == (3, 16)
    assert model.head.directions.shape == (16, 8)
    assert isinstance(model.block2.fc, nn.Linear) and hasattr(model.block2.fc, "parametrizations")
    assert not hasattr(model.first, "parametrizations")  # its weights are not trained
