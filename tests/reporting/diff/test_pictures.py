"""Pictures of a difference."""

from __future__ import annotations

import numpy as np
import pytest

import landscape
from landscape.reporting.diff import difference_of


def test_rows_stand_in_order_and_layers_from_the_top(two_groups):
    """Oracle: the rank of the table, upwards; strengths by hand, of a lesion and a trace."""
    differences, layers = difference_of(two_groups, "plain-s0", "smooth-s0").figures()
    assert differences.y.categories[-2:] == ("density: tr (SLQ)", "lesion: largest Δ loss")
    (strengths,) = (
        m.x.tolist() for m in differences.marks if getattr(m, "y", None) is not None and 3.0 in m.y
    )
    assert sorted(strengths)[-2:] == pytest.approx(
        [6.0 / (1.959964 * np.sqrt(0.5)), 0.3 / (0.04 * np.sqrt(2))]
    )
    assert layers.y.categories == ("head", "block.1", "block.0", "stem")
    field = layers.marks[0]
    assert field.z[2, 0] == np.nanmax(np.abs(field.z)) == field.color.limits[1]


@pytest.mark.parametrize("backend", ["plotly", "matplotlib"])
def test_both_back_ends_draw_them(two_groups, backend):
    """Oracle: one figure each, without a complaint."""
    specs = difference_of(two_groups, "plain", "smooth").figures()
    assert len(landscape.plot(specs, backend=backend)) == 2
