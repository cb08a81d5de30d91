"""Scales that models share are those of most of them."""

from __future__ import annotations

import numpy as np

from landscape.analyses._shared.shared_scale import typical_highest, typical_lowest


def test_one_odd_model_of_two_hundred_sets_no_scale() -> None:
    """Oracle: the range of the 199 others, drawn from it."""
    rng = np.random.default_rng(0)
    others = rng.uniform(0.5, 2.0, 199)
    assert 0.5 <= typical_lowest([*others, 1e-9]) <= 0.8
    assert 1.7 <= typical_highest([*others, 1e9]) <= 2.0


def test_models_that_differ_little_are_all_shown() -> None:
    """Oracle: smallest and largest, read off; of two models neither is odd, and nothing is no scale."""
    assert typical_lowest([3.0, 0.2, 1.0]) == 0.2 and typical_highest([3.0, 0.2, 1.0]) == 3.0
    assert typical_lowest([1e-9, 1.0]) == 1e-9 and typical_highest([1e9, 1.0]) == 1e9
    assert typical_lowest([0.0, np.nan], default=7.0) == 7.0 == typical_highest([-1.0, np.inf], default=7.0)
