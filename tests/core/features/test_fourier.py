"""Fourier statistics against full transforms in NumPy and exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from cases import generator
from hypothesis import given, settings
from hypothesis import strategies as st

from landscape.core.features.fourier import (
    RadialBins,
    at_least_single,
    log_amplitude_diagonal,
    mean_power,
    power_statistics,
    radial_frequency,
    spectrum,
)

sizes = st.integers(1, 30)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def map_statistics(maps, bins):
    return power_statistics(mean_power(spectrum(maps)), maps.shape[-1], bins)


def diagonal(maps):
    return log_amplitude_diagonal(spectrum(maps), at_least_single(maps).sum((-2, -1)))


def squared_radii(height, width):
    """r² of every mode of the full transform, exactly."""
    fy = [Fraction(k if k <= (height - 1) // 2 else k - height, height) for k in range(height)]
    fx = [Fraction(k if k <= (width - 1) // 2 else k - width, width) for k in range(width)]
    return [[a * a + b * b for b in fx] for a in fy]


@given(sizes, sizes)
@settings(max_examples=40, deadline=None)
def test_radii_are_those_of_fftfreq(height, width):
    """Oracle: NumPy's ``fftfreq`` for both axes, the half that ``rfft2`` keeps."""
    expected = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    np.testing.assert_allclose(radial_frequency(height, width).numpy(), expected, rtol=1e-14)


@given(sizes, sizes, st.integers(4, 40))
@settings(max_examples=60, deadline=None)
def test_bins_count_the_modes_of_the_full_transform(height, width, number):
    """Oracle: exact fractions: r in (i, i + 1] steps of (1/√2)/number; modes may lie on the edges."""
    expected = np.zeros(number)
    for row in squared_radii(height, width):
        for r2 in row:
            if r2 == 0:
                continue
            i = next(i for i in range(number) if 2 * r2 * number**2 <= (i + 1) ** 2)
            expected[i] += 1
    weights = RadialBins(number).weights(height, width)
    assert weights.shape == (number, height * (width // 2 + 1))
    np.testing.assert_array_equal(weights.sum(1).numpy(), expected)
    assert weights.sum() == height * width - 1
    assert not weights[:, 0].any()  # the mean belongs to no bin


def test_bin_centers_reach_from_dc_to_the_corner():
    """Oracle: edges at i/(14√2)."""
    bins = RadialBins(14)
    edges = np.arange(15) / 14 / np.sqrt(2)
    np.testing.assert_allclose(bins.centers.numpy(), (edges[1:] + edges[:-1]) / 2, rtol=1e-14)


@given(st.integers(2, 16), st.integers(2, 16))
@settings(max_examples=30, deadline=None)
def test_powers_are_means_over_modes_of_the_full_transform(height, width):
    """Oracle: NumPy's full ``fft2`` with ``norm="ortho"``, masks from exact fractions."""
    maps, bins = noise(3, 2, height, width), RadialBins(10)
    stats = map_statistics(maps, bins)
    power = (np.abs(np.fft.fft2(maps.numpy(), norm="ortho")) ** 2).mean(1)
    r2 = np.array([[float(v) for v in row] for row in squared_radii(height, width)])
    exact = squared_radii(height, width)
    low = np.array([[0 < v <= Fraction(1, 16) for v in row] for row in exact])
    high = np.array([[Fraction(1, 16) < v <= Fraction(1, 4) for v in row] for row in exact])
    for found, mask in ((stats.ac_power, r2 > 0), (stats.low_power, low), (stats.high_power, high)):
        expected = power[:, mask].mean(1) if mask.any() else np.full(3, np.nan)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)
    for i in range(10):
        mask = np.array([[i * i < 200 * v <= (i + 1) ** 2 for v in row] for row in exact])
        expected = power[:, mask].mean(1) if mask.any() else np.full(3, np.nan)
        np.testing.assert_allclose(stats.power[:, i].numpy(), expected, rtol=1e-10)
        assert stats.counts[i] == mask.sum()
        if mask.any():
            assert float(stats.radii[i]) == pytest.approx(np.sqrt(r2[mask]).mean(), rel=1e-12)


@given(st.integers(2, 20), st.integers(2, 20))
@settings(max_examples=30, deadline=None)
def test_parseval(height, width):
    """Oracle: the sum of squares about the mean, in NumPy."""
    maps = noise(2, 3, height, width)
    ac = map_statistics(maps, RadialBins(14)).ac_power.numpy() * (height * width - 1)
    x = maps.numpy()
    squares = ((x - x.mean((2, 3), keepdims=True)) ** 2).sum((2, 3)).mean(1)
    np.testing.assert_allclose(ac, squares, rtol=1e-12)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (15, 15), (16, 24), (9, 28)])
@pytest.mark.parametrize(("ky", "kx"), [(0, 1), (1, 0), (2, 3), (3, 2), (4, 7)])
def test_a_cosine_lands_in_its_bin(height, width, ky, kx):
    """Oracle: cos 2π(ky y/H + kx x/W) has all its power at r = √((ky/H)² + (kx/W)²)."""
    y, x = np.mgrid[:height, :width]
    wave = np.cos(2 * np.pi * (ky * y / height + kx * x / width))
    bins = RadialBins(20)
    stats = map_statistics(torch.from_numpy(wave)[None, None], bins)
    r = np.hypot(ky / height, kx / width)
    total = (stats.power[0] * stats.counts).nan_to_num().numpy()
    i = int(np.ceil(r / bins.step - 1e-9)) - 1
    assert abs(float(bins.centers[i]) - r) <= bins.step / 2 + 1e-9
    assert total[i] == pytest.approx(height * width / 2, rel=1e-12)
    assert np.delete(total, i).max() < 1e-20 * height * width + 1e-22


def test_a_constant_offset_does_not_move_float32_statistics():
    """Oracle: the maps without it; multiples of 1/64, so that float32 holds their sum with 2¹⁶ exactly."""
    maps = (noise(4, 3, 14, 14) * 64).round().float() / 64
    plain, offset = (map_statistics(m, RadialBins(14)) for m in (maps, maps + 2**16))
    np.testing.assert_allclose(offset.ac_power, plain.ac_power, rtol=1e-5)
    np.testing.assert_allclose(offset.power, plain.power, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_maps_are_transformed_in_single_precision(dtype):
    """Oracle: the same values in float64; torch has no half-precision transform on every device."""
    maps = noise(2, 3, 8, 8).to(dtype)
    exact = map_statistics(maps.double(), RadialBins(8))
    found = map_statistics(maps, RadialBins(8))
    np.testing.assert_allclose(found.power, exact.power, rtol=1e-4)
    np.testing.assert_allclose(diagonal(maps), diagonal(maps.double()), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("side", [2, 3, 7, 8, 13, 14])
def test_the_compatibility_form_is_the_published_formula(side):
    """Oracle: its literal steps in NumPy: fft2, log, mean, fftshift, diagonal, second half."""
    maps = noise(3, 2, side, side)
    A = np.log(np.abs(np.fft.fft2(maps.numpy())) + 1e-6).mean(1)
    shifted = np.fft.fftshift(A, axes=(-2, -1))
    expected = np.stack([np.diag(a)[int(side / 2) :] for a in shifted])
    np.testing.assert_allclose(diagonal(maps).numpy(), expected, rtol=1e-12)
