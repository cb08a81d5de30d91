"""Variational layers against drawn weights, closed forms and the exact posterior of a linear model."""

import copy

import pytest
import torch
from torch import nn

from landscape.core.problem.problem import Problem
from landscape.errors import InputError
from landscape.reference.models import mlp, resnet
from landscape.reference.training import CrossEntropy, Divergence, train
from landscape.reference.uncertainty import (
    Variational,
    VariationalConv2d,
    VariationalLinear,
    kl,
    variational,
    variational_network,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def spread(layer, low=-2.0, high=1.0):
    """Give a layer standard deviations of all sizes."""
    with torch.no_grad():
        for name in ("weight_rho", "bias_rho"):
            rho = getattr(layer, name)
            rho.copy_(low + (high - low) * torch.rand(rho.shape, generator=generator(3)))
    return layer


def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double()


X = torch.randn(7, 6, dtype=torch.float64, generator=generator(1))


def test_the_divergence_is_that_of_gaussians():
    """Oracle: torch.distributions, weight by weight."""
    layer = spread(VariationalLinear(nn.Linear(4, 3).double(), prior=0.7))
    want = 0.0
    for name in ("weight", "bias"):
        mean, rho = getattr(layer, name), getattr(layer, f"{name}_rho")
        posterior = torch.distributions.Normal(mean, rho.exp().log1p())
        prior = torch.distributions.Normal(torch.zeros_like(mean), 0.7)
        want = want + torch.distributions.kl_divergence(posterior, prior).sum()
    torch.testing.assert_close(layer.divergence(), want)
    other = VariationalLinear(nn.Linear(1, 1).double())
    torch.testing.assert_close(kl(nn.Sequential(layer, other)), layer.divergence() + other.divergence())


@pytest.mark.parametrize("kind", ["linear", "convolution"])
def test_drawn_outputs_have_the_moments_of_drawn_weights(kind):
    """Oracle: the layer at 4,000 drawn weights; means and variances within five standard errors."""
    count = 4000
    if kind == "linear":
        layer = spread(VariationalLinear(nn.Linear(6, 2).double()))
        x = X[:2]
    else:
        layer = spread(VariationalConv2d(nn.Conv2d(2, 2, 3, stride=2, padding=1).double()))
        x = torch.randn(1, 2, 5, 5, dtype=torch.float64, generator=generator(4))
    source = generator(5)
    weights, outputs = [], []
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(6)
        for _ in range(count):
            with layer.draw(source):
                weights.append(layer.eval()(x))
            outputs.append(layer.train()(x))
    a, b = torch.stack(weights), torch.stack(outputs)
    error = (a.var(0) / count + b.var(0) / count).sqrt()
    assert ((a.mean(0) - b.mean(0)).abs() < 5 * error).all()
    assert ((a.var(0) / b.var(0)).log().abs() < 5 * 2 / count**0.5).all()
    torch.testing.assert_close(
        b.var(0), layer.output_variance(x)[...].detach().expand_as(b[0]), rtol=0.2, atol=0
    )


def test_without_spread_it_is_the_network():
    """Oracle: the network before, in training mode and in draws; eval mode within is the mean weights."""
    plain = net()
    model = variational(copy.deepcopy(plain)).double()
    torch.testing.assert_close(model.model.eval()(X), plain(X))
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, VariationalLinear):
                part.weight_rho.fill_(-60.0)
                part.bias_rho.fill_(-60.0)
    torch.testing.assert_close(model.eval().draws(X, 2).log_p[1], plain(X).log_softmax(-1))
    torch.testing.assert_close(model.train()(X), plain(X), rtol=1e-6, atol=1e-6)


