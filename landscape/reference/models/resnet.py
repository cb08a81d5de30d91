"""Small image classifiers with clean module names, used as builders of a manifest."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from landscape.errors import InputError, suggest
from landscape.reference.models.alternet import alternet
from landscape.reference.layers.attention import TransformerBlock, drop_rates
from landscape.reference.layers.convolution import (
    ActName,
    HeadName,
    PreActBlock,
    ResidualBlock,
    SmoothName,
    Style,
    head,
    positive,
    stem,
)
from landscape.reference.models.mixer import mixer
from landscape.reference.models.vgg import vgg
from landscape.reference.models.swin import windowed

__all__ = ["alternet", "mixer", "mlp", "resnet", "vgg", "vit", "windowed"]

Pool = Literal["cls", "gap"]


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
        activation: ``relu``, ``relu6`` or ``gelu``.
        dropout: Probability of dropping an activation between the convolutions of a block.
        smooth: Spatial smoothing at the end of every stage: None, ``"same"`` (keeps the size) or
            ``"grow"`` (as published).

    Returns:
        A module from images (N, in_channels, H, W) to logits (N, classes).

    Raises:
        InputError: If a size is not positive or an option unknown.

    Reference:
        He et al. (2016), Deep residual learning for image recognition, section 4.2. Where the
        shape changes, the shortcut is a 1×1 convolution (their option B). Pre-activation: He et al.
        (2016b), Identity mappings in deep residual networks. Smoothing: Park & Kim (2022).
    """
    positive("resnet", width=width, classes=classes, in_channels=in_channels, image=image)
    positive("resnet", **{f"blocks[{i}]": count for i, count in enumerate(blocks)})
    style = Style(activation, dropout, smooth)
    return ResNet(width, blocks, classes, in_channels, preact, head, image, style)


def vit(
    dim: int = 48,
    depth: int = 4,
    heads: int = 4,
    patch: int = 4,
    classes: int = 10,
    image: int = 28,
    in_channels: int = 1,
    pool: Pool = "cls",
    mlp_ratio: int = 2,
    drop_path: float = 0.0,
) -> nn.Module:
    """A vision transformer: patches, learned positions, pre-norm attention and MLP blocks.

    Args:
        dim: Width of a token.
        depth: Number of blocks.
        heads: Attention heads of a block; must divide `dim`.
        patch: Height and width of a patch in pixels; must divide `image`.
        classes: Number of outputs.
        image: Height and width of the images in pixels.
        in_channels: Channels of the images.
        pool: What the head reads: ``"cls"``, a class token put before the patches, or ``"gap"``,
            the mean of the patches (there is no class token then).
        mlp_ratio: Hidden width of the MLP in units of `dim`.
        drop_path: Probability of dropping a branch of the last block for an example while training; it rises
            linearly from 0 in the first block.

    Returns:
        A module from images (N, in_channels, image, image) to logits (N, classes).

    Raises:
        InputError: If a size is not positive or does not divide as it must.

    Reference:
        Dosovitskiy et al. (2021), An image is worth 16x16 words, section 3.1.
    """
    positive(
        "vit",
        dim=dim,
        depth=depth,
        heads=heads,
        patch=patch,
        classes=classes,
        image=image,
        in_channels=in_channels,
        mlp_ratio=mlp_ratio,
    )
    if dim % heads:
        raise InputError(f"vit: {heads} heads do not divide dim {dim} evenly.")
    if image % patch:
        raise InputError(f"vit: patches of {patch} pixels do not tile an image of {image} pixels.")
    if pool not in get_args(Pool):
        raise InputError(f"vit has no pool {pool!r}: {suggest(str(pool), get_args(Pool))}")
    drops = drop_rates("vit", drop_path, depth)
    return VisionTransformer(dim, heads, patch, classes, image, in_channels, pool, mlp_ratio, drops)


def mlp(widths: Sequence[int] = (784, 32, 10)) -> nn.Module:
    """A fully connected network with ReLU between its layers, named ``fc1``, ``fc2``, ...

    Args:
        widths: Inputs, hidden units of each layer, outputs.

    Returns:
        A module from inputs (N, ...), flattened to (N, widths[0]), to outputs (N, widths[-1]).

    Raises:
        InputError: If there are fewer than two widths, or one is not positive.
    """
    if len(widths) < 2:
        raise InputError(f"mlp needs at least two widths (inputs and outputs), not {list(widths)}.")
    positive("mlp", **{f"widths[{i}]": width for i, width in enumerate(widths)})
    model = nn.Sequential()
    model.add_module("flatten", nn.Flatten())
    for i, (fan_in, fan_out) in enumerate(pairwise(widths), start=1):
        if i > 1:
            model.add_module(f"relu{i - 1}", nn.ReLU())
        model.add_module(f"fc{i}", nn.Linear(fan_in, fan_out))
    return model


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


class VisionTransformer(nn.Module):
    """The module that `vit` builds."""

    def __init__(
        self,
        dim: int,
        heads: int,
        patch: int,
        classes: int,
        image: int,
        in_channels: int,
        pool: Pool,
        mlp_ratio: int,
        drops: Sequence[float],
    ) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(in_channels, dim, patch, stride=patch)
        tokens = (image // patch) ** 2
        self.cls_token: nn.Parameter | None = None
        if pool == "cls":
            self.cls_token = nn.Parameter(torch.empty(1, 1, dim))
            nn.init.trunc_normal_(self.cls_token, std=0.02)
            tokens += 1
        self.pos_embed = nn.Parameter(torch.empty(1, tokens, dim))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        self.blocks = nn.Sequential(*(TransformerBlock(dim, heads, mlp_ratio, drop) for drop in drops))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, in_channels, image, image) to logits (N, classes)."""
        tokens = self.patch_embed(x).flatten(2).transpose(1, 2)
        if self.cls_token is not None:
            tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), tokens], dim=1)
        tokens = self.norm(self.blocks(tokens + self.pos_embed))
        read = tokens.mean(dim=1) if self.cls_token is None else tokens[:, 0]
        logits: Tensor = self.head(read)
        return logits
