import numpy as np
import pytest

from landscape.core.stats.r_hat import split_r_hat
from landscape.errors import InputError


def test_two_chains_by_hand():
    """Oracle: four halves of two draws, written out: variances 2, 2, 8, 8 and means 1, 3, 2, 6.

    W = 5, the variance of the means is 14/3, so R̂² = 1/2 + (14/3)/5.
    """
    chains = np.array([[0.0, 2.0, 2.0, 4.0], [0.0, 4.0, 4.0, 8.0]])
    assert split_r_hat(chains) == pytest.approx(np.sqrt(0.5 + 14 / 15), rel=1e-14)


def test_independent_draws_have_mixed_and_a_trend_has_not():
    """Oracle: independent draws are draws of one distribution; halves of a line have nothing in common.

    The middle draw of an odd number is left out, so that it may be anything.
    """
    rng = np.random.default_rng(0)
    draws = rng.standard_normal((4, 201, 3))
    draws[:, 100] = 1e9
    assert np.abs(split_r_hat(draws) - 1).max() < 0.02
    assert split_r_hat(np.arange(100.0)[None]) > 1.5


def test_what_does_not_vary_has_none():
    """Oracle: 0/0 is no number, and halves that stand at two places are infinitely far apart."""
    constant = np.ones((2, 8))
    assert np.isnan(split_r_hat(constant))
    assert np.isinf(split_r_hat(constant * [[1], [2]]))
    # a number whose multiples round, so that means of equal draws are not those draws
    assert np.isnan(split_r_hat(np.full((1, 50), 0.1)))
    assert np.isinf(split_r_hat(np.full((2, 50), 0.1) * [[1], [3]]))
    holes = np.ones((2, 8))
    holes[0, 0] = np.nan
    assert np.isnan(split_r_hat(holes))


def test_a_chain_is_long_enough_to_be_cut():
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=r"four draws or more; got draws of shape \(2, 3\)"):
        split_r_hat(np.zeros((2, 3)))
