"""Layouts of maps: from features to maps and back, whatever the order of their axes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from landscape.core.features.map_layout import MapLayout, MapLayouts


def to_maps(feature, prefix=None):
    layout = MapLayouts(prefix).find(feature, len(feature))
    return None if layout is None else layout.to_maps(feature)


@pytest.mark.parametrize(
    ("tokens", "prefix", "side"),
    [(16, None, 4), (17, None, 4), (198, None, 14), (201, None, 14), (257, None, 16), (18, 2, 4), (16, 0, 4)],
)
def test_tokens_are_laid_out_row_by_row_without_their_prefix(tokens, prefix, side):
    """Oracle: each token's value, written into the grid by hand."""
    feature = torch.arange(float(tokens))[None, :, None].repeat(2, 1, 3)
    maps = to_maps(feature, prefix)
    assert maps.shape == (2, 3, side, side)
    expected = np.arange(tokens - side * side, tokens).reshape(side, side)
    np.testing.assert_array_equal(maps[1, 2].numpy(), expected)


@pytest.mark.parametrize(
    "feature",
    [
        torch.zeros(2, 5),
        torch.zeros(2, 3, 1, 1),
        torch.zeros(2, 3, 4, 1),
        torch.zeros(2, 1, 3),
        torch.zeros(2, 3, 4, 4, 4),
        torch.zeros(2, 3, 4, 4, dtype=torch.int64),
        torch.zeros(2, 16, 3, dtype=torch.bool),
        torch.zeros(2, 3, 4, 4, dtype=torch.complex64),
    ],
)
def test_what_is_no_map_is_passed_over(feature):
    """Oracle: no two real spatial axes of more than one pixel."""
    assert to_maps(feature) is None


def test_a_prefix_that_leaves_no_square_is_passed_over():
    """Oracle: 17 − 2 = 15."""
    assert to_maps(torch.zeros(2, 17, 3), 2) is None
    assert to_maps(torch.zeros(2, 3, 3), 5) is None


def test_modules_that_know_their_axes_teach_the_others():
    """Oracle: the axes as written: a permuted map stays channels last through layers that do not say."""
    layouts = MapLayouts()
    x = torch.randn(2, 5, 5, 5)
    assert layouts.find(x, 2).form == "first"  # in doubt
    assert layouts.find(x, 2, nn.LayerNorm(5)).form == "last"
    assert layouts.find(x, 2, nn.GELU()).form == "last"
    assert layouts.find(x, 2, nn.Conv2d(5, 5, 1)).form == "first"
    assert layouts.find(x, 2, nn.GELU()).form == "first"
    assert layouts.find(torch.randn(2, 7, 7, 3), 2).form == "last"
    assert layouts.find(torch.randn(2, 3, 7, 7), 2).form == "first"
    assert layouts.find(torch.randn(2, 9, 4, 6), 2, nn.Linear(6, 6)) == MapLayout("last", 9, 4)


def test_windows_are_put_together_in_row_order():
    """Oracle: an image cut into 2 × 2 windows of 3 × 3 by hand."""
    image = torch.arange(2 * 36.0).reshape(2, 6, 6)
    windows = [w[i : i + 3, j : j + 3].reshape(9, 1) for w in image for i in (0, 3) for j in (0, 3)]
    layout = MapLayouts().find(torch.stack(windows), 2)
    assert layout == MapLayout("windows", 6, 6, windows=2)
    assert torch.equal(layout.to_maps(torch.stack(windows))[:, 0], image)


@pytest.mark.parametrize(
    ("layout", "shape"),
    [
        (MapLayout("first", 4, 6), (2, 3, 4, 6)),
        (MapLayout("last", 4, 6), (2, 4, 6, 3)),
        (MapLayout("tokens", 4, 4, prefix=2), (2, 18, 3)),
        (MapLayout("windows", 6, 6, windows=2), (8, 9, 3)),
    ],
)
def test_maps_go_back_to_where_they_came_from(layout, shape):
    """Oracle: the feature itself; prefix tokens are left alone."""
    feature = torch.randn(shape)
    maps = layout.to_maps(feature)
    assert maps.shape == (2, 3, layout.height, layout.width)
    assert torch.equal(layout.from_maps(maps, feature), feature)
    if layout.prefix:
        doubled = layout.from_maps(2 * maps, feature)
        assert torch.equal(doubled[:, :2], feature[:, :2])
        assert torch.equal(doubled[:, 2:], 2 * feature[:, 2:])
