"""Scores of probabilities against hand-made cases, torch and closed forms."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from cases import CASES, generator, uneven, vectors

from landscape import Problem
from landscape.core.behaviour.calibration import (
    Bins,
    Predictions,
    adaptive_edges,
    bin_index,
    calibration_error,
    equal_edges,
    optimal_temperature,
    predict,
    resampled_scores,
)
from landscape.core.stats.hypothesis import wilson


def of_probabilities(p, labels):
    return Predictions(np.log(np.array(p, dtype=np.float64)), np.array(labels))


def calibrated(n=4000, classes=4, sharpness=2.0, seed=0):
    """Logits, and labels drawn from their softmax: calibrated by construction."""
    rng = np.random.default_rng(seed)
    logits = sharpness * rng.normal(size=(n, classes))
    p = np.exp(Predictions.of_logits(logits, np.zeros(n, int)).log_p)
    labels = (p.cumsum(1) < rng.random((n, 1))).sum(1)
    return logits, labels


def test_scores_by_hand():
    """Oracle: two examples worked out on paper."""
    made = of_probabilities([[0.8, 0.2], [0.4, 0.6]], [0, 0])
    np.testing.assert_allclose(made.nll, -np.log([0.8, 0.4]))
    np.testing.assert_allclose(made.brier, [0.04 + 0.04, 0.36 + 0.36])
    np.testing.assert_allclose(made.confidence, [0.8, 0.6])
    np.testing.assert_array_equal(made.correct, [1.0, 0.0])
    assert made.entropy[0] == pytest.approx(-(0.8 * np.log(0.8) + 0.2 * np.log(0.2)))
    # bins (0.53, 0.6] and (0.73, 0.8]: gaps 0.6 and 0.2, half of the examples each
    assert calibration_error(made, 15) == pytest.approx(0.5 * 0.6 + 0.5 * 0.2)


def test_nll_is_torch_cross_entropy():
    """Oracle: `torch.nn.functional.cross_entropy`."""
    logits = 5 * torch.randn(50, 7, generator=generator(0), dtype=torch.float64)
    labels = torch.arange(50) % 7
    made = Predictions.of_logits(logits.numpy(), labels.numpy())
    np.testing.assert_allclose(made.nll, F.cross_entropy(logits, labels, reduction="none"), rtol=1e-12)


def test_upper_edges_are_closed():
    edges = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    confidence = np.array([0.0, 0.25, 0.2500001, 0.5, 0.75, 1.0])
    np.testing.assert_array_equal(bin_index(confidence, edges), [0, 0, 1, 1, 2, 3])


def test_bins_are_those_of_a_loop():
    """Oracle: the definition, one bin at a time in plain Python."""
    rng = np.random.default_rng(1)
    confidence, correct = rng.random(300) ** 0.3, (rng.random(300) < 0.6).astype(float)
    edges = equal_edges(15)
    total = 0.0
    for low, high in pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += inside.sum() / 300 * abs(correct[inside].mean() - confidence[inside].mean())
    assert Bins.of(confidence, correct, bin_index(confidence, edges), 15).error == pytest.approx(total)


def test_adaptive_bins_hold_equally_many():
    confidence = np.random.default_rng(0).random(600) ** 0.1
    index = bin_index(confidence, adaptive_edges(confidence, 15))
    np.testing.assert_array_equal(np.bincount(index, minlength=15), np.full(15, 40))


def test_ties_share_a_bin():
    """Oracle: the order of the examples must not matter, so equal confidences cannot be parted."""
    confidence = np.repeat([0.5, 0.9], [30, 10])
    index = bin_index(confidence, adaptive_edges(confidence, 4))
    assert len(set(index[:30])) == 1
    assert index[0] != index[-1]


def test_calibrated_and_overconfident():
    """Oracle: labels drawn from the probabilities; an over-confident copy with logits times 3 has T = 3."""
    logits, labels = calibrated()
    good, sharp = Predictions.of_logits(logits, labels), Predictions.of_logits(3 * logits, labels)
    assert calibration_error(good) < 0.03
    assert calibration_error(sharp) > 0.1
    one = optimal_temperature(good)
    assert one == pytest.approx(1.0, abs=0.06)
    assert optimal_temperature(sharp) == pytest.approx(3 * one, rel=1e-9)


def test_temperature_is_the_least_nll():
    """Oracle: the NLL on a fine grid of temperatures."""
    logits, labels = calibrated(200, seed=4)
    made = Predictions.of_logits(2 * logits, labels)
    best = optimal_temperature(made)
    grid = [made.scaled(t).nll.mean() for t in np.geomspace(best / 2, best * 2, 201)]
    assert made.scaled(best).nll.mean() <= min(grid) + 1e-12


def test_temperature_without_end():
    assert optimal_temperature(of_probabilities([[0.8, 0.2], [0.3, 0.7]], [0, 1])) == 0.0
    assert optimal_temperature(of_probabilities([[0.8, 0.2], [0.3, 0.7]], [1, 0])) == np.inf
    assert np.isnan(optimal_temperature(Predictions.of_logits(np.array([[np.nan, 1.0]]), np.array([0]))))


def test_wilson_interval():
    """Oracle: the two ends solve (p̂ − p)² = z² p(1 − p)/n."""
    share, count = np.array([0.0, 0.3, 1.0]), np.array([10.0, 20.0, 5.0])
    for end in wilson(share, count):
        np.testing.assert_allclose((share - end) ** 2, 1.959964**2 * end * (1 - end) / count, atol=1e-12)


def test_bootstrap_error_is_that_of_the_mean():
    """Oracle: s/√n, the standard error of a mean."""
    logits, labels = calibrated(500)
    made = Predictions.of_logits(logits, labels)
    scores, gaps = resampled_scores(made, [equal_edges(15)], 400, 0)
    for name in ("nll", "brier", "entropy"):
        assert scores[name].std() == pytest.approx(getattr(made, name).std() / 500**0.5, rel=0.15)
    assert np.abs(gaps[0]).sum(1).mean() > calibration_error(made)  # resampling adds noise to every bin
    index = bin_index(made.confidence, equal_edges(15))
    part = Bins.of(made.confidence, made.correct, index, 15)
    assert np.abs(part.gaps).sum() == pytest.approx(part.error)
    np.testing.assert_allclose(gaps[0].mean(0), part.gaps, atol=4 * gaps[0].std() / 20)


def test_intervals_of_calibration_errors_where_all_answers_are_right():
    """Oracle: Wilson's interval of 20 right answers, down to 0.839: a gap of 0.05 may be one of 0.111.

    Resamples are all right too, so that they say nothing of it.
    """
    confidence, correct = np.full(20, 0.95), np.ones(20)
    part = Bins.of(confidence, correct, bin_index(confidence, equal_edges(15)), 15)
    draws = np.tile(part.gaps, (30, 1))
    least = float(wilson(np.array(1.0), np.array(20.0))[0])
    np.testing.assert_allclose(part.error_interval(draws, 20), [0.0, 0.95 - least], atol=1e-6)
    wrong = Bins.of(confidence, 1 - correct, bin_index(confidence, equal_edges(15)), 15)
    np.testing.assert_allclose(
        wrong.error_interval(np.tile(wrong.gaps, (30, 1)), 20), [0.95 - (1 - least), 0.95]
    )


def test_examples_are_weighed_not_batches():
    """Oracle: one batch of everything."""
    data = vectors(23)
    model = CASES["mlp"].model()
    whole = predict(Problem(model, "cross_entropy", data))
    parts = predict(Problem(model, "cross_entropy", uneven(data, [20, 3])))
    np.testing.assert_allclose(parts.nll.mean(), whole.nll.mean(), rtol=1e-13)
    assert parts.nll.mean() == pytest.approx(Problem(model, "cross_entropy", data).loss())


def test_infinite_logits_are_nan_without_a_warning():
    """Oracle: ∞ − ∞ is no number; warnings are errors here."""
    found = Predictions.of_logits(np.array([[np.inf, 0.0], [0.0, 1.0]]), np.array([0, 1]))
    assert np.isnan(found.nll[0]) and np.isnan(found.correct[0]) and found.correct[1] == 1.0


def test_a_model_that_always_predicts_the_uniform_distribution_has_no_use_for_a_temperature():
    """Oracle: log 3 whatever T: the temperature stays 1, and is not told to sharpen what has no peak."""
    predictions = Predictions.of_logits(np.full((5, 3), 7.0), np.array([0, 1, 2, 0, 1]))
    assert optimal_temperature(predictions) == 1.0
    np.testing.assert_allclose(predictions.scaled(0.1).nll, np.log(3), rtol=1e-12)
