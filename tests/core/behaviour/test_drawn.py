"""What draws say of predictions, against closed forms and against the draws themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from landscape.core.behaviour.calibration import calibration_error, predict
from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.core.behaviour.drawn import MEASURES, predict_draws, predict_other_draws
from landscape.core.behaviour.mc_dropout import MCDropout
from landscape.core.behaviour.predictive import Draws, Predictive
from landscape.core.problem.problem import Problem
from landscape.errors import InputError


class Given(Predictive):
    """Draws (S, N, C) given as log probabilities, whatever the input; examples are told by the input."""

    def __init__(self, log_p, score=None):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.log_p, self.score = log_p, score

    def draws(self, x, samples=None, *, seed=0):
        rows = x[:, 0].long()
        score = None if self.score is None else self.score[rows]
        return Draws("classification", log_p=self.log_p[:samples, rows] + 0 * self.weight, score=score)


def problem_of(model, count=8, classes=3, batch_size=3, **keywords):
    x = torch.stack([torch.arange(float(count)), torch.ones(count)], 1)
    return Problem(
        model, "cross_entropy", (x, torch.arange(count) % classes), batch_size=batch_size, **keywords
    )


def log_probabilities(draws=4, count=8, classes=3):
    z = torch.randn(draws, count, classes, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return z.log_softmax(-1)


def test_scores_are_those_of_the_draws():
    """Oracle: entropies, variance and pairs of draws written out in NumPy, example by example."""
    log_p = log_probabilities()
    found = predict_draws(problem_of(Given(log_p)))
    p = log_p.exp().numpy()
    mean = p.mean(0)
    entropy = -(mean * np.log(mean)).sum(1)
    aleatoric = -(p * np.log(p)).sum(2).mean(0)
    top = p.argmax(2)
    pairs = [(top[a] != top[b]) for a in range(4) for b in range(a)]
    np.testing.assert_allclose(found.mixture.entropy, entropy, rtol=1e-6)
    np.testing.assert_allclose(found.expected_entropy, aleatoric, rtol=1e-6)
    np.testing.assert_allclose(found.mutual_information, entropy - aleatoric, atol=1e-6)
    np.testing.assert_allclose(found.variance, p.var(0).mean(1), rtol=1e-5)
    np.testing.assert_allclose(found.disagreement, np.mean(pairs, axis=0), atol=1e-12)
    assert found.draws == 4
    assert found.score is None
    assert np.isnan(found.uncertainty("score")).all()


def test_equal_draws_hold_no_epistemic_uncertainty():
    """Oracle: draws that are all one: mutual information and disagreement are 0, not rounding."""
    found = predict_draws(problem_of(Given(log_probabilities(1).expand(7, -1, -1))))
    assert not found.mutual_information.any()
    assert not found.disagreement.any()
    np.testing.assert_allclose(found.variance, 0, atol=1e-30)


def test_opposite_certainties_are_epistemic_alone():
    """Oracle: two opposite one-hot draws: mutual information ln 2, expected entropy 0, disagreement 1."""
    one = torch.full((8, 2), -torch.inf, dtype=torch.float64)
    one[:, 0] = 0.0
    found = predict_draws(problem_of(Given(torch.stack([one, one.flip(1)])), classes=2))
    np.testing.assert_allclose(found.mutual_information, math.log(2), rtol=1e-12)
    assert not found.expected_entropy.any()
    assert (found.disagreement == 1).all()
    np.testing.assert_allclose(found.variance, 0.25)


def test_a_plain_classifier_is_one_draw():
    """Oracle: `predict`; also where outputs are probabilities, which are not softmaxed again."""
    torch.manual_seed(0)
    for model in (nn.Linear(2, 3), nn.Sequential(nn.Linear(2, 3), nn.Softmax(-1))):
        problem = problem_of(model)
        found, want = predict_draws(problem), predict(problem)
        np.testing.assert_allclose(found.mixture.log_p, want.log_p, rtol=1e-12)
        np.testing.assert_allclose(found.expected_entropy, want.entropy, rtol=1e-12)
        assert not found.mutual_information.any()
        assert found.draws == 1


def test_the_mixture_is_what_other_analyses_see():
    """Oracle: `predict` of the same predictive, which knows no draws, up to float32."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 9), nn.ReLU(), nn.Dropout(0.5), nn.Linear(9, 3))
    for model in (MCDropout(net, samples=4, seed=3), DeepEnsemble([nn.Linear(2, 3) for _ in range(3)])):
        problem = problem_of(model)
        np.testing.assert_allclose(predict_draws(problem).mixture.log_p, predict(problem).log_p, atol=1e-6)


