"""Merge tree against the count of components at every level."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from landscape.core.surfaces.merge_tree import merge_tree


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 10**6), st.sampled_from([0, 1, 9]))
@settings(max_examples=40, deadline=None)
def test_as_many_basins_as_components_at_every_level(ny, nx, seed, decimals):
    """Oracle: scipy's labelling of each sublevel set with eight neighbours; ties and NaN included."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(ny, nx)).round(decimals)
    z[rng.random(z.shape) < 0.15] = rng.choice([np.nan, np.inf, -np.inf])
    tree = merge_tree(z)
    for level in np.unique(z[np.isfinite(z)]):
        below = np.isfinite(z) & (np.nan_to_num(z, nan=np.inf) <= level)
        components = ndimage.label(below, np.ones((3, 3)))[1]
        assert components == int(((tree.birth <= level) & (tree.saddle > level)).sum())
    assert (np.diff(tree.persistence[np.isfinite(tree.persistence)]) <= 0).all()


def test_two_wells_and_the_pass_between_them():
    """Oracle: z = (x² − 1)² + 0.1 x + y² on a grid that holds both minima and the pass at x ≈ 0."""
    x = np.linspace(-2, 2, 81)
    z = (x**2 - 1) ** 2 + 0.1 * x + x[:, None] ** 2
    tree = merge_tree(z)
    row, column = np.unravel_index(tree.minimum, z.shape)
    np.testing.assert_allclose(x[row], 0.0, atol=1e-12)
    np.testing.assert_allclose(x[column], [-1.0, 1.0], atol=0.051)
    assert tree.birth[0] < tree.birth[1]
    assert tree.saddle[0] == np.inf
    assert tree.saddle[1] == pytest.approx(((x**2 - 1) ** 2 + 0.1 * x)[(np.abs(x) < 0.9)].max())
    assert tree.into.tolist() == [-1, 0]


def test_a_diagonal_valley_is_one_basin():
    """Oracle: a trough along the diagonal, which four neighbours would cut into many minima."""
    n = 12
    z = np.ones((n, n))
    np.fill_diagonal(z, np.linspace(-1, 0, n))
    assert len(merge_tree(z).minimum) == 1


def test_nothing_finite_has_no_minimum():
    """Oracle: the empty filtration."""
    assert merge_tree(np.full((3, 3), np.nan)).minimum.size == 0
