"""Barriers against loops in numpy, closed forms and simulated data of known truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from landscape.core.connectivity.barriers import (
    BARRIERS,
    Profile,
    barrier_errors,
    barriers,
    chord_gap,
    refined_points,
    within_ends,
)
from landscape.core.stats.intervals import reach
from landscape.errors import InputError

T = np.array([0.0, 0.1, 0.4, 0.5, 0.8, 1.0])


def profile(examples, offset=0.0, t=T):
    examples = np.asarray(examples, float)
    return Profile(np.asarray(t, float), np.asarray(t, float), examples, np.full(len(t), offset))


def by_hand(t, arc, E):
    """Every convention in a plain loop."""
    gaps = [E[i] - ((1 - t[i]) * E[0] + t[i] * E[-1]) for i in range(len(t))]
    mean = (E[0] + E[-1]) / 2
    area = sum((arc[i + 1] - arc[i]) * (E[i] + E[i + 1]) / 2 for i in range(len(t) - 1))
    inner = max(range(1, len(t) - 1), key=lambda i: abs(E[i] - mean))
    leaves = abs(E[inner] - mean) > abs(E[0] - mean)
    return {
        "barrier_chord": max(gaps),
        "barrier_mean": max(E) - mean,
        "barrier_max": max(E) - max(E[0], E[-1]),
        "saddle": max(E),
        "arc_mean": area / arc[-1],
        "mode_connectivity": mean - E[inner] if leaves else 0.0,
    }


@pytest.mark.parametrize("seed", range(5))
def test_every_convention_against_a_plain_loop(seed):
    """Oracle: the definitions, written as loops over plain numbers."""
    rng = np.random.default_rng(seed)
    E, arc = rng.normal(size=(4, 6)), np.concatenate([[0], np.cumsum(rng.random(5))])
    found = barriers(T, arc, E)
    assert set(found) == set(BARRIERS)
    for row in range(4):
        expected = by_hand(T, arc, E[row])
        for name, value in expected.items():
            assert found[name][row] == pytest.approx(value, rel=1e-12, abs=1e-14), name


def test_signs_of_mode_connectivity():
    """Oracle: Yang et al. (2021): a barrier is negative, ends that did not converge are positive."""
    t = [0.0, 0.5, 1.0]
    assert barriers(t, t, [1.0, 6.0, 1.0])["mode_connectivity"] == -5.0
    assert barriers(t, t, [30.0, 10.0, 30.0])["mode_connectivity"] == 20.0


@pytest.mark.parametrize("seed", range(20))
def test_ends_decide_nothing_of_mode_connectivity(seed):
    """Oracle: a convex function has no barrier; the published formula where the extreme lies inside.

    Both ends are equally far from their mean, so that the formula as published takes one of them by rounding.
    """
    rng = np.random.default_rng(seed)
    t = np.linspace(0.0, 1.0, 11)
    fall = rng.uniform(0.1, 9.0) + rng.uniform(0.5, 5.0) * (1.0 - t) ** 2
    for E in (fall, fall[::-1], fall.astype(np.float32)):
        assert within_ends(E)
        assert barriers(t, t, E)["mode_connectivity"] == 0.0
    beyond = fall + 9.0 * np.exp(-(((t - 0.5) / 0.2) ** 2))
    assert not within_ends(beyond)
    mean = (beyond[0] + beyond[-1]) / 2
    expected = mean - beyond[np.abs(beyond - mean).argmax()]
    assert barriers(t, t, beyond)["mode_connectivity"] == expected
    assert barriers(t, t, beyond[::-1])["mode_connectivity"] == expected


def test_rounding_does_not_leave_the_range_of_the_ends():
    """Oracle: one unit in the last place of float32, on a curve that is flat at its upper end."""
    t, up = [0.0, 0.1, 0.6, 1.0], float(np.nextafter(np.float32(2.0), np.float32(3.0)))
    E = [2.0, up, 1.5, 1.0]
    assert not within_ends(E)
    assert within_ends(E, np.finfo(np.float32).eps)
    assert barriers(t, t, E, eps=np.finfo(np.float32).eps)["mode_connectivity"] == 0.0


def test_values_that_are_not_finite_stay_visible():
    """Oracle: a maximum over NaN is not known; that over infinity is infinite."""
    assert np.isnan(barriers([0, 0.5, 1], [0, 0.5, 1], [1.0, np.nan, 1.0])["barrier_chord"])
    assert barriers([0, 0.5, 1], [0, 0.5, 1], [1.0, np.inf, 1.0])["saddle"] == np.inf


def test_a_path_that_does_not_move_counts_t():
    """Oracle: the mean of a constant is the constant."""
    assert barriers(T, np.zeros(6), np.full(6, 3.0))["arc_mean"] == pytest.approx(3.0)


def test_errors_are_paired_by_example():
    """Oracle: standard errors by loops over examples; a shift of each example's own level cancels."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(6, 40)) + 100 * rng.normal(size=40)
    p = profile(rows)
    for i, t in enumerate(T):
        gap = rows[i] - (1 - t) * rows[0] - t * rows[-1]
        assert p.gap_errors[i] == pytest.approx(gap.std(ddof=1) / np.sqrt(40), rel=1e-9, abs=1e-13)
        assert p.standard_errors[i] == pytest.approx(rows[i].std(ddof=1) / np.sqrt(40), rel=1e-12)
    assert p.gap_errors.max() < 1 < p.standard_errors.min()
    np.testing.assert_allclose(p.gap_errors[[0, -1]], 0, atol=1e-13)


