"""Rows of spectra per image, against numpy's transform of the layer's own outputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import images
from torch import nn

from landscape import Problem
from landscape.core.features.collect import collect
from landscape.core.features.spectra import LayerRows, SpectraCollector, check_shape, complete
from landscape.core.features.units import Selection, Unit
from landscape.errors import InputError

UNIT = Unit("a", (), "Identity")


def test_powers_of_a_convolution_are_numpys():
    """Oracle: numpy's orthonormal transform; Parseval's theorem for the sum over bins."""
    model = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.Flatten(), nn.Linear(3 * 64, 3)).double()
    x, y = images(5, 8)
    problem = Problem(model, "cross_entropy", (x, y), batch_size=2)
    collector = SpectraCollector(Selection(), 4, None)
    assert collect(problem, [collector]) == [None]
    (layer,) = collector.layers().values()
    maps = model[0](x).detach().numpy()
    power = (np.abs(np.fft.fft2(maps, norm="ortho")) ** 2).mean(1).reshape(5, -1)
    rows = layer.rows()
    np.testing.assert_allclose(rows["ac"], power[:, 1:].mean(1), rtol=1e-10)
    total = rows["power"] @ layer.counts
    np.testing.assert_allclose(total, power[:, 1:].sum(1), rtol=1e-10)
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(8), np.fft.fftfreq(8), indexing="ij")).reshape(-1)
    low = (radius > 0) & (radius <= 0.25 + 1e-9)
    np.testing.assert_allclose(rows["low"], power[:, low].mean(1), rtol=1e-10)
    assert layer.shape == (3, 8, 8)


def test_rows_come_back_in_the_order_of_the_data():
    """Oracle: each row holds the number of its image."""
    order = torch.tensor([2, 0, 1])
    layer = LayerRows(UNIT, (1, 2, 2), None, None, order)
    for part in order.split(2):
        layer.append(value=part.double()[:, None])
    assert layer.rows()["value"].tolist() == [[0.0], [1.0], [2.0]]


def test_layers_that_did_not_fire_for_all_are_left_out():
    """Oracle: counts by hand."""
    order = torch.arange(2)
    whole, part = (LayerRows(UNIT, (1, 2, 2), None, None, order, filled=n) for n in (2, 1))
    assert list(complete({"whole": whole, "part": part}, 2)) == ["whole"]


def test_maps_that_change_their_size_are_refused():
    """Oracle: the sentence names both sizes."""
    check_shape("a", (3, 8, 8), (3, 8, 8))
    with pytest.raises(InputError, match=r"'a' gives maps of 3, 8 × 8 and of 3, 4 × 4"):
        check_shape("a", (3, 8, 8), (3, 4, 4))
