"""Metrics: numbers of a summary, with what is known of their error."""

from __future__ import annotations

import math

from landscape.base.metric import Metric


def test_an_error_is_unknown_unless_it_is_given():
    """Oracle: NaN, which no table shows as an interval of width zero."""
    assert math.isnan(Metric("loss", 1.0).error)
    assert Metric("loss", 1.0, error=0.5).error == 0.5
