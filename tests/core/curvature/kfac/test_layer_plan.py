"""Which layers have Kronecker blocks: what hooks would get silently wrong is found out."""

from __future__ import annotations

import pytest
import torch
from cases import CASES, generator
from torch import nn

from landscape import Problem
from landscape.core.curvature.kfac.factors import ekfac
from landscape.core.curvature.kfac.layer_plan import plan_layers
from landscape.errors import InputError

TOKENS = torch.randint(0, 6, (5, 3), generator=generator(1))


class Decoder(nn.Module):
    """A head that is the embedding itself, by a function that no hook sees."""

    def __init__(self, module):
        super().__init__()
        self.embed = nn.Embedding(6, 4)
        self.mix = nn.Linear(4, 4)
        self.head = nn.Linear(4, 6, bias=False) if module else None
        if module:
            self.head.weight = self.embed.weight

    def forward(self, x):
        z = torch.tanh(self.mix(self.embed(x))).mean(1)
        return self.head(z) if self.head is not None else z @ self.embed.weight.T


@pytest.mark.parametrize("module", [True, False])
def test_a_tied_embedding_has_its_diagonal(module):
    """Oracle: the list of kinds; hooks on the embedding alone would miss what the head adds."""
    problem = Problem(Decoder(module).double(), "cross_entropy", (TOKENS, TOKENS[:, 0]))
    assert ekfac(problem).kinds == {"mix": "linear", "embed.weight": "diagonal"}


class Scaled(nn.Linear):
    """A layer that changes its weight before use."""

    def forward(self, x):
        return nn.functional.linear(x, 2.0 * self.weight, self.bias)


def test_a_weight_changed_before_use_has_its_diagonal():
    """Oracle: the list of kinds: 2W has another gradient than the rows give; the bias goes with it."""
    model = nn.Sequential(Scaled(4, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    x = torch.randn(5, 4, dtype=torch.float64, generator=generator(2))
    problem = Problem(model, "cross_entropy", (x, torch.arange(5) % 2))
    assert ekfac(problem).kinds == {"2": "linear", "0.weight": "diagonal", "0.bias": "diagonal"}


class LengthFirst(nn.Module):
    """Positions first, examples second, as torch's recurrent layers and encoders have them."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        return torch.tanh(self.layer(x.transpose(0, 1))).mean(0)


def test_examples_on_the_second_axis():
    """Oracle: the same network with examples first; by rows of the wrong axis EKFAC would differ."""
    x = torch.randn(5, 5, 4, dtype=torch.float64, generator=generator(3))
    problem = Problem(LengthFirst().double(), "cross_entropy", (x, torch.arange(5) % 3))
    assert list(plan_layers(problem).axes.values()) == [1]
    first = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Flatten(1), nn.Linear(15, 3, bias=False)).double()
    first[0].load_state_dict(problem.module.layer.state_dict())
    first[3].weight.data = torch.eye(3, dtype=torch.float64).repeat(1, 5) / 5
    other = Problem(first, "cross_entropy", (x, torch.arange(5) % 3), parameters=["0.*"])
    torch.testing.assert_close(ekfac(problem).dense(), ekfac(other).dense(), rtol=1e-10, atol=1e-13)


class Mixing(nn.Module):
    """A layer that works on differences between examples."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        z = self.layer(x)
        return z - z.mean(0)


def test_mixed_examples_are_refused():
    """Oracle: the first example's output depends on all rows of the layer."""
    problem = Problem(
        Mixing().double(), "mse", (torch.eye(4).double(), torch.zeros(4, 3).double()), check_derivatives=False
    )
    with pytest.raises(InputError, match="'layer' mixes the examples"):
        plan_layers(problem)


def test_two_biases_of_one_weight():
    """Oracle: the list of layers: the weight has both calls, each bias its own."""
    plan = plan_layers(CASES["tied"].problem())
    assert [(layer.name, len(layer.modules)) for layer in plan.layers] == [
        ("encoder.weight", 2),
        ("encoder.bias", 1),
        ("decoder.bias", 1),
    ]
    assert plan.others == ()


class Tuple(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        return self.layer(x), x


def test_outputs_that_are_no_tensor_are_refused():
    """Oracle: the sentence."""
    problem = Problem(Tuple(), lambda z, y: (z[0] - y).square().sum(1), (torch.eye(4), torch.zeros(4, 2)))
    with pytest.raises(InputError, match="returns one tensor; got tuple"):
        plan_layers(problem)
