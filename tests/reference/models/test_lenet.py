import pytest
import torch
from torch.nn import functional

from landscape.errors import InputError
from landscape.reference.models.lenet import lenet


def test_lenet_is_two_convolutions_and_two_dense_layers():
    """Oracle: the same network written as functions; sizes of the published one by hand."""
    model = lenet((2, 3), hidden=5, classes=4, image=9).eval()
    x = torch.randn(2, 1, 9, 9)
    w = dict(model.named_parameters())
    h = functional.conv2d(x, w["conv1.weight"], w["conv1.bias"], padding=1).relu()
    h = functional.conv2d(h, w["conv2.weight"], w["conv2.bias"], padding=1).relu()
    h = functional.max_pool2d(h, 2).flatten(1)
    h = (h @ w["fc1.weight"].T + w["fc1.bias"]).relu()
    torch.testing.assert_close(model(x), h @ w["fc2.weight"].T + w["fc2.bias"])
    published = sum(p.numel() for p in lenet().parameters())
    assert published == 32 * 10 + 64 * (32 * 9 + 1) + 128 * (14 * 14 * 64 + 1) + 10 * 129


def test_strided_convolutions_stand_for_the_pooling():
    """Oracle: shapes: 28, halved twice and rounded up, is 7."""
    model = lenet((8, 16), 64, kernel=5, stride=2)
    assert model.fc1.in_features == 16 * 7 * 7
    assert model(torch.zeros(3, 1, 28, 28)).shape == (3, 10)


def test_dropout_stands_before_the_dense_layers():
    """Oracle: names in order; none without a probability."""
    names = [name for name, _ in lenet(dropout=0.3, last_dropout=0.2).named_children()]
    assert names[-6:] == ["flatten", "drop1", "fc1", "relu3", "drop2", "fc2"]
    last = lenet(last_dropout=0.2)
    assert (hasattr(last, "drop1"), last.drop2.p) == (False, 0.2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": (3,)}, "two convolutions"),
        ({"channels": (3, 0)}, r"channels\[1\] must be at least 1"),
        ({"kernel": 4}, "odd number"),
        ({"image": 1}, "cannot be halved"),
        ({"last_dropout": 1.0}, "last_dropout is a probability"),
    ],
)
def test_bad_options_are_named(options, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        lenet(**options)
