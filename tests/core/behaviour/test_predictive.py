import math

import pytest
import torch
from torch import nn

from landscape.core.behaviour.predictive import Draws, Mixture, Point, Predictive, predictive_of
from landscape.core.problem.losses import gaussian_nll
from landscape.errors import InputError


class Heads(Predictive):
    """A regression predictive of given means and variances, (S, D) each, the same for every input."""

    def __init__(self, mean, variance):
        super().__init__()
        self.mean, self.variance = mean, variance

    def draws(self, x, samples=None, *, seed=0):
        count = len(self.mean) if samples is None else samples
        mean, variance = (t[:count, None].expand(-1, len(x), -1) for t in (self.mean, self.variance))
        return Draws("regression", mean=mean, variance=variance)


def classifiers(count):
    torch.manual_seed(0)
    return [nn.Linear(6, 3).double() for _ in range(count)]


X = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_mixture_of_classes_is_the_mean_probability():
    """Oracle: softmax, mean and logarithm in plain torch."""
    log_p = torch.randn(5, 4, 3, dtype=torch.float64).log_softmax(-1)
    draws = Draws("classification", log_p=log_p)
    assert draws.samples == 5
    torch.testing.assert_close(draws.mixture(), log_p.exp().mean(0).log())
    torch.testing.assert_close(draws.mixture().logsumexp(-1), torch.zeros(4, dtype=torch.float64))


def test_mixture_of_gaussians_obeys_the_law_of_total_variance():
    """Oracle: moments of a million draws of the mixture, within four standard errors; the law to 1e-12."""
    generator = torch.Generator().manual_seed(0)
    mean = torch.tensor([-1.0, 0.5, 3.0], dtype=torch.float64)
    variance = torch.tensor([0.25, 1.0, 4.0], dtype=torch.float64)
    draws = Draws("regression", mean=mean.view(3, 1, 1), variance=variance.view(3, 1, 1))
    assert draws.samples == 3
    m, v = (float(part) for part in draws.mixture())
    which = torch.randint(0, 3, (1_000_000,), generator=generator)
    sample = mean[which] + variance[which].sqrt() * torch.randn(
        1_000_000, dtype=torch.float64, generator=generator
    )
    assert abs(sample.mean().item() - m) < 4 * math.sqrt(v / 1e6)
    assert abs(sample.var().item() / v - 1) < 4 * math.sqrt(3 / 1e6)
    assert v == pytest.approx((variance + mean**2).mean().item() - m**2, abs=1e-12)


def test_the_variance_of_far_means_cancels_nothing():
    """Oracle: a variance of 1e-4 about equal means of 1e6, where E[m²] − E[m]² leaves nothing in float32."""
    draws = Draws("regression", mean=torch.full((4, 1, 1), 1e6), variance=torch.full((4, 1, 1), 1e-4))
    _, variance = draws.mixture()
    assert variance.item() == pytest.approx(1e-4, rel=1e-6)


def test_forward_is_the_mixture_of_the_draws():
    """Oracle: `mixture` itself, for both kinds; of a regression, the loss that reads it, written out."""
    members = classifiers(3)
    for module in (Point(members[0]), Mixture(members)):
        assert torch.equal(module(X), module.draws(X).mixture())
    heads = Heads(torch.tensor([[1.0, 2.0], [3.0, 2.0]]), torch.tensor([[0.5, 1.0], [0.5, 2.0]]))
    mean, variance = heads.draws(X).mixture()
    torch.testing.assert_close(heads(X)[:, :2], mean)
    y = torch.ones(4, 2)
    by_hand = 0.5 * (variance.log() + (y - mean) ** 2 / variance + math.log(2 * math.pi)).sum(1)
    torch.testing.assert_close(gaussian_nll(heads(X), y), by_hand)


def test_a_regression_is_read_as_its_loss_reads_it():
    """Oracle: softplus in plain torch; a mixture of two keeps both; an unknown kind is a sentence."""
    nets = [nn.Linear(6, 4).double() for _ in range(2)]
    draws = Mixture(nets, "regression").draws(X)
    outputs = torch.stack([net(X) for net in nets])
    torch.testing.assert_close(draws.mean, outputs[..., :2])
    torch.testing.assert_close(draws.variance, outputs[..., 2:].exp().log1p() + 1e-6)
    with pytest.raises(InputError, match="no predictive of kind 'regresion'"):
        Mixture(nets, "regresion")


