"""Kendall's τ over cells, designs of settings, granulated τ and worst environments."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from landscape.core.stats.rank_association import associate, design_of, kendall


def test_tau_is_that_of_scipy_with_ties() -> None:
    """Oracle: scipy, which sorts and counts inversions where we look at each pair."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        x = rng.integers(0, 6, 25).astype(float)
        y = x + rng.integers(0, 9, 25)
        assert kendall(x, y)[0] == pytest.approx(stats.kendalltau(x, y).statistic)
    assert kendall([1, 2, np.inf], [1, 2, 3])[0] == 1.0
    assert all(math.isnan(v) for v in kendall([1, 2, np.nan], [1, 2, 3]))
    assert all(math.isnan(v) for v in kendall([1, 1, 1], [1, 2, 3]))


def test_the_jackknife_leaves_out_whole_cells() -> None:
    """Oracle: τ computed anew, by scipy, without each cell in turn."""
    rng = np.random.default_rng(1)
    cells = np.repeat(np.arange(5), 3)
    x = rng.normal(size=15) + cells
    y = rng.normal(size=15) + cells
    tau, low, high = kendall(x, y, cells)
    without = np.array([stats.kendalltau(x[cells != c], y[cells != c]).statistic for c in range(5)])
    reach = stats.t.ppf(0.975, 4) * math.sqrt(4 / 5 * np.square(without - without.mean()).sum())
    assert (low, high) == pytest.approx((max(tau - reach, -1), min(tau + reach, 1)))


def test_agreement_of_few_is_no_certainty() -> None:
    """Oracle: (τ̂ − τ)² = 2 t² (1 − τ²)/c at the lower end, by hand; two cells have no interval."""
    for n in (4, 10, 100):
        tau, low, high = kendall(np.arange(n), np.arange(n))
        squared = 2 * stats.t.ppf(0.975, n - 1) ** 2 / n
        assert (1 - low) ** 2 == pytest.approx(squared * (1 - low**2)) and (tau, high) == (1.0, 1.0)
    assert math.isnan(kendall([1, 2, 3, 4], [1, 2, 3, 4], np.array([0, 0, 1, 1]))[1])


@pytest.mark.parametrize(("n", "rho"), [(8, 0.5), (20, 0.0), (20, 0.9)])
def test_coverage(n: int, rho: float) -> None:
    """Oracle: τ = 2/π arcsin ρ of normal pairs; 0.95 less 4 errors."""
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(200):
        u = rng.normal(size=n)
        _, low, high = kendall(u, rho * u + math.sqrt(1 - rho**2) * rng.normal(size=n))
        hits += low <= 2 / math.pi * math.asin(rho) <= high
    assert hits / 200 > 0.95 - 4 * math.sqrt(0.05 * 0.95 / 200)


GRID = {"width": [1, 1, 2, 2], "rate": [1, 2, 1, 2]}


def test_a_measure_that_follows_one_axis_alone_has_psi_one_half() -> None:
    """Oracle: Jiang et al.: one along the width, 0 along the rate, where the measure does not change."""
    found = associate([0, 0, 1, 1], [0, 1, 2, 3], design_of(GRID))
    assert found.by_axis == {"width": 1.0, "rate": 0.0} and found.psi == 0.5
    assert (found.worst_error, found.worst) == (0.5, "rate: 1, 2")
    falling = associate([0, 0, -1, -1], [0, 1, 2, 3], design_of(GRID))
    assert falling.psi == -0.5 and falling.worst_error == 0.5


def test_a_whole_that_no_axis_bears_out() -> None:
    """Simpson's paradox. Oracle: by hand, τ = 4/6 over all, and one of two axes goes the other way."""
    found = associate([0, 1, 10, 11], [1, 0, 11, 10], design_of(GRID))
    assert found.tau == pytest.approx(2 / 6) and found.by_axis == {"width": 1.0, "rate": -1.0}
    assert found.psi == 0.0 and (found.worst_error, found.worst) == (1.0, "rate: 1, 2")


def test_psi_is_that_of_every_pair_in_a_larger_grid_with_seeds() -> None:
    """Oracle: all pairs of cell means by brute force, straight from the definition."""
    rng = np.random.default_rng(3)
    cells = list(itertools.product(range(3), range(2), range(2)))
    rows = [cell for cell in cells for _ in range(2)]
    x, y = rng.normal(size=24), rng.normal(size=24)
    settings = {name: [row[i] for row in rows] for i, name in enumerate("abc")}
    means = {cell: [v[[i for i, r in enumerate(rows) if r == cell]].mean() for v in (x, y)] for cell in cells}
    by_axis = []
    for axis in range(3):
        taus = []
        for rest in {tuple(v for i, v in enumerate(cell) if i != axis) for cell in cells}:
            members = [c for c in cells if tuple(v for i, v in enumerate(c) if i != axis) == rest]
            signs = [
                np.sign((means[p][0] - means[q][0]) * (means[p][1] - means[q][1]))
                for p, q in itertools.combinations(members, 2)
            ]
            taus.append(np.mean(signs))
        by_axis.append(np.mean(taus))
    found = associate(x, y, design_of(settings))
    assert list(found.by_axis.values()) == pytest.approx(by_axis) and found.psi == pytest.approx(
        np.mean(by_axis)
    )


@pytest.mark.parametrize(
    ("settings", "axes"),
    [
        ({"group": ["a-1", "a-1", "b-2", "b-2"], "width": [1, 1, 2, 2]}, ["group"]),  # one says the other
        ({"group": [*"abcd"], **GRID}, ["width", "rate"]),  # a name of its own for each cell
        ({"group": [*"aabb"], "same": [1, 1, 1, 1], "note": [*"wxyz"]}, ["group"]),
        ({"group": [*"abcd"]}, ["group"]),
        ({"group": [*"aaaa"]}, []),
    ],
)
def test_what_follows_from_other_settings_is_no_axis(settings: dict, axes: list[str]) -> None:
    """Oracle: by hand."""
    assert list(design_of(settings).axes) == axes


def test_models_not_measured_are_left_out_and_counted() -> None:
    """Oracle: the same without them; no seed of a cell measured: that cell is in no pair."""
    design = design_of({"width": [1, 1, 2, 2, 3, 3]})
    found = associate([1, 2, 3, 4, np.nan, np.nan], [1, 2, 3, 4, 5, 6], design)
    assert found.models == 4 and found.tau == 1.0 and found.psi == 1.0
    nothing = associate([np.nan] * 6, range(6), design)
    assert nothing.models == 0 and math.isnan(nothing.psi) and math.isnan(nothing.worst_error)
