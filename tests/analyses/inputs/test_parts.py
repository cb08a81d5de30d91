"""Parts of images put together, medians with intervals, distributions."""

import numpy as np
import pytest
import torch

from landscape.analyses.inputs._parts import by_part, empirical_distribution, median_interval
from landscape.base.context import Context


class Part:
    def __init__(self, numbers):
        self.numbers = torch.tensor(numbers)


def test_parts_are_joined_in_the_order_of_the_data():
    """Oracle: what each image gave, looked up by its number."""
    parts = [Part([7, 2]), Part([5])]

    def measure(part, report):
        report(0.5)
        values = part.numbers.numpy().astype(float)
        return {"a": values, "b": np.stack([values, 10 * values])}

    told = []
    found = by_part(parts, Context(progress=told.append), measure, {"a": 0, "b": 1})
    assert found["image"].tolist() == [2, 5, 7]
    np.testing.assert_array_equal(found["a"], [2, 5, 7])
    np.testing.assert_array_equal(found["b"], [[2, 5, 7], [20, 50, 70]])
    assert told == [0.25, 0.5, 0.75, 1.0]


def test_interval_of_the_median_covers_it():
    """Oracle: coverage at least 95 % of the true median, here ln 2, by counting; infinity is a value."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(1000):
        middle, low, high = median_interval(rng.exponential(size=30))
        assert low <= middle <= high
        hits += low <= np.log(2) <= high
    assert hits / 1000 > 0.95 - 4 * (0.95 * 0.05 / 1000) ** 0.5
    assert median_interval(np.array([1.0, np.inf, 2.0]))[0] == 2.0
    assert median_interval(np.array([np.inf] * 3))[0] == np.inf
    assert all(np.isnan(v) for v in median_interval(np.array([1.0, np.nan])))
    assert median_interval(np.array([1.0, 3.0]))[0] == pytest.approx(2.0)


def test_distribution_steps_at_each_value():
    """Oracle: counted by hand; infinite values count among all, NaN does not."""
    x, y = empirical_distribution([2.0, 1.0, np.inf, np.nan, 2.0])
    np.testing.assert_array_equal(x, [1, 1, 2, 2, 2, 2])
    np.testing.assert_allclose(y, [0, 0.25, 0.25, 0.5, 0.5, 0.75])
    x, y = empirical_distribution([-np.inf, 3.0])  # what lies below all places is passed already
    np.testing.assert_allclose(y, [0.5, 1.0])
