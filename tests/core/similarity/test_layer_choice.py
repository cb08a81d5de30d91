"""Which outputs are compared."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from landscape import Problem
from landscape.core.similarity.layer_choice import choose_layers, describe_left_out
from landscape.errors import InputError


class Positions(nn.Module):
    """A table of so many rows beside the examples."""

    def __init__(self, rows):
        super().__init__()
        self.positions, self.act, self.head = nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3)
        self.register_buffer("grid", torch.randn(rows, 2))

    def forward(self, x):
        return self.head(x + self.act(self.positions(self.grid)).mean(0))


def problem_of(model, examples=12):
    x = torch.randn(examples, 4, generator=torch.Generator().manual_seed(0))
    return Problem(model, "cross_entropy", (x, torch.arange(examples) % 3))


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 12])
def test_rows_that_are_no_examples_are_left_out(rows):
    """Oracle: by construction, whatever the number of rows, which may be that of the examples tried."""
    choice = choose_layers(problem_of(Positions(rows)), ["*"], 8)
    assert choice.names == ["head"] and choice.left_out == ["positions", "act"]


def test_a_model_of_such_layers_alone_is_refused():
    """Oracle: by construction; the globs are named."""
    with pytest.raises(InputError, match=r"Positions matching positions has one row"):
        choose_layers(problem_of(Positions(3)), ["positions"], 8)


def test_layers_are_capped_evenly():
    """Oracle: eleven layers, of which three evenly spaced are the first, the middle and the last."""
    model = nn.Sequential(*[nn.Linear(4, 4) for _ in range(11)])
    assert choose_layers(problem_of(model), ["*"], 3).names == ["0", "5", "10"]
    assert choose_layers(problem_of(model), ["1*"], 8).names == ["1", "10"]


def test_the_names_of_many_are_cut():
    """Oracle: seven names, of which five are told."""
    said = describe_left_out({"a": list("uvwxyz"), "b": ["p"]})
    assert said.endswith("left out: a: u, a: v, a: w, a: x, a: y and 2 more")
    assert describe_left_out({"a": []}) == ""
