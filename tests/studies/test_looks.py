from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from landscape.studies.claims import above, contrast
from landscape.studies.looks import LOOKS, level_of, worth_more

FIRST, MORE, RUNS = 5, 10, 1500


def test_two_looks_keep_the_level_of_one():
    """Oracle: simulation of seeds without an effect, normal as Student's interval supposes.

    Looking twice at 95 % and stopping as the rule says gives a false verdict in more than 5 % of the runs,
    which shows that the simulation sees what the wider intervals are for: Student's alone, without the
    bootstrap's, which is asked as well and makes verdicts rarer.
    """
    rng = np.random.default_rng(0)
    false, at_95 = 0, 0
    for numbers in rng.normal(size=(RUNS, MORE)):
        claim = above("c", "p", numbers[:FIRST], level=level_of(LOOKS))
        if worth_more(claim, MORE):
            claim = above("c", "p", numbers, level=level_of(LOOKS))
        false += claim.verdict != "not at this scale"
        looks = [stats.ttest_1samp(numbers[:n], 0.0).pvalue for n in (FIRST, MORE)]
        at_95 += min(looks) < 0.05
    error = np.sqrt(0.05 * 0.95 / RUNS)
    assert false / RUNS < 0.05 - 2 * error
    assert at_95 / RUNS > 0.05 + 2 * error


def test_a_second_look_decides_more():
    """Oracle: simulation of an effect of one standard deviation: verdicts with it, and without it."""
    rng = np.random.default_rng(1)
    first, last = 0, 0
    for numbers in 1.0 + rng.normal(size=(500, MORE)):
        claim = above("c", "p", numbers[:FIRST], level=level_of(LOOKS))
        first += claim.verdict == "reproduced"
        if worth_more(claim, MORE):
            claim = above("c", "p", numbers, level=level_of(LOOKS))
        last += claim.verdict == "reproduced"
    assert last > first + 30


@pytest.mark.parametrize("scale", [0.5, 0.6, 2.0])
def test_worth_is_what_ten_seeds_of_that_effect_and_spread_would_decide(scale: float):
    """Oracle: the interval of ten numbers that have the effect and the spread of the five, by scipy."""
    numbers = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    effect = scale * numbers.std(ddof=1)
    claim = above("c", "p", numbers + effect, level=level_of(LOOKS))
    ten = np.tile(numbers, 2)
    ten = ten / ten.std(ddof=1) * numbers.std(ddof=1) + effect
    want = stats.ttest_1samp(ten, 0.0).confidence_interval(level_of(LOOKS)).low > 0
    assert want == (scale > 0.9)
    assert worth_more(claim, MORE) == (want and claim.verdict == "not at this scale")


def test_worth_of_two_kinds():
    """Oracle: Welch's interval of ten numbers of each kind with the same means and spreads, by scipy."""
    a, b = np.array([0.0, 1.0, 2.0, 3.0, 4.0]), np.array([0.0, 0.1, 0.2, 0.3, 0.4])

    def ten(x: np.ndarray) -> np.ndarray:
        twice = np.tile(x - x.mean(), 2)
        return twice / twice.std(ddof=1) * x.std(ddof=1) + x.mean()

    for shift in np.linspace(-1.5, 0.5, 21):
        claim = contrast("c", "p", a, b + shift, level=level_of(LOOKS))
        found = stats.ttest_ind(ten(a), ten(b + shift), equal_var=False)
        interval = found.confidence_interval(level_of(LOOKS))
        want = interval.low > 0 or interval.high < 0
        assert worth_more(claim, MORE) == (want and claim.verdict == "not at this scale")


def test_what_has_no_spread_or_a_verdict_is_not_worth_more():
    """Oracle: the rule as it is written down."""
    assert not worth_more(above("c", "p", [1.0, 1.0, 1.0]), MORE)
    assert not worth_more(above("c", "p", [1.0, float("nan"), 1.0]), MORE)
    assert not worth_more(above("c", "p", [1.0, 1.1, 0.9]), MORE)
    assert not worth_more(above("c", "p", [1.0]), MORE)
