"""What the analyses of curvature share."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import CASES
from torch import nn

import landscape
from landscape.analyses.curvature._operator import finite_loss, matrix, matrix_names
from landscape.errors import InputError


def test_a_finite_loss_is_that_of_the_problem_and_another_is_named():
    """Independent: the problem's own loss; the words of the sentence."""
    problem = CASES["mlp"].problem(weight_decay=0.1)
    assert finite_loss(problem) == problem.loss()
    data = torch.full((4, 2), 1e30), torch.zeros(4, 1)
    with pytest.raises(InputError, match="the loss of half 2 is inf, so it has no curvature"):
        finite_loss(landscape.Problem(nn.Linear(2, 1), "mse", data), "of half 2")


def test_matrices_by_name():
    """Independent: the exact Hessian, differentiated twice; the Gauss-Newton matrix differs from it."""
    case = CASES["mlp"]
    exact = case.exact_hessian().numpy()
    with matrix(case.problem(), "hessian") as H, matrix(case.problem(), "ggn") as G:
        np.testing.assert_allclose(H.dense().numpy(), exact, atol=1e-12)
        assert np.linalg.eigvalsh(G.dense().numpy()).min() > -1e-12
        assert np.linalg.eigvalsh(exact).min() < -1e-3


@pytest.mark.parametrize("operator", ["fisher", "empirical_fisher", "kfac", "ekfac"])
def test_other_matrices_in_spectrum_and_trace(operator):
    """Independent: eigenvalues and trace of the dense matrix, which the library's function makes."""
    problem = CASES["mlp"].problem(weight_decay=0.1)
    dense = getattr(landscape, operator)(problem).dense()
    top = landscape.spectrum(problem, k=2, operator=operator, tol=1e-8)["eigenvalues"].values
    np.testing.assert_allclose(np.sort(top), torch.linalg.eigvalsh(dense)[-2:].numpy(), rtol=1e-6)
    assert float(landscape.trace(problem, operator=operator)["trace"]) == pytest.approx(float(dense.trace()))


def test_names_of_matrices_in_captions():
    """Independent: by inspection."""
    options = ({"operator": "ggn"}, {"operator": "hessian"})
    a, b = (landscape.spectrum(CASES["mlp"].problem(), k=1, **o) for o in options)
    assert matrix_names({"a": a}) == "generalised Gauss-Newton matrix"
    assert matrix_names({"a": a, "b": b}) == "Hessian or generalised Gauss-Newton matrix"
