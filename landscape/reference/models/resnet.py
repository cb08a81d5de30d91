"""Residual networks for small images."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from landscape.reference.layers.convolution import (
    ActName,
    DownName,
    HeadName,
    PreActBlock,
    ResidualBlock,
    SmoothName,
    Style,
    check_positive,
    head,
    stem,
)

__all__ = ["resnet"]


def resnet(
    width: int = 8,
    blocks: Sequence[int] = (1, 1, 1),
    classes: int = 10,
    in_channels: int = 1,
    *,
    preact: bool = False,
    head: HeadName = "gap",
    image: int = 28,
    activation: ActName = "relu",
    dropout: float = 0.0,
    smooth: SmoothName | None = None,
    down: DownName = "stride",
) -> nn.Module:
    """A residual network for small images, with BatchNorm.

    A 3×3 stem, then one stage per entry of `blocks`. Each stage doubles the channels of the one
    before and, but for the first, halves height and width in its first block.

    Args:
        width: Channels of the first stage.
        blocks: Residual blocks of each stage.
        classes: Number of outputs.
        in_channels: Channels of the images.
        preact: Whether BatchNorm and activation stand before each convolution, not after it.
        head: ``"gap"``, the mean over space, or ``"mlp"``, two hidden layers over the whole map.
        image: Height and width of the images, which decide the size of an MLP head.
        activation: ``relu``, ``relu6``, ``gelu``, ``quantile_relu`` or ``filtered_relu``.
        dropout: Probability of dropping an activation between the convolutions of a block.
        smooth: Spatial smoothing at the end of every stage: None, ``"same"`` (keeps the size) or
            ``"grow"`` (as published).
        down: How maps are halved: ``"stride"``, by convolutions with stride 2; or before convolutions with
            stride 1, by 2 × 2 maxima, ``"max"``, or by a `landscape.reference.layers.LowPass2d` of the kind
            ``"blur"``, ``"flc"``, ``"asap"`` or ``"kaiser"``.

    Returns:
        A module from images (N, in_channels, H, W) to logits (N, classes).

    Raises:
        InputError: If a size is not positive or an option unknown.

    Reference:
        He et al. (2016), Deep residual learning for image recognition, section 4.2. Where the
        shape changes, the shortcut is a 1×1 convolution (their option B). Pre-activation: He et al.
        (2016b), Identity mappings in deep residual networks. Smoothing: Park & Kim (2022).
    """
    check_positive("resnet", width=width, classes=classes, in_channels=in_channels, image=image)
    check_positive("resnet", **{f"blocks[{i}]": count for i, count in enumerate(blocks)})
    style = Style(activation, dropout, smooth, down)
    return ResNet(width, blocks, classes, in_channels, preact, head, image, style)


class ResNet(nn.Module):
    """The module that `resnet` builds."""

    norm: nn.Module | None
    act: nn.Module | None

    def __init__(
        self,
        width: int,
        blocks: Sequence[int],
        classes: int,
        in_channels: int,
        preact: bool,
        head_name: HeadName,
        side: int,
        style: Style,
    ) -> None:
        super().__init__()
        block = PreActBlock if preact else ResidualBlock
        self.stem = stem(in_channels, width, style, bare=preact)
        self.stages = nn.Sequential()
        inputs = width
        for stage, count in enumerate(blocks):
            outputs = width * 2**stage
            layers = nn.Sequential()
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                layers.append(block(inputs, outputs, stride, style))
                inputs = outputs
            style.add_smooth(layers)
            self.stages.append(layers)
            # Rounded up, as by a padded 3×3 convolution of stride 2.
            side = -(-side // (2 if stage else 1)) + (style.smooth == "grow")
        self.add_module("norm", nn.BatchNorm2d(inputs) if preact else None)
        self.add_module("act", style.act() if preact else None)
        self.pool, self.head = head(head_name, inputs, side, classes, style)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, in_channels, H, W) to logits (N, classes)."""
        features = self.stages(self.stem(x))
        if self.norm is not None and self.act is not None:
            features = self.act(self.norm(features))
        logits: Tensor = self.head(self.pool(features))
        return logits
