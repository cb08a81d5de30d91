"""Predictions of a predictive with what its draws say of them: how much is aleatoric, how much epistemic."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp
from torch import Tensor
from torch.nn.functional import one_hot

from landscape.core.ambient import under_own_context
from landscape.core.behaviour.calibration import Gathered, Predictions
from landscape.core.behaviour.ood import example_numbers, outputs_on_other
from landscape.core.behaviour.predictive import Draws, Predictive
from landscape.core.data.batches import Batch
from landscape.core.problem.answers.classification import classification_of
from landscape.core.problem.passes.folding import folding
from landscape.core.problem.passes.pieces import pieces
from landscape.core.problem.problem import Problem
from landscape.errors import InputError, suggest

__all__ = ["MEASURES", "DrawnPredictions", "Uncertainty", "predict_draws", "predict_other_draws"]

Array = NDArray[np.float64]

Uncertainty = Literal["confidence", "entropy", "mutual_information", "score"]

MEASURES: tuple[Uncertainty, ...] = get_args(Uncertainty)
"""What examples can be ranked by, from the most to the least certain."""

ROUNDING = 1e-12
"""Mutual information in nats below which it is the rounding of equal draws."""


@dataclass(frozen=True)
class DrawnPredictions:
    """The mixture's predictions, and what single draws add, per answer (N,).

    An answer is an example's class, or one of its tokens, pixels or labels: see
    `landscape.core.behaviour.calibration.Predictions`.

    Attributes:
        mixture: Predictions of the mixture of all draws.
        expected_entropy: Mean over draws of the entropy of a draw, in nats: the aleatoric part.
        variance: Mean over classes of the variance over draws of the probability (the population's: of one
            draw it is 0).
        disagreement: Share of pairs of draws whose most probable classes differ; 0 of one draw.
        score: The method's own score, larger for what is unlike the training data; ``None`` if it has none.
        draws: The number S of draws.
    """

    mixture: Predictions
    expected_entropy: Array
    variance: Array
    disagreement: Array
    score: Array | None
    draws: int

    @cached_property
    def mutual_information(self) -> Array:
        """Entropy of the mixture less the mean entropy of its draws (N,), in nats: the epistemic part.

        It is the information that the label would give on which draw is the true one; 0 of one draw.

        Reference:
            Depeweg et al. (2018), Decomposition of uncertainty in Bayesian deep learning, equation 3.
        """
        if self.draws == 1:
            return np.where(np.isnan(self.expected_entropy), np.nan, 0.0)
        gap = self.mixture.entropy - self.expected_entropy
        return np.where(np.abs(gap) < ROUNDING, 0.0, gap)

    def per_example(self) -> dict[str, Array]:
        """Every score that is a mean over examples, by name."""
        missing = np.full(len(self.mixture.labels), np.nan)
        return {
            "accuracy": self.mixture.correct,
            "nll": self.mixture.nll,
            "brier": self.mixture.brier,
            "confidence": self.mixture.confidence,
            "entropy": self.mixture.entropy,
            "expected_entropy": self.expected_entropy,
            "mutual_information": self.mutual_information,
            "variance": self.variance,
            "disagreement": self.disagreement,
            "score": missing if self.score is None else self.score,
        }

    def uncertainty(self, by: Uncertainty) -> Array:
        """A number per example (N,) that is larger the less certain it is.

        Args:
            by: ``confidence`` is ln(1 − confidence), taken from the other classes, so that it tells apart
                what rounds to 1; the others are themselves. NaN for a score that the method does not have.

        Raises:
            InputError: If there is no such measure.
        """
        if by not in MEASURES:
            raise InputError(f"there is no uncertainty '{by}'; {suggest(by, MEASURES)}")
        if by == "confidence":
            others = np.sort(self.mixture.log_p, axis=1)[:, :-1]
            with np.errstate(divide="ignore"):  # certainty: −∞, the least
                values: Array = logsumexp(others, axis=1)
            return values
        return self.per_example()[by]


@under_own_context
@torch.no_grad()
def predict_draws(
    problem: Problem, batches: Iterable[Batch] | None = None, *, samples: int | None = None, seed: int = 0
) -> DrawnPredictions:
    """One pass of a classifier or predictive over its batches, or over given ones.

    A plain classifier has one draw, read as `landscape.core.problem.answers.outputs.Reading` says. Examples
    whose label does not count are left out.

    Args:
        problem: The classifier or predictive.
        batches: Other batches than its own.
        samples: Draws of a predictive; ``None`` for its own number.
        seed: Which draws.

    Raises:
        InputError: If it is no classification, or no label counts.
    """
    what = classification_of(problem)
    gathered, parts = Gathered(what), []
    for batch in pieces(problem, problem.batches if batches is None else batches):
        with _listening(problem, samples, seed) as heard, folding(problem):
            output, target = problem.output(batch)
        answers = what.answers(output, target)
        parts.append(_of_batch(answers.log_p, heard, answers.rows))
        gathered.add(answers, batch.size)
    return _joined(parts, gathered.predictions)


@under_own_context
@torch.no_grad()
def predict_other_draws(
    problem: Problem, data: object, *, samples: int | None = None, seed: int = 0
) -> DrawnPredictions:
    """One pass over data of another distribution, whose labels do not count.

    Args:
        problem: The classifier or predictive.
        data: Inputs, as a tensor, or what `landscape.Problem` takes as data.
        samples: As in `predict_draws`.
        seed: As in `predict_draws`.

    Raises:
        InputError: If the data cannot be read, do not fit the model, or its outputs are no logits (B, C).
    """
    what = classification_of(problem)
    parts, examples, start = [], [], 0
    with _listening(problem, samples, seed) as heard:
        for output, target in outputs_on_other(problem, data):
            log_p, kept = what.log_p(output), what.kept(output, target)
            each = len(log_p) // max(len(output), 1)
            rows = torch.arange(len(output), device=log_p.device).repeat_interleave(each)[kept]
            parts.append(_of_batch(log_p[kept], heard, rows))
            examples.append(start + rows.cpu())
            start += len(output)
            heard.clear()

    def predictions(logits: Array) -> Predictions:
        made = Predictions.of_logits(logits, np.zeros(len(logits), dtype=np.int64))
        own = example_numbers(torch.cat(examples)) if what.several else None
        return replace(made, examples=own, kind=what.name)

    return _joined(parts, predictions)


@contextmanager
def _listening(problem: Problem, samples: int | None, seed: int) -> Iterator[list[Draws]]:
    """Within it, the draws of a predictive's passes are heard; a plain classifier has none to hear."""
    if not isinstance(problem.module, Predictive):
        yield []
        return
    with problem.module.heard(samples, seed=seed) as heard:
        yield heard


