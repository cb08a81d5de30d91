import math

import pytest
import torch
from torch import nn

from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.core.behaviour.mc_dropout import MCDropout
from landscape.core.behaviour.predictive import Draws, Mixture, Point, Predictive
from landscape.errors import InputError
from landscape.reference.uncertainty import TemperatureScaled, temperature_scaled
from landscape.reference.uncertainty.temperature import fit


def linear(seed=0, classes=3):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Linear(6, classes).double()


def inputs(count=8, seed=1):
    return torch.randn(count, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


class Scored(Predictive):
    """One draw with a score of its own."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def draws(self, x, samples=None, *, seed=0):
        return Draws("classification", log_p=self.model(x).log_softmax(-1)[None], score=x.sum(1))


class Regression(Predictive):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def draws(self, x, samples=None, *, seed=0):
        return Draws("regression", mean=x[None], variance=x[None].exp())


def test_logits_are_divided_by_the_temperature():
    """Oracle: softmax of the divided logits in plain torch; every draw of a mixture in its turn."""
    model, x = linear(), inputs()
    torch.testing.assert_close(TemperatureScaled(model, 2.0)(x), (model(x) / 2).log_softmax(-1))
    members = [linear(seed) for seed in range(3)]
    draws = TemperatureScaled(DeepEnsemble(members), 0.5).draws(x)
    by_hand = torch.stack([(m(x) * 2).log_softmax(-1) for m in members])
    torch.testing.assert_close(draws.log_p, by_hand)


def test_a_temperature_of_one_changes_nothing_and_scores_pass_through():
    """Oracle: the predictive within; its own score does not know temperatures."""
    model, x = linear(), inputs()
    torch.testing.assert_close(TemperatureScaled(model)(x), Point(model)(x))
    assert torch.equal(TemperatureScaled(Scored(model), 3.0).draws(x).score, x.sum(1))


def test_number_and_seed_of_draws_reach_the_model_within():
    """Oracle: the draws of the predictive within, at temperature one up to rounding."""
    net = nn.Sequential(nn.Dropout(0.5), linear()).eval()
    inner, x = MCDropout(net, samples=4), inputs()
    scaled = TemperatureScaled(inner, 1.0)
    torch.testing.assert_close(scaled.draws(x, 2, seed=5).log_p, inner.draws(x, 2, seed=5).log_p)


def test_fitted_temperature_is_that_of_labels_drawn_from_scaled_logits():
    """Oracle: labels drawn from softmax(z/2.5), whose best temperature is 2.5, within three errors.

    The error is 1/√(N I) with I the Fisher information of 1/T: the mean variance of the logits under p.
    """
    model, x = linear(), 3 * inputs(20_000)
    z = model(x).detach()
    p = (z / 2.5).softmax(-1)
    y = torch.multinomial(p, 1, generator=torch.Generator().manual_seed(0))[:, 0]
    information = float(((p * z**2).sum(1) - (p * z).sum(1) ** 2).mean())
    error = 2.5**2 / math.sqrt(len(x) * information)
    found = fit(model, (x, y))
    assert abs(float(found.temperature) - 2.5) < 3 * error
    assert isinstance(temperature_scaled([model], (x, y)).model, nn.Linear)


def test_the_temperature_of_a_mixture_is_the_best_on_a_fine_grid():
    """Oracle: the mixture's mean loss written out at 4,000 temperatures."""
    members = [linear(seed) for seed in range(3)]
    x = inputs(200)
    y = torch.arange(200) % 3
    y[:150] = Mixture(members)(x)[:150].argmax(1)
    found = temperature_scaled(members, (x, y))
    assert isinstance(found.model, Mixture)
    grid = torch.logspace(-2, 2, 4001, dtype=torch.float64)
    logits = torch.stack([m(x) for m in members]).detach()
    losses = [nn.functional.nll_loss((logits / t).softmax(-1).mean(0).log(), y).item() for t in grid]
    best = float(grid[int(torch.tensor(losses).argmin())])
    assert float(found.temperature) == pytest.approx(best, rel=2e-3)


def test_batches_of_the_fit_do_not_matter():
    """Oracle: all at once."""
    model, x = linear(), inputs(50)
    y = torch.arange(50) % 3
    one, other = (float(fit(model, (x, y), batch=batch).temperature) for batch in (7, 50))
    assert one == pytest.approx(other, rel=1e-6)


def test_a_model_that_is_always_right_gets_the_least_temperature():
    """Oracle: sharper is always better, and the limit stands for 0."""
    model, x = linear(), inputs(20)
    assert float(fit(model, (x, model(x).argmax(1))).temperature) == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TemperatureScaled(linear(), 0.0), "positive and finite; got 0.0"),
        (lambda: TemperatureScaled(linear(), math.inf), "positive and finite"),
        (lambda: TemperatureScaled(Regression())(inputs()), "this is a regression"),
        (lambda: fit(Regression(), (inputs(), torch.zeros(8).long())), "this is a regression"),
        (lambda: fit(linear(), (inputs(0), torch.zeros(0).long())), "there are none"),
    ],
)
def test_what_cannot_be_scaled_is_named(make, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        make()
