"""A forward pass that writes to its parameters is refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

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
