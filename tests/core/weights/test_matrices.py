"""Weights as matrices, by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from landscape.core.weights.matrices import is_convolution, layer_weights
from landscape.errors import InputError


@pytest.mark.parametrize("groups", [1, 2])
def test_rows_of_transposed_convolutions_are_their_outputs(groups):
    """Oracle: by index; entry [i, o] of group g takes input g·I + i to output g·O + o."""
    layer = nn.ConvTranspose2d(4, 6, 3, groups=groups)
    (found,) = layer_weights(nn.Sequential(layer))
    matrix = found.matrix()
    assert matrix.shape == (6, 4 // groups * 9)
    outputs = 6 // groups
    for output in range(6):
        g, o = divmod(output, outputs)
        rows = layer.weight[g * 4 // groups : (g + 1) * 4 // groups, o].double().flatten()
        assert torch.equal(matrix[output], rows)


def test_convolutions_and_linear_layers():
    """Oracle: torch's documented shapes."""
    model = nn.Sequential(nn.Conv2d(3, 5, 2), nn.BatchNorm2d(5), nn.Flatten(), nn.Linear(20, 4))
    found = layer_weights(model)
    assert [(w.name, w.parameter, tuple(w.matrix().shape)) for w in found] == [
        ("0", "0.weight", (5, 12)),
        ("3", "3.weight", (4, 20)),
    ]
    assert [is_convolution(w.module) for w in found] == [True, False]
    assert [w.name for w in layer_weights(model, ["3"])] == ["3"]


def test_attention_positions_and_ties():
    """Oracle: a position embedding has one row, a tied weight is one."""

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.position = nn.Parameter(torch.zeros(1, 7, 4))
            self.attention = nn.MultiheadAttention(4, 2)
            self.one, self.other = nn.Linear(4, 4), nn.Linear(4, 4)
            self.other.weight = self.one.weight

    names = [w.name for w in layer_weights(Model())]
    assert names == ["attention.in_proj_weight", "attention.out_proj", "one"]
    assert [w.name for w in layer_weights(nn.Linear(3, 3))] == ["Linear"]


def test_parametrised_weights_are_those_applied():
    """Oracle: spectral normalisation divides by the norm."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = parametrizations.spectral_norm(nn.Linear(5, 4), n_power_iterations=50).eval()
    (found,) = layer_weights(nn.Sequential(layer))
    assert (found.name, found.parameter) == ("0", "0.weight")
    assert float(torch.linalg.matrix_norm(found.matrix(), 2)) == pytest.approx(1.0, abs=1e-4)


def test_nothing_found_is_said():
    with pytest.raises(InputError, match="no layer of ReLU has a matrix"):
        layer_weights(nn.ReLU())
    with pytest.raises(InputError, match="no weight of Sequential matches 'head'"):
        layer_weights(nn.Sequential(nn.Linear(3, 3)), ["head"])
