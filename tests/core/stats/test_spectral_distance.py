"""Distances between spectra against entropies by hand."""

from __future__ import annotations

import numpy as np
import pytest

from landscape.core.stats.spectral_distance import (
    Spectrum,
    bin_edges,
    bin_masses,
    spectral_distances,
)
from landscape.errors import InputError


def points(*values, resolution=0.0, probes=3):
    x = np.tile(np.array(values, float), (probes, 1))
    return Spectrum(x, np.full(x.shape, 1.0 / x.shape[1]), resolution)


def test_shares_of_far_points_in_closed_form():
    """Oracle: of points too far apart to overlap, the divergence is that of their shares: H(¾) − ½."""
    found = spectral_distances([points(1.0, 1.0), points(1.0, 100.0), points(-1.0)])
    entropy = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    assert found.values[0, 1] == pytest.approx((entropy - 0.5) ** 0.5, abs=1e-6)
    assert found.values[0, 2] == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(found.low, found.values)
    np.testing.assert_array_equal(found.values, found.values.T)
    assert found.mean == pytest.approx(found.values[np.tril_indices(3, -1)].mean(), abs=1e-6)


def test_two_near_points_in_closed_form():
    """Oracle: the divergence of two Gaussian densities, by a fine quadrature of its own."""
    a, b, width = 10.0, 12.0, 4.0
    found = spectral_distances([points(a, resolution=width), points(b, resolution=width)]).values[0, 1]
    x = np.linspace(-60, 90, 200_001)
    p, q = (np.exp(-((x - m) ** 2) / (2 * width**2)) / (width * np.sqrt(2 * np.pi)) for m in (a, b))
    m = (p + q) / 2
    divergence = np.trapezoid(p * np.log2(p / m) + q * np.log2(q / m), x) / 2
    assert found == pytest.approx(divergence**0.5, rel=0.02)


def test_units_do_not_matter():
    """Oracle: a change of units moves no share."""
    rng = np.random.default_rng(0)
    spectra = [points(*rng.normal(size=20)), points(*rng.normal(size=30) ** 3)]
    small = [Spectrum(1e-5 * s.nodes, s.weights, 1e-5 * s.resolution) for s in spectra]
    one, other = spectral_distances(spectra), spectral_distances(small)
    np.testing.assert_allclose(one.values, other.values, atol=1e-9)


def test_accuracy_alone_makes_no_distance():
    """Oracle: equal points, of which one set is resolved less well."""
    found = spectral_distances([points(1.0, 5.0), points(1.0, 5.0, resolution=0.5)])
    assert found.values[0, 1] == pytest.approx(0.0, abs=1e-6)


def test_bins_hold_all_the_mass():
    """Oracle: shares sum to 1; half of a symmetric pair lies below 0."""
    spectrum = points(-3.0, 3.0, 0.0, resolution=1e-3)
    edges = bin_edges(spectrum.largest, 1e-3)
    mass = bin_masses(spectrum, edges, 1e-3)
    np.testing.assert_allclose(mass.sum(1), 1.0)
    middle = (edges[:-1] + edges[1:]) / 2
    assert mass[0, middle < -0.02].sum() == pytest.approx(1 / 3, abs=1e-6)


def test_what_has_no_distance():
    """Oracle: one probe says nothing of the error; a single block has no pair; zeros are equal."""
    with pytest.raises(InputError, match="two or more"):
        spectral_distances([points(1.0, probes=1), points(2.0, probes=1)])
    alone = spectral_distances([points(1.0)])
    assert np.isnan(alone.mean) and alone.values.tolist() == [[0.0]]
    assert spectral_distances([points(0.0), points(0.0)]).values[0, 1] == 0.0
