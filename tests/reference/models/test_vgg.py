import pytest
from torch import nn

from landscape.errors import InputError
from landscape.reference.models.vgg import vgg


def count(model):
    return sum(p.numel() for p in model.parameters())


def conv(inputs, outputs, side=3):
    return side * side * inputs * outputs


def linear(inputs, outputs):
    return inputs * outputs + outputs


def test_vgg_parameter_counts():
    """Oracle: counted by hand, with either head; 28 pixels halved twice leave 7."""
    body = conv(1, 4) + 8 + conv(4, 8) + 16 + conv(8, 8) + 16
    assert count(vgg(4, (1, 2), 5, head="gap")) == body + linear(8, 5)
    assert count(vgg(4, (1, 2), 5)) == body + linear(8 * 49, 32) + linear(32, 32) + linear(32, 5)
    bare = conv(1, 4) + 4 + conv(4, 8) + 8 + conv(8, 8) + 8
    assert count(vgg(4, (1, 2), 5, head="gap", batchnorm=False)) == bare + linear(8, 5)


def test_dropout_follows_each_activation():
    """Oracle: one of each of four convolutions, and two in the head."""
    assert sum(isinstance(m, nn.Dropout) for m in vgg(dropout=0.3).modules()) == 4 + 2
    assert not any(isinstance(m, nn.Dropout) for m in vgg().modules())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: vgg(image=4), "halved 3 times"),
        (lambda: vgg(blocks=(1, 0)), r"blocks\[1\]"),
    ],
)
def test_what_does_not_fit_is_named(make, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        make()
