"""Pictures of ``calibration``."""

from __future__ import annotations

import numpy as np
from cases import CASES

import landscape
from landscape.base.figure import Bars


def test_the_reliability_diagram_shows_how_many_examples_a_bin_has():
    """Oracle: counts of the result over their sum; of more models than columns have room for, none."""
    ds = landscape.calibration(CASES["conv_batchnorm"].problem(), bins=5, bootstrap=2)
    for names, columns in (("a", 1), ("abc", 3), ("abcd", 0)):
        diagram = landscape.calibration.plots(dict.fromkeys(names, ds))[0]
        bars = [m for m in diagram.marks if isinstance(m, Bars)]
        assert len(bars) == columns == diagram.caption.count("Columns") * len(names)
        for bar in bars:
            np.testing.assert_allclose(bar.y, ds["bin_count"] / ds["bin_count"].sum())
            np.testing.assert_allclose(bar.x, [0.1, 0.3, 0.5, 0.7, 0.9])
