"""Jacobians against autograd's own, one output of one example at a time."""

import pytest
import torch
from posterior_cases import classifier, convolution, data, image_classifier, mlp
from torch import nn

from landscape.core.posterior.jacobians import OutputJacobian, data_jacobians
from landscape.core.problem.parameters import ParameterSpace
from landscape.core.problem.problem import Problem
from landscape.errors import InputError


def by_hand(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """∂f_nc/∂θ (N, C, P) by one backward pass each."""
    parameters = list(model.parameters())
    rows = [
        torch.cat([g.reshape(-1) for g in torch.autograd.grad(f, parameters, retain_graph=True)])
        for one in x
        for f in model(one[None])[0]
    ]
    return torch.stack(rows).view(len(x), -1, rows[0].numel())


class Branching(nn.Module):
    """Its path depends on the values, which no transform of torch can follow."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 3).double()
        self.unused = nn.Parameter(torch.ones(2, dtype=torch.float64))

    def forward(self, x):
        return self.layer(x) if float(x.sum()) > 0 else 2 * self.layer(x)


@pytest.mark.parametrize("index", [None, [0, 3, 21, 24, 38]])
def test_jacobians_of_linear_layers(index):
    """Oracle: single backward passes; entries are columns of the whole."""
    model, (x, _) = mlp(), data()
    at = None if index is None else torch.tensor(index)
    outputs, J = OutputJacobian(model, ParameterSpace.of(dict(model.named_parameters())), at)(x)
    exact = by_hand(model, x)
    torch.testing.assert_close(outputs, model(x).detach())
    torch.testing.assert_close(J, exact if at is None else exact[:, :, at])
    assert not J.requires_grad
    assert not outputs.requires_grad


def test_jacobians_of_convolutions():
    """Oracle: single backward passes, BatchNorm with its running statistics."""
    model, (x, _) = convolution(), data(count=6, inputs=16)
    x = x.view(-1, 1, 4, 4)
    jacobian = OutputJacobian(model, ParameterSpace.of(dict(model.named_parameters())))
    assert not jacobian.vectorises(x)
    with torch.no_grad():
        outputs, J = jacobian(x)
    torch.testing.assert_close(J, by_hand(model, x))
    torch.testing.assert_close(outputs, model(x).detach())


def test_models_that_no_transform_follows_and_parameters_without_a_part():
    """Oracle: single backward passes; the unused parameter has a derivative of zero."""
    model, (x, _) = Branching(), data()
    _, J = OutputJacobian(model, ParameterSpace.of(dict(model.named_parameters())))(x)
    for one, rows in zip(x, J, strict=True):
        factor = 1.0 if float(one.sum()) > 0 else 2.0
        torch.testing.assert_close(rows[0, :2], torch.zeros(2, dtype=torch.float64))  # `unused` comes first
        torch.testing.assert_close(rows[1, 7:12], factor * one)


@pytest.mark.parametrize("make", [classifier, image_classifier])
def test_jacobians_of_data_come_in_order_and_of_every_example(make):
    """Oracle: single backward passes of the problem's own model."""
    problem = make()
    outputs, J = (torch.cat(side) for side in zip(*data_jacobians(problem), strict=True))
    x = problem.first.inputs
    torch.testing.assert_close(J, by_hand(problem.module, x))
    torch.testing.assert_close(outputs, problem.module(x).detach())


def test_the_user_s_own_forward_is_what_is_differentiated():
    """Oracle: a forward function that doubles the outputs doubles their Jacobian."""
    x, y = data()
    twice = Problem(mlp(), "cross_entropy", (x, y), forward=lambda model, inputs: 2 * model(inputs))
    doubled = torch.cat([J for _, J in data_jacobians(twice)])
    torch.testing.assert_close(doubled, 2 * by_hand(mlp(), x))


def test_statistics_of_the_batch_are_refused():
    x, y = data(count=8, inputs=16)
    problem = Problem(convolution(), "cross_entropy", (x.view(-1, 1, 4, 4), y), batchnorm="batch")
    with pytest.raises(InputError, match="batchnorm='checkpoint'"):
        next(data_jacobians(problem))
