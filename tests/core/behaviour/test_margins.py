"""Margins by hand."""

from __future__ import annotations

import numpy as np

from landscape.core.behaviour.margins import margins


def test_margins_are_signed():
    """Oracle: by hand: right by 2, wrong by 3; a hole stays; not the modulus."""
    log_p = np.array([[3.0, 1.0, 0.0], [4.0, 1.0, 0.0], [np.nan, 1.0, 0.0]])
    np.testing.assert_array_equal(margins(log_p, np.array([0, 1, 1])), [2.0, -3.0, np.nan])
