"""Claims of papers against what was measured: effect, intervals over seeds, verdict."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from landscape.errors import InputError

__all__ = ["Claim", "Verdict", "above", "contrast", "markdown", "rows"]

Array = NDArray[np.float64]
Verdict = Literal["reproduced", "not reproduced", "not at this scale"]

MOST_COMBINATIONS = 5000
RESAMPLES = 4000
LEVEL = 0.95


@dataclass(frozen=True)
class Claim:
    """One claim and how it fared.

    Attributes:
        claim: What is said, so that the effect is positive if it holds.
        paper: Where it is said.
        effect: Mean effect over seeds.
        low: Lower end of the 95 % percentile bootstrap interval over seeds.
        high: Upper end of it.
        t_low: Lower end of the 95 % interval of Student's t (Welch's for two samples).
        t_high: Upper end of it.
        unit: Unit of the effect.
        seeds: Number of seeds behind each sample.
        verdict: ``reproduced`` if both intervals lie above zero; ``not reproduced`` if both lie below;
            else ``not at this scale``: the runs decide nothing.
        note: What else a reader must know.
    """

    claim: str
    paper: str
    effect: float
    low: float
    high: float
    t_low: float
    t_high: float
    unit: str
    seeds: int
    verdict: Verdict
    note: str = ""


def above(
    claim: str, paper: str, values: ArrayLike, *, bar: float = 0.0, unit: str = "", note: str = ""
) -> Claim:
    """The claim that a number, one per seed, lies above ``bar``; the effect is the excess.

    A bootstrap over three seeds can only repeat three numbers, and its interval is too short; that is why
    Student's interval is asked as well.
    """
    sample = _sample(claim, values) - bar
    means = _resampled_means(sample)
    return _judge(claim, paper, sample.mean(), means, _spread(sample), sample.size, unit, note)


def contrast(
    claim: str, paper: str, larger: ArrayLike, smaller: ArrayLike, *, unit: str = "", note: str = ""
) -> Claim:
    """The claim that one kind of model, by seed, exceeds another; the effect is the difference of means."""
    a, b = _sample(claim, larger), _sample(claim, smaller)
    means_a, means_b = _resampled_means(a), _resampled_means(b)
    rng = np.random.default_rng(0)
    draws = rng.choice(means_a, RESAMPLES) - rng.choice(means_b, RESAMPLES)
    (variance_a, free_a), (variance_b, free_b) = _spread(a), _spread(b)
    variance = variance_a + variance_b
    parts = [v**2 / f for v, f in ((variance_a, free_a), (variance_b, free_b)) if f > 0]
    free = variance**2 / sum(parts) if len(parts) == 2 and sum(parts) > 0 else 0.0
    return _judge(claim, paper, a.mean() - b.mean(), draws, (variance, free), min(a.size, b.size), unit, note)


def markdown(claims: Sequence[Claim]) -> str:
    """The table of a study."""
    lines = [
        "| claim | paper | effect | bootstrap 95 % | t 95 % | seeds | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    for c in claims:
        unit = f" {c.unit}" if c.unit else ""
        text = c.claim + (f" ({c.note})" if c.note else "")
        lines.append(
            f"| {text} | {c.paper} | {c.effect:+.3g}{unit} | {c.low:+.3g} to {c.high:+.3g} |"
            f" {c.t_low:+.3g} to {c.t_high:+.3g} | {c.seeds} | {c.verdict} |"
        )
    return "\n".join(lines) + "\n"


def rows(claims: Sequence[Claim]) -> dict[str, Array | NDArray[np.str_]]:
    """The table as columns, for storage."""
    names = list(Claim.__dataclass_fields__)
    return {name: np.array([getattr(claim, name) for claim in claims]) for name in names}


def _sample(claim: str, values: ArrayLike) -> Array:
    sample = np.asarray(values, dtype=np.float64).ravel()
    if not sample.size:
        raise InputError(f"the claim '{claim}' needs at least one seed.")
    return sample


def _resampled_means(sample: Array) -> Array:
    """Means of all resamples with replacement, or of many random ones."""
    n = sample.size
    if n**n <= MOST_COMBINATIONS:
        return np.array([np.mean(draw) for draw in itertools.product(sample, repeat=n)])
    rng = np.random.default_rng(0)
    return np.asarray(sample[rng.integers(0, n, (RESAMPLES, n))].mean(axis=1))


def _spread(sample: Array) -> tuple[float, float]:
    """Variance of the mean, and its degrees of freedom."""
    n = sample.size
    return (float(sample.var(ddof=1) / n), n - 1.0) if n > 1 else (math.nan, 0.0)


def _judge(
    claim: str,
    paper: str,
    effect: float,
    draws: Array,
    spread: tuple[float, float],
    seeds: int,
    unit: str,
    note: str,
) -> Claim:
    from scipy.stats import t as student

    tail = (1 - LEVEL) / 2
    low, high = (float(np.quantile(draws, q)) for q in (tail, 1 - tail)) if seeds > 1 else (math.nan,) * 2
    variance, free = spread
    reach = float(student.ppf(1 - tail, free)) * math.sqrt(variance) if free > 0 else math.nan
    t_low, t_high = effect - reach, effect + reach
    verdict: Verdict = "not at this scale"
    if low > 0 and t_low > 0:
        verdict = "reproduced"
    elif high < 0 and t_high < 0:
        verdict = "not reproduced"
    return Claim(claim, paper, float(effect), low, high, t_low, t_high, unit, seeds, verdict, note)
