"""Examples on which two sides disagree, from results that hold a number of each example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from landscape.reporting.diff.sides import Side
    from landscape.store.contents import Section

__all__ = ["HOW_TO_GET", "Disagreement", "ExampleRow", "disagreement"]

HOW_TO_GET = (
    "The store holds no result of single examples: add [analyses.calibration] to the manifest and run again,"
    " and the examples on which they disagree are listed here."
)

MOST_EXAMPLES = 50


@dataclass(frozen=True)
class ExampleRow:
    """One example.

    Attributes:
        example: Its number in the data.
        right_a: Whether the first side is right; of several models the share that is.
        right_b: Whether the second is.
        nll_a: Negative log-likelihood in the first, in nats; of several models the mean.
        nll_b: In the second.
    """

    example: int
    right_a: float
    right_b: float
    nll_a: float
    nll_b: float


@dataclass(frozen=True)
class Disagreement:
    """What two sides say of the same examples.

    Attributes:
        label: The section that the numbers are of.
        total: Examples compared.
        only_a: Examples of which the first side alone is right; of several models, more of them are.
        only_b: The second alone.
        p_value: McNemar's exact test of ``only_a`` against ``only_b``; NaN unless both are single models.
        rows: The examples, those whose likelihoods differ most first.
    """

    label: str
    total: int
    only_a: int
    only_b: int
    p_value: float
    rows: tuple[ExampleRow, ...]


def disagreement(sections: Sequence[Section], a: Side, b: Side) -> Disagreement | None:
    """Compare the examples of the first section that holds them for all models; ``None`` if none does.

    McNemar's test is that of *Note on the sampling error of the difference between correlated proportions*
    (Psychometrika 1947), with the exact binomial law.
    """
    for section in sections:
        first, second = a.of(section.results), b.of(section.results)
        if not first or not second:
            continue
        everyone = (*first, *second)
        if not all({"example", "example_correct", "example_nll"} <= set(ds.variables) for ds in everyone):
            continue
        if not all(np.array_equal(ds["example"], first[0]["example"]) for ds in everyone):
            continue
        return _compare(section.label, first, second)
    return None


def _compare(label: str, first: Sequence[Any], second: Sequence[Any]) -> Disagreement:
    right_a, right_b = (
        np.mean([ds["example_correct"].values for ds in side], axis=0) for side in (first, second)
    )
    nll_a, nll_b = (np.mean([ds["example_nll"].values for ds in side], axis=0) for side in (first, second))
    only_a, only_b = int((right_a > right_b).sum()), int((right_b > right_a).sum())
    p_value = float("nan")
    if len(first) == len(second) == 1:
        differ = only_a + only_b
        p_value = float(stats.binomtest(only_a, differ).pvalue) if differ else 1.0
    differ_at = np.flatnonzero(right_a != right_b)
    apart = np.nan_to_num(np.abs(nll_b - nll_a)[differ_at], nan=-1.0)
    order = differ_at[np.argsort(-apart, kind="stable")][:MOST_EXAMPLES]
    numbers = first[0]["example"].values
    rows = tuple(
        ExampleRow(int(numbers[i]), float(right_a[i]), float(right_b[i]), float(nll_a[i]), float(nll_b[i]))
        for i in order
    )
    return Disagreement(label, len(right_a), only_a, only_b, p_value, rows)
