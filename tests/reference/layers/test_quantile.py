"""ReLUs with quantiles and filters."""

import pytest
import torch
from torch.nn import functional

from landscape.errors import InputError
from landscape.reference.layers.quantile import FilteredReLU, QuantileReLU


def maps(seed=0, shift=0.0, n=12):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(4, 3, n, n, generator=generator, dtype=torch.float64) + shift


@pytest.mark.parametrize("quantile", [0.1, 0.4, 0.9])
def test_at_most_a_share_is_cut_off(quantile):
    """Oracle: the zeros by counting: q(n − 1) of n, rounded down, and one; or fewer."""
    for shift in (-3.0, 0.0, 3.0):
        x = maps(shift=shift)
        zeros = (QuantileReLU(quantile)(x) == 0).double().flatten(2).mean(-1)
        most = (int(quantile * 143) + 1) / 144
        assert (zeros <= most + 1e-12).all()
        negative = x.flatten(2).quantile(quantile, -1) < 0
        assert (zeros[negative] == most).all()
        torch.testing.assert_close(QuantileReLU(quantile)(x)[~negative], functional.relu(x)[~negative])


@pytest.mark.parametrize("layer", [QuantileReLU(0.4), FilteredReLU(padding="circular")])
def test_shifts_of_the_grid_commute(layer):
    """Oracle: translation of a periodic map by whole pixels."""
    x = maps()
    torch.testing.assert_close(layer(x.roll((3, 5), (-2, -1))), layer(x).roll((3, 5), (-2, -1)))
    assert layer(x).shape == x.shape


def band_limited(n, most=2):
    """Periodic maps with no more than so many periods along each axis, and the same half a pixel further."""
    generator = torch.Generator().manual_seed(0)
    modes = torch.zeros(6, 1, n, n, dtype=torch.complex128)
    for ky in range(-most, most + 1):
        for kx in range(-most, most + 1):
            modes[..., ky, kx] = torch.randn(6, 1, generator=generator, dtype=torch.complex128)
    k = torch.fft.fftfreq(n, 1 / n).double()
    turn = torch.exp(2j * torch.pi * 0.5 * (k[:, None] + k) / n)
    return [torch.fft.ifft2(m, norm="forward").real for m in (modes, modes * turn)]


def half_pixel(x):
    """Band-limited translation by half a pixel along both axes, the Nyquist modes left out."""
    n = x.shape[-1]
    k = torch.fft.fftfreq(n, 1 / n).double()
    turn = torch.exp(2j * torch.pi * 0.5 * (k[:, None] + k) / n)
    inside = ((k.abs() < n / 2)[:, None] & (k.abs() < n / 2)).double()
    return torch.fft.ifft2(torch.fft.fft2(x) * turn * inside).real, torch.fft.ifft2(
        torch.fft.fft2(x) * inside
    ).real


def test_it_aliases_less_than_a_relu():
    """Oracle: without aliasing, moving by half a pixel and the layer commute; relative error."""
    here, there = band_limited(24)
    # The construction itself: the map moved by half a pixel in closed form is the one moved on the grid.
    torch.testing.assert_close(half_pixel(here)[0], there)
    errors = {}
    for name, layer in (
        ("relu", functional.relu),
        ("filtered", FilteredReLU(taps=7, quantile=None, padding="circular")),
    ):
        moved, _ = half_pixel(layer(here))
        _, want = half_pixel(layer(there))
        errors[name] = ((moved - want).norm() / want.norm()).item()
    assert errors["filtered"] < 0.5 * errors["relu"]


def test_a_positive_constant_passes():
    """Oracle: filters of sum 1 and a ReLU leave a positive constant; a short filter ripples."""
    x = torch.full((1, 2, 16, 16), 0.7, dtype=torch.float64)
    torch.testing.assert_close(FilteredReLU(padding="circular")(x), x, atol=0.01, rtol=0)


@pytest.mark.parametrize(
    ("layer", "options", "message"),
    [
        (QuantileReLU, {"quantile": 1.2}, "quantile is a share"),
        (FilteredReLU, {"up": 0}, "up must be at least 1"),
        (FilteredReLU, {"cutoff": 0.0}, "cutoff lies above 0"),
        (FilteredReLU, {"taps": 2}, "odd number"),
        (FilteredReLU, {"quantile": -0.1}, "quantile is a share"),
        (FilteredReLU, {"padding": "same"}, "no padding 'same'"),
    ],
)
def test_bad_settings_are_named(layer, options, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        layer(**options)
