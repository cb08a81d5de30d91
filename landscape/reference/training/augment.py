"""Random changes of training images, each a function of the images and of one generator."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from torch import Generator, Tensor

from landscape.core.data import augment
from landscape.errors import InputError

__all__ = ["Augment", "AugmentName", "augmentation", "crop_flip", "mix", "shift"]

AugmentName = Literal["shift", "crop_flip", "rand_crop_flip"]
Augment = Callable[[Tensor, Generator], Tensor]

SHIFT = 2  # pixels
CROP = 4  # pixels

# RandAugment "m9-mstd0.5-n2": magnitudes are in tenths of the full strength of an operation
OPERATIONS = 2
CHANCE = 0.5  # of each operation to be applied
MAGNITUDE = 9.0
SPREAD = 0.5  # standard deviation of the magnitude
FINEST = 100  # magnitudes are rounded to this part of the full strength


def augmentation(name: AugmentName | None, inputs: Tensor) -> Augment | None:
    """How a batch of images is changed.

    Args:
        name: ``"shift"``, ``"crop_flip"``, ``"rand_crop_flip"`` or None, as
            `landscape.reference.training.train` describes them.
        inputs: All training images (N, C, H, W), which tell the range of their pixels.

    Returns:
        A function of images (n, C, H, W) and a generator; it draws all its random numbers from the generator.
        None if nothing is to be changed.

    Raises:
        InputError: If torchvision is missing or the images are not what RandAugment works on.
    """
    if name == "rand_crop_flip":
        return _RandAugment(inputs)
    return {None: None, "shift": shift, "crop_flip": crop_flip}[name]


def shift(images: Tensor, generator: Generator) -> Tensor:
    """Move each image of (N, C, H, W) by its own random number of pixels, up to `SHIFT`."""
    return augment.shift(images, generator, SHIFT)


def crop_flip(images: Tensor, generator: Generator) -> Tensor:
    """Move each image of (N, C, H, W) by up to `CROP` pixels into zeros; mirror half of them."""
    moved = augment.shift(images, generator, CROP, border="constant")
    # Not core's `flip`, which draws integers: weights trained so far rest on these uniform numbers.
    mirrored = torch.rand(len(moved), generator=generator) < 0.5
    return torch.where(mirrored[:, None, None, None], moved.flip(-1), moved)


def mix(inputs: Tensor, mixup: float, cutmix: float, generator: Generator) -> tuple[Tensor, float]:
    """Mix each example of a batch with the one at the same place of the reversed batch.

    Mixup blends the two; cutmix puts a rectangle of the other image into the image. If both are on, one of
    them is drawn for the batch, with equal chances.

    Args:
        inputs: A batch (N, ...); images (N, C, H, W) for cutmix.
        mixup: The parameter α of the share λ ~ Beta(α, α) of an example in its blend; 0 for no mixup.
        cutmix: The same for the share of the area that an image keeps, about; 0 for no cutmix.
        generator: Source of all random numbers.

    Returns:
        The mixed batch, and the share λ of the first example of each pair: for cutmix, of the area that it
        kept, since the rectangle is cut off at the border.

    References:
        Zhang et al. (2018), mixup, equation 1; Yun et al. (2019), CutMix, equations 1 and 2. One λ for a
        batch, the reversed batch and the choice between the two are those of timm's Mixup in batch mode.
    """
    if not mixup and not cutmix:
        return inputs, 1.0
    rng = np.random.default_rng(_seed(generator))  # torch's Beta takes no generator
    cut = bool(cutmix) and (not mixup or rng.random() < 0.5)
    alpha = cutmix if cut else mixup
    share = float(rng.beta(alpha, alpha))
    other = inputs.flip(0)
    if not cut:
        return share * inputs + (1 - share) * other, share
    height, width = inputs.shape[-2:]
    rows, columns = (_interval(side, (1 - share) ** 0.5, rng) for side in (height, width))
    mixed = inputs.clone()
    mixed[..., rows, columns] = other[..., rows, columns]
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    return mixed, 1 - area / (height * width)


def _interval(side: int, fraction: float, rng: np.random.Generator) -> slice:
    """A fraction of a side around a random pixel, cut off at the border."""
    length = int(fraction * side)
    start = int(rng.integers(side)) - length // 2
    return slice(max(start, 0), min(start + length, side))


class _RandAugment:
    """`crop_flip`, and then torchvision's RandAugment operations, drawn for each image.

    The operations work on bytes, so the range of every channel over all training images is mapped to 0 to 255
    and back: exact for images of 8 bits, scaled and standardised in whatever way. What an operation
    uncovers becomes zero, as what the crop uncovers.
    """

    def __init__(self, inputs: Tensor) -> None:
        self.transforms = _transforms()
        if inputs.shape[1] not in (1, 3):
            raise InputError(
                f"augment='rand_crop_flip' works on images of 1 or 3 channels, not {inputs.shape[1]}."
            )
        self.low = inputs.amin(dim=(0, 2, 3), keepdim=True)
        span = inputs.amax(dim=(0, 2, 3), keepdim=True) - self.low
        if not span.isfinite().all():
            raise InputError(
                "augment='rand_crop_flip' needs finite images, but some pixels are NaN or infinite."
            )
        self.step = torch.where(span > 0, span, 1) / 255
        self.fill = self._bytes(torch.zeros_like(self.low)).flatten().tolist()
        self.known: dict[int, Any] = {}

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        pixels = self._bytes(crop_flip(images, generator))
        draws = MAGNITUDE + SPREAD * torch.randn(len(images), OPERATIONS, generator=generator)
        levels = (draws.clamp(0, 10) / 10 * FINEST).round().int().tolist()
        applied = (torch.rand(len(images), OPERATIONS, generator=generator) < CHANCE).tolist()
        with torch.random.fork_rng(devices=[]):  # torchvision draws from the global generator
            torch.default_generator.manual_seed(_seed(generator))
            for image, strengths, chosen in zip(pixels, levels, applied, strict=True):
                for level, use in zip(strengths, chosen, strict=True):
                    if use:
                        image.copy_(self._operation(level)(image))
        return pixels * self.step + self.low

    def _bytes(self, images: Tensor) -> Tensor:
        return ((images - self.low) / self.step).round().clamp(0, 255).byte()

    def _operation(self, level: int) -> Any:
        """One random operation of a strength."""
        if level not in self.known:
            self.known[level] = self.transforms.RandAugment(
                num_ops=1,
                magnitude=level,
                num_magnitude_bins=FINEST + 1,
                interpolation=self.transforms.InterpolationMode.BILINEAR,
                fill=self.fill,
            )
        return self.known[level]


def _seed(generator: Generator) -> int:
    return int(torch.randint(2**62, (), generator=generator))


def _transforms() -> Any:
    try:
        return importlib.import_module("torchvision.transforms.v2")
    except ImportError as error:
        raise InputError(
            "augment='rand_crop_flip' takes its operations from torchvision, which is not installed:"
            ' pip install "landscape-toolkit[vision]".'
        ) from error
