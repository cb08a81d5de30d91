"""Errors of answers in clusters: against plain formulas, copies, and the spread over data drawn anew."""

from __future__ import annotations

import numpy as np
import pytest

from landscape.core.behaviour.ood import auroc
from landscape.core.stats.clusters import (
    cluster_means,
    clustered_auroc,
    clustered_change_error,
    clustered_error,
    clustered_wilson,
)
from landscape.core.stats.hypothesis import wilson


def test_single_answers_have_the_plain_error():
    """Oracle: s/√n, DeLong's error and Wilson's interval: each answer is a cluster of its own."""
    rng = np.random.default_rng(0)
    values, own = rng.random(40), np.arange(40)
    assert clustered_error(values, own) == pytest.approx(values.std(ddof=1) / np.sqrt(40), rel=1e-13)
    before = rng.random(40)
    change = clustered_change_error(values, own, before, own)
    assert change == pytest.approx((values - before).std(ddof=1) / np.sqrt(40), rel=1e-13)
    inside = np.repeat([1.0, 0.0], 20)
    scores = np.round(rng.random(40) + 0.3 * inside, 1)  # with ties
    expected = auroc(scores[:20], scores[20:])
    assert clustered_auroc(scores, inside, 1.0 - inside, own) == pytest.approx(expected, rel=1e-12)
    right = (rng.random(40) < 0.7).astype(float)
    groups = np.repeat([0, 1], 20)
    low, high = clustered_wilson(right, own, groups, 3)
    for group in (0, 1):
        share = right[groups == group].mean()
        # n/(n − 1) in the error makes one answer less of twenty
        ends = wilson(np.array([share]), np.array([19.0]))
        np.testing.assert_allclose([low[group], high[group]], np.ravel(ends), rtol=1e-12)
    assert np.isnan(low[2])


def test_copies_say_nothing_new():
    """Oracle: the plain error of the answers without their copies."""
    rng = np.random.default_rng(1)
    values = rng.random(30)
    many, clusters = np.repeat(values, 7), np.repeat(np.arange(30), 7)
    assert clustered_error(many, clusters) == pytest.approx(values.std(ddof=1) / np.sqrt(30), rel=1e-12)
    np.testing.assert_allclose(cluster_means(many, clusters), values, rtol=1e-14)
    inside = np.repeat([1.0, 0.0], 15)
    scores = values + 0.2 * inside
    expected = auroc(scores[:15], scores[15:])
    found = clustered_auroc(np.repeat(scores, 7), np.repeat(inside, 7), np.repeat(1 - inside, 7), clusters)
    assert found == pytest.approx(expected, rel=1e-12)


def test_one_cluster_or_nan_has_no_error():
    """Oracle: one example says nothing of its spread; NaN stays."""
    one = np.zeros(5, dtype=np.int64)
    values = np.arange(5.0) / 5
    assert np.isnan(clustered_error(values, one))
    assert np.isnan(clustered_change_error(values, one, values, one))
    assert np.isnan(clustered_wilson(values, one, one, 1)).all()
    hole = np.where(np.arange(5) == 2, np.nan, values)
    assert np.isnan(clustered_error(hole, np.arange(5)))
    assert np.isnan(clustered_auroc(hole, values, 1 - values, np.arange(5))).all()
    value, error = clustered_auroc(values, (values > 0.3) * 1.0, (values <= 0.3) * 1.0, one)
    assert value == 1.0
    assert np.isnan(error)


def draw(rng, clusters=60):
    """Answers of clusters of different sizes that share most of their luck, and whether they are right."""
    sizes = rng.integers(1, 9, clusters)
    own = np.repeat(np.arange(clusters), sizes)
    scores = rng.normal(size=clusters)[own] + 0.3 * rng.normal(size=len(own))
    right = (scores + rng.normal(size=clusters)[own] > -0.5).astype(float)
    return own, scores, right


def test_errors_are_the_spread_over_data():
    """Oracle: the spread of the numbers over 600 sets drawn anew; plain errors would be half as large."""
    rng = np.random.default_rng(2)
    rows, plain, covered = [], [], []
    truth = np.mean(np.concatenate([draw(rng)[2] for _ in range(2000)]))
    for _ in range(600):
        own, scores, right = draw(rng)
        auc, auc_error = clustered_auroc(scores, right, 1.0 - right, own)
        rows.append([right.mean(), clustered_error(right, own), auc, auc_error])
        plain.append(right.std() / np.sqrt(len(right)))
        low, high = clustered_wilson(right, own, np.zeros(len(own), dtype=np.int64), 1)
        covered.append(low[0] <= truth <= high[0])
    mean, error, auc, auc_error = np.transpose(rows)
    assert error.mean() == pytest.approx(mean.std(), rel=0.1)
    assert auc_error.mean() == pytest.approx(auc.std(), rel=0.1)
    assert np.mean(plain) < 0.6 * mean.std()
    assert 0.92 <= np.mean(covered) <= 0.98


def test_weights_are_repetitions():
    """Oracle: the same answers written out as often as they weigh."""
    rng = np.random.default_rng(3)
    scores, own = np.round(rng.random(12), 1), np.repeat(np.arange(4), 3)
    inside, outside = rng.integers(0, 4, 12), rng.integers(1, 4, 12)
    value, _ = clustered_auroc(scores, inside.astype(float), outside.astype(float), own)
    assert value == pytest.approx(auroc(np.repeat(scores, inside), np.repeat(scores, outside))[0], rel=1e-12)
