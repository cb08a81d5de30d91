"""Norms of convolutions against their whole matrices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from landscape.core.weights.map_norm import map_norm
from landscape.errors import InputError

LAYERS = {
    "plain": lambda: nn.Conv2d(2, 3, 3),
    "padded, strided": lambda: nn.Conv2d(2, 3, 3, stride=2, padding=1),
    "circular, dilated": lambda: nn.Conv2d(2, 2, 3, padding=2, dilation=2, padding_mode="circular"),
    "depthwise": lambda: nn.Conv2d(2, 4, 3, groups=2, padding=1, bias=False),
    "transposed": lambda: nn.ConvTranspose2d(2, 3, 3, stride=2),
}


@pytest.mark.parametrize("name", LAYERS)
def test_norms_are_those_of_the_whole_matrix(name):
    """Oracle: NumPy's 2-norm of the matrix whose columns are the layer's answers to single pixels."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = LAYERS[name]().double()
    shape = (2, 6, 5)
    with torch.no_grad():
        offset = layer(torch.zeros(1, *shape).double())
        answers = layer(torch.eye(60).double().reshape(60, *shape)) - offset
    want = np.linalg.norm(answers.flatten(1).numpy(), 2)
    value, bound = map_norm(layer, shape, tol=1e-6)
    assert value == pytest.approx(want, rel=1e-6)
    assert abs(value - want) <= bound + 1e-9


def test_a_circular_box_has_the_norm_of_its_sum():
    """Oracle: Sedghi et al.: the Fourier transform of a kernel of ones is largest, 9, at frequency zero."""
    layer = nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular")
    nn.init.ones_(layer.weight)
    assert map_norm(layer, (1, 8, 8))[0] == pytest.approx(9.0, rel=1e-3)


def test_no_weights_no_norm_and_wrong_shapes():
    layer = nn.Conv2d(1, 1, 3)
    nn.init.zeros_(layer.weight)
    assert map_norm(layer, (1, 8, 8))[0] == 0.0
    with pytest.raises(InputError, match="takes no inputs of shape"):
        map_norm(layer, (2, 8, 8))
