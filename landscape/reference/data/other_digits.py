"""Digits that are none: the same pixels, inverted or with their quarters exchanged."""

from __future__ import annotations

from torch import Tensor

from landscape.reference.data.digits import MEAN, STD, digits

__all__ = ["inverted_digits", "quartered_digits"]


def inverted_digits(count: int = 400, size: int = 28) -> tuple[Tensor, Tensor]:
    """Held-out digits, black on white, standardised as `digits` are: data of another distribution.

    Args:
        count: Number of images.
        size: Height and width in pixels.

    Returns:
        Images (count, 1, size, size), float32, and the digits they show (count,).

    Raises:
        InputError: As `landscape.reference.data.digits`.
    """
    x, y = digits("test", count, size=size)
    return (1 - 2 * MEAN) / STD - x, y


def quartered_digits(count: int = 400, size: int = 28) -> tuple[Tensor, Tensor]:
    """Held-out digits whose quarters have changed places, each with the one opposite.

    Args:
        count: Number of images.
        size: Height and width in pixels.

    Returns:
        Images (count, 1, size, size), float32, and the digits they were (count,).

    Raises:
        InputError: As `landscape.reference.data.digits`.
    """
    x, y = digits("test", count, size=size)
    return x.roll((size // 2, size // 2), (2, 3)), y
