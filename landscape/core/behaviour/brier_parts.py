"""The Brier score of the most probable class, taken apart: calibration, discrimination and chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landscape.core.behaviour.calibration import Integers

__all__ = ["BrierParts"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BrierParts:
    """score = reliability − resolution + uncertainty + within_bin, up to rounding.

    Attributes:
        score: Mean (confidence − correct)², the Brier score of "the most probable class is the true one";
            where correct is the probability a of being right (soft targets), its expectation, a(1 − a) more.
        reliability: Mean squared gap between confidence and accuracy of a bin; 0 is calibrated.
        resolution: Variance of the accuracy between bins: how much bins tell apart.
        uncertainty: Accuracy (1 − accuracy), which no forecast of the same classes changes.
        within_bin: What forecasts that differ within a bin add: their variance less twice their covariance
            with being correct. Without it the identity only holds where a bin holds one forecast.

    Reference:
        Murphy (1973), A new vector partition of the probability score; Stephenson, Coelho & Jolliffe (2008),
        Two extra components in the Brier score decomposition, equation 9.
    """

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bin: float

    @classmethod
    def of(cls, confidence: Array, correct: Array, index: Integers, bins: int) -> BrierParts:
        """The parts of forecasts in bins.

        Args:
            confidence: Probability of the most probable class (N,).
            correct: 1 where that class is the true one (N,), or the probability that it is.
            index: The bin of each example (N,).
            bins: Number of bins; some may be empty.
        """
        count = np.bincount(index, minlength=bins)
        filled = np.maximum(count, 1)
        forecast = np.bincount(index, confidence, bins) / filled
        observed = np.bincount(index, correct, bins) / filled
        rate, share = correct.mean(), count / len(index)
        # Deviations from the bin's own means: nothing cancels.
        spread, wrong = confidence - forecast[index], correct - observed[index]
        return cls(
            score=float(((confidence - correct) ** 2 + correct * (1.0 - correct)).mean()),
            reliability=float(share @ (forecast - observed) ** 2),
            resolution=float(share @ (observed - rate) ** 2),
            uncertainty=float(rate * (1.0 - rate)),
            within_bin=float((spread**2 - 2.0 * spread * wrong).mean()),
        )
