"""HSIC and CKA of Gram matrices against closed forms, the three-term formula and invariances."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import generator
from feature_sets import noise, related, three_terms

from landscape.core.similarity.cka import (
    Kernel,
    center,
    feature_cka,
    gram,
    jackknife,
    normalized,
    u_center,
)


def test_u_centred_product_is_the_three_term_formula():
    """Oracle: the formula with three terms, in NumPy, on raw uncentred Gram matrices."""
    x, y = related()
    K, L = ((f @ f.T).numpy() for f in (x + 3.0, y - 2.0))
    inner = (u_center(gram(x)) * u_center(gram(y))).sum() / (40 * 37)
    assert float(inner) == pytest.approx(three_terms(K, L), rel=1e-10)


def test_u_centred_rows_sum_to_zero():
    K = u_center(gram(noise(17, 5)))
    assert K.sum(0).abs().max() < 1e-12
    assert not K.diagonal().any()


def test_sample_space_is_feature_space():
    """Oracle: ‖YᵀX‖²/(‖XᵀX‖ ‖YᵀY‖) of centred features (Kornblith et al. 2019): no Gram matrix."""
    x, y = (f - f.mean(0) for f in related())
    oracle = float((y.T @ x).square().sum() / ((x.T @ x).norm() * (y.T @ y).norm()))
    assert feature_cka(x, y, estimator="biased") == pytest.approx(oracle, rel=1e-12)


@pytest.mark.parametrize("estimator", ["unbiased", "biased"])
@pytest.mark.parametrize("kernel", [Kernel(), Kernel("rbf", 0.7)])
def test_invariances(estimator, kernel):
    """Oracle: rotation, permutation and offset leave distances as they are, scale leaves their ratios."""
    x, y = related()
    options = {"estimator": estimator, "kernel": kernel}
    rotation = torch.linalg.qr(noise(6, 6, seed=5)).Q
    plain = feature_cka(x, y, **options)
    for other in (x @ rotation, 37.0 * x, x + 1e3, x[:, torch.randperm(6, generator=generator(1))]):
        assert feature_cka(other, y, **options) == pytest.approx(plain, rel=1e-8)
    assert 0.1 < plain < 0.99


@pytest.mark.parametrize(("offset", "tolerance"), [(10.0, 1e-5), (1e3, 1e-4)])
def test_a_mean_far_above_the_spread_costs_nothing_in_single_precision(offset, tolerance):
    """Oracle: CKA with a copy that is rotated (so no bits agree) is 1."""
    x = noise(64, 32, dtype=torch.float32)
    rotated = x @ torch.linalg.qr(noise(32, 32, seed=4, dtype=torch.float32)).Q
    assert feature_cka(x + offset, rotated + offset) == pytest.approx(1.0, abs=tolerance)
    assert feature_cka(x + offset, x + offset) == pytest.approx(1.0, abs=1e-12)


def test_independent_features():
    """Oracle: for Gaussian features of p dimensions each, E[CKA] is 0 unbiased and about p/(n−1+p) biased."""
    n, p, draws = 24, 40, 150
    unbiased, biased = [], []
    for draw in range(draws):
        x, y = noise(n, p, seed=2 * draw), noise(n, p, seed=2 * draw + 1)
        unbiased.append(feature_cka(x, y))
        biased.append(feature_cka(x, y, estimator="biased"))
    se = np.std(unbiased, ddof=1) / draws**0.5
    assert abs(np.mean(unbiased)) < 4 * se
    assert min(unbiased) < 0.0  # not clamped
    assert np.mean(biased) == pytest.approx(p / (n - 1 + p), abs=0.02)


def test_rbf_tends_to_linear():
    """Oracle: expanded to first order in 1/σ², the RBF kernel is −‖x − y‖²/2σ², centred the linear one."""
    x, y = related()
    linear = feature_cka(x, y)
    errors = [abs(feature_cka(x, y, kernel=Kernel("rbf", s)) - linear) for s in (1.0, 10.0, 1e3)]
    assert errors[0] > 1e-3
    assert errors[1] < 0.05 * errors[0]
    assert errors[2] < 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kernel", [None, Kernel("rbf")])
def test_features_that_do_not_vary_have_no_similarity(dtype, kernel):
    """Oracle: by algebra HSIC of a constant is 0, and so is the unbiased one of a single active example.

    Of what rounding leaves no ratio may be made.
    """
    for seed in range(30):
        draw = torch.Generator().manual_seed(seed)
        other = torch.randn(12, 4, generator=draw, dtype=dtype)
        offset = 100.0 * torch.rand(3, generator=draw, dtype=dtype)
        constant = offset.expand(12, 3) + torch.zeros(12, 1, dtype=dtype)
        alone = torch.zeros(12, 3, dtype=dtype)
        alone[5] = torch.rand(3, generator=draw, dtype=dtype)
        assert np.isnan(feature_cka(constant, other, estimator="biased", kernel=kernel))
        assert np.isnan(feature_cka(constant, other, kernel=kernel))
        if kernel is None:
            assert np.isnan(feature_cka(alone, other))
            assert np.isnan(feature_cka(alone + offset, other))
            assert np.isfinite(feature_cka(alone, other, estimator="biased"))


def test_features_that_vary_little_keep_their_similarity():
    """Oracle: CKA is the same in any unit, and beside any offset that single precision still resolves."""
    x, y = related()
    expected = feature_cka(x, y)
    assert feature_cka(1e-12 * x, y) == pytest.approx(expected, rel=1e-12)
    assert feature_cka((x + 100.0).float(), y) == pytest.approx(expected, abs=2e-4)


def test_the_bandwidth_is_the_median_distance():
    """Oracle: numpy's median of the distances of all pairs; four examples have an even number of pairs."""
    x = noise(4, 3)
    apart = [float((x[i] - x[j]).norm()) for i in range(4) for j in range(i)]
    squares = torch.cdist(x, x) ** 2
    expected = torch.exp(-squares / (2.0 * np.median(apart) ** 2)) - 1.0
    torch.testing.assert_close(gram(x, Kernel("rbf")), expected, rtol=1e-9, atol=1e-12)