def _of_batch(logits: Tensor, heard: list[Draws], rows: Tensor) -> dict[str, Tensor]:
    """What there is to keep of the draws of a batch, float64 on the CPU.

    Args:
        logits: Of the answers (m, C), for a plain classifier.
        heard: The draws of a predictive (S, B, C), which has one answer for each example.
        rows: The example of each answer (m,).
    """
    if len(heard) > 1:
        raise InputError(
            f"the forward function calls the predictive {len(heard)} times for one batch; draws are those of"
            " one call."
        )
    if heard and heard[0].kind == "regression":
        raise InputError("scores of classes need a classification; this predictive is a regression.")
    score = heard[0].score if heard else None
    if heard and heard[0].log_p is not None:
        log_p = heard[0].log_p.double()[:, rows]
    else:
        log_p = logits.log_softmax(-1)[None]
    p = log_p.exp()
    draws, classes = len(p), p.shape[-1]
    entropies = -torch.special.xlogy(p, p).sum(-1)
    votes = one_hot(log_p.argmax(-1), classes).sum(0).double()
    pairs = max(draws * (draws - 1), 1)
    shares = heard[0].weights.double() if heard and heard[0].weights is not None else None
    part = {
        "log_p": _mean_log(log_p, shares) if draws > 1 else log_p[0],
        "expected_entropy": entropies.mean(0) if shares is None else shares @ entropies,
        "variance": _spread(p, shares).mean(-1),
        "disagreement": 1.0 - (votes * (votes - 1)).sum(-1) / pairs if draws > 1 else torch.zeros(len(votes)),
        "draws": torch.tensor(draws),
    }
    if score is not None:
        part["score"] = score.double()[rows]
    return {name: tensor.cpu() for name, tensor in part.items()}


def _mean_log(log_p: Tensor, shares: Tensor | None) -> Tensor:
    """The logarithm of the mean probability over draws, of equal weight unless they have shares."""
    if shares is None:
        return torch.logsumexp(log_p, 0) - math.log(len(log_p))
    return torch.logsumexp(log_p + shares.log()[:, None, None], 0)


def _spread(p: Tensor, shares: Tensor | None) -> Tensor:
    """The variance over draws, likewise."""
    if shares is None:
        return p.var(0, correction=0)
    mean = torch.tensordot(shares, p, 1)
    spread: Tensor = torch.tensordot(shares, (p - mean).square(), 1)
    return spread


def _joined(parts: list[dict[str, Tensor]], predictions: Callable[[Array], Predictions]) -> DrawnPredictions:
    def whole(name: str) -> Array:
        values: Array = torch.cat([part[name] for part in parts]).double().numpy()
        return values

    return DrawnPredictions(
        mixture=predictions(whole("log_p")),
        expected_entropy=whole("expected_entropy"),
        variance=whole("variance"),
        disagreement=whole("disagreement"),
        score=whole("score") if "score" in parts[0] else None,
        draws=int(parts[0]["draws"]),
    )
