"""Language-model batches: which label belongs to which logits, and means over tokens.

The oracle of most tests is a bigram model, whose one table of logits is its embedding: loss, gradient and
curvature are written out in NumPy from counts of pairs of tokens, without autograd and without a shift.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape import Problem
from landscape.core.curvature.fisher import empirical_fisher, fisher
from landscape.core.curvature.operator import ggn, hessian
from landscape.core.problem.door.conversions import other_batches
from landscape.errors import InputError

V = 5
IDS = torch.tensor([[0, 3, 3, 1, 4, 2], [2, 2, 0, 1, 0, 0], [4, 1, 3, 0, 0, 0], [1, 4, 4, 2, 3, 0]])
LENGTHS = [6, 6, 3, 5]


class Answer(dict):
    """As Hugging Face's outputs: a mapping whose entries are attributes, too."""

    __getattr__ = dict.__getitem__


class Bigram(nn.Module):
    """Logits of the next token, a row of one table."""

    def __init__(self, gives="object"):
        super().__init__()
        self.table, self.gives = nn.Embedding(V, V), gives
        values = np.random.default_rng(0).normal(size=(V, V))
        self.table.weight = nn.Parameter(torch.tensor(values))

    def forward(self, input_ids, attention_mask=None):
        logits = self.table(input_ids)
        if self.gives == "object":
            return Answer(logits=logits, past=[logits])
        if self.gives == "tuple":
            return logits, [logits]
        return {"past": [logits], "logits": logits} if self.gives == "mapping" else logits


def batches(*cuts, labels=None):
    mask = torch.tensor([[1] * n + [0] * (6 - n) for n in LENGTHS])
    labels = IDS.masked_fill(mask == 0, -100) if labels is None else labels
    whole = {"input_ids": IDS, "attention_mask": mask, "labels": labels}
    return [{k: t[a:b] for k, t in whole.items()} for a, b in zip((0, *cuts), (*cuts, 4), strict=True)]


def by_hand():
    """Loss, gradient, curvature, and of each sequence the sum of losses, tokens and gradient."""
    W = Bigram().table.weight.detach().numpy()
    P = np.exp(W) / np.exp(W).sum(1, keepdims=True)
    sums, tokens, slopes = [], [], []
    curvature = np.zeros((V, V, V, V))
    for row, n in zip(IDS.numpy(), LENGTHS, strict=True):
        slope = np.zeros((V, V))
        for a, b in pairwise(row[:n]):
            slope[a] += P[a]
            slope[a, b] -= 1
            curvature[a, :, a, :] += np.diag(P[a]) - np.outer(P[a], P[a])
        sums.append(sum(-np.log(P[a, b]) for a, b in pairwise(row[:n])))
        tokens.append(n - 1)
        slopes.append(slope.ravel())
    M = sum(tokens)
    return sum(sums) / M, sum(slopes) / M, curvature.reshape(V * V, -1) / M, sums, tokens, slopes


@pytest.mark.parametrize("gives", ["object", "mapping", "tuple", "tensor"])
@pytest.mark.parametrize("cuts", [(), (1,), (2, 3)])
def test_loss_gradient_and_curvature_of_a_bigram_model(gives, cuts):
    """Oracle: counts of pairs, see above; however the data is cut, since means are over all tokens."""
    loss, slope, curvature, *_ = by_hand()
    problem = Problem(Bigram(gives), "causal_lm", batches(*cuts))
    assert problem.loss() == pytest.approx(loss, rel=1e-14)
    np.testing.assert_allclose(problem.gradient(), slope, atol=1e-14)
    eye = torch.eye(V * V, dtype=torch.float64)
    for operator in (ggn(problem), hessian(problem), fisher(problem)):
        np.testing.assert_allclose(operator @ eye, curvature, atol=1e-14)


def test_the_mean_over_tokens_is_no_mean_of_means():
    """Oracle: the same counts; a mean of the sequences' own means is another number."""
    loss, _, _, sums, tokens, _ = by_hand()
    assert abs(np.mean(np.divide(sums, tokens)) - loss) > 0.01


def test_errors_are_those_of_sequences():
    """Oracle: Cochran's formula of the error of a ratio of sums over sequences, and its jackknife."""
    loss, _, _, sums, tokens, slopes = by_hand()
    problem = Problem(Bigram(), "causal_lm", batches(1))
    found = landscape.line(problem, steps=3, low=-0.0, high=1.0)
    sums, tokens = np.array(sums), np.array(tokens)
    expected = (sums - loss * tokens).std(ddof=1) / np.sqrt(4) / tokens.mean()
    assert float(found["loss_se"][0]) == pytest.approx(expected, rel=1e-12)
    without = np.array([(sums.sum() - s) / (tokens.sum() - t) for s, t in zip(sums, tokens, strict=True)])
    jackknife = np.sqrt(3 / 4 * ((without - without.mean()) ** 2).sum())
    assert expected == pytest.approx(jackknife, rel=0.35)
    G = np.stack(slopes) * 4 / tokens.sum()
    eye = torch.eye(V * V, dtype=torch.float64)
    np.testing.assert_allclose(empirical_fisher(problem) @ eye, G.T @ G / 4, atol=1e-14)


