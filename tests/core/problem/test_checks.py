"""A forward pass that writes to its parameters is refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import landscape
from landscape.core.problem.problem import Problem
from landscape.errors import InputError


class Replaces(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        self.weight.data = nn.functional.normalize(self.weight.data, dim=1)
        return super().forward(x)


class Divides(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.weight.div_(self.weight.norm(dim=1, keepdim=True))
        return super().forward(x)


@pytest.mark.parametrize("kind", [Replaces, Divides])
def test_a_forward_pass_that_writes_its_weights(kind: type[nn.Linear]) -> None:
    """The sentence names the parameter; the weights are already normal, so no loss would show it."""
    model = kind(4, 3)
    model.weight.data = nn.functional.normalize(model.weight.data, dim=1)
    with pytest.raises(InputError, match=f"{kind.__name__} writes to its parameter 'weight'"):
        Problem(model, "mse", (torch.randn(5, 4), torch.randn(5, 3)))


class Overwriting(nn.Module):
    """Its tanh needs its own output for the gradient."""

    def __init__(self):
        super().__init__()
        self.layer, self.norm = nn.Linear(3, 4), nn.BatchNorm1d(4)

    def forward(self, x):
        h = self.norm(self.layer(x)).tanh_()
        h[:, 0] *= 2
        return h


def test_values_that_are_overwritten_are_explained():
    """Oracle: torch refuses the gradient; losses have none and are right."""
    data = torch.randn(6, 3), torch.arange(6) % 4
    problem = Problem(Overwriting(), "cross_entropy", data)
    assert problem.loss() > 0
    for ask in (problem.gradient, lambda: landscape.spectrum(problem, k=1), lambda: landscape.trace(problem)):
        with pytest.raises(InputError, match=r"Overwriting overwrites .* make a new tensor .* of Tanh"):
            ask()


def test_a_last_batch_of_one_cannot_be_normalised_by_itself():
    """Oracle: 7 examples in batches of 3 leave one; in batches of 4 they do not."""
    data = torch.randn(7, 3), torch.arange(7) % 3
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    problem = Problem(model, "cross_entropy", data, batchnorm="batch", batch_size=3)
    with pytest.raises(InputError, match=r"statistics of a batch of 1: choose batch_size="):
        problem.loss()
    assert Problem(model, "cross_entropy", data, batchnorm="batch", batch_size=4).loss() > 0
