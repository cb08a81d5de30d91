"""Weighted mixtures against plain ones."""

import pytest
import torch
from torch import nn

from landscape.core.behaviour.drawn import predict_draws
from landscape.core.behaviour.predictive import Draws, Mixture, Predictive
from landscape.core.behaviour.weighted_mixture import WeightedMixture
from landscape.core.problem.problem import Problem
from landscape.errors import InputError


def members(count=3):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return [nn.Linear(4, 3).double() for _ in range(count)]


def inputs():
    return torch.randn(7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


class Regression(Predictive):
    def __init__(self, shift):
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(shift, dtype=torch.float64))

    def draws(self, x, samples=None, *, seed=0):
        return Draws("regression", mean=(x + self.shift)[None], variance=x[None].exp())


def test_probabilities_are_averaged_by_weight():
    """Oracle: Σ π p by hand; the weights are divided by their sum."""
    parts, x = members(), inputs()
    found = WeightedMixture(parts, torch.tensor([1.0, 2.0, 1.0]))(x).exp()
    by_hand = sum(w * m(x).softmax(-1) for w, m in zip((0.25, 0.5, 0.25), parts, strict=True))
    torch.testing.assert_close(found, by_hand)


def test_a_component_of_weight_zero_is_not_there():
    """Oracle: the mixture without it."""
    parts, x = members(), inputs()
    weighted = WeightedMixture(parts, torch.tensor([1.0, 0.0, 1.0]))
    torch.testing.assert_close(weighted(x), Mixture([parts[0], parts[2]])(x))


def test_equal_weights_are_a_plain_mixture_in_all_that_is_measured():
    """Oracle: `Mixture`; whole shares of weights stand for repeated members."""
    parts, x = members(2), inputs()
    y = torch.tensor([0, 1, 2, 0, 1, 2, 0])

    def scores(module):
        return predict_draws(Problem(module, "cross_entropy", (x, y))).per_example()

    weighted = scores(WeightedMixture(parts, torch.tensor([2.0, 1.0])))
    repeated = scores(Mixture([parts[0], parts[0], parts[1]]))
    for name in ("nll", "entropy", "expected_entropy", "mutual_information", "variance"):
        assert weighted[name] == pytest.approx(repeated[name], abs=1e-12), name


def test_regressions_are_one_gaussian_of_the_weighted_moments():
    """Oracle: the law of total variance by hand."""
    x = inputs()
    mean, variance = (
        WeightedMixture([Regression(0.0), Regression(2.0)], torch.tensor([3.0, 1.0])).draws(x).mixture()
    )
    torch.testing.assert_close(mean, x + 0.5)
    torch.testing.assert_close(variance, x.exp() + 0.75 * 0.25 + 0.25 * 2.25)


def test_mixtures_of_weighted_mixtures_are_refused():
    """Their shares would be lost without a word."""
    inner = WeightedMixture(members(2), torch.tensor([2.0, 1.0]))
    with pytest.raises(InputError, match="mix its members instead"):
        Mixture([inner, inner])(inputs())


def test_weights_that_do_not_fit_are_refused():
    for weights in ([1.0], [1.0, -1.0, 1.0], [0.0, 0.0, 0.0]):
        with pytest.raises(InputError, match="mixture of 3"):
            WeightedMixture(members(), torch.tensor(weights))
    with pytest.raises(InputError, match="2 draws have as many weights"):
        Draws("classification", log_p=torch.zeros(2, 1, 1), weights=torch.ones(3))
