from __future__ import annotations

import pytest
import torch
from torch import nn

from landscape.base.registry import find
from landscape.core.problem.problem import Problem
from landscape.reference.data import digits
from landscape.studies.weight_attack import weight_attack

ADDRESS = "landscape.studies.weight_attack:weight_attack"


class Always(nn.Module):
    """The same answer to every image, the more surely the brighter it is."""

    def __init__(self, answer):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(10))
        self.answer = answer

    def forward(self, x):
        sure = 1.0 + x.flatten(1).mean(1, keepdim=True).exp()
        return self.weight + sure * nn.functional.one_hot(torch.tensor(self.answer), 10)


def test_an_answer_that_no_image_changes_is_right_as_often_as_its_class_is_there():
    """Oracle: counting labels; two batches count together, and a second look finds the same."""
    x, y = digits("test", 30, size=8)
    problem = Problem(Always(3).eval(), "cross_entropy", (x, y), batch_size=20)
    found = [float(weight_attack(problem)["accuracy"]) for _ in range(2)]
    assert found == [pytest.approx(float((y == 3).double().mean()))] * 2


def test_the_attack_fools_a_classifier_that_was_right():
    """Oracle: a linear classifier that fits these images by construction: it is right about all of them."""
    x, y = digits("test", 20, size=8)
    flat = torch.cat([x.flatten(1), torch.ones(20, 1)], 1)
    with torch.random.fork_rng():
        linear = nn.Linear(64, 10)
    solved = torch.linalg.lstsq(flat, nn.functional.one_hot(y, 10).float(), driver="gelsd").solution
    with torch.no_grad():
        linear.weight.copy_(solved[:64].T)
        linear.bias.copy_(solved[64])
    model = nn.Sequential(nn.Flatten(), linear).eval()
    assert (model(x).argmax(1) == y).all()
    assert float(weight_attack(Problem(model, "cross_entropy", (x, y)))["accuracy"]) < 0.8


def test_it_is_found_by_its_address():
    """Oracle: the object itself."""
    assert find(ADDRESS) is weight_attack
