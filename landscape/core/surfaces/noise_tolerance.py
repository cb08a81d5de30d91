"""How much noise on the weights a classifier bears: the σ at which its expected error has risen so far."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from landscape.core.problem.answers.classification import classification_of
from landscape.core.problem.problem import Problem
from landscape.core.seeds import seeded_generator
from landscape.core.stats.intervals import standard_error

__all__ = ["NoiseTolerance", "noise_tolerance"]

_WIDE, _PRECISION = 4.0, 1.1
_SMALLEST, _LARGEST = 1e-6, 1e4  # of the root mean square of the parameters, or of 1 if noise is relative


@dataclass(frozen=True)
class NoiseTolerance:
    """The noise a classifier bears.

    Attributes:
        sigma: Standard deviation of the noise at which the expected error has risen by the asked amount;
            infinite if no noise does that, 0 if the least does.
        error: Its standard error over draws of the noise, by the slope of the error there.
        evaluations: Passes over the data.
    """

    sigma: float
    error: float
    evaluations: int


def noise_tolerance(
    problem: Problem,
    kind: Literal["flat", "relative"] = "flat",
    *,
    rise: float = 0.1,
    draws: int = 8,
    seed: int = 0,
    progress: Callable[[], None] = lambda: None,
) -> NoiseTolerance:
    """σ with E_ε[error(θ + σTε)] − error(θ) = ``rise``, ε standard normal, T the identity or diag |θ|.

    The same draws serve every σ, so that the error is a smooth function of it, crossed once in brackets that
    shrink; σ is interpolated within the last, 10 % wide.

    Args:
        problem: A classifier on its data; its error is 1 − accuracy.
        kind: Whether noise is the same for all parameters, or relative to each one.
        rise: Of the error, as a share of the examples.
        draws: Of the noise.
        seed: Of the noise.
        progress: Called after each pass.

    Raises:
        InputError: If the problem is no classification.

    Reference:
        Neyshabur et al. (2017), Exploring generalization in deep learning, section 3; Jiang et al. (2020),
        Fantastic generalization measures, appendix C.4 (``pacbayes-flatness`` is 1/σ²), with the
        magnitude-aware form without their floor of 1e-3.
    """
    theta, done = problem.theta, 0
    classification_of(problem)  # refuses what has no answers
    base = problem.measure().accuracy
    scale = 1.0 if kind == "relative" else math.sqrt(float(theta.double().square().mean()))
    if math.isnan(base) or not scale > 0 or not math.isfinite(scale):
        return NoiseTolerance(float("nan"), float("nan"), 1)
    found: dict[float, np.ndarray] = {}

    def risen(sigma: float) -> float:
        nonlocal done
        rises = []
        for draw in range(draws):
            generator = seeded_generator(seed, draw)
            noise = torch.randn(len(theta), generator=generator, dtype=torch.float64)
            noise = noise.to(theta.device, theta.dtype)
            moved = theta + sigma * (noise * theta.abs() if kind == "relative" else noise)
            rises.append(base - problem.measure(moved).accuracy)
            done += 1
            progress()
        found[sigma] = np.array(rises)
        return float(np.mean(rises))

    low = high = 0.02 * scale
    while not risen(high) >= rise:
        low, high = high, high * _WIDE
        if high > _LARGEST * scale:
            return NoiseTolerance(float("inf"), float("nan"), done + 1)
    while low not in found or found[low].mean() >= rise:
        if low < _SMALLEST * scale:
            return NoiseTolerance(0.0, float("nan"), done + 1)
        low = low if low not in found else low / _WIDE
        if risen(low) >= rise:
            high = low
    while high / low > _PRECISION:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if risen(middle) >= rise else (middle, high)
    below, above = found[low].mean(), found[high].mean()
    share = (rise - below) / (above - below)
    sigma = low * (high / low) ** share
    # The slope from all that was tried nearby: of two points so near to each other it would be chance.
    near = np.array([s for s in sorted(found) if sigma / 2.0 < s < sigma * 2.0])
    slope = np.polyfit(np.log(near), [found[s].mean() for s in near], 1)[0] if len(near) > 1 else float("nan")
    spread = float(standard_error((found[low] + found[high]) / 2.0))
    return NoiseTolerance(sigma, sigma * spread / slope if slope > 0 else float("nan"), done + 1)
