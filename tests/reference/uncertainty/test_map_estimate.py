import numpy as np
import pytest
import torch
from torch import nn

from landscape.core.posterior.prior import GaussianPrior
from landscape.core.problem.problem import Problem
from landscape.errors import InputError
from landscape.reference.models import mlp
from landscape.reference.uncertainty import map_estimate, map_network


def regression():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(12, 4, dtype=torch.float64, generator=generator)
    x[:, 3] = 0.0
    y = x[:, :1] + torch.randn(12, 1, dtype=torch.float64, generator=generator)
    return Problem(nn.Linear(4, 1, bias=False).double(), "half_squared_error", (x, y)), x.numpy(), y.numpy()


@pytest.mark.parametrize("name", ["isotropic", "empirical_covariance"])
def test_it_is_ridge_regression(name):
    """Oracle: the normal equations with the precision of the prior; weights of dead inputs are 0."""
    problem, x, y = regression()
    prior = GaussianPrior.named(name, problem.space, torch.from_numpy(x), 0.5)
    found = map_estimate(problem, prior).numpy()
    covariance = np.eye(4) * 0.5
    if name != "isotropic":
        own = np.cov(x, rowvar=False)
        covariance = 0.5 / (np.trace(own) / 4) * own + 1e-6 * np.eye(4)
    want = np.linalg.solve(x.T @ x + np.linalg.inv(covariance), x.T @ y)[:, 0]
    np.testing.assert_allclose(found, want, atol=1e-5)
    assert abs(found[3]) < 1e-5


def net(seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return mlp((4, 3, 3))


def test_each_network_starts_at_a_draw_of_its_own():
    """Oracle: a descent that has hardly begun stands at a draw of the prior; the network itself stays."""
    data = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 3
    models = [net(0), net(1), net(0)]
    states = [model.fc1.weight.clone() for model in models]
    made = [map_network(m, data, variance=400.0, steps=1, lr=1e-9) for m in models]
    thetas = [nn.utils.parameters_to_vector(m.parameters()).detach() for m in made]
    assert torch.equal(thetas[0], thetas[2])
    assert not torch.equal(thetas[0], thetas[1])
    assert 14 < torch.cat(thetas).std() < 26
    assert all(torch.equal(m.fc1.weight, s) for m, s in zip(models, states, strict=True))
    one, two = (map_network(m, data, variance=1.0, steps=1, seed=4) for m in models[:2])
    torch.testing.assert_close(one.fc1.weight, two.fc1.weight)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, not 0"),
        ({"lr": 0.0}, "lr must be positive and finite, not 0"),
        ({"lr": 1e300}, "map_estimate diverged; lower its learning rate"),
    ],
)
def test_what_does_not_fit_is_named(options, message):
    """Oracle: the sentence the user must see."""
    problem, _, _ = regression()
    with pytest.raises(InputError, match=message):
        map_estimate(problem, GaussianPrior.isotropic(problem.space, 1.0), **options)
