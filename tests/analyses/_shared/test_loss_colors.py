"""Colours of the loss: the range and scale that all models share."""

from __future__ import annotations

import numpy as np

from landscape.analyses._shared.loss_colors import loss_colors


def test_one_range_holds_all_models():
    """Oracle: smallest and largest values, read off; from 20-fold on the scale is logarithmic."""
    apart = loss_colors("loss", "", [np.array([[2.0, 5.0]]), np.array([[1.0, np.inf, np.nan]])])
    assert (apart.limits, apart.scale) == ((1.0, 5.0), "linear")
    assert loss_colors("loss", "", [np.array([1.0]), np.array([21.0])]).scale == "log"
    assert loss_colors("loss", "", [np.array([0.0]), np.array([21.0])]).scale == "linear"
    for none in ([], [np.array([np.nan])], [np.array([3.0, 3.0])]):
        assert loss_colors("loss", "", none).limits is None
