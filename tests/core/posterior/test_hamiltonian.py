import math

import pytest
import torch
from torch import nn

from landscape.core.posterior.hamiltonian import Potential, leapfrog, steps_of, transition
from landscape.core.posterior.prior import GaussianPrior
from landscape.core.problem.problem import Problem
from landscape.errors import InputError
from tests.posterior_cases import data, mlp


def potential(temperature=1.0, problem=None):
    problem = problem or Problem(mlp(), "cross_entropy", data())
    prior = GaussianPrior.empirical_covariance(problem.space, data()[0], variance=0.5)
    return Potential(problem, prior, temperature)


def normal(count, size, seed=0):
    return torch.randn(count, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_gradient_is_that_of_the_potential(temperature):
    """Oracle: central differences of −ln of likelihood and prior, from torch's loss and normal density."""
    U = potential(temperature)
    v, u = normal(2, U.prior.size)
    x, y = data()

    def value(v):
        model = mlp()
        nn.utils.vector_to_parameters(U.prior.colour(v), model.parameters())
        with torch.no_grad():
            loss = nn.functional.cross_entropy(model(x), y, reduction="sum") / temperature
        return float(loss - torch.distributions.Normal(0.0, 1.0).log_prob(v).sum())

    h = 1e-5
    slope = (value(v + h * u) - value(v - h * u)) / (2 * h)
    assert float(U.gradient(v) @ u) == pytest.approx(slope, rel=1e-7)
    found = U.difference(U.at(v + u), U.at(v))
    assert found == pytest.approx(value(v + u) - value(v), rel=1e-10)


def test_there_and_back():
    """Oracle: time runs backwards: with the momentum turned round one comes to where one was, to 1e-10."""
    U = potential()
    v, p = normal(2, U.prior.size)
    there = leapfrog(U.gradient, v, p, 0.05, 40)
    back = leapfrog(U.gradient, there[0], -there[1], 0.05, 40)
    torch.testing.assert_close(back[0], v, rtol=0, atol=1e-10)
    torch.testing.assert_close(-back[1], p, rtol=0, atol=1e-10)


def test_energy_errors_fall_with_the_square_of_the_step():
    """Oracle: the order of the leapfrog: half the step, a quarter of the error, at the same length."""
    U = potential()
    v, p = normal(2, U.prior.size)

    def error(steps):
        end, q = leapfrog(U.gradient, v, p, 0.8 / steps, steps)
        return U.difference(U.at(end), U.at(v)) + 0.5 * float(q @ q - p @ p)

    errors = [error(steps) for steps in (64, 128, 256)]
    assert errors[0] / errors[1] == pytest.approx(4, abs=0.2)
    assert errors[1] / errors[2] == pytest.approx(4, abs=0.2)


def test_a_gaussian_keeps_its_shadow_energy():
    """Oracle: of ½v² the leapfrog keeps p² + (1 − ε²/4) v² exactly, so its error is ε²/8 (v′² − v²)."""
    v, p = normal(2, 50)
    step = 0.3
    end, q = leapfrog(lambda at: at, v, p, step, 7)
    shadow = p.square() + (1 - step**2 / 4) * v.square()
    torch.testing.assert_close(q.square() + (1 - step**2 / 4) * end.square(), shadow, rtol=1e-12, atol=1e-12)


def test_what_diverges_is_refused():
    """Oracle: the chain stays where it was, and nothing is raised."""
    U = potential()
    level = U.at(normal(1, U.prior.size)[0])
    for step in (1e3, 1e200):
        one = transition(U, level, step, 30, torch.Generator().manual_seed(0))
        assert one.level is level
        assert (one.accept, one.accepted) == (0.0, False)
    small = transition(U, level, 1e-4, 3, torch.Generator().manual_seed(0))
    assert small.accepted
    assert abs(small.energy_error) < 1e-6


def test_steps_make_the_length_exact():
    """Oracle: arithmetic."""
    assert steps_of(math.pi / 2, 0.03, 200) == (53, pytest.approx(math.pi / 106))
    assert steps_of(math.pi / 2, 0.001, 200) == (200, 0.001)
    assert steps_of(1.0, 2.0, 5) == (1, 1.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: potential(problem=Problem(mlp(), "cross_entropy", data(), weight_decay=0.1)),
            "a weight decay of 0.1, which is a prior too",
        ),
        (
            lambda: potential(
                problem=Problem(mlp(classes=1), "mse", (data()[0], torch.zeros(40, 1).double()))
            ),
            "'mse' is no log likelihood; take 'half_squared_error'",
        ),
        (lambda: potential(temperature=0.0), "positive and finite; got 0"),
        (
            lambda: Potential(potential().problem, GaussianPrior(torch.ones(3))),
            "one of 3 parameters; the problem has 39",
        ),
    ],
)
def test_what_does_not_fit_is_named(make, message):
    """Oracle: the sentence the user must see. 39 = 5·4 + 4 + 4·3 + 3."""
    with pytest.raises(InputError, match=message):
        make()
