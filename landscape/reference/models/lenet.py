"""LeNet, in the form of the benchmark of uncertainty under shift: two convolutions and two dense layers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from landscape.errors import InputError
from landscape.reference.layers.convolution import check_positive

__all__ = ["lenet"]


def lenet(
    channels: Sequence[int] = (32, 64),
    hidden: int = 128,
    classes: int = 10,
    in_channels: int = 1,
    *,
    image: int = 28,
    kernel: int = 3,
    stride: int = 1,
    dropout: float = 0.0,
    last_dropout: float = 0.0,
) -> nn.Module:
    """Two convolutions, 2 × 2 max pooling, a hidden layer and a head, with ReLU between them.

    Args:
        channels: Of each convolution.
        hidden: Units of the hidden layer.
        classes: Number of outputs.
        in_channels: Channels of the images.
        image: Height and width of the images, which decide the size of the hidden layer.
        kernel: Height and width of the convolutions, an odd number; maps are padded to keep their size.
        stride: Of the convolutions; beyond 1 they make the maps smaller, and the pooling is left out.
        dropout: Probability of dropping a feature before the hidden layer.
        last_dropout: Probability of dropping a hidden unit before the head.

    Returns:
        A module from images (N, in_channels, image, image) to logits (N, classes).

    Raises:
        InputError: If a size is not positive, the kernel even, or there are not two convolutions.

    Reference:
        LeCun et al. (1998), Gradient-based learning applied to document recognition; Ovadia et al. (2019),
        Can you trust your model's uncertainty?, for layers, sizes and places of dropout.
    """
    if len(channels) != 2:
        raise InputError(f"lenet has two convolutions; channels= has {len(channels)} numbers.")
    check_positive("lenet", hidden=hidden, classes=classes, in_channels=in_channels, image=image)
    check_positive("lenet", kernel=kernel, stride=stride)
    check_positive("lenet", **{f"channels[{i}]": count for i, count in enumerate(channels)})
    if kernel % 2 == 0:
        raise InputError(f"lenet: a kernel has an odd number of pixels, not {kernel}.")
    if image < 2:
        raise InputError("lenet: an image of 1 pixel cannot be halved.")
    for name, share in (("dropout", dropout), ("last_dropout", last_dropout)):
        if not 0.0 <= share < 1.0:
            raise InputError(f"lenet: {name} is a probability below 1, not {share}.")
    model, inputs, side = nn.Sequential(), in_channels, image
    for index, outputs in enumerate(channels, start=1):
        model.add_module(f"conv{index}", nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2))
        model.add_module(f"relu{index}", nn.ReLU())
        inputs, side = outputs, -(-side // stride)
    if stride == 1:
        model.add_module("pool", nn.MaxPool2d(2))
        side //= 2
    model.add_module("flatten", nn.Flatten())
    if dropout:
        model.add_module("drop1", nn.Dropout(dropout))
    model.add_module("fc1", nn.Linear(inputs * side**2, hidden))
    model.add_module("relu3", nn.ReLU())
    if last_dropout:
        model.add_module("drop2", nn.Dropout(last_dropout))
    model.add_module("fc2", nn.Linear(hidden, classes))
    return model
