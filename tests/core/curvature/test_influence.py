"""Influence of training examples against what leaving them out does."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from cases import CASES, generator
from torch import nn

from landscape import Problem, ggn, hessian
from landscape.core.curvature.influence import influence
from landscape.core.curvature.kfac.factors import kfac
from landscape.errors import InputError


def least_squares():
    X = torch.randn(20, 3, generator=generator(1), dtype=torch.float64)
    y = torch.randn(20, generator=generator(2), dtype=torch.float64)
    model = nn.Linear(3, 1, bias=False).double()
    model.weight.data = torch.linalg.lstsq(X, y[:, None]).solution.T.contiguous()
    return X, y, Problem(model, "half_squared_error", (X, y[:, None]))


def test_leaving_one_out_of_least_squares():
    """Oracle: least squares fitted anew without each example; the change is influence/(1 − h), exactly."""
    X, y, problem = least_squares()
    H = X @ torch.linalg.inv(X.T @ X) @ X.T
    for i in (0, 7, 19):
        rest = [j for j in range(20) if j != i]
        without = torch.linalg.lstsq(X[rest], y[rest, None]).solution[:, 0]
        change = float(X[i] @ (without - problem.theta))
        found = influence(problem, X[i], damping=0.0, tol=1e-12)
        assert -found.scores[i] / 20 / float(1 - H[i, i]) == pytest.approx(change, rel=1e-9)


@pytest.mark.parametrize("name", ["mlp", "conv_batchnorm", "transformer_dict"])
@pytest.mark.parametrize("operator", ["ggn", "hessian"])
def test_scores_are_dense_solutions(name, operator):
    """Oracle: torch.linalg.solve with the dense matrix, and a gradient for each example by itself."""
    problem = CASES[name].problem(batch_size=5, weight_decay=0.1)
    A = (ggn if operator == "ggn" else hessian)(problem).dense()
    test = problem.on_sample(3)
    found = influence(problem, test, damping=0.3, operator=operator, tol=1e-10)
    v = test.gradient() - 0.1 * problem.theta
    x = torch.linalg.solve(A + 0.3 * torch.eye(len(A), dtype=A.dtype), v)
    singles = [one for batch in problem.batches for one in batch.split(1)]
    wanted = [-float(problem.flatten_grads(problem.batch_gradients(one)) @ x) for one in singles]
    np.testing.assert_allclose(found.scores, wanted, rtol=1e-6, atol=1e-8)


def test_bounds_hold_of_an_unfinished_system():
    """Oracle: the finished one, to which KFAC as a preconditioner leads as well.

    It takes more steps here (33 for 23): 13 examples of rank 2 end plain conjugate gradients at 27.
    """
    problem = CASES["mlp"].problem()
    test = problem.on_sample(4)
    plain = influence(problem, test, damping=0.01, tol=1e-10)
    short = influence(problem, test, damping=0.01, max_iterations=4, tol=1e-10)
    assert (np.abs(short.scores - plain.scores) <= short.bounds).all()
    helped = influence(problem, test, damping=0.01, tol=1e-10, preconditioner=kfac(problem).inverse(0.01))
    np.testing.assert_allclose(helped.scores, plain.scores, rtol=1e-6, atol=1e-9)
    assert helped.solution.converged
    assert math.isnan(influence(problem, test, damping=0.0, operator="hessian").bounds[0])


def test_refusals():
    """Oracle: the sentence says what is wrong."""
    problem = CASES["mlp"].problem()
    with pytest.raises(InputError, match="no operator 'typo'"):
        influence(problem, problem, damping=1.0, operator="typo")
    with pytest.raises(InputError, match="other values"):
        other = CASES["mlp"].model()
        other[0].weight.data += 1.0
        influence(
            problem,
            Problem(other, "cross_entropy", (torch.zeros(1, 4).double(), torch.zeros(1).long())),
            damping=1.0,
        )
    with pytest.raises(InputError, match="of the same model"):
        influence(problem, CASES["regression"].problem(), damping=1.0)
