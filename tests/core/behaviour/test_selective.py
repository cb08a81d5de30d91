"""Selective prediction against closed forms, brute force over orders, and AUROC."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from landscape.core.behaviour.ood import auroc
from landscape.core.behaviour.selective import Ranking, error_auroc, window_spearman


def brute(uncertainty, correct):
    """Mean over all orders of tied examples of each quantity, with cumulative sums in plain NumPy."""
    n = len(correct)
    found = []
    for order in itertools.permutations(range(n)):
        if all(uncertainty[a] <= uncertainty[b] for a, b in itertools.pairwise(order)):
            errors = np.cumsum(1 - correct[list(order)])
            ideal = np.cumsum(np.sort(1 - correct))
            i = np.arange(1, n + 1)
            lift = ((1 - errors / i) / correct.mean() - 1).mean()
            best = ((1 - ideal / i) / correct.mean() - 1).mean()
            found.append(((errors / i).mean(), lift / best, errors))
    aurc, raulc, errors = zip(*found, strict=True)
    return np.mean(aurc), np.mean(raulc), np.mean(errors, axis=0)


@pytest.mark.parametrize("seed", range(5))
def test_ties_count_as_the_mean_over_their_orders(seed):
    """Oracle: every order of seven examples that the ties allow, written out as the paper has it."""
    rng = np.random.default_rng(seed)
    uncertainty, correct = rng.integers(0, 3, 7).astype(float), np.array([1, 0, 1, 1, 0, 1, 0.0])
    ranking = Ranking.of(uncertainty, correct)
    aurc, raulc, errors = brute(uncertainty, correct)
    assert ranking.aurc == pytest.approx(aurc, abs=1e-12)
    assert ranking.raulc == pytest.approx(raulc, abs=1e-12)
    np.testing.assert_allclose(ranking.errors[1:], errors, atol=1e-12)


def test_the_ideal_order_has_its_closed_form():
    """Oracle: AURC → r + (1 − r) ln(1 − r) for error rate r and many examples (Geifman et al. 2019)."""
    n, rate = 200_000, 0.3
    correct = (np.arange(n) < (1 - rate) * n).astype(float)
    ranking = Ranking.of(np.arange(n, dtype=float), correct)
    assert ranking.aurc == pytest.approx(rate + (1 - rate) * math.log(1 - rate), abs=1e-5)
    assert ranking.raulc == 1.0
    assert ranking.excess_aurc == 0.0
    assert Ranking.of(-np.arange(n, dtype=float), correct).raulc < 0


def test_confidences_on_a_grid_have_their_closed_form():
    """Oracle: of n examples exactly the i-th most uncertain share of errors: E_i = i²/(2n) gives AURC 1/4."""
    n = 100_000
    rng = np.random.default_rng(0)
    u = (np.arange(n) + 0.5) / n
    correct = (rng.random(n) >= u).astype(float)  # calibrated: an example of uncertainty u errs with rate u
    ranking = Ranking.of(u, correct)
    assert ranking.aurc == pytest.approx(0.25, abs=4 * 0.5 / math.sqrt(n))
    np.testing.assert_allclose(ranking.risk(np.array([0.5, 1.0])), [0.25, 0.5], atol=0.01)


def test_an_order_by_chance_tells_nothing():
    """Oracle: the mean over 2,000 shuffles is the error rate and rAULC 0, within four standard errors."""
    rng = np.random.default_rng(0)
    correct = (np.arange(60) >= 15).astype(float)
    rankings = [Ranking.of(rng.permutation(60).astype(float), correct) for _ in range(2000)]
    for values, want in (([r.aurc for r in rankings], 0.25), ([r.raulc for r in rankings], 0.0)):
        assert abs(np.mean(values) - want) < 4 * np.std(values) / math.sqrt(2000)
    level = Ranking.of(np.zeros(60), correct)
    assert level.aurc == pytest.approx(0.25, abs=1e-12)
    assert level.raulc == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("levels", [3, 10_000])
def test_augrc_is_that_of_the_auroc(levels):
    """Oracle: ½ r² + (1 − AUROC) r (1 − r) (Traub et al. 2024), with AUROC by pairs counted one by one."""
    rng = np.random.default_rng(1)
    u, correct = rng.integers(0, levels, 300).astype(float), (rng.random(300) < 0.7).astype(float)
    wrong, right = u[correct == 0][:, None], u[correct == 1][None, :]
    area = ((wrong > right) + 0.5 * (wrong == right)).mean()
    rate = 1 - correct.mean()
    assert Ranking.of(u, correct).augrc == pytest.approx(rate**2 / 2 + (1 - area) * rate * (1 - rate))
    assert error_auroc(u, correct)[0] == pytest.approx(area)
    assert error_auroc(u, correct) == auroc(-u[correct == 1], -u[correct == 0])


def test_risk_at_full_coverage_is_the_error_rate():
    """Oracle: by hand: of five examples the third most certain is wrong."""
    ranking = Ranking.of(np.arange(5.0), np.array([1, 1, 0, 1, 1.0]))
    np.testing.assert_allclose(ranking.risk(np.array([0.2, 0.4, 0.6, 1.0])), [0, 0, 1 / 3, 1 / 5])


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_without_both_answers_no_order_is_better(right):
    """Oracle: 0/0 in the definition."""
    correct = np.full(4, right)
    ranking = Ranking.of(np.arange(4.0), correct)
    assert math.isnan(ranking.raulc)
    assert ranking.aurc == pytest.approx(1 - right)
    assert all(map(math.isnan, error_auroc(np.arange(4.0), correct)))


def test_nan_stays_nan():
    """Oracle: by inspection."""
    for u, c in (([np.nan, 1.0], [1.0, 0.0]), ([0.0, 1.0], [np.nan, 0.0])):
        ranking = Ranking.of(np.array(u), np.array(c))
        assert all(math.isnan(v) for v in (ranking.aurc, ranking.raulc, ranking.augrc, ranking.excess_aurc))
        assert np.isnan(ranking.risk(np.array([0.5]))).all()
        assert math.isnan(error_auroc(np.array(u), np.array(c))[0])


def test_windows_follow_an_accuracy_that_falls_at_each_step():
    """Oracle: a probability of being right that falls with the doubt: -1; that rises: 1, for any windows."""
    doubt = np.random.default_rng(0).permutation(500).astype(float)
    for correct, want in ((1 - doubt / 500, -1.0), (doubt / 500, 1.0)):
        for size, count in ((100, 1000), (100, 7), (3, 40)):
            assert window_spearman(doubt, correct, size, count) == pytest.approx(want, abs=1e-12)


def test_windows_are_those_written_out():
    """Oracle: each window by slices and SciPy's Spearman; scores and answers by chance."""
    rng = np.random.default_rng(1)
    doubt, correct = rng.random(300), (rng.random(300) < 0.6).astype(float)
    order = np.argsort(doubt)
    rows = [(correct[order[i : i + 20]].mean(), doubt[order[i : i + 20]].mean()) for i in range(281)]
    accuracy, level = zip(*rows, strict=True)
    want = spearmanr(np.round(accuracy, 12), level).statistic
    assert window_spearman(doubt, correct, 20) == pytest.approx(want, abs=1e-12)
    # ten windows are every 31st and its like, their ends included
    chosen = np.linspace(0, 280, 10).round().astype(int)
    want = spearmanr(np.round(accuracy, 12)[chosen], np.array(level)[chosen]).statistic
    assert window_spearman(doubt, correct, 20, 10) == pytest.approx(want, abs=1e-12)


def test_examples_that_tie_have_one_accuracy():
    """Oracle: two levels of doubt, right with 3/4 and 1/4: the accuracy of a window is linear in its mix."""
    doubt = np.repeat([0.0, 1.0], 200)
    correct = np.concatenate([np.arange(200) % 4 > 0, np.arange(200) % 4 == 0]).astype(float)
    assert window_spearman(doubt, correct) == pytest.approx(-1.0, abs=1e-12)


def test_windows_of_nothing_are_nan():
    """Oracle: the definition: one window, equal windows, a hole."""
    doubt = np.arange(200.0)
    assert math.isnan(window_spearman(doubt[:100], doubt[:100] % 2))
    assert math.isnan(window_spearman(doubt, np.ones(200)))
    assert math.isnan(window_spearman(np.zeros(200), doubt % 3 == 0))
    assert math.isnan(window_spearman(np.where(doubt == 7, np.nan, doubt), doubt % 2))
