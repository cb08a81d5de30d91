"""A forward pass that writes to its parameters is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import landscape
from landscape.core.problem.checks import unwritten
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


def by_data(weight: Tensor) -> None:
    weight.data.mul_(2)


def by_numpy(weight: Tensor) -> None:
    weight.detach().numpy()[0, 0] += 1


def by_order(weight: Tensor) -> None:
    weight.data.copy_(weight.data.flip(0))


@pytest.mark.parametrize("write", [by_data, by_numpy, by_order])
def test_writes_that_torch_does_not_count_are_seen(write: Callable[[Tensor], None]) -> None:
    """Oracle: torch's own version counter, which stays; the last write keeps the sum of all entries."""
    model = nn.Linear(4, 3)
    before = model.weight._version
    with pytest.raises(InputError, match="writes to its parameter 'weight'"), unwritten(model):
        write(model.weight)
    assert model.weight._version == before


def test_weights_without_a_write_pass_and_are_not_copied() -> None:
    """Oracle: the sizes of all that torch makes meanwhile; NaN and both zeros are no writes."""
    model = nn.Linear(1000, 1000)
    with torch.no_grad():
        model.weight[0, :3] = torch.tensor([torch.nan, -0.0, 0.0])
    with Largest() as seen, unwritten(model):
        model.weight.data[0, 1] = 0.0
    assert seen.entries < model.weight.numel() / 3


class Largest(TorchDispatchMode):
    """Keeps the size of the largest new tensor."""

    entries = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        given = {a.data_ptr() for a in args if isinstance(a, Tensor)}
        if isinstance(found, Tensor) and found.data_ptr() not in given and not found._is_view():
            self.entries = max(self.entries, found.numel())
        return found


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
