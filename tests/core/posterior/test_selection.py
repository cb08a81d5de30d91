"""Selections of weights by scores that are known."""

import pytest
import torch

from landscape.core.posterior.selection import choose, selection_scores
from landscape.core.posterior.sums import DiagonalSums
from landscape.errors import InputError

THETA = torch.tensor([0.1, -5.0, 2.0, 0.0])
SUMS = DiagonalSums(torch.tensor([4.0, 0.0, 1.0, 9.0]).double(), torch.tensor([8.0, 0.0, 3.0, 1.0]).double())


def chosen(select, size=2, seed=0):
    return choose(selection_scores(select, THETA, lambda: SUMS, 1.0, seed), size).tolist()


def test_scores_are_the_formulas():
    """Oracle: by hand, δ = 1: variances 1/5, 1, 1/2, 1/10; times reach 8/5, 0, 3/2, 1/10."""
    assert chosen("variance") == [1, 2]
    assert chosen("curvature") == [0, 3]
    assert chosen("predictive") == [0, 2]
    assert chosen("magnitude") == [1, 2]


def test_random_choices_follow_their_seed():
    assert chosen("random", seed=1) == chosen("random", seed=1)
    assert len({tuple(chosen("random", seed=s)) for s in range(20)}) > 1


def test_of_equal_scores_the_first_are_chosen():
    assert choose(torch.ones(5), 3).tolist() == [0, 1, 2]


def test_what_is_not_there_is_refused():
    with pytest.raises(InputError, match="no selection 'varience'; did you mean 'variance'"):
        chosen("varience")
    for size in (0, 5):
        with pytest.raises(InputError, match=f"1 to 4 weights of this model, not {size}"):
            chosen("variance", size=size)