def test_draws_are_seeded_and_do_not_depend_on_batches():
    """Oracle: the same bits twice and in parts; the caller's random numbers unmoved; other seeds differ."""
    model = variational(net(), samples=3).eval()
    state = torch.get_rng_state()
    whole = model.draws(X).log_p
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(model.draws(X).log_p, whole)
    torch.testing.assert_close(torch.cat([model.draws(x).log_p for x in X.split(3)], 1), whole)
    assert not torch.equal(model.draws(X, seed=1).log_p, whole)
    assert len(model.draws(X, 5).log_p) == 5
    torch.testing.assert_close(model(X), whole.exp().mean(0).log())
    assert Problem(model, "cross_entropy", (X, torch.arange(7) % 3)).loss() > 0


def test_the_bound_is_best_at_the_posterior_of_a_linear_model():
    """Oracle: Bayesian linear regression: exact means, and the inverse of the diagonal of the precision.

    The bound's expectation over the noise is taken in closed form, from the layer's own mean and variance.
    """
    x, y = X, X.sum(1) + 0.3
    precision = x.T @ x + torch.eye(6, dtype=torch.float64) / 0.5**2
    layer = VariationalLinear(nn.Linear(6, 1, bias=False).double(), prior=0.5).eval()
    with torch.no_grad():
        layer.weight.copy_(torch.linalg.solve(precision, x.T @ y)[None])
        layer.weight_rho.copy_(precision.diagonal().rsqrt().expm1().log()[None])
    errors = (layer(x)[:, 0] - y).square() + layer.output_variance(x)[:, 0]
    bound = 0.5 * errors.sum() + layer.divergence()
    slopes = torch.autograd.grad(bound, [layer.weight, layer.weight_rho])
    assert max(s.abs().max().item() for s in slopes) < 1e-12


def test_the_last_layer_alone():
    """Oracle: types by name; a model without layers and unknown words are sentences."""
    model = variational(net(), "last")
    assert [type(part) for part in model.model] == [nn.Linear, nn.Tanh, VariationalLinear]
    both = variational(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2, 2)))
    assert [type(part) for part in both.model] == [VariationalConv2d, nn.Flatten, VariationalLinear]
    named = variational_network(kwargs={"widths": (4, 3, 2)}, layers="last", samples=2)
    assert isinstance(named.model.fc2, VariationalLinear)
    for make, sentence in (
        (lambda: variational(net(), "first"), "no layers 'first'"),
        (lambda: variational(nn.ReLU()), "ReLU has no variational layers"),
        (lambda: variational(net(), prior=0.0), "positive, finite prior, not 0.0"),
        (lambda: variational(net()).draws(X, 0), "at least one draw"),
        (lambda: VariationalConv2d(nn.Conv2d(1, 1, 3, padding_mode="circular")), "not with 'circular'"),
    ):
        with pytest.raises(InputError, match=sentence):
            make()


def test_it_is_trained_on_the_bound(tmp_path):
    """Oracle: the prior's spread of weights that data say nothing of, and less of the others."""
    x = torch.randn(200, 4, generator=generator(2))
    x[:, 3] = 0.0  # of which data say nothing
    y = (x[:, 0] > 0).long()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = variational(mlp((4, 2)), prior=0.3, samples=5)
    with torch.no_grad():
        model.model.fc1.weight_rho.fill_(-2.0)
    objective = CrossEntropy() + Divergence(warmup=0.2)
    result = train(model, (x, y), (x, y), path=tmp_path / "v", epochs=60, lr=0.05, objective=objective)
    assert result.train_accuracy > 0.9
    sd = nn.functional.softplus(model.model.fc1.weight_rho).mean(0).detach()
    assert sd[3].item() == pytest.approx(0.3, rel=0.05)  # the prior's
    assert sd[:3].max() < 0.9 * sd[3]
    assert isinstance(model, Variational)


def test_the_last_layer_is_the_head_however_layers_are_nested():
    """Oracle: the head of a residual network, whose stages hold layers of layers."""
    model = variational(resnet(width=2), layers="last")
    found = [name for name, part in model.model.named_modules() if hasattr(part, "divergence")]
    assert found == ["head"]
