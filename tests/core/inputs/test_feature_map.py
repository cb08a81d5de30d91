"""Features as a function of the inputs, against matrices of maps that are linear."""

import numpy as np
import pytest
import torch
from torch import nn

from landscape import Problem
from landscape.core.inputs.expansion import chosen_pairs, expansions
from landscape.core.inputs.feature_map import FeatureMap, jacobian_ends, layer_norms, nearest
from landscape.errors import InputError

X = torch.randn(12, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def problem(*layers, x=X):
    model = nn.Sequential(*layers).double()
    return Problem(model, "cross_entropy", (x, torch.arange(len(x)) % 3), batch_size=5)


@pytest.mark.parametrize("width", [4, 6, 9])
def test_ends_of_the_jacobian_are_singular_values(width):
    """Oracle: torch.linalg.svdvals of the weight, below and above as many features as inputs."""
    torch.manual_seed(1)
    first = nn.Linear(6, width)
    p = problem(first, nn.Linear(width, 3))
    found = jacobian_ends(FeatureMap(p), p.batches[0])
    values = torch.linalg.svdvals(first.weight.detach())
    torch.testing.assert_close(found.largest, values[0].expand(5), rtol=1e-7, atol=0)
    torch.testing.assert_close(found.smallest, values[-1].expand(5), rtol=1e-6, atol=0)
    assert found.resolved.all()


def test_ends_of_a_bent_map_are_those_of_autograd():
    """Oracle: torch.autograd.functional.jacobian, example by example."""
    torch.manual_seed(1)
    first = nn.Linear(6, 5).double()
    p = problem(first, nn.Tanh(), nn.Linear(5, 3))
    found = jacobian_ends(FeatureMap(p), p.batches[0])
    for row, x in enumerate(p.batches[0].inputs):
        J = torch.autograd.functional.jacobian(lambda one: torch.tanh(first(one)), x)
        values = torch.linalg.svdvals(J)
        assert float(found.largest[row]) == pytest.approx(float(values[0]), rel=1e-7)
        assert float(found.smallest[row]) == pytest.approx(float(values[-1]), rel=1e-6)


def test_a_collapsed_direction_is_not_called_resolved():
    """Oracle: a weight of rank 2 has a smallest singular value of 0."""
    first = nn.Linear(6, 3)
    with torch.no_grad():
        first.weight[2] = first.weight[1]
    p = problem(first, nn.Linear(3, 3))
    found = jacobian_ends(FeatureMap(p), p.batches[0])
    assert not found.resolved.any() and float(found.smallest.max()) < 1e-6 * float(found.largest.min())


def test_an_orthogonal_map_expands_nothing():
    """Oracle: an isometry, times 3: every expansion is 3, of pairs, perturbations and other data."""
    first = nn.Linear(6, 6, bias=False)
    with torch.no_grad():
        first.weight.copy_(3 * torch.linalg.qr(torch.randn(6, 6))[0])
    p = problem(first, nn.Linear(6, 3))
    other = {"far": problem(nn.Linear(6, 3), x=X[:4] + 9).batches}
    found = list(expansions(FeatureMap(p), p.batches, other, (0.1, 1.0), pairs=30, seed=0))
    assert [name for name, _, _ in found] == ["data", "0.1 × median", "1 × median", "data ~ far"]
    for _, _, ratios in found:
        np.testing.assert_allclose(ratios, 3.0, rtol=1e-6)
    median = found[2][1]
    assert found[1][1] == pytest.approx(0.1 * median)
    named = FeatureMap(p, "0")(p.batches[0])
    torch.testing.assert_close(named, FeatureMap(p)(p.batches[0]))


def test_pairs_are_of_different_examples():
    """Oracle: the two columns."""
    pairs = chosen_pairs(5, 200, 0)
    assert (pairs[:, 0] != pairs[:, 1]).all() and pairs.max() < 5
    assert chosen_pairs(5, 200, 0, other=3)[:, 1].max() == 2


def test_norms_of_layers_are_those_of_dense_matrices():
    """Oracle: singular values of the convolution's matrix, by the images of unit vectors."""
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 3, 3, stride=2, padding=1).double()
    model = nn.Sequential(conv, nn.Flatten(), nn.Linear(27, 4).double(), nn.Identity())
    x = torch.randn(1, 2, 6, 6, dtype=torch.float64)
    norms = layer_norms(model, lambda: model(x))
    eye = torch.eye(72, dtype=torch.float64).reshape(72, 2, 6, 6)
    dense = (conv(eye) - conv(torch.zeros_like(eye))).flatten(1).T
    assert list(norms) == ["0", "2"]
    assert norms["0"] == pytest.approx(float(torch.linalg.matrix_norm(dense.detach(), 2)), rel=1e-6)
    assert norms["2"] == pytest.approx(float(torch.linalg.matrix_norm(model[2].weight.detach(), 2)), rel=1e-9)


def test_nearest_keeps_small_distances():
    """Oracle: distances of 1e-9 by construction, which the expanded square loses."""
    points = torch.randn(1000, 6, dtype=torch.float64) + 100
    shifted = points + 1e-9 / 6**0.5
    torch.testing.assert_close(
        nearest(points, shifted), torch.full((1000,), 1e-9).double(), rtol=1e-4, atol=0
    )


def test_what_has_no_features_is_said():
    """Oracle: the sentences."""
    p = problem(nn.Linear(6, 3))
    with pytest.raises(InputError, match="there is no layer 'head'"):
        FeatureMap(p, "head")
    with pytest.raises(InputError, match="one row for each example"):
        FeatureMap(problem(nn.Linear(6, 3), nn.Flatten(0), nn.Unflatten(0, (-1, 3))), "1")(p.batches[0])
