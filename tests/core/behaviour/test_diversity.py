import math

import numpy as np
import pytest
import torch

from landscape.core.behaviour.diversity import (
    brier_ambiguity,
    expected_disagreement,
    kl_divergence,
    nll_ambiguity,
)


def predictions(members=4, n=50, classes=3, seed=0):
    z = torch.randn(members, n, classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (2 * z).log_softmax(-1).numpy(), np.arange(n) % classes


@pytest.mark.parametrize("ambiguity", [nll_ambiguity, brier_ambiguity])
def test_members_are_average_plus_gain(ambiguity):
    """Oracle: the identity: gains are computed without the scores that they are the difference of."""
    parts = ambiguity(*predictions())
    np.testing.assert_allclose(parts.members, parts.average + parts.gain, rtol=1e-12)
    assert (parts.gain > 0).all()


def test_scores_are_those_of_the_definitions():
    """Oracle: cross-entropy and squared gaps by torch, member by member."""
    log_p, y = predictions()
    p, labels = torch.from_numpy(log_p).exp(), torch.from_numpy(y)
    truth = torch.nn.functional.one_hot(labels, 3)
    nll, brier = nll_ambiguity(log_p, y), brier_ambiguity(log_p, y)
    by_hand = [torch.nn.functional.nll_loss(q.log(), labels).item() for q in (*p, p.mean(0))]
    assert nll.members.mean() == pytest.approx(np.mean(by_hand[:-1]))
    assert nll.average.mean() == pytest.approx(by_hand[-1])
    squares = [(q - truth).square().sum(1).mean().item() for q in (*p, p.mean(0))]
    assert brier.members.mean() == pytest.approx(np.mean(squares[:-1]))
    assert brier.average.mean() == pytest.approx(squares[-1])


def test_equal_members_gain_nothing():
    """Oracle: one member, several times."""
    log_p, y = predictions(1)
    for ambiguity in (nll_ambiguity, brier_ambiguity):
        np.testing.assert_allclose(ambiguity(np.repeat(log_p, 5, axis=0), y).gain, 0, atol=1e-15)


def test_two_opposite_members():
    """Oracle: by hand: p of the true class .9 and .1: NLL gain ln .5 − ½ ln .09, Brier gain 2 · .16."""
    log_p = np.log(np.array([[[0.9, 0.1]], [[0.1, 0.9]]]))
    assert nll_ambiguity(log_p, np.array([0])).gain == pytest.approx(math.log(0.5) - 0.5 * math.log(0.09))
    assert brier_ambiguity(log_p, np.array([0])).gain == pytest.approx(0.32)


def test_a_class_excluded_by_one_member():
    """Oracle: −ln 0: the members' mean and the gain are infinite, the average is not."""
    with np.errstate(divide="ignore"):
        log_p = np.log(np.array([[[0.0, 1.0]], [[0.5, 0.5]]]))
    parts = nll_ambiguity(log_p, np.array([0]))
    assert math.isinf(parts.members[0])
    assert math.isinf(parts.gain[0])
    assert parts.average[0] == pytest.approx(-math.log(0.25))


def test_independent_errors_disagree_as_expected():
    """Oracle: a million pairs of answers drawn independently, within four standard errors."""
    rng, n, classes = np.random.default_rng(0), 1_000_000, 5

    def answers(accuracy):
        return np.where(rng.random(n) < accuracy, 0, rng.integers(1, classes, n))

    share = (answers(0.8) != answers(0.6)).mean()
    assert abs(share - expected_disagreement(0.8, 0.6, classes)) < 4 * 0.5 / math.sqrt(n)


def test_divergence_is_torchs():
    """Oracle: `torch.nn.functional.kl_div`; a class that p excludes counts nothing, one that q does is ∞."""
    log_p, _ = predictions(2)
    want = torch.nn.functional.kl_div(*map(torch.from_numpy, log_p[::-1]), log_target=True, reduction="none")
    np.testing.assert_allclose(kl_divergence(log_p[0], log_p[1]), want.sum(1), rtol=1e-12)
    with np.errstate(divide="ignore"):
        sure, even = np.log(np.array([[1.0, 0.0]])), np.log(np.array([[0.5, 0.5]]))
    assert kl_divergence(sure, even) == pytest.approx(math.log(2))
    assert kl_divergence(sure, sure) == 0
    assert math.isinf(kl_divergence(even, sure)[0])