def test_biased_centring_is_hkh():
    K = gram(noise(9, 4)) + 2.0
    H = torch.eye(9, dtype=torch.float64) - 1.0 / 9
    torch.testing.assert_close(center(K), H @ K @ H)


def test_not_a_number_where_nothing_varies():
    ratio = normalized(np.array([[0.0, 0.0], [0.0, 2.0]]))
    assert np.isnan(ratio[0]).all()
    assert ratio[1, 1] == pytest.approx(1.0, abs=1e-15)


def test_jackknife_is_that_of_the_textbook():
    """Oracle: the delete-one formula written out with NumPy for one pair."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(7, 2, 30))
    blocks = factors @ factors.transpose(0, 2, 1)
    value, se = jackknife(blocks)
    left = []
    for i in range(7):
        (a, c), (_, b) = np.delete(blocks, i, 0).sum(0)
        left.append(c / np.sqrt(a * b))
    assert se[0, 1] == pytest.approx(np.sqrt(6 / 7 * ((left - np.mean(left)) ** 2).sum()))
    assert se[0, 0] == pytest.approx(0.0, abs=1e-12)
    total = blocks.sum(0)
    assert value[0, 1] == pytest.approx(total[0, 1] / np.sqrt(total[0, 0] * total[1, 1]))
    assert np.isnan(jackknife(blocks[:1])[1]).all()


def test_jackknife_error_is_the_spread_over_data():
    """Oracle: the standard deviation of CKA over fresh draws of the data."""
    values, errors = [], []
    for draw in range(60):
        x = noise(160, 5, seed=draw)
        y = x @ noise(5, 5, seed=1000) + 2.0 * noise(160, 5, seed=5000 + draw)
        rows = [
            torch.stack([u_center(gram(f)).reshape(-1) for f in part])
            for part in zip(x.split(16), y.split(16), strict=True)
        ]
        value, se = jackknife(np.array([(v @ v.T).numpy() for v in rows]))
        values.append(value[0, 1])
        errors.append(se[0, 1])
    assert np.mean(errors) == pytest.approx(np.std(values, ddof=1), rel=0.35)


@pytest.mark.parametrize("constant", [0.0, 3.0, 1e4, 1e6])
def test_constant_features_leave_nothing_in_a_gram_matrix(constant):
    """Oracle: the Gram matrix in float64 of the others alone, whichever of the two looks decides."""
    x = torch.randn(12, 40, generator=torch.Generator().manual_seed(0))
    whole = torch.cat([x, torch.full((12, 5), constant)], 1)
    others = x.double() - x.double().mean(0)
    torch.testing.assert_close(gram(whole).double(), others @ others.T, rtol=1e-5, atol=2e-5)
    assert not gram(torch.full((12, 5), constant)).any()
    assert gram(torch.empty(4, 0)).tolist() == [[0.0] * 4] * 4
