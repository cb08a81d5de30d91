"""The vision transformer for small images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from landscape.errors import InputError, suggest
from landscape.reference.layers.attention import TransformerBlock, drop_rates
from landscape.reference.layers.convolution import check_positive

__all__ = ["vit"]

Pool = Literal["cls", "gap"]


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
    check_positive(
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
