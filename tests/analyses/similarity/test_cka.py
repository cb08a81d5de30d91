"""``cka``: blocks of its matrix, errors and pictures."""

from __future__ import annotations

import numpy as np
import pytest
from cases import CASES

import landscape
from landscape.core.similarity.zoo_pass import zoo_hsic
from landscape.errors import InputError


def test_block_of_two_models():
    """Oracle: the slice by names."""
    from landscape.analyses.similarity.cka import block

    problems = {n: CASES[c].problem() for n, c in (("a", "mlp"), ("b", "dropout"))}
    ds = landscape.cka(problems, batch_size=8)
    part = block(ds, "b", "a")
    assert part["cka"].dims == ("layer_a", "layer_b")
    assert list(part["layer_a"].values) == ["0", "1", "3"]
    np.testing.assert_array_equal(part["cka"].values, ds["cka"].values[3:, :3])
    assert float(ds["output_cka"].sel(model="a", other="a")) == pytest.approx(1.0)
    assert int(ds["matched_layers"].sel(model="a", other="b")) == 2
    with pytest.raises(InputError, match="no model 'c'"):
        block(ds, "c")


def test_matrices_are_those_of_the_pass_over_the_data():
    """Oracle: HSIC sums of `core`, normalised here; the mean over layers of one name taken by hand."""
    problems = {n: CASES["mlp"].problem() for n in ("a", "b")}
    ds = landscape.cka(problems, batch_size=8, estimator="biased")
    total = zoo_hsic(problems, batch_size=8, estimator="biased").blocks.sum(0)
    n = ds.sizes["unit_a"]
    expected = total / np.sqrt(np.outer(np.diagonal(total), np.diagonal(total)))
    np.testing.assert_allclose(ds["cka"], expected[:n, :n], rtol=1e-12)
    pairs = [(i, i + n // 2) for i in range(n // 2)]
    mean = np.mean([expected[pair] for pair in pairs])
    assert float(ds["matched_cka"].sel(model="a", other="b")) == pytest.approx(mean)
