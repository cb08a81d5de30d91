"""Small image classifiers with clean module names, used as builders of a manifest."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from landscape.errors import InputError, suggest

__all__ = ["mlp", "resnet", "vit"]

Pool = Literal["cls", "gap"]


def resnet(
    width: int = 8, blocks: Sequence[int] = (1, 1, 1), classes: int = 10, in_channels: int = 1
) -> nn.Module:
    """A residual network for small images, with BatchNorm and global average pooling.

    A 3×3 stem, then one stage per entry of `blocks`. Each stage doubles the channels of the one
    before and, but for the first, halves height and width in its first block.

    Args:
        width: Channels of the first stage.
        blocks: Residual blocks of each stage.
        classes: Number of outputs.
        in_channels: Channels of the images.

    Returns:
        A module from images (N, in_channels, H, W) to logits (N, classes).

    Raises:
        InputError: If a size is not positive.

    Reference:
        He et al. (2016), Deep residual learning for image recognition, section 4.2. Where the
        shape changes, the shortcut is a 1×1 convolution (their option B).
    """
    _positive("resnet", width=width, classes=classes, in_channels=in_channels)
    _positive("resnet", **{f"blocks[{i}]": count for i, count in enumerate(blocks)})
    return ResNet(width, blocks, classes, in_channels)


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

    Returns:
        A module from images (N, in_channels, image, image) to logits (N, classes).

    Raises:
        InputError: If a size is not positive or does not divide as it must.

    Reference:
        Dosovitskiy et al. (2021), An image is worth 16x16 words, section 3.1.
    """
    _positive(
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
    return VisionTransformer(dim, depth, heads, patch, classes, image, in_channels, pool, mlp_ratio)


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
    _positive("mlp", **{f"widths[{i}]": width for i, width in enumerate(widths)})
    model = nn.Sequential()
    model.add_module("flatten", nn.Flatten())
    for i, (fan_in, fan_out) in enumerate(pairwise(widths), start=1):
        if i > 1:
            model.add_module(f"relu{i - 1}", nn.ReLU())
        model.add_module(f"fc{i}", nn.Linear(fan_in, fan_out))
    return model


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions with BatchNorm, added to their input."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.act1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.act2 = nn.ReLU()
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut.add_module("conv", nn.Conv2d(inputs, outputs, 1, stride, bias=False))
            self.shortcut.add_module("norm", nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H/stride, W/stride)."""
        branch = self.act1(self.norm1(self.conv1(x)))
        branch = self.norm2(self.conv2(branch))
        out: Tensor = self.act2(branch + self.shortcut(x))
        return out


class ResNet(nn.Module):
    """The module that `resnet` builds."""

    def __init__(self, width: int, blocks: Sequence[int], classes: int, in_channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential()
        self.stem.add_module("conv", nn.Conv2d(in_channels, width, 3, padding=1, bias=False))
        self.stem.add_module("norm", nn.BatchNorm2d(width))
        self.stem.add_module("act", nn.ReLU())
        self.stages = nn.Sequential()
        inputs = width
        for stage, count in enumerate(blocks):
            outputs = width * 2**stage
            layers = nn.Sequential()
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                layers.append(ResidualBlock(inputs, outputs, stride))
                inputs = outputs
            self.stages.append(layers)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, in_channels, H, W) to logits (N, classes)."""
        logits: Tensor = self.head(self.pool(self.stages(self.stem(x))))
        return logits


class Attention(nn.Module):
    """Multi-head self-attention over tokens (N, T, dim)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, dim) to (N, T, dim)."""
        # (N, T, 3·dim) -> three of (N, heads, T, dim/heads)
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return out


class TransformerBlock(nn.Module):
    """Pre-norm attention and pre-norm MLP, each added to its input."""

    def __init__(self, dim: int, heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential()
        self.mlp.add_module("fc1", nn.Linear(dim, mlp_ratio * dim))
        self.mlp.add_module("act", nn.GELU())
        self.mlp.add_module("fc2", nn.Linear(mlp_ratio * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, dim) to (N, T, dim)."""
        x = x + self.attn(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class VisionTransformer(nn.Module):
    """The module that `vit` builds."""

    def __init__(
        self,
        dim: int,
        depth: int,
        heads: int,
        patch: int,
        classes: int,
        image: int,
        in_channels: int,
        pool: Pool,
        mlp_ratio: int,
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
        self.blocks = nn.Sequential(*(TransformerBlock(dim, heads, mlp_ratio) for _ in range(depth)))
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


def _positive(builder: str, **sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise InputError(f"{builder}: {name} must be at least 1, not {size}.")
