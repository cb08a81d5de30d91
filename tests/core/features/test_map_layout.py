"""Layouts of maps: from features to maps and back, whatever the order of their axes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape.core.features.map_layout import MapLayout, MapLayouts
from landscape.errors import InputError


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


class Words(torch.nn.Module):
    """A transformer of text."""

    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(7, 8)
        self.block = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = torch.nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.block(self.embed(x)).mean(1))


class Signal(torch.nn.Module):
    """1-D convolutions over a series."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv1d(2, 16, 3, padding=1)
        self.norm = torch.nn.BatchNorm1d(16)
        self.head = torch.nn.Linear(16, 3)

    def forward(self, x):
        return self.head(self.norm(self.conv(x)).mean(2))


class Cut(torch.nn.Module):
    """Patches by reshaping, and a linear map: no convolution."""

    def __init__(self):
        super().__init__()
        self.patch = torch.nn.Linear(16, 8)
        self.norm = torch.nn.LayerNorm(8)
        self.head = torch.nn.Linear(8, 3)

    def forward(self, x):
        patches = x.unfold(2, 4, 4).unfold(3, 4, 4).reshape(len(x), -1, 16)
        return self.head(self.norm(self.patch(patches)).mean(1))


@pytest.mark.parametrize("tokens", [16, 17, 25])
def test_words_are_no_pictures(tokens):
    """Text of as many tokens as a square with and without a class token is refused, by one sentence each."""
    data = torch.arange(6 * tokens).reshape(6, tokens) % 7, torch.arange(6) % 3
    problem = landscape.Problem(Words(), "cross_entropy", data)
    for analysis in (landscape.fourier, landscape.transfer, landscape.attention_response):
        with pytest.raises(InputError, match=r"images \(B, C, H, W\) as inputs"):
            analysis(problem)


def test_a_series_is_no_picture():
    """1-D convolutions of 16 channels, whose number is a square: no maps."""
    data = torch.randn(6, 2, 25), torch.arange(6) % 3
    with pytest.raises(InputError, match="2-D convolution"):
        landscape.fourier(landscape.Problem(Signal(), "cross_entropy", data))


def test_patches_cut_by_reshaping_are_a_picture():
    """Oracle: a 16 × 16 image holds 4 × 4 patches of 4 × 4 pixels."""
    data = torch.randn(6, 1, 16, 16), torch.arange(6) % 3
    ds = landscape.fourier(landscape.Problem(Cut(), "cross_entropy", data), bootstrap=2)
    assert set(zip(ds["height"].values.tolist(), ds["width"].values.tolist(), strict=True)) == {(4, 4)}


def test_words_beside_pictures_stay_words():
    """Oracle: a model of images and captions; 9 words are no 3 × 3 map, 16 patches are a 4 × 4 one."""
    layouts = MapLayouts(pictures=False)
    words, patches = torch.randn(2, 9, 5), torch.randn(2, 16, 5)
    assert layouts.find(patches, 2) is None
    layouts.find(torch.randn(2, 5, 4, 4), 2, torch.nn.Conv2d(1, 5, 4, 4))
    assert layouts.find(words, 2, torch.nn.Embedding(3, 5)) is None
    assert layouts.find(words, 2) is None
    assert layouts.find(patches, 2) == MapLayout("tokens", 4, 4)


def test_words_are_a_picture_where_their_grid_is_told():
    """Oracle: 2 + 3 × 5 tokens as the user lays them out; other numbers of tokens are no maps."""
    layouts = MapLayouts(pictures=False, grid=(3, 5))
    assert layouts.find(torch.randn(2, 17, 4), 2) == MapLayout("tokens", 3, 5, 2)
    assert layouts.find(torch.randn(2, 15, 4), 2, torch.nn.Embedding(3, 4)) == MapLayout("tokens", 3, 5)
    for feature in (torch.randn(2, 16, 16, 16), torch.randn(2, 64, 4), torch.randn(8, 16, 4)):
        assert layouts.find(feature, 2) is None
    assert MapLayouts(0, grid=(3, 5)).find(torch.randn(2, 17, 4), 2) is None
    data = torch.arange(6 * 16).reshape(6, 16) % 7, torch.arange(6) % 3
    problem = landscape.Problem(Words(), "cross_entropy", data)
    for analysis in (landscape.fourier, landscape.transfer, landscape.attention_response):
        ds = analysis(problem, grid=(2, 8))
        assert set(zip(ds["height"].values.tolist(), ds["width"].values.tolist(), strict=True)) == {(2, 8)}


def test_a_told_grid_gives_the_numbers_of_the_square_that_is_found():
    """Oracle: a 16 × 16 image's own 4 × 4 patches, with and without saying so."""
    data = torch.randn(6, 1, 16, 16), torch.arange(6) % 3
    problem = landscape.Problem(Cut(), "cross_entropy", data)
    found = landscape.fourier(problem, layers=("patch", "norm"))
    told = landscape.fourier(problem, layers=("patch", "norm"), grid=(4, 4))
    torch.testing.assert_close(
        torch.tensor(told["log_power"].values), torch.tensor(found["log_power"].values), equal_nan=True
    )
