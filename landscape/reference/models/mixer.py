"""MLP-Mixer: MLPs over tokens and over channels in turn."""

from __future__ import annotations

from torch import Tensor, nn

from landscape.errors import InputError
from landscape.reference.layers.attention import mlp
from landscape.reference.layers.convolution import check_positive

__all__ = ["mixer"]


def mixer(
    dim: int = 48,
    depth: int = 4,
    patch: int = 4,
    classes: int = 10,
    image: int = 28,
    in_channels: int = 1,
    token_hidden: int = 24,
    channel_hidden: int = 96,
) -> nn.Module:
    """An MLP-Mixer: patches, blocks that mix tokens and then channels, and the mean of the tokens.

    Args:
        dim: Width of a token.
        depth: Number of blocks.
        patch: Height and width of a patch in pixels; must divide ``image``.
        classes: Number of outputs.
        image: Height and width of the images in pixels.
        in_channels: Channels of the images.
        token_hidden: Hidden width of the MLP over tokens.
        channel_hidden: Hidden width of the MLP over channels.

    Returns:
        A module from images (N, in_channels, image, image) to logits (N, classes).

    Raises:
        InputError: If a size is not positive or patches do not tile the image.

    Reference:
        Tolstikhin et al. (2021), MLP-Mixer, section 2.
    """
    check_positive("mixer", dim=dim, depth=depth, patch=patch, classes=classes, image=image)
    check_positive("mixer", in_channels=in_channels, token_hidden=token_hidden, channel_hidden=channel_hidden)
    if image % patch:
        raise InputError(f"mixer: patches of {patch} pixels do not tile an image of {image} pixels.")
    return Mixer(dim, depth, patch, classes, image, in_channels, token_hidden, channel_hidden)


class MixerBlock(nn.Module):
    """A pre-norm MLP over tokens and one over channels, each added to its input."""

    def __init__(self, dim: int, tokens: int, token_hidden: int, channel_hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.mlp_tokens = mlp(tokens, token_hidden)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp_channels = mlp(dim, channel_hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, dim) to (N, T, dim)."""
        x = x + self.mlp_tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        out: Tensor = x + self.mlp_channels(self.norm2(x))
        return out


class Mixer(nn.Module):
    """The module that `mixer` builds."""

    def __init__(
        self,
        dim: int,
        depth: int,
        patch: int,
        classes: int,
        image: int,
        in_channels: int,
        token_hidden: int,
        channel_hidden: int,
    ) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(in_channels, dim, patch, stride=patch)
        tokens = (image // patch) ** 2
        blocks = (MixerBlock(dim, tokens, token_hidden, channel_hidden) for _ in range(depth))
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, in_channels, image, image) to logits (N, classes)."""
        tokens = self.blocks(self.patch_embed(x).flatten(2).transpose(1, 2))
        logits: Tensor = self.head(self.norm(tokens).mean(dim=1))
        return logits
