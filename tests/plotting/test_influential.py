"""The picture of the most influential examples."""

from __future__ import annotations

import numpy as np
import pytest

from landscape.errors import InputError
from landscape.plotting.influential import most_influential


def test_the_ends_are_shown_in_order():
    """Oracle: a list by hand; NaN is never among them."""
    spec = most_influential([0.5, -2.0, np.nan, 3.0, -0.1, 0.0], [0.1] * 6, names="abcdef", count=2)
    points = spec.marks[0]
    assert spec.x.categories == ("b", "e", "a", "d")
    assert list(points.y) == [-2.0, -0.1, 0.5, 3.0]
    assert "2 training examples that lower" in spec.caption


def test_refusals():
    """Oracle: the sentence."""
    with pytest.raises(InputError, match="one score"):
        most_influential([1.0], [1.0, 2.0])
    with pytest.raises(InputError, match="no example has a finite"):
        most_influential([np.nan])
