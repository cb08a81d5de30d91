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


def test_without_globs_the_outputs_of_blocks_are_taken():
    """Oracle: a ResNet's residual blocks by their names, in firing order, not what lies within them."""
    from landscape.reference.models import resnet

    x = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    problem = Problem(resnet(width=4, classes=3, image=8), "cross_entropy", (x, torch.arange(8) % 3))
    names = [n for n, part in problem.module.named_modules() if type(part).__name__.endswith("Block")]
    assert len(names) > 2
    assert choose_layers(problem, [], 32).names == names
    assert choose_layers(problem, [], 2).names == [names[0], names[-1]]
    assert len(choose_layers(problem, ["*"], 99).names) > len(names)


def test_a_model_without_blocks_gives_every_module():
    """Oracle: the choice of all modules."""
    model = nn.Sequential(*[nn.Linear(4, 4) for _ in range(5)])
    assert choose_layers(problem_of(model), [], 8) == choose_layers(problem_of(model), ["*"], 8)
