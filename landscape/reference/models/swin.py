"""A transformer with attention in shifted windows, in stages."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from landscape.errors import InputError
from landscape.reference.layers.attention import (
    DropPath,
    WindowAttention,
    drop_rates,
    from_windows,
    mlp,
    residual,
    to_windows,
)
from landscape.reference.layers.convolution import check_positive

__all__ = ["windowed"]


def windowed(
    dim: int = 24,
    depths: Sequence[int] = (2, 2),
    heads: Sequence[int] = (2, 4),
    window: int = 7,
    patch: int = 2,
    classes: int = 10,
    image: int = 28,
    in_channels: int = 1,
    mlp_ratio: int = 2,
    drop_path: float = 0.0,
) -> nn.Module:
    """A hierarchical transformer: attention in windows, every second block shifted by half a window.

    Between stages, 2 × 2 patches are merged into one token of twice the width. The head reads the mean of
    the tokens. A stage whose map is no larger than a window attends to all of it and shifts nothing.

    Args:
        dim: Width of a token in the first stage.
        depths: Blocks of each stage.
        heads: Attention heads of each stage; must divide its width.
        window: Height and width of a window in tokens; must tile every larger map.
        patch: Height and width of a patch in pixels; must divide ``image``.
        classes: Number of outputs.
        image: Height and width of the images in pixels.
        in_channels: Channels of the images.
        mlp_ratio: Hidden width of an MLP in units of its token width.
        drop_path: Probability of dropping a branch of the last block for an example while training; it rises
            linearly from 0 in the first block.

    Returns:
        A module from images (N, in_channels, image, image) to logits (N, classes).

    Raises:
        InputError: If a size is not positive or does not divide as it must.

    Reference:
        Liu et al. (2021), Swin transformer, section 3.
    """
    check_positive("windowed", dim=dim, window=window, patch=patch, classes=classes, image=image)
    check_positive("windowed", in_channels=in_channels, mlp_ratio=mlp_ratio)
    if not depths or len(depths) != len(heads):
        raise InputError(f"windowed needs heads for each stage: {len(depths)} depths, {len(heads)} heads.")
    check_positive("windowed", **{f"depths[{i}]": depth for i, depth in enumerate(depths)})
    check_positive("windowed", **{f"heads[{i}]": count for i, count in enumerate(heads)})
    if image % (patch * 2 ** (len(depths) - 1)):
        raise InputError(
            f"windowed: an image of {image} pixels cannot be cut into patches of {patch} and merged"
            f" {len(depths) - 1} times."
        )
    drops = drop_rates("windowed", drop_path, sum(depths))
    return WindowedTransformer(
        dim, depths, heads, window, patch, classes, image, in_channels, mlp_ratio, drops
    )


class WindowedTransformer(nn.Module):
    """The module that `windowed` builds."""

    def __init__(
        self,
        dim: int,
        depths: Sequence[int],
        heads: Sequence[int],
        window: int,
        patch: int,
        classes: int,
        image: int,
        in_channels: int,
        mlp_ratio: int,
        drops: Sequence[float],
    ) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(in_channels, dim, patch, stride=patch)
        side = image // patch
        rates = iter(drops)
        self.stages = nn.Sequential()
        for stage, (depth, count) in enumerate(zip(depths, heads, strict=True)):
            layers = nn.Sequential()
            if stage:
                layers.add_module("downsample", PatchMerging(dim))
                dim, side = 2 * dim, side // 2
            for index in range(depth):
                shifted = bool(index % 2)
                layers.append(WindowBlock(dim, count, window, side, shifted, mlp_ratio, next(rates)))
            self.stages.append(layers)
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, in_channels, image, image) to logits (N, classes)."""
        tokens = self.patch_embed(x).permute(0, 2, 3, 1)
        logits: Tensor = self.head(self.norm(self.stages(tokens)).mean(dim=(1, 2)))
        return logits


class WindowBlock(nn.Module):
    """Pre-norm attention in windows and pre-norm MLP, each added to its input."""

    mask: Tensor | None

    def __init__(
        self,
        dim: int,
        heads: int,
        window: int,
        side: int,
        shifted: bool,
        mlp_ratio: int,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        window = min(window, side)
        if side % window:
            raise InputError(f"windowed: windows of {window} tokens do not tile a map of {side} × {side}.")
        self.shift = window // 2 if shifted and window < side else 0
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, heads, window)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = mlp(dim, mlp_ratio * dim)
        self.drop1, self.drop2 = (DropPath(drop_path) if drop_path else None for _ in range(2))
        # Not in the checkpoint, since it follows from the sizes.
        mask = _shift_mask(side, window, self.shift) if self.shift else None
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, H, W, dim) to (N, H, W, dim)."""
        height, width = x.shape[1:3]
        moved = torch.roll(self.norm1(x), (-self.shift, -self.shift), dims=(1, 2))
        windows = self.attn(to_windows(moved, self.attn.window), self.mask)
        back = torch.roll(from_windows(windows, height, width), (self.shift, self.shift), dims=(1, 2))
        x = residual(x, back, self.drop1)
        return residual(x, self.mlp(self.norm2(x)), self.drop2)


class PatchMerging(nn.Module):
    """Tokens of 2 × 2 neighbours side by side, normalised, and halved in width by a linear layer."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduce = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, H, W, dim) to (N, H/2, W/2, 2·dim)."""
        corners = [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
        out: Tensor = self.reduce(self.norm(torch.cat(corners, dim=-1)))
        return out


def _shift_mask(side: int, window: int, shift: int) -> Tensor:
    """Minus infinity for pairs that only the roll has brought into one window, (windows, T, T)."""
    at = torch.arange(side)
    region = (at >= side - window).int() + (at >= side - shift).int()
    label = (3 * region[:, None] + region[None, :]).view(1, side, side, 1)
    labels = to_windows(label, window).squeeze(-1)
    apart = labels[:, :, None] != labels[:, None, :]
    return torch.zeros(apart.shape).masked_fill(apart, -torch.inf)
