"""Common corruptions of images at five severities, for images of any size and number of channels.

The kinds and most amounts follow ImageNet-C (Hendrycks & Dietterich 2019); lengths are fractions of the
image's shorter side, so that one severity means the same for digits and photographs. CIFAR-C, of the same
authors, has weaker ones for images of 32 pixels, which one sees at once. Libraries of these
corruptions need OpenCV or scikit-image and three channels, so they are written out here on plain tensors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor

from landscape.core.behaviour.perturbations import Change
from landscape.errors import InputError, suggest

__all__ = ["CORRUPTIONS", "Benchmark", "Corruption", "corrupt", "corrupt_by"]

Benchmark = Literal["imagenet-c", "cifar-c"]
"""Whose amounts severities have."""

Amounts = tuple[float, float, float, float, float]


@dataclass(frozen=True)
class Corruption:
    """One kind of corruption.

    Attributes:
        apply: ``(pixels (B, C, H, W) from 0 to 1, amount, rng) -> pixels``, not yet cut to 0 to 1.
        amounts: The amount at severities 1 to 5.
        unit: What the amount is counted in.
        moves: Whether it moves pixels to other places.
        cifar: The amounts of CIFAR-C, if it has the kind.
    """

    apply: Callable[[Tensor, float, np.random.Generator], Tensor]
    amounts: Amounts
    unit: str
    moves: bool = False
    cifar: Amounts | None = None

    def amounts_of(self, benchmark: Benchmark) -> Amounts:
        """The amounts of a benchmark; those of photographs where CIFAR-C does not have the kind."""
        return self.cifar if benchmark == "cifar-c" and self.cifar else self.amounts


def corrupt(name: str, severity: int, seed: int = 0, *, benchmark: Benchmark = "imagenet-c") -> Change:
    """A change of images, to be used once from the first example on.

    The random part is drawn image by image from the seed alone, so severities share it and the cut into
    batches does not matter. Results are cut to 0 to 1.

    Args:
        name: A key of `CORRUPTIONS`.
        severity: 1 to 5; 0 leaves the images as they are.
        seed: Seed of the random part.
        benchmark: Whose amounts: those of photographs, or those of images of 32 pixels.

    Raises:
        InputError: If there is no such corruption or severity.
    """
    if name not in CORRUPTIONS:
        raise InputError(f"there is no corruption '{name}'; {suggest(name, CORRUPTIONS)}")
    if severity not in range(6):
        raise InputError(f"severities are 0 to 5; got {severity}.")
    if severity == 0:
        return lambda pixels, start: pixels
    return corrupt_by(name, CORRUPTIONS[name].amounts_of(benchmark)[severity - 1], seed)


def corrupt_by(name: str, amount: float, seed: int = 0, *, clip: bool = True) -> Change:
    """A change of images by any amount, to be used once from the first example on.

    Args:
        name: A key of `CORRUPTIONS`.
        amount: How much, in the kind's own unit.
        seed: Seed of the random part, which amounts share.
        clip: Whether results are cut to 0 to 1. Cutting turns noise on black pixels into brightness, so that
            claims on noise alone need it off.

    Raises:
        InputError: If there is no such corruption.
    """
    if name not in CORRUPTIONS:
        raise InputError(f"there is no corruption '{name}'; {suggest(name, CORRUPTIONS)}")
    kind = CORRUPTIONS[name]
    # The kind is part of the seed, so that corruptions are independent; the amount is not.
    rng = np.random.default_rng((seed, list(CORRUPTIONS).index(name)))

    def change(pixels: Tensor, start: int) -> Tensor:
        changed = kind.apply(pixels, amount, rng)
        return changed.clamp(0.0, 1.0) if clip else changed

    return change


def _signs(pixels: Tensor, rng: np.random.Generator, count: int) -> Tensor:
    """Random signs (B, count)."""
    return torch.from_numpy(rng.integers(0, 2, size=(len(pixels), count)) * 2.0 - 1.0).to(pixels)


def _rotate(pixels: Tensor, degrees: float, rng: np.random.Generator) -> Tensor:
    angle = math.radians(degrees) * _signs(pixels, rng, 1)[:, 0]
    height, width = pixels.shape[-2:]
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    # grid_sample counts both axes from −1 to 1, so a rotation of a non-square image is a shear there
    rows = [cos, -sin * height / width, zero, sin * width / height, cos, zero]
    return _warp(pixels, torch.stack(rows, 1).view(-1, 2, 3))


def _translate(pixels: Tensor, fraction: float, rng: np.random.Generator) -> Tensor:
    move = 2.0 * fraction * _signs(pixels, rng, 2)
    eye = torch.eye(2, dtype=pixels.dtype, device=pixels.device).expand(len(pixels), 2, 2)
    return _warp(pixels, torch.cat([eye, move[:, :, None]], 2))


def _roll(pixels: Tensor, fraction: float, _: np.random.Generator) -> Tensor:
    return torch.roll(pixels, round(fraction * pixels.shape[-1]), dims=-1)


def _warp(pixels: Tensor, transform: Tensor) -> Tensor:
    """Bilinear sampling at affinely moved places; beyond the edge the nearest pixel counts."""
    # either way about: a few transforms for all images, and a grid is dearer than the sampling at it
    few, of = torch.unique(transform, dim=0, return_inverse=True)
    grid = F.affine_grid(few, [len(few), *pixels.shape[1:]], align_corners=False)[of]
    return F.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _gaussian_noise(pixels: Tensor, sigma: float, rng: np.random.Generator) -> Tensor:
    return pixels + sigma * torch.from_numpy(rng.standard_normal(tuple(pixels.shape))).to(pixels)


def _shot_noise(pixels: Tensor, photons: float, rng: np.random.Generator) -> Tensor:
    counts = rng.poisson(pixels.clamp(0.0, 1.0).double().cpu().numpy() * photons)
    return torch.from_numpy(counts / photons).to(pixels)


def _impulse_noise(pixels: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    # One draw for salt and pepper: a pixel that is hit at one severity is hit at all higher ones.
    draw = torch.from_numpy(rng.random(tuple(pixels.shape))).to(pixels.device)
    salted = torch.where(draw < share / 2, torch.ones_like(pixels), pixels)
    return torch.where(draw > 1 - share / 2, torch.zeros_like(pixels), salted)


def _gaussian_blur(pixels: Tensor, fraction: float, _: np.random.Generator) -> Tensor:
    sigma = fraction * min(pixels.shape[-2:])
    for axis in (2, 3):
        pixels = _blur_axis(pixels, sigma, axis)
    return pixels


def _blur_axis(pixels: Tensor, sigma: float, axis: int) -> Tensor:
    """Blur along one axis; beyond the edge the nearest pixel counts."""
    reach = math.ceil(4 * sigma)  # where the Gaussian has fallen to 3e-4 of its height
    places = torch.arange(-reach, reach + 1, dtype=pixels.dtype, device=pixels.device)
    kernel = torch.exp(-0.5 * (places / sigma) ** 2)
    kernel = (
        (kernel / kernel.sum()).view(1, 1, -1, 1) if axis == 2 else (kernel / kernel.sum()).view(1, 1, 1, -1)
    )
    pad = (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0)
    padded = F.pad(pixels, pad, mode="replicate")
    flat = padded.reshape(-1, 1, *padded.shape[-2:])
    return F.conv2d(flat, kernel).view(pixels.shape)


def _contrast(pixels: Tensor, factor: float, _: np.random.Generator) -> Tensor:
    mean = pixels.mean((2, 3), keepdim=True)
    return (pixels - mean) * factor + mean


def _brightness(pixels: Tensor, added: float, _: np.random.Generator) -> Tensor:
    return pixels + added


def _pixelate(pixels: Tensor, factor: float, _: np.random.Generator) -> Tensor:
    height, width = pixels.shape[-2:]
    small = (max(1, round(height * factor)), max(1, round(width * factor)))
    coarse = F.interpolate(pixels, size=small, mode="area")
    return F.interpolate(coarse, size=(height, width), mode="nearest")


CORRUPTIONS: dict[str, Corruption] = {
    "rotation": Corruption(_rotate, (5.0, 10.0, 20.0, 30.0, 45.0), "degrees, either way", True),
    "translation": Corruption(_translate, (0.03, 0.06, 0.1, 0.15, 0.2), "image sides, along both axes", True),
    "gaussian_noise": Corruption(
        _gaussian_noise,
        (0.08, 0.12, 0.18, 0.26, 0.38),
        "pixel range, standard deviation",
        cifar=(0.04, 0.06, 0.08, 0.09, 0.10),
    ),
    "shot_noise": Corruption(
        _shot_noise,
        (60.0, 25.0, 12.0, 5.0, 3.0),
        "photons at full brightness",
        cifar=(500.0, 250.0, 100.0, 75.0, 50.0),
    ),
    "impulse_noise": Corruption(
        _impulse_noise,
        (0.03, 0.06, 0.09, 0.17, 0.27),
        "share of pixels",
        cifar=(0.01, 0.02, 0.03, 0.05, 0.07),
    ),
    "gaussian_blur": Corruption(
        _gaussian_blur,
        (0.01, 0.0175, 0.025, 0.035, 0.05),
        "image sides, standard deviation",
        cifar=(0.4 / 32, 0.6 / 32, 0.7 / 32, 0.8 / 32, 1.0 / 32),
    ),
    "contrast": Corruption(
        _contrast, (0.4, 0.3, 0.2, 0.1, 0.05), "times the contrast", cifar=(0.75, 0.5, 0.4, 0.3, 0.15)
    ),
    # CIFAR-C adds to the value of a colour (HSV), here to all channels alike: the same amount, paler colours
    "brightness": Corruption(
        _brightness, (0.1, 0.2, 0.3, 0.4, 0.5), "pixel range, added", cifar=(0.05, 0.1, 0.15, 0.2, 0.3)
    ),
    # .95, .9, .85, .75 and .65 of 32 pixels, which CIFAR-C rounds down
    "pixelate": Corruption(
        _pixelate,
        (0.6, 0.5, 0.4, 0.3, 0.25),
        "times the resolution",
        cifar=(30 / 32, 28 / 32, 27 / 32, 24 / 32, 20 / 32),
    ),
    # A kind's place is part of its seed: new ones come last. Whole turns and cyclic moves are those of Ovadia
    # et al. (2019), Can you trust your model's uncertainty?, section 4.1.
    "rotation_wide": Corruption(_rotate, (36.0, 72.0, 108.0, 144.0, 180.0), "degrees, either way", True),
    "roll": Corruption(_roll, (0.1, 0.2, 0.3, 0.4, 0.5), "image widths, cyclically", True),
}
"""The corruptions by name."""
