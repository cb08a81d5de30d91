"""Features as a function of the inputs, against matrices of maps that are linear."""

import pytest
import torch
from torch import nn

from landscape import Problem
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


def test_a_named_layer_gives_what_it_puts_out():
    """Oracle: the first layer puts out what the last one reads."""
    p = problem(nn.Linear(6, 5), nn.Linear(5, 3))
    torch.testing.assert_close(FeatureMap(p, "0")(p.batches[0]), FeatureMap(p)(p.batches[0]))


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


def test_a_model_may_say_where_its_features_come_from():
    """Oracle: the part itself, called by hand: what the last layer with weights reads is another thing."""

    class Named(nn.Module):
        feature_layer = "body"

        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(6, 4), nn.Tanh())
            self.weight = nn.Parameter(torch.randn(3, 4))

        def forward(self, x):
            return self.body(x) @ self.weight.T

    p = problem(nn.Identity(), Named())
    x = p.batches[0].inputs
    assert torch.equal(FeatureMap(p)(p.batches[0]), p.module[1].body(x))


def test_a_parametrised_layer_is_a_layer_with_weights():
    """Oracle: what the layer reads, by hand."""
    last = nn.utils.parametrizations.weight_norm(nn.Linear(4, 3, bias=False))
    p = problem(nn.Linear(6, 4), last)
    x = p.batches[0].inputs
    assert torch.equal(FeatureMap(p)(p.batches[0]), p.module[0](x))
