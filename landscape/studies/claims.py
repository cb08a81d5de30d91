"""Claims of papers against what was measured: effect, intervals over seeds, verdict."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from landscape.core.stats.bootstrap import draw_rows, percentile_interval
from landscape.core.stats.hypothesis import holm
from landscape.errors import InputError

__all__ = [
    "LEVEL",
    "LOOKS",
    "Claim",
    "Verdict",
    "above",
    "contrast",
    "corrected",
    "jackknife",
    "level_of",
    "markdown",
    "rows",
    "standing",
    "worth_more",
]

Array = NDArray[np.float64]
Verdict = Literal["reproduced", "not reproduced", "not at this scale"]

MOST_COMBINATIONS = 5000
RESAMPLES = 4000
LEVEL = 0.95
"""Of intervals, where a run looks at its seeds once."""

LOOKS = 2
"""How often a run may look at its seeds at most: at those of the study, and at more where it is worth it.

The rule is fixed before anything is trained, see ``docs/studies/README.md``; the last look decides.
"""


@dataclass(frozen=True)
class Claim:
    """One claim and how it fared.

    Attributes:
        claim: What is said, so that the effect is positive if it holds.
        paper: Where it is said.
        effect: Mean effect over seeds.
        low: Lower end of the percentile bootstrap interval, over seeds unless the note says otherwise.
        high: Upper end of it.
        t_low: Lower end of the interval of Student's t (Welch's for two samples).
        t_high: Upper end of it.
        unit: Unit of the effect.
        seeds: Number of seeds behind each sample.
        verdict: ``reproduced`` if both intervals lie above zero; ``not reproduced`` if both lie below;
            else ``not at this scale``: the runs decide nothing. Nor do samples without any spread, or with
            a number missing.
        note: What else a reader must know.
        samples: The numbers behind the effect, one per seed; of two kinds of model with a bar between.
        p: Two-sided p-value of the test that Student's (Welch's) interval inverts; NaN without spread.
        degrees: Degrees of freedom of that test; 0 without spread.
        level: Of both intervals.
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
    samples: str = ""
    p: float = math.nan
    degrees: float = 0.0
    level: float = LEVEL


def above(
    claim: str,
    paper: str,
    values: ArrayLike,
    *,
    unit: str = "",
    note: str = "",
    bootstrap: tuple[float, float] | None = None,
    level: float = LEVEL,
) -> Claim:
    """The claim that a number, one per seed, lies above zero.

    A bootstrap over three seeds can only repeat three numbers, and its interval is too short; that is why
    Student's interval is asked as well.

    Args:
        claim: What is said.
        paper: Where it is said.
        values: One per seed.
        unit: Their unit.
        note: What else a reader must know.
        bootstrap: The bootstrap interval to ask in place of that over seeds, such as one over cells.
        level: Of the intervals, see `level_of`.

    Raises:
        InputError: If there is no value.
    """
    sample = _sample(claim, values)
    interval = bootstrap or _interval(_resampled_means(sample), sample.size, level)
    return _judge(claim, paper, sample.mean(), interval, _spread(sample), (sample,), unit, note, level)


def contrast(
    claim: str,
    paper: str,
    larger: ArrayLike,
    smaller: ArrayLike,
    *,
    unit: str = "",
    note: str = "",
    level: float = LEVEL,
) -> Claim:
    """The claim that one kind of model, by seed, exceeds another; the effect is the difference of means."""
    a, b = _sample(claim, larger), _sample(claim, smaller)
    means_a, means_b = _resampled_means(a), _resampled_means(b)
    rng = np.random.default_rng(0)
    # Pairs at random: the kinds are independent, and all pairs of resamples would be too many.
    draws = rng.choice(means_a, RESAMPLES) - rng.choice(means_b, RESAMPLES)
    interval = _interval(draws, min(a.size, b.size), level)
    (variance_a, free_a), (variance_b, free_b) = _spread(a), _spread(b)
    variance = variance_a + variance_b
    # Kinds may differ in spread: Welch's test, with degrees of freedom by Satterthwaite's formula.
    parts = [v**2 / f for v, f in ((variance_a, free_a), (variance_b, free_b)) if f > 0]
    free = variance**2 / sum(parts) if len(parts) == 2 and sum(parts) > 0 else 0.0
    return _judge(claim, paper, a.mean() - b.mean(), interval, (variance, free), (a, b), unit, note, level)


def jackknife(whole: float, without: ArrayLike) -> Array:
    """One number per seed for a statistic of all seeds together, whose numbers share models.

    Args:
        whole: The statistic of all n seeds.
        without: The same without each of them, shape (n,).

    Returns:
        whole + (n - 1)(mean - without), shape (n,): their mean is ``whole``, the standard error of their mean
        that of the jackknife. For a mean over seeds they are the numbers of the seeds.

    Reference:
        Tukey (1958), Bias and confidence in not-quite large samples; Efron & Stein (1981), The jackknife
        estimate of variance.
    """
    others = np.asarray(without, dtype=np.float64)
    return np.asarray(whole + (others.size - 1) * (others.mean() - others))


def corrected(claims: Sequence[Claim]) -> Array:
    """P-values of the claims of a study, corrected for their number by Holm's procedure.

    A claim without a test counts as one with p = 1: the family is that which was written down.

    Reference:
        Holm (1979), A simple sequentially rejective multiple test procedure.
    """
    p = np.array([claim.p for claim in claims], dtype=np.float64)
    return np.where(np.isnan(p), np.nan, holm(np.nan_to_num(p, nan=1.0)))


