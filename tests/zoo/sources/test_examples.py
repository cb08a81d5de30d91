"""Samples of data by name."""

from __future__ import annotations

import numpy as np

from landscape.zoo.sources.examples import sample_order


def test_smaller_samples_are_part_of_larger_ones():
    small, large = sample_order(50, 5), sample_order(50, 20)
    np.testing.assert_array_equal(small, large[:5])
    assert len(set(large)) == 20
