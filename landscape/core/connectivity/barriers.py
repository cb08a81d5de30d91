"""Barriers on a path between two models: every convention under its own name, with paired intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from landscape.core.stats.bootstrap import resampled_means, widest_interval
from landscape.core.stats.intervals import all_equal_error, answered_error, reach, standard_error
from landscape.errors import InputError

__all__ = [
    "BARRIERS",
    "BarrierErrors",
    "Profile",
    "barrier_errors",
    "barriers",
    "chord_gap",
    "refined_points",
    "within_ends",
]

Array = NDArray[np.float64]

BARRIERS = {
    "barrier_chord": "max over t of E(t) − ((1−t) E(0) + t E(1)) (Entezari et al. 2022)",
    "barrier_mean": "max over t of E(t), minus (E(0) + E(1))/2 (Frankle et al. 2020)",
    "barrier_max": "max over t of E(t), minus the larger of E(0) and E(1)",
    "saddle": "max over t of E(t) (Draxler et al. 2018)",
    "arc_mean": "mean of E over the arc length of the path (Garipov et al. 2018)",
    "mode_connectivity": "(E(0) + E(1))/2 − E(t*), t* where |E(t) − (E(0) + E(1))/2| is largest (Yang et al."
    " 2021), 0 where E stays within the range of its ends: negative = barrier, near 0 = connected, positive ="
    " ends not converged",
}
"""What each barrier is, for a quantity E along t in [0, 1]."""

ROUNDING = 8.0
"""Gaps below this many roundings of the values are no gaps."""


@dataclass(frozen=True)
class Profile:
    """A quantity E along a path.

    Attributes:
        t: Where it was measured (T,), rising from 0 to 1.
        arc: Arc length from the start to each t (T,).
        examples: The quantity of each example (T, N), the same examples at each t, or ``None``.
        offset: What to add to the mean over examples (T,), such as the weight-decay term; or, without
            examples, E itself.
        wrong: What a wrong answer counts, 100 for errors in percent, if E is a share of wrong answers: where
            all examples agree, that does not say that all others would. 0 if it is another quantity.
    """

    t: Array
    arc: Array
    examples: Array | None
    offset: Array
    wrong: float = 0.0

    def __post_init__(self) -> None:
        t = self.t
        if len(t) < 2 or t[0] != 0.0 or t[-1] != 1.0 or not (np.diff(t) > 0).all():
            raise InputError("a profile needs t rising from 0 to 1.")

    @property
    def values(self) -> Array:
        """E(t), (T,)."""
        return self.offset if self.examples is None else self.examples.mean(1) + self.offset

    @property
    def standard_errors(self) -> Array:
        """Standard errors of E(t) over examples (T,); NaN without examples or for one."""
        errors = self._errors(lambda rows: rows)
        if not self.wrong or self.examples is None:
            return errors
        return np.asarray(self.wrong * answered_error(errors / self.wrong, self.examples.shape[1]))

    @property
    def gap_errors(self) -> Array:
        """Standard errors of the gap to the chord (T,), paired by example: 0 at the ends."""
        errors = self._gap_errors()
        if not self.wrong or self.examples is None or self.examples.shape[1] < 2:
            return errors
        inside = (self.t > 0.0) & (self.t < 1.0)
        least = self.wrong / (self.examples.shape[1] + 2)  # as `share_error` of a change
        return np.where(inside, np.maximum(errors, least), errors)

    def _gap_errors(self) -> Array:
        """As drawn examples have them: 0 where all of them agree."""
        return self._errors(lambda rows: chord_gap(self.t, rows.T).T)

    def _errors(self, change: Callable[[Array], Array]) -> Array:
        if self.examples is None:
            return np.full(len(self.t), np.nan)
        with np.errstate(invalid="ignore", over="ignore"):
            return np.asarray(standard_error(change(self.examples)))


def chord_gap(t: ArrayLike, values: ArrayLike) -> Array:
    """E(t) − ((1−t) E(0) + t E(1)) for ``values`` (..., T) at ``t`` (T,)."""
    t, E = np.asarray(t, np.float64), np.asarray(values, np.float64)
    with np.errstate(invalid="ignore"):
        return np.asarray(E - ((1.0 - t) * E[..., :1] + t * E[..., -1:]))


def within_ends(values: ArrayLike, eps: float = 0.0) -> NDArray[np.bool_]:
    """Whether curves ``values`` (..., T) stay within the range of their ends, but for rounding; (...).

    A curve with a value that is not finite does not.

    Args:
        values: The quantity E at each t.
        eps: Rounding of the values: E leaves the range by more than `ROUNDING` times that.
    """
    E = np.asarray(values, np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        low, high = np.minimum(E[..., 0], E[..., -1]), np.maximum(E[..., 0], E[..., -1])
        rounding = ROUNDING * max(eps, np.finfo(np.float64).eps) * np.abs(E).max(-1)
        within = (E.min(-1) >= low - rounding) & (E.max(-1) <= high + rounding)
        return np.asarray(within & np.isfinite(E).all(-1))


def barriers(t: ArrayLike, arc: ArrayLike, values: ArrayLike, *, eps: float = 0.0) -> dict[str, Array]:
    """Every barrier in `BARRIERS` by name, of curves ``values`` (..., T); each has shape (...).

    A value that is not finite is kept: NaN spoils every maximum it takes part in.

    Args:
        t: Places (T,) from 0 to 1.
        arc: Arc lengths (T,) from 0 to the length of the path; a path that does not move counts t.
        values: The quantity E at each t.
        eps: Rounding of the values, as in `within_ends`.

    Example:
        >>> found = barriers([0.0, 0.5, 1.0], [0.0, 1.0, 2.0], [1.0, 5.0, 3.0])
        >>> {name: float(value) for name, value in found.items()}    # doctest: +NORMALIZE_WHITESPACE
        {'barrier_chord': 3.0, 'barrier_mean': 3.0, 'barrier_max': 2.0, 'saddle': 5.0, 'arc_mean': 3.5,
         'mode_connectivity': -3.0}
    """
    arc, E = np.asarray(arc, np.float64), np.asarray(values, np.float64)
    along = arc if arc[-1] > 0.0 else np.asarray(t, np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        top, mean = E.max(-1), (E[..., 0] + E[..., -1]) / 2
        deviation = E - mean[..., None]
        farthest = np.abs(deviation).argmax(-1)
        extreme = np.take_along_axis(deviation, farthest[..., None], -1)[..., 0]
        # Both ends are equally far from their mean, on opposite sides: were one of them the extreme, rounding
        # and the order of the models would decide its sign, and a line downhill pass for a barrier.
        extreme = np.where(within_ends(E, eps), 0.0, extreme)
        return {
            "barrier_chord": chord_gap(t, E).max(-1),
            "barrier_mean": top - mean,
            "barrier_max": top - np.maximum(E[..., 0], E[..., -1]),
            "saddle": top,
            "arc_mean": ((E[..., 1:] + E[..., :-1]) / 2 * np.diff(along)).sum(-1) / along[-1],
            "mode_connectivity": 0.0 - extreme,
        }


@dataclass(frozen=True)
class BarrierErrors:
    """Sampling errors of barriers.

    Attributes:
        low: Lower end of the 95 % percentile interval by barrier; NaN where it cannot be had.
        high: Its upper end.
        p_value: Of no barrier: that E(t) lies nowhere above the chord; NaN where it cannot be had.
    """

    low: dict[str, float]
    high: dict[str, float]
    p_value: float


def barrier_errors(
    profile: Profile, *, resamples: int = 1000, seed: int = 0, eps: float = 0.0
) -> BarrierErrors:
    """Intervals and a test by drawing examples anew, the same ones at every t.

    The test is of the largest studentised gap to the chord: its null distribution is that of the largest
    deviation of the resampled from the measured gaps (White 2000), so that having looked at many t is paid
    for. It takes some 30 examples to hold its level; with 20 it rejects too often. Since a maximum of noisy
    values is too large on average, an interval of a barrier can exclude 0 where there is
    none: trust the test.

    Args:
        profile: The quantity along the path.
        resamples: How many draws.
        seed: Of the draws.
        eps: Rounding of the values: gaps are not counted below `ROUNDING` times that.
    """
    nothing = dict.fromkeys(BARRIERS, float("nan"))
    if profile.examples is None or profile.examples.shape[1] < 2 or not np.isfinite(profile.examples).all():
        return BarrierErrors(nothing, nothing, float("nan"))
    curves = resampled_means(profile.examples, resamples, seed) + profile.offset
    low, high, count = {}, {}, profile.examples.shape[1]
    # Answers that agree everywhere on the path would give intervals without width, whatever is drawn.
    agreed = bool(profile.wrong) and bool((np.ptp(profile.examples, axis=1) == 0).all())
    more = profile.wrong * reach(count) * all_equal_error(count) if agreed else 0.0
    found = barriers(profile.t, profile.arc, profile.values, eps=eps)
    for name, values in barriers(profile.t, profile.arc, curves, eps=eps).items():
        least, most = widest_interval(float(found[name]), values, examples=count) + np.array([-more, more])
        # A maximum over the path is no lower than at its ends.
        low[name] = max(float(least), 0.0) if name in _NO_LESS_THAN_ZERO else float(least)
        high[name] = float(most)
        if agreed and name in ("saddle", "arc_mean"):  # shares themselves
            low[name], high[name] = max(low[name], 0.0), min(high[name], profile.wrong)
    return BarrierErrors(low, high, _p_value(profile, curves, eps))


_NO_LESS_THAN_ZERO = ("barrier_chord", "barrier_mean", "barrier_max")


def _p_value(profile: Profile, curves: Array, eps: float) -> float:
    """One-sided p-value of the largest studentised gap to the chord."""
    # The ends lie on their own chord: gap and error are zero there, and their ratio means nothing.
    gap, inner = chord_gap(profile.t, profile.values), slice(1, -1)
    if len(gap) < 3:
        return float("nan")
    rounding = ROUNDING * max(eps, np.finfo(np.float64).eps) * np.abs(profile.values).max()
    # Not below rounding: examples that all agree have no error, and any gap would be significant.
    error = np.maximum(profile._gap_errors(), rounding + np.finfo(np.float64).tiny)[inner]
    observed = ((gap[inner] - rounding) / error).max()
    drawn = ((chord_gap(profile.t, curves) - gap)[:, inner] / error).max(-1)
    # The measured gaps count as a draw, so that a p-value from finitely many is never zero.
    return float((1 + (drawn >= observed).sum()) / (1 + len(drawn)))


def refined_points(t: Array, values: Array) -> tuple[float, float]:
    """Two more places beside the largest gap to the chord: the middles of the intervals on its sides.

    Example:
        >>> refined_points(np.array([0.0, 0.5, 1.0]), np.array([0.0, 2.0, 0.0]))
        (0.25, 0.75)
    """
    gap = chord_gap(t, values)[1:-1]
    top = int(np.where(np.isfinite(gap), gap, -np.inf).argmax()) + 1
    return float((t[top - 1] + t[top]) / 2), float((t[top] + t[top + 1]) / 2)
