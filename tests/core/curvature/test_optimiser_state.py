"""Optimisers' states against the iterations that they stand for."""

import math

import numpy as np
import pytest
import torch
from cases import CASES
from torch import nn

import landscape
from landscape.core.curvature.optimiser_state import read_optimiser, stability_limit
from landscape.errors import InputError


def radius(kind, h, eta, beta, nesterov=False):
    """The spectral radius of the iteration on ½hx², by its matrix."""
    if kind == "adam":  # m ← βm + (1−β)hx, x ← x − ηm
        M = np.array([[beta, (1 - beta) * h], [-eta * beta, 1 - eta * (1 - beta) * h]])
    elif nesterov:  # v ← βv + hx, x ← x − η(hx + βv)
        M = np.array([[beta, h], [-eta * beta**2, 1 - eta * h * (1 + beta)]])
    else:  # v ← βv + hx, x ← x − ηv
        M = np.array([[beta, h], [-eta * beta, 1 - eta * h]])
    return np.abs(np.linalg.eigvals(M)).max()


@pytest.mark.parametrize(
    ("kind", "beta", "nesterov"),
    [
        ("gd", 0.0, False),
        ("sgd", 0.9, False),
        ("sgd", 0.9, True),
        ("adam", 0.9, False),
        ("rmsprop", 0.0, False),
    ],
)
def test_limits_are_where_the_iteration_leaves_the_unit_circle(kind, beta, nesterov):
    """Oracle: eigenvalues of the iteration's own matrix on a frozen quadratic, just below and just above."""
    eta = 0.03
    limit = stability_limit(kind, eta, beta, nesterov=nesterov)
    assert (
        radius(kind, 0.999 * limit, eta, beta, nesterov)
        < 1
        < radius(kind, 1.001 * limit, eta, beta, nesterov)
    )
    if kind == "adam":
        assert limit == pytest.approx(38 / eta)


def test_no_steps_and_unknown_steps():
    """Oracle: by inspection."""
    assert stability_limit("gd", 0.0) == math.inf
    assert math.isnan(stability_limit("gd", math.nan))


def trained(make, steps=3, named=False, groups=None):
    """A small network after some steps of an optimiser, as a problem, and the optimiser."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    x, y = torch.randn(12, 4).double(), torch.arange(12) % 3
    given = list(model.named_parameters()) if named else list(model.parameters())
    optimiser = make(groups(model) if groups else given)
    for _ in range(steps):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    return landscape.Problem(model, "cross_entropy", (x, y)), optimiser


def test_adams_preconditioner_is_what_its_next_step_divides_by():
    """Oracle: torch's own Adam: with β₁ = 0 and gradient g, the step is η g/P, v with that gradient."""
    problem, optimiser = trained(lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.0, 0.9), eps=1e-3))
    before = problem.theta.clone()
    g = problem.gradient()
    parameters = optimiser.param_groups[0]["params"]
    for p, row in zip(parameters, problem.space.unflatten(g).values(), strict=True):
        p.grad = row.clone()
    optimiser.step()
    found = read_optimiser(problem, optimiser.state_dict())
    after = torch.cat([p.detach().reshape(-1) for p in parameters])
    np.testing.assert_allclose(before - after, 0.1 * g / found.preconditioner, rtol=1e-9)
    assert (found.kind, found.steps, found.momentum, found.learning_rate) == ("adam", 4, 0.0, 0.1)
    assert found.limit == pytest.approx(20.0)


def test_the_bias_of_the_mean_counts():
    """Oracle: the formula by hand."""
    problem, optimiser = trained(lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.02))
    found = read_optimiser(problem, optimiser.state_dict())
    v = torch.cat([optimiser.state[p]["exp_avg_sq"].reshape(-1) for p in optimiser.param_groups[0]["params"]])
    want = (1 - 0.9**3) * ((v / (1 - 0.999**3)).sqrt() + 1e-8)
    np.testing.assert_allclose(found.preconditioner, want, rtol=1e-12)
    assert found.weight_decay == 0.02 and found.decoupled in (True, None)
    assert found.floored == 0.0


def test_rmsprop_and_momentum():
    """Oracle: the settings that torch was given."""
    problem, optimiser = trained(lambda p: torch.optim.RMSprop(p, lr=0.01))
    found = read_optimiser(problem, optimiser.state_dict())
    v = torch.cat([optimiser.state[p]["square_avg"].reshape(-1) for p in optimiser.param_groups[0]["params"]])
    np.testing.assert_allclose(found.preconditioner, v.sqrt() + 1e-8, rtol=1e-12)
    assert found.limit == pytest.approx(200.0)
    problem, optimiser = trained(lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.5, weight_decay=0.1))
    found = read_optimiser(problem, optimiser.state_dict())
    assert (found.kind, found.preconditioner, found.decoupled) == ("sgd", None, False)
    assert found.limit == pytest.approx(30.0)
    assert read_optimiser(problem, optimiser.state_dict(), {"_last_lr": [0.2]}).limit == pytest.approx(15.0)
    assert read_optimiser(problem, optimiser.state_dict(), learning_rate=0.3).limit == pytest.approx(10.0)


def split_up(model):
    """Weights with decay and biases without, as is usual."""
    return [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]


def test_groups_in_another_order_find_their_parameters():
    """Oracle: one group of the same Adam without decay, parameter by parameter."""
    plain = trained(lambda p: torch.optim.Adam(p, lr=0.1))
    grouped = trained(lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.0), groups=split_up, steps=1)
    one = trained(lambda p: torch.optim.Adam(p, lr=0.1), steps=1)
    named = trained(lambda p: torch.optim.Adam(p, lr=0.1), named=True)
    P = [read_optimiser(p, o.state_dict()).preconditioner for p, o in (plain, named, grouped, one)]
    np.testing.assert_array_equal(P[0], P[1])
    biases = torch.cat([torch.full((n,), float(n in (5, 3))) for n in (20, 5, 15, 3)]).bool()
    np.testing.assert_allclose(P[2][biases], P[3][biases], rtol=1e-12)


def test_what_cannot_be_read_is_told():
    """Oracle: the words of the sentences."""
    problem, optimiser = trained(lambda p: torch.optim.NAdam(p, lr=0.1))
    with pytest.raises(InputError, match="no SGD, Adam, AdamW or RMSprop"):
        read_optimiser(problem, optimiser.state_dict())
    with pytest.raises(InputError, match="param_groups"):
        read_optimiser(problem, {"lr": 0.1})
    problem, optimiser = trained(lambda p: torch.optim.Adam(p, lr=0.1))
    with pytest.raises(InputError, match="order that does not fit"):
        read_optimiser(CASES["conv_batchnorm"].problem(), optimiser.state_dict())
    state = optimiser.state_dict()
    state["param_groups"] = [
        {**state["param_groups"][0], "lr": lr, "params": p} for lr, p in ((1, [0]), (2, [1]))
    ]
    with pytest.raises(InputError, match="learning rates from 1 to 2"):
        read_optimiser(problem, state)


def test_before_the_first_step_there_is_no_preconditioner():
    """Oracle: by inspection; a checkpoint without an optimiser knows what it is given."""
    problem, optimiser = trained(lambda p: torch.optim.Adam(p, lr=0.1), steps=0)
    found = read_optimiser(problem, optimiser.state_dict())
    assert found.preconditioner is None and found.steps == 0
    assert read_optimiser(problem, None, learning_rate=0.5).limit == 4.0
    assert math.isnan(read_optimiser(problem, None).limit)
