"""AlterNet: a pre-activation residual network whose stages end in attention."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from landscape.errors import InputError
from landscape.reference.layers.attention import (
    DropPath,
    WindowAttention,
    drop_rates,
    from_windows,
    residual,
    to_windows,
)
from landscape.reference.layers.convolution import DownName, PreActBlock, Style, check_positive, stem

__all__ = ["alternet", "attention_places"]


def alternet(
    width: int = 8,
    blocks: Sequence[int] = (2, 2, 2),
    attentions: Sequence[int] = (0, 1, 1),
    heads: Sequence[int] = (1, 2, 4),
    window: int = 7,
    classes: int = 10,
    in_channels: int = 1,
    dropout: float = 0.0,
    drop_path: float = 0.0,
    down: DownName = "stride",
) -> nn.Module:
    """A pre-activation residual network with convolution blocks at the ends of stages replaced by attention.

    The published rules: replace blocks alternately from the model's end; where that does not help, replace
    the block at the end of an earlier stage; give late stages more heads. So the attention blocks of a stage
    are its last, third last, ... blocks. The head is BatchNorm, activation and global average pooling.

    Args:
        width: Channels of the first stage; each stage doubles them.
        blocks: Blocks of each stage.
        attentions: How many of them attend; at most half, since the first changes the shape.
        heads: Attention heads of each stage; must divide its channels where it attends.
        window: Height and width of an attention window; must tile the map of every stage that attends.
        classes: Number of outputs.
        in_channels: Channels of the images.
        dropout: Probability of dropping an activation between the convolutions of a block.
        drop_path: Probability of dropping the attention of the last block for an example while training; it
            falls linearly to 0 in the first block. Convolutions are never dropped, as in the published code.
        down: How maps are halved, as in `resnet`.

    Returns:
        A module from images (N, in_channels, H, W) to logits (N, classes).

    Raises:
        InputError: If a size is not positive or the lists do not fit together.

    Reference:
        Park & Kim (2022), How do vision transformers work?, section 4 and figure 11. Their stage-1 block
        stays a convolution.
    """
    check_positive("alternet", width=width, window=window, classes=classes, in_channels=in_channels)
    check_positive("alternet", **{f"blocks[{i}]": count for i, count in enumerate(blocks)})
    check_positive("alternet", **{f"heads[{i}]": count for i, count in enumerate(heads)})
    if not len(blocks) == len(attentions) == len(heads):
        raise InputError(
            f"alternet needs as many blocks, attentions and heads; got {len(blocks)}, {len(attentions)} and"
            f" {len(heads)}."
        )
    for stage, (count, replaced) in enumerate(zip(blocks, attentions, strict=True)):
        if not 0 <= replaced <= count // 2:
            raise InputError(
                f"alternet: stage {stage} of {count} blocks can hold 0 to {count // 2} attentions,"
                f" not {replaced}."
            )
    style = Style(dropout=dropout, down=down)
    drops = drop_rates("alternet", drop_path, sum(blocks))
    return AlterNet(width, blocks, attentions, heads, window, classes, in_channels, style, drops)


def attention_places(count: int, attentions: int) -> tuple[int, ...]:
    """Which blocks of a stage attend, counted from 0: the last, the third last, and so on."""
    return tuple(sorted(count - 1 - 2 * i for i in range(attentions)))


class LocalAttentionBlock(nn.Module):
    """BatchNorm, GELU, 1×1 reduction, BatchNorm and attention in windows, added to the input."""

    def __init__(self, channels: int, heads: int, window: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.window = window
        self.norm1 = nn.BatchNorm2d(channels)
        self.act = nn.GELU()
        self.conv = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.attn = WindowAttention(channels, heads, window)
        self.drop = DropPath(drop_path) if drop_path else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H, W)."""
        height, width = x.shape[2:]
        ready = self.norm2(self.conv(self.act(self.norm1(x)))).permute(0, 2, 3, 1)
        mixed = self.attn(to_windows(ready, self.window))
        return residual(x, from_windows(mixed, height, width).permute(0, 3, 1, 2), self.drop)


class AlterNet(nn.Module):
    """The module that `alternet` builds."""

    def __init__(
        self,
        width: int,
        blocks: Sequence[int],
        attentions: Sequence[int],
        heads: Sequence[int],
        window: int,
        classes: int,
        in_channels: int,
        style: Style,
        drops: Sequence[float],
    ) -> None:
        super().__init__()
        self.stem = stem(in_channels, width, style, bare=True)
        self.stages = nn.Sequential()
        inputs, rates = width, iter(drops)
        for stage, count in enumerate(blocks):
            outputs = width * 2**stage
            attending = attention_places(count, attentions[stage])
            layers = nn.Sequential()
            for index in range(count):
                stride, drop = 2 if stage > 0 and index == 0 else 1, next(rates)
                if index in attending:
                    layers.append(LocalAttentionBlock(outputs, heads[stage], window, drop))
                else:
                    layers.append(PreActBlock(inputs, outputs, stride, style))
                inputs = outputs
            self.stages.append(layers)
        self.norm = nn.BatchNorm2d(inputs)
        self.act = style.act()
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, in_channels, H, W) to logits (N, classes)."""
        features = self.act(self.norm(self.stages(self.stem(x))))
        logits: Tensor = self.head(self.pool(features))
        return logits
