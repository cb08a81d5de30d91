import pytest
import torch

from landscape.errors import InputError
from landscape.reference.models.mlp import mlp


def test_mlp_is_relu_between_linear_layers():
    """Oracle: the same network as two matrix products."""
    model = mlp((6, 4, 3))
    x = torch.randn(5, 2, 3)
    w = dict(model.named_parameters())
    hidden = (x.flatten(1) @ w["fc1.weight"].T + w["fc1.bias"]).clamp(min=0)
    torch.testing.assert_close(model(x), hidden @ w["fc2.weight"].T + w["fc2.bias"])
    assert len(w) == 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mlp((3,)), "at least two widths"),
        (lambda: mlp((3, 0)), r"widths\[1\] must be at least 1"),
    ],
)
def test_bad_sizes_are_named(make, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        make()
