from __future__ import annotations

import numpy as np
import xarray as xr

from landscape.analyses.surfaces.surface.figures import _between


def test_between_points_that_were_evaluated_values_are_linear() -> None:
    """Oracle: a plane x + 2y, which linear interpolation gives back; beyond the points nothing is known."""
    x, y = np.linspace(-1, 1, 5), np.linspace(0, 3, 4)
    ds = xr.Dataset(coords={"x": x, "y": y})
    whole = x[None, :] + 2 * y[:, None]
    some = np.where((np.arange(20) % 3 == 0).reshape(4, 5), whole, np.nan)
    some[0, 0] = some[0, -1] = some[-1, 0] = np.nan
    found = _between(ds, some)
    inside = np.isfinite(found)
    assert inside.sum() > np.isfinite(some).sum() and not inside.all()
    np.testing.assert_allclose(found[inside], whole[inside])
    np.testing.assert_array_equal(_between(ds, whole), whole)