def test_a_classifier_is_a_predictive_of_one_draw():
    """Oracle: log_softmax of the logits; a predictive is left as it is."""
    model = classifiers(1)[0]
    wrapped = predictive_of(model)
    assert isinstance(wrapped, Point)
    assert torch.equal(wrapped.draws(X, 7, seed=3).log_p, model(X).log_softmax(-1)[None])
    assert predictive_of(wrapped) is wrapped


def test_a_mixture_lines_up_the_draws_of_its_members():
    """Oracle: the members' own draws, one after the other; mixtures of mixtures are mixtures."""
    a, b, c, d = classifiers(4)
    nested = Mixture([Mixture([a, b]), Mixture([c, d])])
    flat = Mixture([Point(a), b, c, d])
    assert torch.equal(nested.draws(X).log_p, flat.draws(X).log_p)
    assert torch.equal(nested.draws(X).log_p[2], c(X).log_softmax(-1))
    heads = [Heads(torch.tensor([[1.0], [2.0]]), torch.tensor([[0.5], [0.6]])) for _ in range(2)]
    draws = Mixture(heads).draws(X)
    assert draws.mean[:, 0, 0].tolist() == [1.0, 2.0, 1.0, 2.0]
    assert Mixture(heads).draws(X, 1).samples == 2


def test_who_listens_hears_the_draws_of_each_pass():
    """Oracle: `draws` itself; afterwards a pass is as before, also after an error."""
    module = Mixture([Heads(torch.tensor([[1.0], [2.0]]), torch.tensor([[0.5], [0.6]]))])
    before = module(X)
    with module.heard(1, seed=3) as heard:
        assert not torch.equal(module(X), before)
        module(X[:1])
    assert [draws.mean.shape for draws in heard] == [(1, 4, 1), (1, 1, 1)]
    with pytest.raises(ZeroDivisionError), module.heard(1):
        1 / 0  # noqa: B018
    assert torch.equal(module(X), before)


def test_gradients_flow_through_a_mixture():
    """Oracle: autograd of the mean probability written out."""
    members = classifiers(2)
    x = X.clone().requires_grad_()
    (got,) = torch.autograd.grad(Mixture(members)(x)[:, 0].sum(), x)
    by_hand = torch.stack([m(x).softmax(-1) for m in members]).mean(0).log()[:, 0].sum()
    (want,) = torch.autograd.grad(by_hand, x)
    torch.testing.assert_close(got, want)


ONE = torch.zeros(2, 4, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Draws("classes", log_p=ONE), "no draws of kind 'classes'"),
        (lambda: Draws("classification"), "hold log_p alone, not nothing"),
        (lambda: Draws("classification", log_p=ONE, mean=ONE), "not log_p and mean"),
        (lambda: Draws("regression", mean=ONE), "hold mean and variance alone, not mean"),
        (lambda: Draws("regression", mean=ONE, variance=ONE[:1]), r"mean \(2, 4, 3\), variance \(1, 4, 3\)"),
        (lambda: Draws("classification", log_p=ONE[0]), r"got log_p \(4, 3\)"),
        (lambda: Draws("classification", log_p=ONE[:0]), "one sample or more"),
        (lambda: Mixture([]), "at least one member"),
        (lambda: Mixture([nn.Linear(6, 3), nn.Linear(6, 2)])(X.float()), "one size; these have 2 and 3"),
        (
            lambda: Mixture([nn.Linear(6, 3).double(), Heads(ONE[:, 0], ONE[:, 0])])(X),
            "1 of classification, 2 of regression",
        ),
        (
            lambda: Mixture([Point(classifiers(1)[0]), Mixture(classifiers(2))])(X),
            "1 of classification, 2 of classification",
        ),
    ],
)
def test_what_does_not_fit_is_named(make, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        make()
