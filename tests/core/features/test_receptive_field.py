"""Receptive fields against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from landscape import Problem
from landscape.core.features.receptive_field import receptive_fields, side_holding
from landscape.core.features.units import Selection


def ones(*args, **options):
    """A convolution of one channel, all of whose weights are 1."""
    layer = nn.Conv2d(1, 1, *args, bias=False, **options).double()
    nn.init.ones_(layer.weight)
    return layer


def fields_of(*layers, size=25, count=3, kinds=()):
    x = torch.randn(count, 1, size, size, generator=torch.Generator().manual_seed(0)).double()
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2)).double()
    problem = Problem(model, "cross_entropy", (x, torch.arange(count) % 2))
    pairs = [(batch, batch.inputs) for batch in problem.batches]
    return receptive_fields(problem, pairs, Selection(("*",), kinds))


def test_uniform_layers():
    """Oracle: n boxes of 3: the variance of a sum of n uniform steps, 2n/3; the theoretical field 2n + 1."""
    found = fields_of(*(ones(3, padding=1) for _ in range(5)), kinds=("convolution",))
    for number, one in enumerate(found.values(), 1):
        value, error = one.variance()
        np.testing.assert_allclose(value, 2 * number / 3, rtol=1e-12)
        np.testing.assert_allclose(error, 0, atol=1e-12)
        np.testing.assert_allclose(one.support(), 2 * number + 1)


@pytest.mark.parametrize(
    ("layer", "variance", "support"),
    [
        (lambda: ones(3, padding=2, dilation=2), 8 / 3, 5),  # steps of 2
        (lambda: ones(4, stride=4), 15 / 12, 4),  # a patch: uniform over 4 pixels
        (lambda: ones((1, 5), padding=(0, 2)), (0, 2), (1, 5)),
        (lambda: nn.AvgPool2d(2), 0.25, 2),
    ],
)
def test_single_layers(layer, variance, support):
    """Oracle: the variance (k² − 1)/12 of k equal pixels, times the step squared."""
    one = fields_of(layer(), size=24)["0"]
    np.testing.assert_allclose(one.variance()[0], variance, atol=1e-12)
    np.testing.assert_allclose(one.support(), support)


def test_signs_do_not_matter():
    """Oracle: a kernel of changing signs has the field of ones; rectified, half of it would be missing."""
    layer = ones(3, padding=1)
    layer.weight.data *= torch.tensor([1.0, -1.0, 1.0]).double()
    one = fields_of(layer, nn.ReLU())["0"]
    np.testing.assert_allclose(one.variance()[0], 2 / 3)


def test_activations_in_place_change_nothing():
    """Oracle: the same network with activations that work on copies."""
    layers = [ones(3, padding=1) for _ in range(2)]
    copied, inplace = (fields_of(layers[0], nn.ReLU(inplace=i), layers[1]) for i in (False, True))
    for name in ("0", "2"):
        np.testing.assert_array_equal(copied[name].total, inplace[name].total)


def test_what_moves_nothing_has_no_field():
    layer = ones(3)
    nn.init.zeros_(layer.weight)
    one = fields_of(layer)["0"]
    assert np.isnan(one.variance()[0]).all() and np.isnan(one.support()).all()
    assert np.isnan(side_holding(one.total, [0.5])).all()


def test_sides_by_hand():
    """Oracle: 9 equal pixels: one holds 11 %, all nine the rest; 2 × 2 about an edge have an even side."""
    nine = np.zeros((9, 9))
    nine[3:6, 4:7] = 1.0
    np.testing.assert_allclose(side_holding(nine, [0.1, 0.12, 0.99, 1.0]), [1, 3, 3, 3])
    four = np.zeros((8, 8))
    four[3:5, 3:5] = 1.0
    np.testing.assert_allclose(side_holding(four, [0.2, 0.99]), [2, 2])