def test_cuts_into_batches_do_not_matter():
    """Oracle: all examples in one batch, with random masks, up to the rounding of matrix products."""
    torch.manual_seed(0)
    model = MCDropout(nn.Sequential(nn.Linear(2, 9), nn.Dropout(0.5), nn.Linear(9, 3)).double(), samples=5)
    found = []
    for size in (1, 3, 8):
        x = torch.randn(8, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        problem = Problem(model, "cross_entropy", (x, torch.arange(8) % 3), batch_size=size)
        found.append(predict_draws(problem, samples=6, seed=2))
    for other in found[:2]:
        np.testing.assert_allclose(other.mutual_information, found[2].mutual_information, atol=1e-12)
        np.testing.assert_array_equal(other.disagreement, found[2].disagreement)


def test_number_and_seed_of_draws_are_as_asked():
    """Oracle: the module's own draws."""
    module = Given(log_probabilities(), score=torch.arange(8.0))
    found = predict_draws(problem_of(module), samples=2)
    assert found.draws == 2
    np.testing.assert_array_equal(found.score, np.arange(8.0))
    np.testing.assert_array_equal(found.uncertainty("score"), np.arange(8.0))
    want = module.log_p[:2].exp().mean(0).log().detach()
    np.testing.assert_allclose(found.mixture.log_p, want, rtol=1e-6)


def test_examples_whose_label_does_not_count_are_left_out():
    """Oracle: the numbers of the others, and their scores."""
    module = Given(log_probabilities(), score=torch.arange(8.0))
    x = torch.stack([torch.arange(8.0), torch.ones(8)], 1)
    labels = torch.tensor([0, -1, 2, 0, 1, -1, 0, 1])

    def loss(output, target):
        return nn.functional.nll_loss(output, target.clamp(min=0), reduction="none")

    found = predict_draws(Problem(module, loss, (x, labels), batch_size=3))
    kept = [0, 2, 3, 4, 6, 7]
    assert found.mixture.numbers.tolist() == kept
    assert found.score.tolist() == kept
    assert len(found.expected_entropy) == len(found.variance) == len(found.disagreement) == 6


def test_other_data_have_no_labels():
    """Oracle: the same examples given as other data."""
    module = Given(log_probabilities(), score=torch.arange(8.0))
    problem = problem_of(module)
    own = predict_draws(problem)
    other = predict_other_draws(problem, problem.batches[0].inputs)
    np.testing.assert_array_equal(other.score, own.score[:3])
    np.testing.assert_array_equal(other.mutual_information, own.mutual_information[:3])
    assert [len(other.uncertainty(by)) for by in MEASURES] == [3] * 4


def test_calibrated_labels_have_the_calibration_error_of_chance():
    """Oracle: labels drawn from p. E[ece] = Σ_b √(p(1 − p) n_b/N² · 2/π), and the mean NLL is the entropy."""
    rng, n = np.random.default_rng(0), 20_000
    top = rng.choice([0.55, 0.7, 0.85], n)
    p = torch.from_numpy(np.stack([top, 1 - top], 1))
    errors, gaps = [], []
    for _ in range(40):
        y = torch.from_numpy((rng.random(n) >= top).astype(int))
        x = torch.stack([torch.arange(float(n)), torch.ones(n)], 1)
        found = predict_draws(Problem(Given(p.log()[None]), "cross_entropy", (x, y), batch_size=n))
        errors.append(calibration_error(found.mixture))
        gaps.append(found.mixture.nll.mean() - found.mixture.entropy.mean())
    counts = [(top == v).sum() for v in (0.55, 0.7, 0.85)]
    pairs = zip((0.55, 0.7, 0.85), counts, strict=True)
    want = sum(math.sqrt(v * (1 - v) * c * 2 / math.pi) for v, c in pairs) / n
    assert abs(np.mean(errors) - want) < 4 * np.std(errors) / math.sqrt(40)
    assert abs(np.mean(gaps)) < 4 * np.std(gaps) / math.sqrt(40)


def test_order_by_confidence_of_two_classes_does_not_know_temperatures():
    """Oracle: dividing logits by any T keeps the order of confidences of two classes, also near certainty."""
    z = 30 * torch.randn(1, 8, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    orders = []
    for temperature in (0.3, 1.0, 4.0):
        log_p = (z / temperature).log_softmax(-1)
        found = predict_draws(problem_of(Given(log_p), classes=2))
        assert len(np.unique(found.uncertainty("confidence"))) == 8  # where confidences round to 1
        orders.append(found.uncertainty("confidence").argsort().tolist())
    assert orders[0] == orders[1] == orders[2]


class Regression(Given):
    def draws(self, x, samples=None, *, seed=0):
        return Draws("regression", mean=x[None] + self.weight, variance=x[None].exp())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: predict_draws(problem_of(Regression(None))), "this predictive is a regression"),
        (
            lambda: predict_draws(
                problem_of(Given(log_probabilities()), forward=lambda m, b: m(b[0]) + 0 * m(b[0]))
            ),
            "calls the predictive 2 times",
        ),
        (
            lambda: predict_draws(problem_of(Given(log_probabilities()))).uncertainty("entropi"),
            "no uncertainty 'entropi'; did you mean 'entropy'",
        ),
        (
            lambda: predict_draws(Problem(nn.Linear(2, 1), "mse", (torch.ones(3, 2), torch.ones(3, 1)))),
            "no such",
        ),
    ],
)
def test_what_cannot_be_scored_is_named(make, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        make()
