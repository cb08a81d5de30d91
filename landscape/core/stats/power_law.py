"""Power-law tails of samples: where one begins, its exponent, and whether it is one at all.

Any tail looks straight on logarithmic axes over a short enough range, so an exponent says nothing without the
distance of the fit, its p-value and the number of values it rests on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from landscape.errors import InputError

__all__ = ["PowerLaw", "fit_power_law", "kolmogorov_distance", "log_likelihood_ratio"]

Array = NDArray[np.float64]

MOST_STARTS = 128
"""So many values are tried as the start of the tail, evenly spaced by rank: all of them in small samples."""

LEAST_TAIL = 8
"""No tail has fewer values: the best of many fits to three points is always close."""


@dataclass(frozen=True)
class PowerLaw:
    """A tail p(x) ∝ x^−α for x ≥ start.

    Attributes:
        alpha: α; NaN if there was nothing to fit.
        alpha_se: Its standard error, the start chosen anew in each resample; NaN without resamples.
        start: The least value of the tail.
        count: Values in the tail.
        distance: Kolmogorov-Smirnov distance between tail and fit.
        p: Share of samples from the fit that lie further from their own fits: of a power law it is uniform,
            and a small one (below 0.1 in the paper) speaks against it. NaN without resamples.
        log_normal: Vuong's normalised ratio of likelihoods against a log-normal tail, never positive since
            power laws are the limit of these: below 0 the log-normal fits better.
        log_normal_p: The p-value that the ratio is 0.
        exponential: The same against an exponential tail: above 0 the power law fits better.
        exponential_p: Its p-value.
    """

    alpha: float
    alpha_se: float
    start: float
    count: int
    distance: float
    p: float
    log_normal: float
    log_normal_p: float
    exponential: float
    exponential_p: float


_NAN = float("nan")

NOTHING = PowerLaw(_NAN, _NAN, _NAN, 0, _NAN, _NAN, _NAN, _NAN, _NAN, _NAN)
"""The fit of what has no tail."""


def fit_power_law(values: ArrayLike, *, resamples: int = 0, seed: int = 0) -> PowerLaw:
    """Fit a continuous power law to the tail of a sample.

    The tail begins where the Kolmogorov-Smirnov distance to the maximum-likelihood fit is least. For the
    p-value, samples are drawn from the fit (below its start from the sample itself), and fitted as the sample
    was, with a start of their own.

    Args:
        values: The sample, in any order and shape. What is not positive is left out: no power law has it.
        resamples: Samples drawn for p-value and standard error; 0 for neither.
        seed: Seed of those.

    Returns:
        The fit; all NaN for fewer than 8 positive values, or for equal ones.

    Raises:
        InputError: If a value is not finite.

    Reference:
        Clauset, Shalizi & Newman (2009), Power-law distributions in empirical data, sections 3 to 5.

    Example:
        >>> sample = (1.0 - (np.arange(2000) + 0.5) / 2000) ** (-1 / 1.5)  # quantiles of α = 2.5
        >>> round(fit_power_law(sample).alpha, 2)
        2.5
    """
    sample = np.asarray(values, dtype=np.float64).ravel()
    if not np.isfinite(sample).all():
        raise InputError("a power law is fitted to finite values; leave out those that are not.")
    sample = np.sort(sample[sample > 0])
    if len(sample) < LEAST_TAIL or sample[0] == sample[-1]:
        return NOTHING
    alpha, place, distance = _best(sample)
    if not np.isfinite(alpha):
        return NOTHING
    start, tail = float(sample[place]), sample[place:]
    p, error = _resampled(sample, place, alpha, distance, resamples, seed)
    y = np.log(tail / start)
    log_normal, exponential = _log_normal(y), _exponential(tail, start)
    own = np.log(alpha - 1.0) - np.log(start) - alpha * y
    return PowerLaw(
        alpha,
        error,
        start,
        len(tail),
        distance,
        p,
        *log_likelihood_ratio(own, log_normal - y - np.log(start)),
        *log_likelihood_ratio(own, exponential),
    )


def kolmogorov_distance(tail: Array, alpha: float, start: float) -> float:
    """Largest distance between the steps of a sorted tail and a power law, on either side of each step."""
    count = len(tail)
    fitted = -np.expm1((1.0 - alpha) * np.log(tail / start))
    above = np.arange(1, count + 1) / count - fitted
    return float(np.maximum(above, 1.0 / count - above).max())


def log_likelihood_ratio(own: Array, other: Array) -> tuple[float, float]:
    """Sum of differences of log-likelihoods, over its standard deviation, and the p-value of 0 (Vuong 1989).

    Two laws of one likelihood at each value have a ratio of 0 and a p-value of 1.

    Args:
        own: Log-likelihood of each value (n,) under the one law.
        other: Under the other (n,).
    """
    from scipy.special import erfc

    gaps = own - other
    spread = float(gaps.std()) * len(gaps) ** 0.5
    total = float(gaps.sum())
    # What rounding leaves of equal likelihoods is no ratio.
    if abs(total) <= 1e-9 * (np.abs(own).sum() + 1.0):
        return 0.0, 1.0
    if spread == 0:
        return float(np.copysign(np.inf, total)), 0.0
    return total / spread, float(erfc(abs(total) / spread / 2**0.5))


@lru_cache(maxsize=32)
def _starts(count: int) -> NDArray[np.intp]:
    """Ranks tried as the start of the tail, of a sorted sample of so many."""
    last = count - LEAST_TAIL
    return np.unique(np.linspace(0, last, min(last + 1, MOST_STARTS)).round().astype(np.intp))


def _best(sample: Array) -> tuple[float, int, float]:
    """Exponent, rank of the start and distance of the best tail of a sorted sample; NaN if there is none."""
    count, logs = len(sample), np.log(sample)
    places = _starts(count)
    # Tails begin with the first of equal values: the law holds for all of them.
    places = np.unique(np.searchsorted(sample, sample[places]))
    sizes = count - places
    excess = logs[::-1].cumsum()[::-1][places] - sizes * logs[places]
    places, sizes, excess = (a[excess > 0] for a in (places, sizes, excess))
    if not len(places):
        return np.nan, 0, np.nan
    slopes = sizes / excess  # α − 1
    ranks = np.arange(1, count + 1)
    # One row per start, shared work in NumPy: a loop over starts is ten times slower for small samples.
    fitted = -np.expm1(-slopes[:, None] * np.maximum(logs - logs[places, None], 0.0))
    above = (ranks - places[:, None]) / sizes[:, None] - fitted
    distances = np.maximum(above, 1.0 / sizes[:, None] - above)
    distances[ranks - 1 < places[:, None]] = 0.0
    each = distances.max(1)
    best = int(each.argmin())
    return 1.0 + float(slopes[best]), int(places[best]), float(each[best])


def _resampled(
    sample: Array, place: int, alpha: float, distance: float, resamples: int, seed: int
) -> tuple[float, float]:
    """P-value of the fit, and the standard deviation of the exponents of the samples drawn for it."""
    if not resamples:
        return np.nan, np.nan
    rng = np.random.default_rng(seed)
    count, further, alphas = len(sample), 0, np.full(resamples, np.nan)
    for number in range(resamples):
        inside = rng.binomial(count, 1.0 - place / count)
        tail = sample[place] * (1.0 - rng.random(inside)) ** (-1.0 / (alpha - 1.0))
        body = sample[:place][rng.integers(0, place, count - inside)] if place else sample[:0]
        alphas[number], _, own = _best(np.sort(np.concatenate([body, tail])))
        further += own >= distance
    return further / resamples, float(np.nanstd(alphas, ddof=1)) if resamples > 1 else np.nan


def _exponential(tail: Array, start: float) -> Array:
    """Log-likelihoods (n,) under the best exponential from `start` on."""
    rate = 1.0 / (tail.mean() - start)
    likelihoods: Array = np.log(rate) - rate * (tail - start)
    return likelihoods


def _log_normal(y: Array) -> Array:
    """Log-likelihoods (n,) of y = ln(x/start) ≥ 0 under the best part, from 0 on, of a normal law.

    In its natural form the density is exp(−at − bt²)/Z of t = y/ȳ with b ≥ 0: its logarithm is concave in
    (a, b), and b = 0 is the power law itself, which a search over mean and variance only nears at infinity.
    """
    from scipy.optimize import minimize

    scale = float(y.mean())
    t = y / scale
    second = float(np.square(t).mean())

    def cost(at: Array) -> float:
        return float(at[0] + at[1] * second + _log_z(float(at[0]), float(at[1])))

    limits = [(None, None), (0.0, None)]
    options = {"xatol": 1e-7, "fatol": 1e-12, "maxiter": 2000}
    found = minimize(cost, np.array([1.0, 0.1]), method="Nelder-Mead", bounds=limits, options=options)
    a, b = (float(v) for v in found.x) if found.fun < 1.0 else (1.0, 0.0)  # 1 is the cost of the power law
    likelihoods: Array = -a * t - b * t**2 - _log_z(a, b) - np.log(scale)
    return likelihoods


def _log_z(a: float, b: float) -> float:
    """Ln ∫ exp(−at − bt²) over t ≥ 0, which is ½ √(π/b) erfcx(a/2√b)."""
    from scipy.special import erfcx

    if b < 1e-10:
        return float(-np.log(a)) if a > 0 else np.inf
    z = 0.5 * a / b**0.5
    # erfcx is about 2 exp(z²) there, which would overflow
    log_erfcx = z * z + np.log(2.0) if z < -25.0 else np.log(erfcx(z))
    return float(0.5 * np.log(np.pi / (4.0 * b)) + log_erfcx)
