"""A plain convolutional network: stages of convolutions, each ended by max pooling."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from landscape.errors import InputError
from landscape.reference.layers.convolution import (
    ActName,
    DownName,
    HeadName,
    SmoothName,
    Style,
    check_positive,
    head,
)

__all__ = ["vgg"]


def vgg(
    width: int = 8,
    blocks: Sequence[int] = (1, 1, 2),
    classes: int = 10,
    in_channels: int = 1,
    *,
    head: HeadName = "mlp",
    image: int = 28,
    batchnorm: bool = True,
    activation: ActName = "relu",
    dropout: float = 0.0,
    smooth: SmoothName | None = None,
    down: DownName = "max",
) -> nn.Module:
    """A network of the VGG family for small images.

    One stage per entry of ``blocks``: that many 3×3 convolutions, each with BatchNorm and activation, and
    2 × 2 max pooling. Each stage has twice the channels of the one before. Smoothing, if any, stands before
    the pooling.

    Args:
        width: Channels of the first stage.
        blocks: Convolutions of each stage.
        classes: Number of outputs.
        in_channels: Channels of the images.
        head: ``"mlp"``, two hidden layers, as published, or ``"gap"``, the mean over space.
        image: Height and width of the images, which decide the size of an MLP head.
        batchnorm: Whether convolutions have BatchNorm; without it they have biases.
        activation: ``relu``, ``relu6``, ``gelu``, ``quantile_relu`` or ``filtered_relu``.
        dropout: Probability of dropping an activation between convolutions and in the head.
        smooth: Spatial smoothing at the end of every stage: None, ``"same"`` or ``"grow"``.
        down: What ends each stage: ``"max"`` pooling; ``"stride"``, every second row and column; or a
            `landscape.reference.layers.LowPass2d` of the kind ``"blur"``, ``"flc"``, ``"asap"`` or
            ``"kaiser"``. All but ``"max"`` round an odd size up.

    Returns:
        A module from images (N, in_channels, image, image) to logits (N, classes).

    Raises:
        InputError: If a size is not positive, an option unknown, or the image too small.

    Reference:
        Simonyan & Zisserman (2015), Very deep convolutional networks; smoothing: Park & Kim (2022).
    """
    check_positive("vgg", width=width, classes=classes, in_channels=in_channels, image=image)
    check_positive("vgg", **{f"blocks[{i}]": count for i, count in enumerate(blocks)})
    if image < 2 ** len(blocks):
        raise InputError(f"vgg: an image of {image} pixels cannot be halved {len(blocks)} times.")
    style = Style(activation, dropout, smooth, down)
    return Vgg(width, blocks, classes, in_channels, head, image, batchnorm, style)


class Vgg(nn.Module):
    """The module that `vgg` builds."""

    def __init__(
        self,
        width: int,
        blocks: Sequence[int],
        classes: int,
        in_channels: int,
        head_name: HeadName,
        side: int,
        batchnorm: bool,
        style: Style,
    ) -> None:
        super().__init__()
        self.stages = nn.Sequential()
        inputs = in_channels
        for stage, count in enumerate(blocks):
            outputs = width * 2**stage
            layers = nn.Sequential()
            for index in range(count):
                conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=not batchnorm)
                layers.add_module(f"conv{index + 1}", conv)
                if batchnorm:
                    layers.add_module(f"norm{index + 1}", nn.BatchNorm2d(outputs))
                layers.add_module(f"act{index + 1}", style.act())
                if style.dropout:
                    style.add_drop(layers, f"drop{index + 1}")
                inputs = outputs
            style.add_smooth(layers)
            layers.add_module("pool", nn.MaxPool2d(2) if style.down == "max" else style.halve())
            self.stages.append(layers)
            # Rounded down, as by pooling.
            side = (side + (style.smooth == "grow") + (style.down != "max")) // 2
        self.pool, self.head = head(head_name, inputs, side, classes, style)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, in_channels, H, W) to logits (N, classes)."""
        logits: Tensor = self.head(self.pool(self.stages(x)))
        return logits
