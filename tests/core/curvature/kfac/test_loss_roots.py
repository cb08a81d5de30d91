"""Roots of the loss's curvature in the outputs against autograd's Hessian."""

from __future__ import annotations

import pytest
import torch
from cases import generator
from torch import nn
from torch.autograd.functional import hessian

from landscape import Problem
from landscape.core.curvature.kfac.loss_roots import backward_columns

LOSSES = {
    "cross_entropy": torch.tensor([0, 2, 1]),
    "mse": torch.randn(3, 3, generator=generator(1)).double(),
    "half_squared_error": torch.randn(3, 3, generator=generator(1)).double(),
}


def second_moment(loss, roots, samples=1):
    model = nn.Linear(4, 3).double()
    x = torch.randn(3, 4, generator=generator(2)).double()
    problem = Problem(model, loss, (x, LOSSES[loss]), check_derivatives=False)
    with torch.no_grad():
        z = problem.output(problem.first)[0]
    columns = backward_columns(problem, z, LOSSES[loss], problem.first, 0, roots, samples, 0)
    rows = [slice(i, i + 1) for i in range(3)]
    losses = [lambda o, row=row: problem.criterion(o[None], LOSSES[loss][row]).sum() for row in rows]
    wanted = torch.stack([hessian(f, z[i]) for i, f in enumerate(losses)])
    return sum(torch.einsum("bi,bj->bij", v, v) for v in columns), wanted


@pytest.mark.parametrize("loss", LOSSES)
def test_columns_make_up_the_curvature(loss):
    """Oracle: torch.autograd.functional.hessian of the loss of each example."""
    got, wanted = second_moment(loss, "exact")
    torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("loss", LOSSES)
def test_drawn_columns_have_it_as_their_mean(loss):
    """Oracle: the same; 4,000 draws have an error of about 2 %."""
    got, wanted = second_moment(loss, "mc", 4000)
    assert float((got - wanted).norm() / wanted.norm()) < 0.06


def test_confident_examples_in_single_precision():
    """Oracle: p − p² by hand in float64; of such examples most of the curvature in float32 is rounding."""
    model = nn.Linear(2, 3, bias=False)
    model.weight = nn.Parameter(torch.tensor([[14.0, 0.3], [0.0, 2.0], [-3.0, 0.1]]))
    x = torch.tensor([[1.0, 0.1], [1.1, -0.3], [0.9, 0.7], [1.3, 0.2]])
    problem = Problem(model, "cross_entropy", (x, torch.zeros(4, dtype=torch.long)))
    with torch.no_grad():
        z = problem.output(problem.first)[0]
    columns = list(backward_columns(problem, z, problem.first.target, problem.first, 0, "exact", 1, 0))
    p = z.double().softmax(1)
    wanted = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    got = sum(torch.einsum("bi,bj->bij", v.double(), v.double()) for v in columns)
    torch.testing.assert_close(got, wanted, rtol=0.0, atol=1e-6)
