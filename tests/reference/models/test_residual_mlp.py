"""The residual network of the plane, by its formula."""

import pytest
import torch

from landscape.errors import InputError
from landscape.reference.models import residual_mlp


def test_outputs_are_those_of_the_formula():
    """Oracle: h + ReLU(Wh + b), written out."""
    model = residual_mlp(3, width=5, depth=2, classes=4)
    x = torch.randn(7, 3)
    h = model.first(x)
    for block in (model.block1, model.block2):
        h = h + torch.relu(h @ block.fc.weight.T + block.fc.bias)
    torch.testing.assert_close(model(x), model.head(h))


def test_the_first_layer_is_frozen_unless_asked():
    """Oracle: the declaration."""
    assert not residual_mlp().first.weight.requires_grad
    assert residual_mlp(frozen=False).first.weight.requires_grad
    with pytest.raises(InputError, match="depth is not negative"):
        residual_mlp(depth=-1)
    with pytest.raises(InputError, match="width"):
        residual_mlp(width=0)
