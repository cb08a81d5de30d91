"""How many images a caption speaks of."""

from __future__ import annotations

import xarray as xr

from landscape.analyses.features._captions import image_count


def test_counts_are_one_number_or_a_range():
    """Oracle: the counts of the results, cut to the most that were looked at."""
    few, many = xr.Dataset({"images": 64}), xr.Dataset({"images": 128})
    assert image_count({"a": many, "b": many}) == "128"
    assert image_count({"a": many, "b": few}) == "64 to 128"
    assert image_count({"a": many, "b": few}, most=100) == "64 to 100"
    assert image_count({"a": many, "b": few}, most=8) == "8"
