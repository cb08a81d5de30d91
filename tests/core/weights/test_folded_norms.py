"""Folded norms and path norms against networks folded by hand, and paths counted one by one."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from landscape.core.weights.folded_norms import folded_layers, path_norm


class Swapped(nn.Module):
    """BatchNorms that are declared in another order than they run, and one that reads a sum."""

    def __init__(self):
        super().__init__()
        self.norm_b, self.norm_a, self.last = nn.BatchNorm1d(3), nn.BatchNorm1d(4), nn.BatchNorm1d(3)
        self.a, self.b = nn.Linear(2, 4), nn.Linear(4, 3)

    def forward(self, x):
        h = self.norm_b(self.b(torch.relu(self.norm_a(self.a(x)))))
        return self.last(h + 1.0)


def moved(model):
    torch.manual_seed(0)
    model = model.double()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2.0)
            part.weight.data.normal_()
            part.bias.data.normal_()
    return model.eval()


def test_norms_are_folded_into_the_layer_whose_output_they_read():
    """Oracle: torch's own fusion of a linear layer and a BatchNorm."""
    model = moved(Swapped())
    found = {f.name: f for f in folded_layers(model, lambda: model(torch.randn(5, 2).double()))}
    for name, norm in (("a", model.norm_a), ("b", model.norm_b)):
        fused = nn.utils.fusion.fuse_linear_bn_eval(getattr(model, name), norm).weight.detach()
        torch.testing.assert_close(found[name].matrix, fused)
        assert found[name].spectral_norm == pytest.approx(np.linalg.norm(fused.numpy(), 2))
        assert found[name].frobenius_norm == pytest.approx(float(fused.norm()))
    assert found["a"].folded == "norm_a"
    scale = (model.last.weight / (model.last.running_var + model.last.eps).sqrt()).detach()
    assert found["last"].spectral_norm == pytest.approx(float(scale.abs().max()))


def test_paths_are_counted_one_by_one():
    """Oracle: every path of a network of two hidden layers, from inputs and from biases, written out."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2)).double()
    w1, w2, w3 = (model[i].weight.detach().numpy() for i in (0, 2, 4))
    b1, b2, b3 = (model[i].bias.detach().numpy() for i in (0, 2, 4))
    total = (b3**2).sum()
    for o, j in itertools.product(range(2), range(2)):
        total += (w3[o, j] * b2[j]) ** 2
        for h in range(3):
            total += (w3[o, j] * w2[j, h] * b1[h]) ** 2
            total += sum((w3[o, j] * w2[j, h] * w1[h, i]) ** 2 for i in range(2))
    assert path_norm(model, (2,)) == pytest.approx(math.sqrt(total))


def test_path_norm_does_not_see_where_scales_are():
    """Oracle: a network and the same with a unit's weights scaled up and down compute one function.

    So do a convolution with BatchNorm and the fused one, of which torch makes the weights.
    """
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    before = path_norm(model, (3,))
    model[0].weight.data[1] *= 7.0
    model[0].bias.data[1] *= 7.0
    model[2].weight.data[:, 1] /= 7.0
    assert path_norm(model, (3,)) == pytest.approx(before)
    plain = moved(
        nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 2))
    )
    fused = nn.Sequential(nn.utils.fuse_conv_bn_eval(plain[0], plain[1]), *plain[2:])
    assert path_norm(plain, (1, 8, 8)) == pytest.approx(path_norm(fused, (1, 8, 8)))


def test_an_empty_shortcut_is_a_path():
    """Oracle: by hand, w₁x + x through an identity that is an empty Sequential: √(w₁² + 1) of one input."""

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.shortcut = nn.Linear(1, 1, bias=False), nn.Sequential()

        def forward(self, x):
            return self.layer(x) + self.shortcut(x)

    model = Residual().double()
    model.layer.weight.data.fill_(-3.0)
    assert path_norm(model, (1,)) == pytest.approx(math.sqrt(10.0))


@pytest.mark.parametrize(
    "layer",
    [nn.LayerNorm(4), nn.GELU(), nn.Tanh(), nn.MultiheadAttention(4, 1)],
    ids=lambda m: type(m).__name__,
)
def test_what_has_no_paths_has_no_norm(layer):
    """Oracle: by inspection; also where a function is called in place of a module."""
    assert math.isnan(path_norm(nn.Sequential(nn.Linear(3, 4), layer), (3,)))

    class Called(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(3, 4)

        def forward(self, x):
            return nn.functional.gelu(self.first(x))

    assert math.isnan(path_norm(Called(), (3,)))
