"""Images that are no digits: patches of the two photographs that scikit-learn ships."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from landscape.errors import InputError
from landscape.reference.data.digits import MEAN, STD
from landscape.reference.data.torchvision import CIFAR10

__all__ = ["colour_patches", "patches"]

PHOTOGRAPHS = ("china.jpg", "flower.jpg")


def patches(count: int = 500, seed: int = 0, size: int = 28) -> tuple[Tensor, Tensor]:
    """Random grey squares of two photographs, standardised as the digits are: data of another distribution.

    Args:
        count: Number of squares, half of each photograph.
        seed: Decides which.
        size: Height and width in pixels.

    Returns:
        Images (count, 1, size, size), float32, and labels that say nothing, zeros (count,).

    Raises:
        InputError: If scikit-learn or Pillow is missing, or a number is out of range.
    """
    images = torch.from_numpy(_squares(count, seed, size, "L")[:, None]).float() / 255
    return (images - MEAN) / STD, torch.zeros(count, dtype=torch.long)


def colour_patches(count: int = 500, seed: int = 0, size: int = 32) -> tuple[Tensor, Tensor]:
    """The same squares in colour, standardised as `cifar10` is.

    Args:
        count: Number of squares, half of each photograph.
        seed: Decides which.
        size: Height and width in pixels.

    Returns:
        Images (count, 3, size, size), float32, and labels that say nothing, zeros (count,).

    Raises:
        InputError: As `patches`.
    """
    images = torch.from_numpy(_squares(count, seed, size, "RGB")).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in CIFAR10)
    return ((images - mean) / std).contiguous(), torch.zeros(count, dtype=torch.long)


def _squares(count: int, seed: int, size: int, mode: str) -> npt.NDArray[np.uint8]:
    """Random squares (count, size, size, ...) of the photographs in turn, in a mode of Pillow's."""
    photographs = [_photograph(name, mode) for name in PHOTOGRAPHS]
    most = min(min(p.shape[:2]) for p in photographs)
    if count < 1 or not 1 <= size <= most:
        raise InputError(f"patches: count is at least 1 and size 1 to {most} pixels, not {count} and {size}.")
    rng = np.random.default_rng(seed)
    made = []
    for index in range(count):
        pixels = photographs[index % len(photographs)]
        top, left = (int(rng.integers(0, length - size + 1)) for length in pixels.shape[:2])
        made.append(pixels[top : top + size, left : left + size])
    return np.stack(made)


@functools.cache
def _photograph(name: str, mode: str) -> npt.NDArray[np.uint8]:
    """Pixels (H, W) or (H, W, 3) of one photograph, grey or in colour."""
    package = importlib.util.find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise InputError(
            "The photographs come with the package scikit-learn, which is not installed: "
            'pip install "landscape-toolkit[demo]".'
        )
    try:
        from PIL import Image
    except ImportError as error:
        raise InputError(
            "patches reads photographs with Pillow, which is missing: pip install pillow."
        ) from error
    path = Path(package.submodule_search_locations[0]) / "datasets" / "images" / name
    with Image.open(path) as image:
        return np.asarray(image.convert(mode))
