"""Errors by subsamples: against the measures themselves, a closed form, and the spread of real draws."""

from __future__ import annotations

import numpy as np
import pytest

from landscape.core.similarity import measures
from landscape.core.similarity.measures import Representation
from landscape.core.similarity.subsampling import BETWEEN, KeptLayer, between, subsample_errors


def features(n, width, seed):
    x = np.random.default_rng(seed).standard_normal((n, width))
    return x - x.mean(0)


def test_a_part_of_the_gram_matrix_is_the_part_of_the_examples():
    """Oracle: the features of these examples alone, centred on them; and each measure by its own function."""
    x, y = features(20, 6, 0), features(20, 9, 1)
    rows = np.arange(1, 20, 2)
    kept = [KeptLayer.of(f, 0.9, 4) for f in (x, y)]
    parts = [layer.on(rows, 0.9, 3) for layer in kept]
    plain = [Representation.of(f[rows] - f[rows].mean(0), 0.9, 3) for f in (x, y)]
    for name, both in between(*parts).items():
        function = getattr(measures, name)
        expected = function(*plain), function(*plain[::-1])
        np.testing.assert_allclose(both, expected, rtol=1e-6, atol=1e-9)
    assert set(between(*parts)) == set(BETWEEN)


def test_the_error_of_a_mean_is_its_closed_form():
    """Oracle: s/√n. Of a mean over examples the delete-d jackknife is unbiased for s²/n (Shao & Wu 1989)."""
    n, z = 60, np.random.default_rng(2).standard_normal(60)
    x = np.hstack([z[:, None], features(n, 3, 3)])
    layers = [KeptLayer.of(f, 0.99, 5) for f in (x - x.mean(0), features(n, 2, 4))]
    generator = np.random.default_rng(11)  # the draws of seed 11, as documented: sorted permutations
    rows = [np.sort(generator.permutation(n)[:48]) for _ in range(400)]
    taken = iter(rows)
    errors = subsample_errors(
        layers, draws=400, variance=0.99, k=5, seed=11, derived=lambda _: {"mean": z[next(taken)].mean()}
    )
    assert float(errors["mean"]) == pytest.approx(z.std(ddof=1) / n**0.5, rel=0.1)


def test_a_layer_has_no_error_against_itself_and_none_without_draws():
    """Oracle: by hand; a layer that is the same for all examples has no measure and no error."""
    x = features(12, 3, 5)
    layers = [KeptLayer.of(x), KeptLayer.of(2.0 * x), KeptLayer.of(0.0 * x)]
    errors = subsample_errors(layers, draws=5, variance=0.99, k=3, seed=0)
    for name in BETWEEN:
        assert errors[name][0, 0] == 0.0
        assert errors[name][0, 1] == pytest.approx(0.0, abs=1e-6)  # a scale is seen by none
        assert np.isnan(errors[name][2]).all()
    assert subsample_errors(layers, draws=1, variance=0.99, k=3, seed=0) == {}
