"""Gradients of single examples against the gradient of all and the empirical Fisher matrix."""

from __future__ import annotations

import pytest
import torch
from cases import CASES
from torch import nn

import landscape
from landscape.core.curvature.example_gradients import ExampleGradients, GradientCovariance
from landscape.core.curvature.fisher import empirical_fisher
from landscape.errors import InputError


@pytest.mark.parametrize("name", ["mlp", "conv_batchnorm", "attention"])
def test_their_mean_is_the_gradient(name):
    """Independent: one backward pass over all the data."""
    problem = CASES[name].problem(weight_decay=0.3)
    rows = torch.cat(list(ExampleGradients(problem)))
    assert rows.shape == (problem.examples, problem.size)
    torch.testing.assert_close(rows.mean(0) + 0.3 * problem.theta, problem.gradient())


def test_weighted_losses_are_scaled_as_in_the_risk():
    """Independent: torch's weighted mean, differentiated at once."""
    x, y = torch.randn(7, 3, dtype=torch.float64), torch.tensor([0, 1, 1, 2, 2, 2, 0])
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 2.0]).double())
    problem = landscape.Problem(nn.Linear(3, 3).double(), loss, (x, y), batch_size=3)
    rows = torch.cat(list(ExampleGradients(problem)))
    torch.testing.assert_close(rows.mean(0), problem.gradient())


@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_the_covariance_is_the_second_moment_less_the_mean(decay):
    """Independent: torch's covariance of the rows; without any rows, the empirical Fisher matrix."""
    problem = CASES["mlp"].problem(weight_decay=decay)
    gradients = ExampleGradients(problem)
    mean = problem.gradient() - decay * problem.theta
    kept = GradientCovariance(gradients, mean).dense()
    torch.testing.assert_close(kept, torch.cov(torch.cat(list(gradients)).T))
    n = problem.examples
    fisher = empirical_fisher(problem).dense() - decay * torch.eye(problem.size)
    torch.testing.assert_close(kept, (fisher - torch.outer(mean, mean)) * n / (n - 1))
    few = ExampleGradients(problem, keep=0)
    assert not few.kept
    operator = GradientCovariance(few, mean)
    torch.testing.assert_close(operator.dense(), kept)
    operator.release()


def test_what_has_no_gradients_of_single_examples_is_refused():
    """Independent: by inspection."""
    x, y = torch.randn(6, 3), torch.arange(6) % 2
    norm = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    coupled = landscape.Problem(norm, "cross_entropy", (x, y), batchnorm="batch")
    with pytest.raises(InputError, match="batchnorm='checkpoint'"):
        ExampleGradients(coupled)
    two = landscape.Problem(nn.Linear(3, 2), "cross_entropy", (x[:2], y[:2]))
    with pytest.raises(InputError, match="at least 3"):
        ExampleGradients(two)

    def whole(output, target):
        return nn.functional.cross_entropy(output, target).square()

    batches = landscape.Problem(nn.Linear(3, 2), whole, (x, y))
    with pytest.raises(InputError, match="neither a mean nor a sum"):
        ExampleGradients(batches)

    def forward(model, batch):
        return model(batch["x"]) + batch["shift"]

    joined = [{"x": x, "shift": torch.zeros(2), "y": y}]
    stuck = landscape.Problem(nn.Linear(3, 2), "cross_entropy", joined, forward=forward)
    with pytest.raises(InputError, match="taken apart"):
        list(ExampleGradients(stuck))
