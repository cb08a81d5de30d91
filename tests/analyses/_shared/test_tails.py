"""What is made of the fit of a tail."""

from __future__ import annotations

import numpy as np
import pytest

from landscape.analyses._shared.tails import tail_of, tail_variables, tail_verdict


def quantiles(count, alpha=2.5):
    return (1.0 - (np.arange(count) + 0.5) / count) ** (-1.0 / (alpha - 1.0))


def test_a_fit_has_all_its_fields():
    """Oracle: the declared names; quantiles of α = 2.5, whose rank exponent is 2/3."""
    found = tail_of(quantiles(500), 20, 0)
    assert set(found) == {v.name for v in (*tail_variables("x"), tail_verdict())}
    assert found["alpha"] == pytest.approx(2.5, abs=0.02)
    assert found["rank_exponent"] == pytest.approx(2 / 3, abs=0.01)
    assert found["tail"] == "power law"


def test_the_largest_values_alone_have_the_same_tail():
    """Oracle: order statistics above one of them are a sample of the law from there on."""
    top = tail_of(quantiles(4000)[-300:], 20, 0)
    assert top["alpha"] == pytest.approx(2.5, abs=0.03)
    assert top["alpha_start"] >= quantiles(4000)[-300]


def test_verdicts():
    """Oracle: the number of values, and the law that they are drawn from."""
    assert tail_of(quantiles(30), 20, 0)["tail"] == "few values"
    assert tail_of(quantiles(30), 0, 0)["tail"] == "none"
    assert tail_of([], 20, 0)["tail"] == "none"
    two = np.concatenate([np.full(200, 1.0), np.full(200, 1.5), np.full(200, 1.6)])
    assert tail_of(two, 20, 0)["tail"] == "rejected"
