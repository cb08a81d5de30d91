"""``transfer`` against closed forms: known filters, known folding, known coherence."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import CASES, generator, images
from torch import nn

import landscape
from landscape import Problem
from landscape.errors import InputError


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def energy(output, _):
    return output.flatten(1).square().mean(1)


class Gain(nn.Module):
    """Something with a parameter that changes nothing."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return x * self.gain


def watch(x, layer, **options):
    """The transfer dataset of one layer on ``x``."""
    model = nn.Sequential(Gain(), layer).double()
    problem = Problem(model, energy, (x, torch.zeros(len(x))), batch_size=7)
    return landscape.transfer(problem, **({"kinds": (), "layers": ("1",)} | options)).isel(layer=0)


def filter_of(kernel, **options):
    """A convolution of one channel with this kernel."""
    kernel = torch.as_tensor(kernel, dtype=torch.float64)
    options = {"padding": tuple(s // 2 for s in kernel.shape), "padding_mode": "circular"} | options
    conv = nn.Conv2d(1, 1, tuple(kernel.shape), bias=False, dtype=torch.float64, **options)
    with torch.no_grad():
        conv.weight.copy_(kernel)
    return conv


def expected_transfer(x, response, bins=14):
    """T per bin in NumPy: input power weighted by the squared response, over input power."""
    size = x.shape[-1]
    f = np.fft.fftfreq(size)
    r = np.hypot(f[:, None], f[None])
    power = (np.abs(np.fft.fft2(x.numpy())) ** 2).mean((0, 1))
    gain = np.abs(response(2 * np.pi * f[:, None], 2 * np.pi * f[None])) ** 2
    index = np.ceil(r / (np.sqrt(0.5) / bins) - 1e-9).astype(int) - 1
    index[0, 0] = -1
    found = np.full(bins, np.nan)
    for i in range(bins):
        chosen = index == i
        if chosen.any():
            found[i] = np.sqrt((gain * power)[chosen].sum() / power[chosen].sum())
    return found


SMOOTH = np.array([1.0, 2.0, 1.0]) / 4


@pytest.mark.parametrize(
    ("kernel", "response"),
    [
        (np.outer(SMOOTH, SMOOTH), lambda wy, wx: np.cos(wy / 2) ** 2 * np.cos(wx / 2) ** 2),
        (SMOOTH[None], lambda wy, wx: np.cos(wx / 2) ** 2 + 0 * wy),
        (np.full((3, 1), 1 / 3), lambda wy, wx: (1 + 2 * np.cos(wy)) / 3 + 0 * wx),
        (np.full((3, 3), 1 / 9), lambda wy, wx: (1 + 2 * np.cos(wy)) * (1 + 2 * np.cos(wx)) / 9),
        ([[0.0, 0.0, 1.0]], lambda wy, wx: np.exp(1j * wx) + 0 * wy),
        ([[-1.0, 2.0, -1.0]], lambda wy, wx: 2 - 2 * np.cos(wx) + 0 * wy),
    ],
    ids=["binomial", "binomial in x", "box in y", "box", "translation", "second difference"],
)
def test_known_filters_have_their_responses_and_are_coherent(kernel, response):
    """Oracle: cos²(ω/2) per axis, (1 + 2 cos ω)/3, modulus 1, 2 − 2 cos ω, weighted in NumPy."""
    x = noise(15, 1, 16, 16)
    ds = watch(x, filter_of(kernel))
    np.testing.assert_allclose(ds["transfer"], expected_transfer(x, response), rtol=1e-9, atol=1e-12)
    filled = np.isfinite(ds["transfer"].values) & (ds["transfer"].values > 1e-12)
    np.testing.assert_allclose(ds["coherence"].values[filled], 1.0, rtol=1e-9)
    assert np.isnan(ds["aliasing"])


def test_a_single_wave_is_passed_by_the_response_at_its_frequency():
    """Oracle: cos²(ω/2) at ω = 2π · 3/16, in the one bin that holds the wave."""
    wave = torch.cos(2 * np.pi * 3 * torch.arange(16.0, dtype=torch.float64) / 16)
    ds = watch(wave.expand(5, 1, 16, 16).clone(), filter_of(SMOOTH[None]))
    i = int(np.abs(ds["radius"].values - 3 / 16).argmin())
    assert float(ds["transfer"][i]) == pytest.approx(np.cos(np.pi * 3 / 16) ** 2, rel=1e-9)


def test_zero_padding_deviates_from_the_circular_response():
    """Oracle: the same filter with zero padding differs, by edges only: less than 10 % at 16 pixels."""
    x = noise(200, 1, 16, 16)
    circular, zero = (watch(x, filter_of(SMOOTH[None], padding_mode=m)) for m in ("circular", "zeros"))
    difference = np.abs(circular["transfer"] - zero["transfer"])
    assert 1e-3 < np.nanmax(difference) < 0.1
    assert (zero["coherence"] < 1 - 1e-4).any()


def test_verdicts_name_the_filters():
    """Oracle: smoothing is low-pass, its complement high-pass, identity and scaling are flat."""
    x = noise(30, 1, 16, 16)
    for kernel, verdict in (
        (SMOOTH[None], "low-pass"),
        ([[-1.0, 2.0, -1.0]], "high-pass"),
        ([[0.0, 1.0, 0.0]], "flat"),
        ([[0.0, 5.0, 0.0]], "flat"),
    ):
        ds = watch(x, filter_of(kernel))
        assert str(ds["verdict"].values) == verdict
    ds = watch(x, nn.Identity())
    np.testing.assert_allclose(ds["transfer"].dropna("radius"), 1.0, rtol=1e-12)
    assert float(ds["slope"]) == 0.0
    assert float(ds["p_value"]) == 1.0
    assert float(ds["gain_high_low"]) == 0.0


def test_small_maps_have_no_verdict():
    """Oracle: definitions: no slope under 7 × 7; the ratio of the bands stays."""
    ds = watch(noise(20, 1, 6, 6), filter_of(SMOOTH[None]))
    assert str(ds["verdict"].values) == "unmeasured"
    assert float(ds["gain_high_low"]) < -0.3


class Pointwise(nn.Module):
    def __init__(self, f):
        super().__init__()
        self.f = f

    def forward(self, x):
        return self.f(x)


@pytest.mark.parametrize(
    ("f", "share"),
    [(torch.sign, 2 / np.pi), (torch.square, 0.0), (torch.relu, 0.5 / (1 - 1 / np.pi))],
    ids=["sign", "square", "relu"],
)
def test_coherence_of_nonlinearities_of_white_noise(f, share):
    """Oracle: Bussgang: coherent share E[x f(x)]² / Var f(x) for Gaussian x, plus 1/n of the rest."""
    n = 200
    ds = watch(noise(n, 2, 16, 16), Pointwise(f), images=n)
    expected = share + (1 - share) / n
    mean = float(np.nanmean(ds["coherence"].values[1:]))
    assert mean == pytest.approx(expected, abs=0.02)
    assert float(ds["coherence_floor"]) == 1 / n


def waves(*parts, n=16):
    """Images that are sums of cosines along x: (amplitude, periods)."""
    x = torch.arange(n, dtype=torch.float64)
    row = sum(a * torch.cos(2 * np.pi * k * x / n) for a, k in parts)
    return row.expand(6, 1, n, n).clone()


def test_a_stride_of_two_folds_to_a_known_frequency():
    """Oracle: 7 of 16 periods show up as 1 of 8; with 2 periods of amplitude 3 the share is 1/(9 + 1)."""
    ds = watch(waves((3.0, 2), (1.0, 7)), filter_of([[1.0]], stride=2, padding=0))
    assert float(ds["stride"]) == 2.0
    assert float(ds["aliasing"]) == pytest.approx(0.1, rel=1e-9)
    at = np.abs(ds["radius"].values - 1 / 16).argmin(), np.abs(ds["radius"].values - 2 / 16).argmin()
    assert float(ds["aliasing_share"][at[0]]) == pytest.approx(1.0, rel=1e-9)
    assert float(ds["aliasing_share"][at[1]]) == pytest.approx(0.0, abs=1e-9)
    assert float(ds["transfer"][at[1]]) == pytest.approx(1.0, rel=1e-9)


def test_smoothing_before_the_stride_takes_the_aliasing_by_its_response():
    """Oracle: amplitudes cos²(ω/2) of both waves at ω = 2π k/16."""
    ds = watch(waves((3.0, 2), (1.0, 7)), filter_of(SMOOTH[None], stride=(1, 2)), kinds=())
    low, high = (np.cos(np.pi * k / 16) ** 2 for k in (2, 7))
    assert float(ds["aliasing"]) == pytest.approx(high**2 / (9 * low**2 + high**2), rel=1e-9)


def test_pooling_is_run_again_without_the_high_frequencies():
    """Oracle: a wave that average pooling of two pixels halves: 1 + cos ω over 2, squared."""
    ds = watch(waves((1.0, 2), (1.0, 6)), nn.AvgPool2d(2))
    low, high = ((1 + np.cos(2 * np.pi * k / 16)) / 2 for k in (2, 6))
    assert float(ds["aliasing"]) == pytest.approx(high / (low + high), rel=1e-9)


def test_a_residual_sum_is_held_against_its_shortcut():
    """Oracle: x + conv(x) has response 1 + h; identity branch and in-place addition alike."""

    class Block(nn.Module):
        def __init__(self, in_place):
            super().__init__()
            self.conv = filter_of(SMOOTH[None])
            self.in_place = in_place

        def forward(self, x):
            out = self.conv(x)
            if self.in_place:
                out += x
                return out * 2
            return (x + out) * 2

    x = noise(10, 1, 16, 16)
    for in_place in (False, True):
        model = nn.Sequential(Gain(), Block(in_place)).double()
        problem = Problem(model, energy, (x, torch.zeros(10)))
        ds = landscape.transfer(problem)
        assert list(ds["layer"].values) == ["1.conv", "1.+", "1"]
        assert list(ds["kind"].values) == ["convolution", "residual_sum", "block"]
        expected = expected_transfer(x, lambda wy, wx: 1 + np.cos(wx / 2) ** 2 + 0 * wy)
        np.testing.assert_allclose(ds["transfer"][1], expected, rtol=1e-9)
        np.testing.assert_allclose(ds["transfer"][2], 2 * expected, rtol=1e-9)


def test_a_layer_that_overwrites_its_input_is_measured_right():
    """Oracle: the same layer out of place."""
    x = noise(10, 2, 16, 16)
    first, second = (watch(x, nn.ReLU(inplace=i), layers=("1",)) for i in (False, True))
    np.testing.assert_array_equal(first["transfer"], second["transfer"])
    np.testing.assert_array_equal(first["coherence"], second["coherence"])
    assert (first["transfer"] < 1).any()


def test_batches_do_not_matter():
    """Oracle: all data at once."""
    x = images(13, 16)
    runs = [
        landscape.transfer(Problem(CASES["conv_batchnorm"].model(), "cross_entropy", x, batch_size=b))
        for b in (13, 5)
    ]
    for name in ("transfer", "coherence", "slope", "aliasing", "p_corrected"):
        np.testing.assert_allclose(runs[0][name], runs[1][name], rtol=1e-8, atol=1e-12, err_msg=name)


def test_a_model_without_maps_is_refused():
    """Oracle: the sentence says what is needed."""
    with pytest.raises(InputError, match=r"no unit of Sequential .* needs images \(B, C, H, W\) as inputs"):
        landscape.transfer(CASES["mlp"].problem())
