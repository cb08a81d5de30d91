"""Fisher-weighted averages against a Fisher matrix in closed form, and means where it is zero."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from landscape import Problem
from landscape.core.merging.fisher import diagonal_fisher, fisher_mean


def linear(inputs, targets, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Linear(inputs.shape[1], targets.shape[1], bias=False).double()
    return Problem(model, "half_squared_error", (inputs, targets), weight_decay=0.7)


def test_of_a_linear_layer_it_is_the_mean_square_of_its_inputs():
    """Oracle: closed form. Under half squared error F = I ⊗ XᵀX/N, whatever the targets; λ has no part."""
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(12, 3, generator=g).double(), torch.randn(12, 2, generator=g).double()
    found = diagonal_fisher(linear(x, y))["weight"]
    torch.testing.assert_close(found, x.square().mean(0).expand(2, 3))


def test_diagonal_least_squares_merge_to_the_pooled_fit():
    """Oracle: where the Fisher matrix is diagonal the weighted mean of two fits is the fit of all data.

    Inputs are multiples of unit vectors, so that XᵀX is diagonal; numpy's normal equations by hand.
    """
    x = [torch.diag(torch.tensor(d)).double().repeat(2, 1) for d in ([1.0, 2.0], [3.0, 1.0])]
    g = torch.Generator().manual_seed(1)
    y = [torch.randn(4, 1, generator=g).double() for _ in range(2)]
    problems = [linear(a, b) for a, b in zip(x, y, strict=True)]
    fits = [{"weight": torch.linalg.lstsq(a, b).solution.T} for a, b in zip(x, y, strict=True)]
    merged, plain = fisher_mean(fits, [diagonal_fisher(p) for p in problems])
    pooled = torch.linalg.lstsq(torch.cat(x), torch.cat(y)).solution.T
    torch.testing.assert_close(merged["weight"], pooled)
    assert plain == 0


def test_where_no_prediction_depends_on_a_weight_it_is_the_mean():
    """Oracle: an input that is always 0 tells nothing of its weights: their Fisher is 0, the merge a mean."""
    x = torch.tensor([[1.0, 0.0], [2.0, 0.0]]).double()
    problems = [linear(x, torch.zeros(2, 1).double(), seed) for seed in range(2)]
    states = [{n: t.detach() for n, t in p.module.state_dict().items()} for p in problems]
    merged, plain = fisher_mean(states, [diagonal_fisher(p) for p in problems])
    assert plain == 1
    assert float(merged["weight"][0, 1]) == pytest.approx(float(sum(s["weight"][0, 1] for s in states)) / 2)
    # a tensor without a Fisher matrix at all counts as well
    assert (
        fisher_mean([{**s, "b": torch.ones(3)} for s in states], [diagonal_fisher(p) for p in problems])[1]
        == 4
    )