def test_answers_are_tokens_in_calibration_too():
    """Oracle: the pairs one by one; a sequence of one token has no next one, and counts nowhere."""
    W = Bigram().table.weight.detach().numpy()
    pairs = [(a, b) for row, n in zip(IDS.numpy(), LENGTHS, strict=True) for a, b in pairwise(row[:n])]
    right = np.mean([W[a].argmax() == b for a, b in pairs])
    loss = by_hand()[0]
    problem = Problem(Bigram(), "causal_lm", batches(2))
    assert problem.measure().accuracy == pytest.approx(right, rel=1e-14)
    scores = landscape.calibration(problem)
    assert float(scores["nll"]) == pytest.approx(loss, rel=1e-12)
    assert float(scores["accuracy"]) == pytest.approx(right, rel=1e-12)
    single = batches()[0]
    single = {k: torch.cat([t, t[:1]]) for k, t in single.items()}
    single["labels"][4, 1:] = -100
    found = Problem(Bigram(), "causal_lm", [single]).measure()
    assert found.loss == pytest.approx(loss, rel=1e-14)
    assert found.accuracy == pytest.approx(right, rel=1e-14)


def test_labels_that_stand_at_their_tokens():
    """Oracle: the bigram's pairs, moved beforehand: the same numbers under the other name."""
    moved = torch.nn.functional.pad(batches()[0]["labels"][:, 1:], (0, 1), value=-100)
    problem = Problem(Bigram(), "token_cross_entropy", batches(3, labels=moved))
    assert problem.loss() == pytest.approx(by_hand()[0], rel=1e-14)


def test_held_out_batches_are_moved_as_well():
    """Oracle: the loss of the same sequences as a problem of their own."""
    problem = Problem(Bigram(), "causal_lm", batches()[0:1])
    other = batches(2)[1:]
    own = Problem(Bigram(), "causal_lm", other).loss()
    found = problem.measure(batches=other_batches(problem, other))
    assert found.loss == pytest.approx(own, rel=1e-14) and found.loss != pytest.approx(problem.loss())


@pytest.mark.parametrize(
    ("loss", "data", "words"),
    [
        ("cross_entropy", batches(), "take loss='causal_lm'.*or loss='token_cross_entropy'"),
        (
            "causal_lm",
            batches(labels=torch.nn.functional.pad(IDS[:, 1:], (0, 1), value=-100)),
            "next tokens already.*token_cross_entropy",
        ),
        ("causal_lm", [{"input_ids": IDS, "labels": IDS[:, 0]}], r"takes class numbers"),
        ("causal_lm", batches(labels=IDS.masked_fill(IDS == 4, 9)), "label 9 in batch 0"),
        ("causal_lm", batches(labels=torch.full_like(IDS, -100)), "leaves out every label"),
    ],
)
def test_what_cannot_be_told_is_asked_back(loss, data, words):
    """One sentence that names the setting."""
    with pytest.raises(InputError, match=words):
        Problem(Bigram(), loss, data)


def test_a_forward_that_moves_labels_itself_is_told():
    def forward(model, batch):
        return model(batch["input_ids"]).logits[:, :-1], batch["labels"][:, 1:]

    with pytest.raises(InputError, match="token_cross_entropy"):
        Problem(Bigram(), "causal_lm", batches(), forward=forward)
    found = Problem(Bigram(), "token_cross_entropy", batches(), forward=forward)
    assert found.loss() == pytest.approx(by_hand()[0], rel=1e-14)


def test_a_real_language_model():
    """Oracle: the loss that Hugging Face's own model gives for all sequences at once, and its gradient."""
    transformers = pytest.importorskip(
        "transformers", reason="transformers is not installed: extra 'writers'"
    )
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=V, n_positions=8, n_embd=8, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    whole = batches()[0]
    loss = model(**whole).loss
    slope = torch.autograd.grad(loss, list(model.parameters()))
    problem = Problem(model, "causal_lm", batches(1))
    assert problem.loss() == pytest.approx(float(loss.detach()), rel=1e-6)
    flat = torch.cat([g.flatten() for g in slope])
    torch.testing.assert_close(problem.gradient(), flat, rtol=1e-4, atol=1e-6)
    assert float(landscape.calibration(problem)["nll"]) == pytest.approx(float(loss.detach()), rel=1e-5)
    assert float(landscape.spectrum(problem, k=1)["eigenvalues"][0]) > 0
