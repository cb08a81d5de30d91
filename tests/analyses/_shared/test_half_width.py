"""Half widths of intervals, as summaries give them."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.stats import t

from landscape.analyses._shared.half_width import half_width


def test_the_interval_itself_goes_before_standard_errors() -> None:
    """Oracle: by hand, and Student's quantile of scipy for five examples."""
    ds = xr.Dataset(
        {
            "ece_interval": ("bound", [0.1, 0.5]),
            "ece_se": 9.0,
            "nll_se": (("shift", "step"), [[1.0, 2.0]]),
            "images": 5,
        }
    )
    assert half_width(ds, "ece") == pytest.approx(0.2)
    assert half_width(ds, "nll", "images", (0, 1)) == pytest.approx(2 * t.ppf(0.975, 4))
    assert half_width(ds, "nll", at=(0, 0)) == 2.0  # of a result that does not say how many
    assert np.isnan(half_width(ds, "other"))
