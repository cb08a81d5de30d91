"""Spectra of series against NumPy's FFT, and what counts as a series."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from landscape import Problem
from landscape.core.features.collect import collect
from landscape.core.features.series import FrequencyBins, SeriesCollector, series_power
from landscape.core.features.units import Selection


@pytest.mark.parametrize("length", [2, 7, 16])
def test_power_is_that_of_the_full_transform(length):
    """Oracle: NumPy's complex FFT, all of its modes dealt to bins one by one."""
    x = torch.randn(3, 4, length, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 50.0
    bins = FrequencyBins(5)
    shares, counts = bins.averages(length)
    found = (series_power(x) @ shares).numpy()
    full = np.abs(np.fft.fft(x.numpy(), norm="ortho")) ** 2
    f = np.abs(np.fft.fftfreq(length))
    place = np.ceil(f / 0.1 - 1e-9).astype(int) - 1
    for b in range(5):
        chosen = (place == b) & (f > 0)
        assert int(counts[b]) == chosen.sum()
        if chosen.any():
            np.testing.assert_allclose(found[:, b], full[..., chosen].mean((1, 2)), rtol=1e-9)
        else:
            assert np.isnan(found[:, b]).all()
    np.testing.assert_allclose(found[:, 5], full[..., f > 0].mean((1, 2)), rtol=1e-9)
    for column, band in ((6, f > 0.25 + 1e-9), (7, (f > 0) & (f <= 0.25 + 1e-9))):
        if band.any():
            np.testing.assert_allclose(found[:, column], full[..., band].mean((1, 2)), rtol=1e-9)


def seen(model, x, **options):
    """Channels and length of each layer that is taken for a series."""
    problem = Problem(model, "cross_entropy", (x, torch.zeros(len(x)).long()), batch_size=4)
    collector = SeriesCollector(Selection(("*",)), 4, **options)
    (error,) = collect(problem, [collector])
    assert error is None
    return {name: (rows.channels, rows.length) for name, rows in collector.layers().items()}


class Audio(nn.Module):
    """Convolutions, then a transformer on the transposed frames, as speech models have it."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(2, 6, 3, stride=2)
        self.norm = nn.LayerNorm(6)
        self.mix = nn.Linear(6, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.mix(self.norm(self.conv(x).transpose(1, 2))).mean(1))


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.block, self.head = nn.Embedding(11, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, ids):
        return self.head(self.block(self.words(ids)).mean(1))


def test_channels_are_found_on_either_side():
    """Oracle: by construction: six channels and ten frames, whichever comes first."""
    assert seen(Audio(), torch.randn(5, 2, 21)) == {"conv": (6, 10), "norm": (6, 10), "mix": (6, 10)}
    last = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Flatten(), nn.Linear(36, 2))
    x = torch.randn(5, 9, 3)
    assert seen(last, x, channels_last=True) == {"0": (4, 9), "1": (4, 9)}


def test_words_and_pictures_are_no_series():
    """Oracle: by construction."""
    assert seen(Words(), torch.randint(0, 11, (5, 9))) == {}
    picture = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(2), nn.Tanh(), nn.Flatten(), nn.Linear(144, 2))
    assert seen(picture, torch.randn(5, 1, 8, 8)) == {}
