"""Examples on which two sides disagree."""

from __future__ import annotations

import numpy as np
import pytest

from landscape.reporting.diff.examples import disagreement
from landscape.reporting.diff.sides import sides_of


def test_two_models(two_groups):
    """Oracle: the right answers of the fixture, compared by eye; a binomial of 1 in 3 by hand."""
    held = disagreement(two_groups.sections, *sides_of(two_groups, "plain-s0", "smooth-s0"))
    assert (held.label, held.total, held.only_a, held.only_b) == ("calibration", 8, 1, 2)
    assert {r.example for r in held.rows} == {2, 5, 7}
    assert held.p_value == pytest.approx(1.0)  # two-sided: 1 or fewer, or 2 or more, of 3
    first = held.rows[0]
    assert abs(first.nll_b - first.nll_a) == pytest.approx(1.9)


def test_groups_by_the_share_that_is_right(two_groups):
    """Oracle: shares by hand; no test of shares."""
    held = disagreement(two_groups.sections, *sides_of(two_groups, "plain", "smooth"))
    right = {r.example: (r.right_a, r.right_b) for r in held.rows}
    assert right == {2: (0.0, 1.0), 5: (0.0, 0.5)} and np.isnan(held.p_value)


def test_other_examples_are_not_compared(two_groups):
    """Oracle: examples of other numbers, and sections without any."""
    section = next(s for s in two_groups.sections if s.label == "calibration")
    moved = section.results["smooth-s0"].assign_coords(example=np.arange(8) + 1)
    from dataclasses import replace

    other = replace(section, results={**section.results, "smooth-s0": moved})
    assert disagreement([other], *sides_of(two_groups, "plain-s0", "smooth-s0")) is None
    lesion = next(s for s in two_groups.sections if s.label == "lesion")
    assert disagreement([lesion], *sides_of(two_groups, "plain-s0", "smooth-s0")) is None
