"""How outputs are read beside their targets: axis of classes, probabilities, void labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import nn

import landscape
from landscape import Problem
from landscape.errors import InputError


class Gives(nn.Module):
    """A classifier with logits x W, turned by a function."""

    def __init__(self, turn=lambda z: z):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.turn = nn.Linear(4, 3, bias=False), turn

    def forward(self, x):
        return self.turn(self.layer(x))


def vectors(count=60):
    torch.manual_seed(1)
    return 3 * torch.randn(count, 4), torch.randint(3, (count,))


TURNS = {
    "logits": (lambda z: z, lambda o, t: F.cross_entropy(o, t, reduction="none")),
    "probabilities": (lambda z: z.softmax(1), lambda o, t: F.nll_loss(o.log(), t, reduction="none")),
    "log_probabilities": (lambda z: z.log_softmax(1), lambda o, t: F.nll_loss(o, t, reduction="none")),
}


@pytest.mark.parametrize("scale", TURNS)
def test_scores_are_those_of_the_probabilities_however_they_are_given(scale):
    """Oracle: the same network with logits, in NumPy: one distribution, one calibration."""
    turn, loss = TURNS[scale]
    x, y = vectors()
    problem = Problem(Gives(turn), loss, (x, y))
    found = landscape.calibration(problem)
    z = Gives()(x).detach().double().numpy()
    log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
    assert problem.reading.scale == scale
    assert float(found["nll"]) == pytest.approx(-log_p[np.arange(60), y].mean(), rel=1e-5)
    assert float(found["nll"]) == pytest.approx(problem.loss(), rel=1e-5)
    assert "scores_notice" not in found.attrs


def test_scores_that_are_not_those_of_the_loss_say_so():
    """Oracle: a temperature inside the loss, probabilities taken for logits: other numbers, by torch."""
    x, y = vectors()
    cooled = Problem(Gives(), lambda o, t: F.cross_entropy(o / 4, t, reduction="none"), (x, y))
    assert "negative log-likelihood" in landscape.calibration(cooled).attrs["scores_notice"]
    twice = Problem(Gives(lambda z: z.softmax(1)), "cross_entropy", (x, y))
    assert "read as probabilities" in landscape.calibration(twice).attrs["scores_notice"]


def test_void_labels_are_no_errors():
    """Oracle: shares by hand over the pixels, and the examples, that have a class."""
    torch.manual_seed(0)
    x = torch.randn(6, 2, 4, 4)
    model = nn.Conv2d(2, 3, 1)
    y = model(x).argmax(1)
    y[:, :2], y[1] = 255, 255

    def loss(o, t):
        return F.cross_entropy(o, t, ignore_index=255, reduction="none").flatten(1).sum(1)

    found = Problem(model, loss, (x, y), batch_size=4).measure()
    assert found.accuracy == 1.0 and len(found.correct) == 5
    assert found.void.tolist() == [False, True, False, False, False, False]
    x, y = vectors()
    y[::7] = -1
    problem = Problem(Gives(), lambda o, t: F.cross_entropy(o, t, ignore_index=-1, reduction="none"), (x, y))
    right = (Gives()(x).argmax(1) == y)[y >= 0].double().mean().item()
    assert problem.measure().accuracy == pytest.approx(right, rel=1e-14)
    scores = landscape.calibration(problem)
    assert float(scores["accuracy"]) == pytest.approx(right, rel=1e-14)
    assert scores["example"].values.tolist() == [i for i in range(60) if i % 7]


def test_the_class_that_torchs_loss_ignores_counts_nowhere():
    """Oracle: the share of right answers among the other classes."""
    x, y = vectors()
    problem = Problem(Gives(), nn.CrossEntropyLoss(ignore_index=2), (x, y))
    right = (Gives()(x).argmax(1) == y)[y != 2].double().mean().item()
    assert problem.measure().accuracy == pytest.approx(right, rel=1e-14)


class Tokens(nn.Module):
    """Logits (B, T, V) of tokens, classes along the last axis."""

    def __init__(self, vocabulary=5):
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.head = nn.Embedding(vocabulary, 6), nn.Linear(6, vocabulary)

    def forward(self, ids):
        return self.head(self.embedding(ids)).double()


def tokens(batch, length, vocabulary=5):
    torch.manual_seed(2)
    y = torch.randint(vocabulary, (batch, length))
    y[:, -1] = -100
    return torch.randint(vocabulary, (batch, length)), y


@pytest.mark.parametrize("length", [2, 3, 4, 7, 9])
def test_tokens_are_read_along_the_last_axis(length):
    """Oracle: torch's cross-entropy of the flattened tokens, whose number is the same in every text."""
    x, y = tokens(6, length)
    problem = Problem(Tokens(), "cross_entropy", (x, y), batch_size=4)
    z = Tokens()(x)
    expected = F.cross_entropy(z.reshape(-1, 5), y.reshape(-1)).item()
    assert problem.loss() == pytest.approx(expected, rel=1e-12)
    right = (z.argmax(2) == y)[:, :-1].double().mean().item()
    assert problem.measure().accuracy == pytest.approx(right, rel=1e-12)
    v = torch.linspace(-1, 1, problem.size)
    torch.testing.assert_close(landscape.fisher(problem) @ v, landscape.ggn(problem) @ v)


def test_as_many_tokens_as_words_are_asked_back():
    """Oracle: both axes fit; batches of another length tell, or nothing does."""
    with pytest.raises(InputError, match=r"can be read .* axis 1, as torch does, or along the last"):
        Problem(Tokens(), "cross_entropy", tokens(6, 5))
    batches = [tokens(6, 5), tokens(4, 3)]
    problem = Problem(Tokens(), "cross_entropy", batches)
    z = [F.cross_entropy(Tokens()(x).reshape(-1, 5), y.reshape(-1)).item() for x, y in batches]
    assert problem.loss() == pytest.approx((6 * z[0] + 4 * z[1]) / 10, rel=1e-12)


def test_the_last_axis_is_not_read_where_the_loss_compares_other_pairs():
    """Oracle: a loss of the next token: right answers at the same place would be another question."""
    x, y = tokens(6, 7)

    def following(o, t):
        return F.cross_entropy(o[:, :-1].transpose(1, 2), t[:, 1:], reduction="none").mean(1)

    assert Problem(Tokens(), following, (x, y)).measure().correct is None
    same = Problem(
        Tokens(), lambda o, t: F.cross_entropy(o.mT, t, reduction="none").sum(1) / 6, (x, y)
    ).measure()
    assert same.correct.shape == (6,)
