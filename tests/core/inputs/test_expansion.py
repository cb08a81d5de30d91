"""Expansions of distances, by maps whose expansions are known."""

import numpy as np
import pytest
import torch
from torch import nn

from landscape import Problem
from landscape.core.inputs.expansion import chosen_pairs, expansions, rows_of
from landscape.core.inputs.feature_map import FeatureMap

X = torch.randn(12, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def problem(first, x=X):
    model = nn.Sequential(first, nn.Linear(6, 3)).double()
    return Problem(model, "cross_entropy", (x, torch.arange(len(x)) % 3), batch_size=5)


def test_an_orthogonal_map_expands_nothing():
    """Oracle: an isometry, times 3: every expansion is 3, of pairs, perturbations and other data."""
    first = nn.Linear(6, 6, bias=False)
    with torch.no_grad():
        first.weight.copy_(3 * torch.linalg.qr(torch.randn(6, 6))[0])
    p = problem(first)
    other = {"far": problem(nn.Linear(6, 6), x=X[:4] + 9).batches}
    found = list(expansions(FeatureMap(p), p.batches, other, (0.1, 1.0), pairs=30, seed=0))
    assert [name for name, _, _ in found] == ["data", "0.1 × median", "1 × median", "data ~ far"]
    for _, _, ratios in found:
        np.testing.assert_allclose(ratios, 3.0, rtol=1e-6)
    assert found[1][1] == pytest.approx(0.1 * found[2][1])
    x, h = rows_of(FeatureMap(p), p.batches)
    torch.testing.assert_close(x, X)
    torch.testing.assert_close(h, X @ first.weight.detach().T.double())


def test_equal_inputs_have_no_expansion():
    """Oracle: 0/0 is no number: NaN stays NaN."""
    p = problem(nn.Linear(6, 6), x=X[:1].expand(4, -1).clone())
    name, distance, ratios = next(expansions(FeatureMap(p), p.batches, {}, (), pairs=5, seed=0))
    assert (name, distance) == ("data", 0.0) and np.isnan(ratios).all()


def test_pairs_are_of_different_examples():
    """Oracle: the two columns."""
    pairs = chosen_pairs(5, 200, 0)
    assert (pairs[:, 0] != pairs[:, 1]).all() and pairs.max() < 5
    assert chosen_pairs(5, 200, 0, other=3)[:, 1].max() == 2
