"""Points in few dimensions whose distances are those given: classical scaling."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Scaling", "classical_scaling"]

Array = NDArray[np.float64]


class Scaling(NamedTuple):
    """A map of n things.

    Attributes:
        places: Coordinates (n, dimensions), in units of the distances, about their mean; the coordinate of
            each axis with the largest modulus is positive.
        shares: Share of each axis (dimensions,) in the sum of the moduli of all eigenvalues: what the map
            shows of the squared distances. Below 1 in sum where distances need more dimensions, or are none
            of a Euclidean space.
    """

    places: Array
    shares: Array


def classical_scaling(distances: Array, dimensions: int = 2) -> Scaling:
    """Places whose distances are nearest to those given, by the leading eigenvectors of −½ J D² J.

    NaN everywhere if a distance is not finite; an axis without variance has zeros.

    Args:
        distances: Symmetric (n, n), zero on the diagonal; an asymmetry of rounding is averaged away.
        dimensions: Axes of the map.

    Reference:
        Torgerson (1952), Multidimensional scaling: I. Theory and method; Gower (1966).
    """
    n = len(distances)
    if not n:
        return Scaling(np.zeros((0, dimensions)), np.zeros(dimensions))
    if not np.isfinite(distances).all():
        return Scaling(np.full((n, dimensions), np.nan), np.full(dimensions, np.nan))
    squares = np.square((distances + distances.T) / 2)
    centred = squares - squares.mean(0) - squares.mean(1)[:, None] + squares.mean()
    values, vectors = np.linalg.eigh(-0.5 * centred)
    total = np.abs(values).sum()
    leading = np.clip(values[::-1][:dimensions], 0.0, None)
    # What lies below is rounding: its vector is any.
    leading[leading <= total * n * np.finfo(np.float64).eps] = 0.0
    places = vectors[:, ::-1][:, :dimensions] * np.sqrt(leading)
    largest = np.abs(places).argmax(0)  # eigenvectors have no sign of their own
    places *= np.where(places[largest, np.arange(places.shape[1])] < 0, -1.0, 1.0)
    missing = dimensions - places.shape[1]
    shares = leading / total if total > 0 else np.zeros_like(leading)
    return Scaling(np.pad(places, ((0, 0), (0, missing))), np.pad(shares, (0, missing)))
