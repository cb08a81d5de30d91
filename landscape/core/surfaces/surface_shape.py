"""The shape of a surface in numbers: how sharp, how flat, how curved, how convex, how rough."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "QuadraticFit",
    "flatness_radius",
    "largest_rise",
    "nonconvex_share",
    "quadratic_fit",
    "roughness",
]

Array = NDArray[np.float64]

ROUGH_WEIGHTS = np.array([1.0, -4.0, 6.0, -4.0, 1.0]) * (3 / 35)
"""What a parabola fitted to five even points by least squares leaves at the middle one."""

ROUNDING = 8.0
"""Second differences below this many roundings of the values count as zero."""


def largest_rise(z: Array, x: Array, y: Array, center: float, radius: float) -> float:
    """Largest rise max z − ``center`` over the grid points within ``radius`` steps of the origin.

    As the worst-case sharpness of Keskar et al. (2017), but within the plane. NaN if there is no
    evaluated point, infinite if a value is not finite.

    Args:
        z: Values (ny, nx); NaN counts as infinite.
        x: Steps along the first direction (nx,).
        y: Steps along the second (ny,).
        center: The value at the origin.
        radius: In steps.
    """
    near = z[_distances(x, y) <= radius]
    if near.size == 0:
        return float("nan")
    return float(np.where(np.isfinite(near), near, np.inf).max() - center)


def flatness_radius(z: Array, x: Array, y: Array, center: float, threshold: float) -> float:
    """Steps from the origin to the nearest point where z exceeds ``center`` by ``threshold``.

    Crossings are placed on the grid's edges by linear interpolation. Values that are not finite exceed
    any threshold, at the point itself. NaN if nothing on the grid does.
    """
    rise = np.where(np.isfinite(z), z - center - threshold, np.inf)
    found = _distances(x, y)[rise > 0]
    nearest = float(found.min()) if found.size else float("nan")
    X, Y = np.meshgrid(x, y)
    for axis in (0, 1):
        low, high = _ends(rise, axis)
        crosses = ((low > 0) != (high > 0)) & np.isfinite(low) & np.isfinite(high)
        if not crosses.any():
            continue
        t = low[crosses] / (low[crosses] - high[crosses])
        at = [a[crosses] + t * (b[crosses] - a[crosses]) for a, b in (_ends(X, axis), _ends(Y, axis))]
        nearest = min(nearest, float(np.hypot(*at).min()))
    return nearest


@dataclass(frozen=True)
class QuadraticFit:
    """A least-squares quadratic around the origin.

    Attributes:
        hessian: Second derivatives per step², (2, 2); NaN where there are too few points.
        gradient: First derivatives per step at the origin, (2,).
        points: Number of points fitted.
        r2: Share of their variance that the fit explains.
    """

    hessian: Array
    gradient: Array
    points: int
    r2: float


def quadratic_fit(z: Array, x: Array, y: Array, radius: float) -> QuadraticFit:
    """Fit c + g·s + ½ s·H s to the finite values within ``radius`` steps s of the origin."""
    X, Y = np.meshgrid(x, y)
    near = (np.hypot(X, Y) <= radius) & np.isfinite(z)
    # In units of the radius: all terms are then of one size, without which a rank says little.
    a, b, values = X[near] / radius, Y[near] / radius, z[near]
    # Halved squares, so that coefficients are second derivatives.
    terms = np.stack([np.ones_like(a), a, b, a * a / 2, a * b, b * b / 2], axis=1)
    if np.linalg.matrix_rank(terms) < 6:
        nan = np.full((2, 2), np.nan)
        return QuadraticFit(nan, nan[0], len(values), float("nan"))
    found, *_ = np.linalg.lstsq(terms, values, rcond=None)
    _, ga, gb, haa, hab, hbb = found
    spread = float(np.square(values - values.mean()).sum())
    rest = float(np.square(values - terms @ found).sum())
    return QuadraticFit(
        np.array([[haa, hab], [hab, hbb]]) / radius**2,
        np.array([ga, gb]) / radius,
        len(values),
        1.0 - rest / spread if spread > 0 else float("nan"),
    )


def nonconvex_share(z: Array, x: Array, y: Array, eps: float) -> float:
    """Share of inner grid points where the finite-difference Hessian has a negative eigenvalue.

    The sign does not depend on the scale of the steps. Points whose stencil is not finite are left out; a
    curvature within rounding of zero counts as zero. NaN if no point is left.

    Args:
        z: Values (ny, nx) on even steps.
        x: (nx,).
        y: (ny,).
        eps: Relative rounding error of the values.
    """
    if min(z.shape) < 3:
        return float("nan")
    c = z[1:-1, 1:-1]
    xx = z[1:-1, 2:] - 2 * c + z[1:-1, :-2]
    yy = z[2:, 1:-1] - 2 * c + z[:-2, 1:-1]
    xy = (z[2:, 2:] - z[2:, :-2] - z[:-2, 2:] + z[:-2, :-2]) / 4
    finite = np.isfinite(xx) & np.isfinite(yy) & np.isfinite(xy)
    if not finite.any():
        return float("nan")
    xx, yy, xy, c = xx[finite], yy[finite], xy[finite], c[finite]
    lowest = (xx + yy) / 2 - np.hypot((xx - yy) / 2, xy)
    return float((lowest < -ROUNDING * eps * np.abs(c)).mean())


def roughness(z: Array) -> float:
    """Root mean square of what a sliding parabola leaves unexplained, relative to the range of values.

    Along each row and column, a parabola is fitted to five successive points by least squares; its
    residual at the middle one is squared and averaged. Zero for any cubic, larger for ripples at the
    scale of the grid. Stencils that are not finite are left out; NaN if none is left.
    """
    finite = z[np.isfinite(z)]
    rest = np.concatenate([_residuals(z).ravel(), _residuals(z.T).ravel()])
    rest = rest[np.isfinite(rest)]
    if rest.size == 0:
        return float("nan")
    spread = float(np.ptp(finite))
    return float(np.sqrt(np.square(rest).mean()) / spread) if spread > 0 else 0.0


def _residuals(z: Array) -> Array:
    n = z.shape[1] - 4
    if n < 1:
        return np.empty(0)
    with np.errstate(invalid="ignore"):
        rest: Array = sum(w * z[:, i : i + n] for i, w in enumerate(ROUGH_WEIGHTS))
    return rest


def _distances(x: Array, y: Array) -> Array:
    return np.hypot(*np.meshgrid(x, y))


def _ends(a: Array, axis: int) -> tuple[Array, Array]:
    """Both ends of every grid edge along an axis."""
    return (a[:-1], a[1:]) if axis == 0 else (a[:, :-1], a[:, 1:])
