"""Which eigenvalues are requested, against sorting in plain Python."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from landscape.core.linalg.selection import ends_of, rank_requested

VALUES = st.lists(st.integers(-50, 50), min_size=1, max_size=12, unique_by=abs)


def by_sorting(values, k, which):
    """The requested values, in order."""
    falling = sorted(values, reverse=True)
    k = min(k, len(values))
    if which == "LM":
        return sorted(values, key=abs, reverse=True)[:k]
    if which == "SA":
        return falling[::-1][:k]
    if which == "LA":
        return falling[:k]
    return falling[: (k + 1) // 2] + falling[len(values) - k // 2 :]


@pytest.mark.parametrize("which", ["LM", "LA", "SA", "BE"])
@given(values=VALUES, k=st.integers(1, 12))
def test_requested_values_and_their_ends_are_those_of_sorting(which, values, k):
    """Oracle: sorted(); the values beyond an end are those that were requested, and no others."""
    theta = torch.tensor(sorted(values), dtype=torch.float64)
    chosen = theta[rank_requested(theta, k, which)]
    expected = by_sorting(values, k, which)
    assert chosen.tolist() == expected
    ranked = chosen.abs() if which == "LM" else chosen
    beyond = {v for side, last in ends_of(ranked, which) for v in values if side * v >= last}
    assert beyond == set(expected)
