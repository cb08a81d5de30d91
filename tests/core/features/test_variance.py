"""Variances of features against NumPy's on everything at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import images
from torch import nn

from landscape import Problem
from landscape.core.features.collect import collect
from landscape.core.features.units import Selection
from landscape.core.features.variance import SampleVariance, VarianceCollector


@pytest.mark.parametrize("cuts", [[10], [4, 6], [1, 2, 7]])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_variance_over_samples_does_not_depend_on_the_cut(cuts, offset):
    """Oracle: NumPy's unbiased variance in float64; a large mean must not cost its digits."""
    x = torch.randn(10, 3, 4, generator=torch.Generator().manual_seed(0)) + offset
    running = SampleVariance()
    for part in x.split(cuts):
        running.add(part)
    assert running.value == pytest.approx(x.double().numpy().var(0, ddof=1).mean(), rel=2e-6)
    assert running.shape == (3, 4) and running.count == 10


def test_one_sample_has_no_variance():
    """Oracle: NaN, not zero."""
    running = SampleVariance()
    assert np.isnan(running.value)
    running.add(torch.ones(1, 2))
    assert np.isnan(running.value)


def test_variances_of_a_convolution():
    """Oracle: NumPy on the layer's own outputs, over space and over images."""
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(3 * 16, 3)).double()
    x, y = images(6, 6)
    problem = Problem(model, "cross_entropy", (x, y % 3), batch_size=4)
    collector = VarianceCollector(Selection(), None)
    assert collect(problem, [collector]) == [None]
    maps = model[0](x).detach().numpy()
    found = collector.units()
    assert found["0"].samples.value == pytest.approx(maps.var(0, ddof=1).mean(), rel=1e-10)
    by_image = maps.reshape(6, 3, -1).var(-1, ddof=1).mean(1)
    assert float(found["0"].space.mean) == pytest.approx(by_image.mean(), rel=1e-10)
    assert not found["2"].space.count and found["2"].samples.count == 6


def test_sorted_samples_far_apart_keep_their_digits():
    """Oracle: NumPy in float64 on everything at once; the batches' means lie thirty spreads apart."""
    shifts = torch.arange(5.0).repeat_interleave(8)[:, None] * 30.0
    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(2)) + shifts
    running = SampleVariance()
    for part in x.split(8):
        running.add(part)
    assert running.value == pytest.approx(x.double().numpy().var(0, ddof=1).mean(), rel=1e-6)
