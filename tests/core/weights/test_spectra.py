"""Ranks and noise against closed forms and random matrices."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from scipy import integrate

from landscape.core.stats.power_law import fit_power_law
from landscape.core.weights.spectra import (
    effective_rank,
    marchenko_pastur_median,
    noise_bulk,
    stable_rank,
)


def values_of(matrix):
    return np.linalg.svd(matrix, compute_uv=False)


def test_the_identity_has_full_rank():
    """Oracle: n equal singular values."""
    assert stable_rank(np.ones(7)) == pytest.approx(7)
    assert effective_rank(np.ones(7)) == pytest.approx(7)
    assert stable_rank([3.0, 0.0]) == effective_rank([3.0, 0.0]) == pytest.approx(1)
    assert np.isnan([stable_rank([0.0, 0.0]), effective_rank([0.0, 0.0])]).all()


def test_effective_rank_by_hand():
    """Oracle: shares ½, ¼, ¼ have entropy 1.5 ln 2."""
    assert effective_rank([2.0, 1.0, 1.0]) == pytest.approx(2**1.5)


@pytest.mark.parametrize("ratio", [0.05, 0.25, 0.7, 1.0])
def test_the_median_halves_the_law(ratio):
    """Oracle: scipy's quadrature of the density in its textbook form."""
    low, high = (1 - ratio**0.5) ** 2, (1 + ratio**0.5) ** 2

    def density(x):
        return np.sqrt(max((high - x) * (x - low), 0.0)) / (2 * np.pi * ratio * x)

    below = integrate.quad(density, low, marchenko_pastur_median(ratio), limit=200)[0]
    assert below == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("shape", [(2000, 500), (500, 2000)])
def test_edges_of_gaussian_noise(shape):
    """Oracle: (1 ± ½)², where the eigenvalues of 2000 × 500 numbers end (measured .257 and 2.234)."""
    s = values_of(np.random.default_rng(0).normal(size=shape))
    bulk = noise_bulk(s, *shape)
    assert bulk.scale == pytest.approx(1.0, abs=0.005)
    assert (bulk.lower, bulk.upper) == pytest.approx((0.25, 2.25), abs=0.03)
    # 1.2 units of Tracy and Widom below the edge, each 0.0137, and four deviations of 1.27 units either way
    assert s.max() ** 2 / 2000 == pytest.approx(2.25 - 1.2 * 0.0137, abs=4 * 1.27 * 0.0137)
    assert bulk.spikes == 0


def test_spikes_are_counted_and_leave_the_noise_alone():
    """Oracle: three directions planted, whose singular values s + 1/s (s = θ over the noise) stand clear."""
    rng = np.random.default_rng(1)
    u, v = (np.linalg.qr(rng.normal(size=(n, 3)))[0] for n in (300, 200))
    noise = 0.1 * rng.normal(size=(300, 200))
    bulk = noise_bulk(values_of(noise + u @ np.diag([9.0, 7.0, 5.0]) @ v.T), 300, 200)
    assert bulk.spikes == 3
    assert bulk.scale == pytest.approx(0.1, rel=0.03)


def test_noise_seldom_has_a_spike():
    """Oracle: Gaussian matrices, of which one in a hundred has a spike.

    Of small ones, whose scale is less sure, two (measured on 1500): more than 17 of 400 come once in 500.
    """
    rng = np.random.default_rng(2)
    found = sum(noise_bulk(values_of(rng.normal(size=(60, 30))), 60, 30).spikes > 0 for _ in range(400))
    assert 0 < found <= 17


def test_noise_is_not_known_of_few_or_of_zeros():
    assert np.isnan(noise_bulk(np.ones(9), 9, 20).spikes)
    assert np.isnan(noise_bulk(np.r_[np.ones(5), np.zeros(7)], 12, 20).upper)


def test_weightwatcher_agrees():
    """Oracle: the package of Martin & Mahoney on a planted tail: α, its start, stable rank and λ max."""
    package = pytest.importorskip("weightwatcher", reason="weightwatcher is not installed: extra 'oracle'")
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.standard_normal((n, 80)))[0] for n in (80, 200))
    tail = (1.0 - (np.arange(80) + 0.5) / 80) ** (-1.0 / 1.5)
    layer = torch.nn.Linear(200, 80, bias=False)
    layer.weight.data.copy_(torch.from_numpy(left * np.sqrt(tail) @ right.T))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = package.WeightWatcher(model=torch.nn.Sequential(layer)).analyze(min_evals=10).iloc[0]
    s = torch.linalg.svdvals(layer.weight.detach().double()).numpy()
    found = fit_power_law(np.square(s))
    assert (found.alpha, found.start) == pytest.approx((theirs["alpha"], theirs["xmin"]), rel=1e-6)
    assert stable_rank(s) == pytest.approx(theirs["stable_rank"], rel=1e-6)
    assert s[0] ** 2 == pytest.approx(theirs["lambda_max"], rel=1e-6)
