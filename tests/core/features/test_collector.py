"""What a collector is shown of a feature: its maps, worked out once and shared."""

from __future__ import annotations

import numpy as np
import torch

from landscape.core.features.collector import Collector, Feature, SharedValues
from landscape.core.features.map_layout import MapLayout


def test_maps_means_and_spectra_are_numpys():
    """Oracle: numpy's transform and means of the tokens put back on their grid."""
    tokens = torch.randn(2, 1 + 12, 3, generator=torch.Generator().manual_seed(0))
    feature = Feature(tokens, 2, SharedValues(MapLayout("tokens", 3, 4, prefix=1)))
    grid = tokens[:, 1:].numpy().reshape(2, 3, 4, 3).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(feature.maps(), grid)
    np.testing.assert_allclose(feature.means()[..., 0, 0], grid.mean((2, 3)), rtol=1e-5, atol=1e-6)
    centred = grid - grid.mean((2, 3), keepdims=True)
    modes = np.fft.rfft2(centred, norm="ortho")
    np.testing.assert_allclose(feature.spectrum(), modes, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(feature.power(), (np.abs(modes) ** 2).mean(1), rtol=1e-4, atol=1e-5)


def test_what_one_collector_works_out_the_next_one_gets():
    """Oracle: the identity of the tensors handed out for two views of one tensor."""
    maps = torch.randn(2, 3, 4, 4)
    shared = SharedValues(MapLayout("first", 4, 4))
    one, two = (Feature(maps, 2, shared) for _ in range(2))
    assert one.power() is two.power() and one.spectrum() is two.spectrum()


def test_half_precision_is_widened():
    """Oracle: dtypes; half precision has no transform on every device."""
    feature = Feature(torch.randn(1, 2, 4, 4).half(), 1, SharedValues(MapLayout("first", 4, 4)))
    assert feature.maps().dtype == torch.float32


def test_a_collector_counts_the_examples_of_its_order():
    """Oracle: the length of the order."""
    collector = Collector()
    assert collector.examples == 0
    collector.order = torch.arange(7)
    assert collector.examples == 7


def test_sums_of_power_are_those_of_the_formula():
    """Oracle: the transform as a matrix of exponentials in float64, power summed over examples by hand."""
    maps = torch.randn(3, 5, 12, 10, generator=torch.Generator().manual_seed(1)) + 4.0
    feature = Feature(maps, 3, SharedValues(MapLayout("first", 12, 10)))
    x = maps.double().numpy()
    rows, columns = (np.exp(-2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n) for n in (12, 10))
    modes = np.einsum("ky,bcyx,lx->bckl", rows, x - x.mean((2, 3), keepdims=True), columns)[..., :6]
    power = np.abs(modes) ** 2 / 120
    found = feature.summed_power(2)
    np.testing.assert_allclose(found, power[:, ::2].sum(0).reshape(3, -1), rtol=2e-5, atol=1e-5)
    np.testing.assert_allclose(feature.power(), power.mean(1), rtol=2e-5, atol=1e-6)
    assert found.dtype == torch.float64 and feature.summed_power(2) is found
    assert feature.channels == 5


def test_channels_of_every_layout():
    """Oracle: the maps themselves."""
    for layout, shape in [
        (MapLayout("first", 4, 6), (2, 3, 4, 6)),
        (MapLayout("last", 4, 6), (2, 4, 6, 3)),
        (MapLayout("tokens", 4, 6, prefix=1), (2, 25, 3)),
        (MapLayout("windows", 4, 4, windows=2), (8, 4, 3)),
    ]:
        feature = Feature(torch.randn(shape), 2, SharedValues(layout))
        assert feature.channels == feature.maps().shape[1]
