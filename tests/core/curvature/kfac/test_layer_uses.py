"""What layers see, against torch's own layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from landscape.core.curvature.kfac.layer_uses import LayerUse, kind_of


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(3, 2), (4, 5, 3)),
        (nn.Conv1d(2, 4, 3, stride=2, padding=1, groups=2), (4, 2, 7)),
        (nn.Conv2d(2, 3, (2, 3), dilation=(2, 1), padding="same"), (4, 2, 5, 6)),
        (nn.Conv3d(1, 2, 2, padding=1, padding_mode="circular"), (4, 1, 3, 4, 3)),
    ],
)
def test_rows_times_the_weight_are_the_output(layer, shape):
    """Oracle: the layer itself: each output is a row of inputs times the weight and bias."""
    x = torch.randn(shape)
    use = LayerUse(layer, x, layer(x))
    rows, outputs = use.inputs(bias=True), use.slopes(layer(x))
    groups = getattr(layer, "groups", 1)
    weight = layer.weight.flatten(1).unflatten(0, (groups, -1))
    matrix = torch.cat([weight, layer.bias.unflatten(0, (groups, -1, 1))], -1)
    torch.testing.assert_close(torch.einsum("btga,gsa->btgs", rows, matrix), outputs)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.LayerNorm((3, 2)), (4, 5, 3, 2)),
        (nn.GroupNorm(2, 4), (4, 4, 5)),
        (nn.BatchNorm2d(3), (4, 3, 2, 2)),
    ],
)
def test_gradients_of_scales_by_example(layer, shape):
    """Oracle: autograd on one example at a time."""
    layer.eval()
    x, slope = torch.randn(shape), torch.randn(shape)
    weight, bias = LayerUse(layer, x, layer(x)).of_scale(slope)
    for n in range(4):
        found = torch.autograd.grad((layer(x[n : n + 1]) * slope[n]).sum(), (layer.weight, layer.bias))
        torch.testing.assert_close((weight[n], bias[n]), found, rtol=1e-4, atol=1e-5)


def test_kinds():
    """Oracle: a list by hand; transposed convolutions and bags have no rows."""
    assert [kind_of(m) for m in (nn.ConvTranspose1d(1, 1, 2), nn.EmbeddingBag(2, 2), nn.GRU(2, 2))] == [
        "",
        "",
        "",
    ]
