"""Other measures of similarity against scipy, NumPy on the features themselves, and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial
import scipy.stats
from cases import CASES

from landscape.core.similarity.measures import (
    Representation,
    agreement,
    jensen_shannon,
    mutual_neighbours,
    procrustes,
    procrustes_angle,
    pwcca,
    rsa,
    svcca,
    weight_distance,
)

MEASURES = {procrustes: 0.0, svcca: 1.0, rsa: 1.0, mutual_neighbours: 1.0}


def features(seed, n=40, p=6):
    x = np.random.default_rng(seed).normal(size=(n, p))
    return x - x.mean(0)


def related():
    x = features(0)
    y = x @ np.random.default_rng(1).normal(size=(6, 8)) + 0.5 * features(2, p=8)
    return x, y - y.mean(0)


def of(x, **options):
    return Representation.of(x, **options)


@pytest.mark.parametrize(("measure", "same"), MEASURES.items())
def test_rotated_and_scaled_is_the_same(measure, same):
    """Oracle: none of the measures sees a rotation or a scale; unrelated features are not the same."""
    x = features(0)
    rotation = scipy.stats.ortho_group.rvs(6, random_state=0)
    assert measure(of(x), of(3.0 * x @ rotation)) == pytest.approx(same, abs=1e-9)
    assert abs(measure(of(x), of(features(9))) - same) > 0.3


def test_procrustes_is_scipys():
    """Oracle: `scipy.linalg.orthogonal_procrustes` on the features, padded to one width."""
    x, y = (f / np.linalg.norm(f) for f in related())
    wide = np.pad(x, ((0, 0), (0, 2)))
    rotation, _ = scipy.linalg.orthogonal_procrustes(wide, y)
    oracle = np.linalg.norm(wide @ rotation - y) ** 2
    assert procrustes(of(x), of(y)) == pytest.approx(oracle, rel=1e-9)


def test_svcca_is_cca_by_qr():
    """Oracle: with all variance kept, the cosines of `scipy.linalg.subspace_angles`."""
    x, y = related()
    cosines = np.cos(scipy.linalg.subspace_angles(x, y))
    assert svcca(of(x, variance=1.0), of(y, variance=1.0)) == pytest.approx(cosines.mean(), rel=1e-6)


def test_pwcca_is_the_paper_s_by_qr():
    """Oracle: CCA by QR of both features in NumPy; variates of x, and their weights over its columns."""
    x, y = related()
    qx, qy = np.linalg.qr(x)[0], np.linalg.qr(y)[0]
    left, correlations, right = np.linalg.svd(qx.T @ qy, full_matrices=False)
    for one, two, variates in ((x, y, qx @ left), (y, x, qy @ right.T)):
        weights = np.array([sum(abs(h @ column) for column in one.T) for h in variates.T])
        oracle = (weights * correlations).sum() / weights.sum()
        assert pwcca(of(one, variance=1.0), of(two, variance=1.0)) == pytest.approx(oracle, rel=1e-6)


def test_pwcca_sees_no_scale_and_no_invertible_map_of_the_other():
    """Oracle: invariances of canonical correlation; the weights depend on the first side alone."""
    x, y = related()
    value = pwcca(of(x, variance=1.0), of(y, variance=1.0))
    mixed = y @ np.random.default_rng(3).normal(size=(8, 8))
    assert pwcca(of(5.0 * x, variance=1.0), of(mixed, variance=1.0)) == pytest.approx(value, rel=1e-5)
    assert pwcca(of(x, variance=1.0), of(x @ np.diag([1, 2, 3, 4, 5, 6.0]), variance=1.0)) == pytest.approx(
        1.0
    )


def test_pwcca_weighs_what_is_shared():
    """Oracle: a strong shared direction beside weak unshared ones: near 1, where the plain mean is low."""
    shared = features(0, n=400, p=1)
    x = np.concatenate([shared, 0.01 * features(1, n=400, p=5)], 1)
    y = np.concatenate([shared, features(2, n=400, p=5)], 1)
    a, b = of(x, variance=1.0), of(y, variance=1.0)
    assert pwcca(a, b) > 0.9 > 0.4 > svcca(a, b)


def test_rsa_is_scipys():
    """Oracle: `scipy.stats.spearmanr` of `scipy.spatial.distance.pdist`."""
    x, y = related()
    oracle = scipy.stats.spearmanr(*(scipy.spatial.distance.pdist(f) for f in (x, y))).statistic
    assert rsa(of(x), of(y)) == pytest.approx(oracle, abs=1e-9)


def test_neighbours_are_those_of_a_tree():
    """Oracle: `scipy.spatial.cKDTree`."""
    x, y = related()
    sets = [scipy.spatial.cKDTree(f).query(f, 6)[1][:, 1:] for f in (x, y)]
    oracle = np.mean([len(set(a) & set(b)) / 5 for a, b in zip(*sets, strict=True)])
    assert mutual_neighbours(of(x, k=5), of(y, k=5)) == pytest.approx(oracle)


def test_outputs():
    """Oracle: two certain and contrary answers are ln 2 apart; the same answers are 0 apart."""
    a, b = np.array([[50.0, 0.0], [0.0, 50.0]]), np.array([[50.0, 0.0], [50.0, 0.0]])
    assert agreement(a, b) == 0.5
    assert jensen_shannon(a, b) == pytest.approx(0.5 * np.log(2))
    assert jensen_shannon(a, a) == 0.0
    assert np.isnan(agreement(a, np.zeros((2, 3))))
    assert np.isnan(jensen_shannon(a, np.zeros((2, 3))))


def test_weight_distance():
    """Oracle: the norm of the difference of the flat vectors."""
    one, two = CASES["mlp"].problem(), CASES["mlp"].problem()
    with two.at(two.theta + 0.5):
        assert weight_distance(one, two) == pytest.approx(0.5 * one.size**0.5)
    assert np.isnan(weight_distance(one, CASES["attention"].problem()))


@pytest.mark.parametrize("value", [0.0, 3.0, np.nan, np.inf])
@pytest.mark.parametrize("measure", [*MEASURES, pwcca])
def test_a_layer_without_finite_variation_is_like_nothing(measure, value):
    """Oracle: there is nothing to compare: NaN both ways, without a warning or an error, even with itself."""
    dead = np.full((40, 5), value)
    if np.isfinite(value):
        dead -= dead.mean(0)
    for pair in ((dead, features(0)), (features(0), dead), (dead, dead)):
        assert np.isnan(measure(*(of(x) for x in pair)))


def test_predictions_that_are_no_numbers_agree_with_nothing():
    """Oracle: NaN stays NaN, though argmax would take the first class; infinite logits have no softmax."""
    a, b = np.zeros((4, 3)), np.zeros((4, 3))
    b[2] = np.nan
    assert np.isnan(agreement(a, b)) and np.isnan(agreement(b, a)) and np.isnan(jensen_shannon(a, b))
    b[2] = np.inf
    assert np.isnan(jensen_shannon(a, b))


def test_angles_are_a_metric_where_squares_are_not():
    """Oracle: features of one direction each, at 0°, 40° and 80°: angles add up, squares do not.

    ‖AᵀB‖_* of features of rank one is the modulus of the cosine between their directions.
    """
    basis = np.linalg.qr(features(0, p=2))[0]  # columns are orthonormal, and centred as the features are
    layers = [of(np.outer(basis @ [np.cos(t), np.sin(t)], [1.0, 2.0])) for t in np.radians([0, 40, 80])]
    a, b, c = layers
    degrees = [np.degrees(procrustes_angle(*pair)) for pair in ((a, b), (b, c), (a, c))]
    np.testing.assert_allclose(degrees, [40, 40, 80], atol=1e-6)
    squares = [procrustes(*pair) for pair in ((a, b), (b, c), (a, c))]
    np.testing.assert_allclose(squares, 2 - 2 * np.cos(np.radians([40, 40, 80])), atol=1e-12)
    assert squares[2] > squares[0] + squares[1]
