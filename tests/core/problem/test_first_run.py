"""The first evaluations: what fits is settled once, and what does not is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from landscape import Problem
from landscape.errors import InputError


def test_a_loss_that_derives_by_its_inputs_is_run_with_a_graph():
    """Oracle: the derivative of a linear model by its input is its weight, so the loss is its square."""
    model = nn.Linear(1, 1)
    x = torch.randn(6, 1).requires_grad_()

    def slope(output, target):
        (by_input,) = torch.autograd.grad(output.sum(), x, create_graph=True)
        return by_input[:, 0] ** 2

    def forward(model, batch):
        return model(x), batch[1]

    problem = Problem(model, slope, [(x.detach(), torch.zeros(6))], forward=forward)
    assert problem.loss() == pytest.approx(float(model.weight.detach() ** 2), rel=1e-6)


def test_the_scale_of_weighted_losses_is_that_of_all_the_data():
    """Oracle: torch's own weighted mean over all examples at once."""
    weight = torch.tensor([1.0, 5.0])
    x, y = torch.randn(9, 3), torch.tensor([0, 0, 0, 0, 1, 0, 1, 1, 1])
    model = nn.Linear(3, 2)
    exact = nn.CrossEntropyLoss(weight)(model(x), y).item()
    problem = Problem(model, nn.CrossEntropyLoss(weight), (x, y), batch_size=4)
    assert problem.loss() == pytest.approx(exact, rel=1e-6)


def test_randomness_is_refused():
    """Oracle: noise in evaluation mode gives two losses for one batch."""

    class Noisy(nn.Linear):
        def forward(self, x):
            return super().forward(x) + torch.randn(len(x), 1)

    with pytest.raises(InputError, match="two different losses on the same batch"):
        Problem(Noisy(2, 1), "mse", (torch.randn(4, 2), torch.randn(4, 1)))
