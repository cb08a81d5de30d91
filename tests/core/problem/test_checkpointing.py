"""Activation checkpointing changes no number."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils import checkpoint as room

from landscape import Problem, hessian, spectrum
from landscape.core.problem.checkpointing import without_checkpointing


class Saving(nn.Module):
    """A model that computes one of its parts anew in the backward pass; ``None``: that does not."""

    def __init__(self, part, reentrant, first):
        super().__init__()
        self.enter, self.part, self.head = nn.Linear(2, 4), part, nn.Linear(4, 3)
        self.reentrant, self.first = reentrant, first

    def again(self, part, x):
        return part(x) if self.reentrant is None else room.checkpoint(part, x, use_reentrant=self.reentrant)

    def forward(self, x):
        x = x.reshape(len(x), 2, 2)
        h = self.part(self.again(self.enter, x)) if self.first else self.again(self.part, self.enter(x))
        return self.head(torch.tanh(h).mean(1))


PARTS = {
    "attention": lambda: nn.TransformerEncoderLayer(4, 2, 4, 0.0, batch_first=True),
    "weight norm": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)),
    "layers": lambda: nn.Sequential(nn.Linear(4, 4), nn.Tanh()),
}


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("part", PARTS)
def test_gradients_and_products_are_those_of_the_model_without_it(part, reentrant, first):
    """Oracle: the same layers called plainly; kept graphs and new ones."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(9, 4, generator=generator).double(), torch.arange(9) % 3
    found = []
    for how in (None, reentrant):
        torch.manual_seed(1)
        problem = Problem(Saving(PARTS[part](), how, first).double(), "cross_entropy", (x, y))
        operator, v = hessian(problem), torch.linspace(-1, 1, problem.size, dtype=torch.float64)
        top = torch.tensor(spectrum(problem, k=1, operator="ggn")["eigenvalues"].values)
        found.append([problem.gradient(), *(operator @ v for _ in range(3)), top])
    for plain, saving in zip(*found, strict=True):
        torch.testing.assert_close(saving, plain, rtol=1e-9, atol=1e-12)
        assert bool(plain.abs().max() > 0)


def test_torch_has_its_own_again_afterwards():
    """Oracle: the objects of before, also after an error."""
    before = dict(vars(room))
    with pytest.raises(ZeroDivisionError), without_checkpointing():
        raise ZeroDivisionError
    assert all(value is before[name] for name, value in vars(room).items())
