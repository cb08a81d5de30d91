"""Three sentences that say what was found, and how far so few models can say it.

`templates/findings.js` of the report has the same sentences for other outcomes and groups; a test in a
browser holds the two together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from landscape.export.findings import Found

__all__ = ["plain_name", "sentences", "short"]

RATE = 0.05
"""Rate of false discoveries, and level of tests."""

_NAMED = 3


def sentences(found: Found) -> tuple[str, str, str]:
    """Which group does better, in what else they differ, and what goes with the outcome over all models."""
    return _outcome(found), _differences(found), _association(found)


def short(value: float) -> str:
    """A number with three digits.

    Example:
        >>> short(-0.98412), short(1234.0), short(2.5e-7)
        ('−0.984', '1230', '2.5e−07')
    """
    return f"{float(f'{value:.3g}'):.12g}".replace("-", "−")


def plain_name(name: str) -> str:
    """The name of a number as it stands in a sentence."""
    return name.replace("_", " ")


def _outcome(found: Found) -> str:
    d, name = found.difference, plain_name(found.outcome.name)
    (a, b), (n, m) = found.groups, d.counts
    if np.isnan(d.means[0] - d.means[1]):
        return f"The {name} is not known of both {a} and {b}, so that nothing is said of it here."
    means = [
        f"{short(v)} ± {short(e)}" if np.isfinite(e) else short(v)
        for v, e in zip(d.means, d.errors, strict=True)
    ]
    sizes = f"{n} and {m} models"
    if np.isnan(d.p):
        return f"{a} has a mean {name} of {means[0]}, {b} of {means[1]}: undecided, {sizes} are too few."
    if d.p < RATE:
        more = "higher" if d.means[0] > d.means[1] else "lower"
        return f"{a} has the {more} {name}: {means[0]} against {means[1]} of {b} ({sizes}, p = {short(d.p)})."
    return f"{a} has a mean {name} of {means[0]}, {b} of {means[1]}: undecided ({sizes}, p = {short(d.p)})."


def _differences(found: Found) -> str:
    compared = [row for row in found.rows if np.isfinite(row.difference.p)]
    n, m = found.difference.counts
    if not compared:
        return (
            "No other number can be compared: that takes two measured models of each group, and some spread."
        )
    known = [row for row in compared if row.q < RATE]
    if not known:
        return (
            f"Of {len(compared)} other numbers none differs for certain (false-discovery rate 5 %): with"
            f" {n} and {m} models only large differences show."
        )
    named = ", ".join(f"{row.metric.said} (g = {short(row.difference.g)})" for row in known[:_NAMED])
    return (
        f"Of {len(compared)} other numbers {len(known)} differ at a false-discovery rate of 5 %, most of all"
        f" {named}."
    )


def _association(found: Found) -> str:
    name = plain_name(found.outcome.name)
    if found.cells < 3:
        return (
            f"What goes with {name} over all models cannot be told from {found.cells} groups: it takes three."
        )
    over = f"Over {found.models} models in {found.cells} cells"
    sure = [r for r in found.rows if r.association.low > 0 or r.association.high < 0]
    if not sure:
        return f"{over} no number goes with {name} for certain: every interval of τ holds 0 or is unknown."
    best = max(sure, key=lambda row: abs(row.association.tau))
    a = best.association
    psi = f", and ψ = {short(a.psi)} where one setting changes at a time" if np.isfinite(a.psi) else ""
    return (
        f"{over}, {best.metric.said} goes with {name} most closely: τ = {short(a.tau)} ({short(a.low)} to"
        f" {short(a.high)}){psi}."
    )