def standing(claims: Sequence[Claim]) -> list[bool]:
    """Which verdicts, either way, also stand under Holm's procedure over all of these claims.

    The chance that any claim without an effect gets such a verdict is at most one minus the level of the
    intervals, however the claims depend on one another.
    """
    found = zip(claims, corrected(claims), strict=True)
    return [bool(c.verdict != "not at this scale" and p <= 1 - c.level) for c, p in found]


def level_of(looks: int) -> float:
    """Level of the intervals of each look, so that all together keep that of one.

    By Bonferroni's inequality the chance of a verdict without an effect is at most the sum of those of the
    looks, whatever decides whether there is another one.

    Args:
        looks: How many there may be.
    """
    return 1 - (1 - LEVEL) / looks


def worth_more(claim: Claim, more: int) -> bool:
    """Whether a claim without a verdict would get one from more seeds, with the effect and spread it has.

    Student's interval would then be shorter by the root of the ratio of seeds, and by that of the quantiles
    for the degrees of freedom, which grow with the seeds less one; of Welch's interval the same holds.

    Args:
        claim: The claim, as the first look has it.
        more: Number of seeds of the second look.
    """
    from scipy.stats import t as student

    reach = (claim.t_high - claim.t_low) / 2
    if claim.verdict != "not at this scale" or not (claim.degrees > 0 and math.isfinite(reach)):
        return False
    quantile = (1 + claim.level) / 2
    degrees = claim.degrees * (more - 1) / (claim.seeds - 1)
    shorter = math.sqrt(claim.seeds / more) * student.ppf(quantile, degrees)
    return bool(abs(claim.effect) > reach * shorter / student.ppf(quantile, claim.degrees))


def markdown(claims: Sequence[Claim]) -> str:
    """The table of a study."""
    level = f"{100 * (claims[0].level if claims else LEVEL):g} %"
    lines = [
        f"| claim | paper | effect | bootstrap {level} | t {level} | seeds | Holm | verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for c, stands in zip(claims, standing(claims), strict=True):
        unit = f" {c.unit}" if c.unit else ""
        text = c.claim + (f" ({c.note})" if c.note else "")
        lines.append(
            f"| {text} | {c.paper} | {c.effect:+.3g}{unit} | {c.low:+.3g} to {c.high:+.3g} |"
            f" {c.t_low:+.3g} to {c.t_high:+.3g} | {c.seeds} |"
            f" {'–' if c.verdict == 'not at this scale' else 'stands' if stands else 'falls'} | {c.verdict} |"
        )
    return "\n".join(lines) + "\n"


def rows(claims: Sequence[Claim]) -> dict[str, Array | NDArray[np.str_]]:
    """The table as columns, for storage; ``p_holm`` and ``stands`` are of all claims together."""
    names = list(Claim.__dataclass_fields__)
    columns = {name: np.array([getattr(claim, name) for claim in claims]) for name in names}
    return {**columns, "p_holm": corrected(claims), "stands": np.array(standing(claims), dtype=np.int64)}


def _sample(claim: str, values: ArrayLike) -> Array:
    sample = np.asarray(values, dtype=np.float64).ravel()
    if not sample.size:
        raise InputError(f"the claim '{claim}' needs at least one seed.")
    return sample


def _resampled_means(sample: Array) -> Array:
    """Means of all resamples with replacement, or of many random ones."""
    n = sample.size
    # Of up to five seeds all resamples can be listed: the interval then owes nothing to chance.
    if n**n <= MOST_COMBINATIONS:
        return np.asarray(np.array(list(itertools.product(sample.tolist(), repeat=n))).mean(axis=1))
    rng = np.random.default_rng(0)
    return np.asarray(sample[draw_rows(n, RESAMPLES, rng)].mean(axis=1))


def _spread(sample: Array) -> tuple[float, float]:
    """Variance of the mean, and its degrees of freedom."""
    n = sample.size
    return (float(sample.var(ddof=1) / n), n - 1.0) if n > 1 else (math.nan, 0.0)


def _interval(draws: Array, seeds: int, level: float) -> tuple[float, float]:
    """Percentile interval of resampled effects; NaN for a single seed."""
    if seeds < 2:
        return math.nan, math.nan
    # not the rounded tails of `landscape.core.stats.bootstrap`: published intervals keep their last bit
    low, high = percentile_interval(draws, ((1 - level) / 2, 1 - (1 - level) / 2))
    return float(low), float(high)


def _judge(
    claim: str,
    paper: str,
    effect: float,
    interval: tuple[float, float],
    spread: tuple[float, float],
    samples: Sequence[Array],
    unit: str,
    note: str,
    level: float,
) -> Claim:
    from scipy.stats import t as student

    low, high = interval
    variance, free = spread
    known = free > 0 and variance > 0
    reach = float(student.ppf((1 + level) / 2, free)) * math.sqrt(variance) if known else math.nan
    p = 2 * float(student.sf(abs(effect) / math.sqrt(variance), free)) if known else math.nan
    t_low, t_high = effect - reach, effect + reach
    verdict: Verdict = "not at this scale"
    if low > 0 and t_low > 0:
        verdict = "reproduced"
    elif high < 0 and t_high < 0:
        verdict = "not reproduced"
    missing = sum(int(np.isnan(s).sum()) for s in samples)
    if missing:
        said = f"{missing} of {sum(s.size for s in samples)} numbers could not be measured"
        note = f"{note}; {said}" if note else said
    numbers = " | ".join(", ".join(f"{v:.6g}" for v in s) for s in samples)
    seeds = min(s.size for s in samples)
    bounds = (low, high, t_low, t_high)
    test = (p, float(free) if known else 0.0, level)
    return Claim(claim, paper, float(effect), *bounds, unit, seeds, verdict, note, numbers, *test)
