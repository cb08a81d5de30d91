"""A small network from images to images."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from landscape.reference.layers.convolution import check_positive

__all__ = ["autoencoder"]


def autoencoder(width: int = 16, in_channels: int = 1) -> nn.Module:
    """Three 3×3 convolutions, the first of which halves the map and the last of which sees it doubled again.

    Args:
        width: Channels of the map of half size.
        in_channels: Channels of the images.

    Returns:
        A module from images (N, in_channels, H, W) to images of the same shape, without bounds.

    Raises:
        InputError: If a size is not positive.
    """
    check_positive("autoencoder", width=width, in_channels=in_channels)
    return Autoencoder(width, in_channels)


class Autoencoder(nn.Module):
    """The module that `autoencoder` builds."""

    def __init__(self, width: int, in_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.conv3 = nn.Conv2d(width, in_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to images (N, C, H, W)."""
        code = self.conv2(self.conv1(x).relu()).relu()
        images: Tensor = self.conv3(functional.interpolate(code, size=x.shape[-2:], mode="nearest"))
        return images
