"""``series_spectrum``: spectra of series along time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape.errors import InapplicableError, InputError


def problem_of(model, x):
    return landscape.Problem(model, "cross_entropy", (x, torch.arange(len(x)) % 2), batch_size=16)


def filters():
    """Noise, a moving average and a difference: filters whose response is known."""
    model = nn.Sequential(
        nn.Conv1d(1, 1, 1, bias=False), nn.Conv1d(1, 1, 2, bias=False, padding_mode="circular"), nn.Flatten()
    )
    model.append(nn.Linear(63, 2))
    with torch.no_grad():
        model[0].weight.fill_(1.0)
        model[1].weight.copy_(torch.tensor([[[1.0, -1.0]]]))
    return model


def test_filters_leave_their_response():
    """Oracle: |1 − e^{−2πif}|² = 4 sin²(πf) of the difference of neighbours; white noise is flat at 0."""
    x = torch.randn(400, 1, 64, generator=torch.Generator().manual_seed(0))
    ds = landscape.series_spectrum(problem_of(filters(), x), images=400, bins=8)
    assert ds["layer"].values.tolist() == ["0", "1"]
    assert ds["length"].values.tolist() == [64, 63]
    np.testing.assert_allclose(ds["log_power"][0], 0.0, atol=0.06)
    f = np.linspace(0, 0.5, 4001)[1:]
    response = 4 * np.sin(np.pi * f) ** 2
    bins = np.minimum((f / 0.0625 - 1e-9).astype(int), 7)
    expected = np.log([response[bins == b].mean() / response.mean() for b in range(8)])
    np.testing.assert_allclose(ds["log_power"][1][1:], expected[1:], atol=0.1)
    ratio = np.log(response[f > 0.25].mean() / response[f <= 0.25].mean())
    assert float(ds["high_low"][1]) == pytest.approx(ratio, abs=0.1)
    low, high = ds["high_low_interval"].values[:, 0]
    assert low < 0 < high
    figures = landscape.series_spectrum.figures({"a": ds, "b": ds})
    assert [f.name for f in figures] == ["high_low", "spectrum_0", "spectrum_1"]
    assert landscape.series_spectrum.summary(ds)[1].finding


def test_pictures_and_words_do_not_apply():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 2))
    images = problem_of(model, torch.randn(6, 1, 8, 8))
    with pytest.raises(InapplicableError, match=r"is a series .B, C, T.: .*images have fourier"):
        landscape.series_spectrum(images)
    with pytest.raises(InputError, match=r"series .B, C, T. have series_spectrum"):
        landscape.fourier(problem_of(filters(), torch.randn(6, 1, 64)))


def test_lengths_must_agree():
    x = [(torch.randn(2, 1, n), torch.zeros(2).long()) for n in (64, 65)]
    model = nn.Sequential(nn.Conv1d(1, 2, 2), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(2, 2))
    with pytest.raises(InputError, match="series of 63 and of 64 samples"):
        landscape.series_spectrum(landscape.Problem(model, "cross_entropy", x))
