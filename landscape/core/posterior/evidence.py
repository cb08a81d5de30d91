"""Evidence: the marginal likelihood of the data under a Laplace approximation, over prior precisions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from landscape.core.linalg.psd_quadrature import PsdQuadrature, SumBounds
from landscape.errors import InputError

__all__ = ["Evidence", "EvidenceCurve"]

Array = NDArray[np.float64]

POINTS = 25
DECADES = 3.0


@dataclass(frozen=True)
class Evidence:
    """ln p(D | δ) = ln p(D | θ*) − ½δ‖θ*‖² − ½ ln det(I + H/δ), for prior precisions δ (a,), in nats.

    Attributes:
        prior_precision: δ.
        log_likelihood: ln p(D | θ*).
        scatter: δ‖θ*‖².
        log_determinant: ln det(I + H/δ), what the posterior is narrower than the prior, bounded.
        effective_dimension: Σ λ/(λ + δ), how many directions the data determine, bounded.
    """

    prior_precision: Array
    log_likelihood: float
    scatter: Array
    log_determinant: SumBounds
    effective_dimension: SumBounds

    @property
    def high(self) -> Array:
        """The upper bound of the quadrature (a,)."""
        return self._with(self.log_determinant.lower)

    @property
    def low(self) -> Array:
        """The lower bound of the quadrature (a,)."""
        return self._with(self.log_determinant.upper)

    @property
    def middle(self) -> Array:
        """Ln p(D | δ), the middle between the bounds (a,)."""
        return (self.low + self.high) / 2

    @property
    def error(self) -> Array:
        """Standard error over probes (a,)."""
        return 0.5 * self.log_determinant.error

    def _with(self, log_determinant: Array) -> Array:
        return self.log_likelihood - 0.5 * self.scatter - 0.5 * log_determinant


@dataclass(frozen=True)
class EvidenceCurve:
    """The Laplace evidence as a function of the prior precision, the checkpoint held where it is.

    Attributes:
        log_likelihood: ln p(D | θ*), in nats.
        squared_norm: ‖θ*‖² over the parameters that are not fixed.
        entries: How many they are.
        spectrum: What is known of the eigenvalues of H, the summed Gauss-Newton matrix of −ln p(D | θ).

    Reference:
        MacKay (1992), A practical Bayesian framework for backpropagation networks, equation 2.18;
        Immer et al. (2021), Scalable marginal likelihood estimation for model selection in deep learning.

    Example:
        One weight at 1 that the data determine with curvature 3: least surprise at δ = γ/θ² with
        γ = 3/(3 + δ), which is δ = (√21 − 3)/2.

        >>> curve = EvidenceCurve(0.0, 1.0, 1, PsdQuadrature.exact(np.array([3.0])))
        >>> round(curve.best([0.1, 1.0, 10.0]), 6), round((21**0.5 - 3) / 2, 6)
        (0.791288, 0.791288)
    """

    log_likelihood: float
    squared_norm: float
    entries: int
    spectrum: PsdQuadrature

    def at(self, prior_precision: Sequence[float]) -> Evidence:
        """The evidence at some prior precisions.

        Raises:
            InputError: If one is not positive and finite.
        """
        delta = np.asarray(prior_precision, dtype=np.float64)
        if not ((delta > 0) & np.isfinite(delta)).all():
            raise InputError(f"a prior precision is positive and finite; got {list(prior_precision)}.")
        return Evidence(
            delta,
            self.log_likelihood,
            delta * self.squared_norm,
            self.spectrum.sum(lambda x: np.log1p(x / delta)),
            self.spectrum.sum(lambda x: x / (x + delta)),
        )

    def grid(self, about: float = 0.0) -> list[float]:
        """25 prior precisions over six decades.

        Args:
            about: Their middle, such as that of weight decay; by default P/(100 ‖θ‖²), since the best one,
                N(δ)/‖θ‖², lies below P/‖θ‖².
        """
        middle = about if about > 0 else 0.01 * self._ceiling
        return [float(middle * 10**power) for power in np.linspace(-DECADES, DECADES, POINTS)]

    def best(self, grid: Sequence[float] = ()) -> float:
        """The prior precision of most evidence, between those next to the best of a grid.

        NaN where the evidence is.

        Args:
            grid: Where to look; by default that of `grid`, once about each of its ends.
        """
        points = sorted(grid) if len(grid) else self.grid()
        values = self.at(points).middle
        if not np.isfinite(values).all():
            return math.nan
        place = int(values.argmax())
        low, high = (points[min(max(place + step, 0), len(points) - 1)] for step in (-1, 1))
        if low == high:
            return low
        found = minimize_scalar(
            lambda x: -float(self.at([math.exp(x)]).middle[0]),
            bounds=(math.log(low), math.log(high)),
            method="bounded",
            options={"xatol": 1e-8},
        )
        return math.exp(float(found.x))

    @cached_property
    def _ceiling(self) -> float:
        if not self.squared_norm > 0:
            raise InputError("all parameters are zero, where no prior precision is best; name a grid.")
        return self.entries / self.squared_norm
