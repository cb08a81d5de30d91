"""More seeds where a claim is nearly decided: when a run looks a second time, and how it pays for that.

The rule is fixed before anything is trained, see ``docs/studies/README.md``: a first look at the seeds of the
study; a second one at more of them, the first ones among these, if some claim without a verdict would get
one, should effect and spread stay as they are. Verdicts are those of the last look.
"""

from __future__ import annotations

import math

from landscape.studies.claims import LEVEL, Claim

__all__ = ["LOOKS", "level_of", "worth_more"]

LOOKS = 2
"""How often a run may look at its seeds at most."""


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