def test_interval_of_the_saddle_of_a_clear_peak():
    """Oracle: where one t is always the largest, the saddle is a mean; its interval is mean ± 1.96 SE."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(6, 2000)) * 0.5
    rows[2] += 50
    found = barrier_errors(profile(rows, offset=2.0), resamples=4000)
    middle, se = rows[2].mean() + 2.0, rows[2].std(ddof=1) / np.sqrt(2000)
    assert found.low["saddle"] == pytest.approx(middle - 1.96 * se, abs=0.15 * se)
    assert found.high["saddle"] == pytest.approx(middle + 1.96 * se, abs=0.15 * se)
    assert found.p_value == pytest.approx(1 / 4001)


def test_the_test_keeps_its_level_and_finds_a_barrier():
    """Oracle: data without a barrier, made many times: at most about 5 % of p-values lie below 0.05."""
    rng = np.random.default_rng(2)
    t = np.linspace(0, 1, 21)
    below, found = [], []
    for _ in range(200):
        rows = rng.normal(size=(21, 60)) + 5 * rng.normal(size=60)
        below.append(barrier_errors(profile(rows, t=t), resamples=200).p_value < 0.05)
        rows[10] += 0.8
        found.append(barrier_errors(profile(rows, t=t), resamples=200).p_value < 0.05)
    assert np.mean(below) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)
    assert np.mean(found) > 0.9


def test_a_flat_path_has_no_barrier():
    """Oracle: equal losses at every t; rounding alone is no barrier."""
    rng = np.random.default_rng(3)
    level = rng.random(50)
    assert barrier_errors(profile(np.tile(level, (6, 1)))).p_value == 1.0
    noise = 1e-9 * rng.random((6, 50))
    noise[2] += 3e-9
    assert barrier_errors(profile(level + noise), eps=1e-7).p_value == 1.0
    assert barrier_errors(profile(level + noise)).p_value < 0.01


def test_what_cannot_be_had_is_nan():
    """Oracle: no examples, or one, or values that are not finite: no interval."""
    bare = Profile(T, T, None, np.arange(6.0))
    assert np.array_equal(bare.values, np.arange(6.0))
    broken = np.ones((6, 3))
    broken[1, 1] = np.nan
    for p in (bare, profile(np.ones((6, 1))), profile(broken)):
        found = barrier_errors(p)
        assert np.isnan([found.p_value, *found.low.values(), *found.high.values()]).all()


def test_same_seed_same_bits():
    """Oracle: a second call."""
    rows = np.random.default_rng(4).normal(size=(6, 30))
    assert barrier_errors(profile(rows), seed=3) == barrier_errors(profile(rows), seed=3)
    assert barrier_errors(profile(rows), seed=3) != barrier_errors(profile(rows), seed=4)


def test_refinement_closes_in_on_the_top():
    """Oracle: the maximum of a smooth gap, sin(πt)³ about t = 0.3, found to the step of the refinement."""
    t = np.linspace(0, 1, 11)

    def peak(at):
        return -((at - 0.337) ** 2)

    for _ in range(5):
        t = np.sort([*t, *refined_points(t, peak(t))])
    assert abs(t[chord_gap(t, peak(t)).argmax()] - 0.5) < 0.002  # the gap of a parabola is largest halfway
    assert len(t) == 21
    assert len(set(t)) == 21


def test_a_profile_runs_from_0_to_1():
    """Oracle: the sentence."""
    with pytest.raises(InputError, match="rising from 0 to 1"):
        Profile(np.array([0.0, 0.5]), T, None, T)


def test_answers_that_all_agree_have_intervals():
    """Oracle: Wilson's interval of none of n, by scipy; a share lies between 0 and 100 %; a loss has none."""
    n = 40
    right = np.zeros((6, n))
    found = Profile(T, T, right, np.zeros(6), wrong=100.0)
    high = 100 * binomtest(0, n).proportion_ci(method="wilson").high
    errors = barrier_errors(found, resamples=50)
    assert errors.low["saddle"] == errors.low["barrier_max"] == 0.0
    assert errors.high["saddle"] == pytest.approx(high, rel=1e-6)
    assert errors.high["barrier_chord"] == pytest.approx(high, rel=1e-6)
    assert errors.low["mode_connectivity"] == pytest.approx(-high, rel=1e-6)
    assert errors.p_value == 1.0
    np.testing.assert_allclose(reach(n) * found.standard_errors, high, rtol=1e-6)
    np.testing.assert_allclose(found.gap_errors, [0, *[100 / (n + 2)] * 4, 0])
    assert barrier_errors(Profile(T, T, 100 - right, np.zeros(6), wrong=100.0)).high["saddle"] == 100.0
    loss = Profile(T, T, right, np.zeros(6))
    assert barrier_errors(loss, resamples=50).high["saddle"] == 0.0
    assert (loss.standard_errors == 0).all()
