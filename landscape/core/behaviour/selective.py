"""Selective prediction: how many errors are left if the most uncertain examples are not answered."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.stats import rankdata

from landscape.core.behaviour.ood import auroc
from landscape.core.stats.clusters import clustered_auroc

__all__ = ["Ranking", "error_auroc", "window_spearman"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Ranking:
    """Examples ranked by uncertainty, the most certain first.

    Where examples tie, numbers are the mean over all their orders: an order by chance, such as that of an
    unstable sort, would be another number each time.

    Attributes:
        errors: Expected errors E_i among the i most certain examples (N + 1,), from E_0 = 0.
    """

    errors: Array

    @classmethod
    def of(cls, uncertainty: Array, correct: Array) -> Ranking:
        """The ranking of examples.

        Args:
            uncertainty: Larger where less certain (N,).
            correct: 1 where the answer is right (N,), or the probability that it is. NaN in either makes
                every number NaN.
        """
        n = len(uncertainty)
        if np.isnan(uncertainty).any() or np.isnan(correct).any():
            return cls(np.full(n + 1, np.nan))
        _, place, sizes = np.unique(uncertainty, return_inverse=True, return_counts=True)
        wrong = np.bincount(place, 1.0 - correct, len(sizes))
        # Within a tie each place holds an error with the same probability: E is linear there.
        ends = np.concatenate([[0.0], np.cumsum(sizes)])
        return cls(np.interp(np.arange(n + 1.0), ends, np.concatenate([[0.0], np.cumsum(wrong)])))

    @property
    def examples(self) -> int:
        """N."""
        return len(self.errors) - 1

    @property
    def error_rate(self) -> float:
        """Share of errors among all examples."""
        return float(self.errors[-1] / self.examples)

    @cached_property
    def ideal(self) -> Ranking:
        """The ranking of the same answers with every error after every right one."""
        right = self.examples - self.errors[-1]
        return Ranking(np.maximum(np.arange(self.examples + 1) - right, 0.0))

    def risk(self, coverage: Array) -> Array:
        """Error rate among the most certain share of the examples, E(cN)/(cN).

        Args:
            coverage: Shares c in (0, 1].
        """
        kept = coverage * self.examples
        risks: Array = np.interp(kept, np.arange(self.examples + 1.0), self.errors) / kept
        return risks

    @property
    def aurc(self) -> float:
        """Mean over i of the error rate E_i/i among the i most certain (Geifman & El-Yaniv 2017)."""
        return float((self.errors[1:] / np.arange(1, self.examples + 1)).mean())

    @property
    def excess_aurc(self) -> float:
        """AURC less that of the ideal order (Geifman, Uziel & El-Yaniv 2019)."""
        return self.aurc - self.ideal.aurc

    @property
    def augrc(self) -> float:
        """Area under E(cN)/N over the coverage c (Traub et al. 2024): ½ r² + (1 − AUROC) r (1 − r)."""
        return float((self.errors[1:] + self.errors[:-1]).sum() / (2.0 * self.examples**2))

    @property
    def raulc(self) -> float:
        """Area under the lift curve over that of the ideal order: 1 ideal, 0 by chance, below 0 misleading.

        The lift is the accuracy of the i most certain over that of all, less 1. NaN if all answers are right,
        or all wrong: no order is better than another.

        Reference:
            Postels et al. (2022), On the practicality of deterministic epistemic uncertainty, section 4.
        """
        rate = self.error_rate
        if not 0.0 < rate < 1.0:
            return float("nan")
        # Lifts are (rate − E_i/i)/(1 − rate), whose denominator cancels.
        return (rate - self.aurc) / (rate - self.ideal.aurc)


def error_auroc(
    uncertainty: Array, correct: Array, examples: NDArray[np.int64] | None = None
) -> tuple[float, float]:
    """Probability that an error is more uncertain than a right answer, and its standard error (DeLong).

    NaN if all answers are right, all are wrong, or something is NaN.

    Args:
        uncertainty: Larger where less certain (N,).
        correct: 1 where the answer is right (N,), or the probability that it is: it then weighs so much as
            a right answer and the rest as an error.
        examples: The example of each answer (N,), if it has several; ``None`` if one. The error counts
            examples.
    """
    if examples is not None or not np.isin(correct, (0.0, 1.0)).all():
        clusters = (
            np.arange(len(correct)) if examples is None else np.unique(examples, return_inverse=True)[1]
        )
        return clustered_auroc(-uncertainty, correct, 1.0 - correct, clusters)
    right, wrong = -uncertainty[correct == 1], -uncertainty[correct == 0]
    if not len(right) or not len(wrong) or np.isnan(correct).any():
        return float("nan"), float("nan")
    return auroc(right, wrong)


def window_spearman(uncertainty: Array, correct: Array, size: int = 100, count: int = 1000) -> float:
    """Rank correlation of accuracy and mean uncertainty over windows of neighbours in uncertainty.

    Examples are ordered by uncertainty; of the windows of ``size`` neighbours, ``count`` evenly spaced ones,
    or all if there are fewer, are compared. Below 0 where accuracy falls as uncertainty grows, -1 where it
    does so from each window to the next. Where examples tie, accuracies are the mean over their orders.

    NaN if there are fewer than two windows, if all windows are alike in either number, or something is NaN.

    Args:
        uncertainty: Larger where less certain (N,).
        correct: 1 where the answer is right (N,), or the probability that it is.
        size: Examples of a window.
        count: Windows, at most.

    Reference:
        Postels et al. (2022), On the practicality of deterministic epistemic uncertainty, section 4: windows
        of 100 examples, 1,000 of them.
    """
    errors = Ranking.of(uncertainty, correct).errors
    starts = len(uncertainty) - size + 1
    if starts < 2 or np.isnan(errors).any():
        return float("nan")
    chosen = np.unique(np.linspace(0, starts - 1, min(count, starts)).round().astype(int))
    # Errors within a tie are interpolated: without rounding, accuracies that are equal would be ranked.
    accuracy = np.round(1.0 - (errors[chosen + size] - errors[chosen]) / size, 12)
    doubt = sliding_window_view(np.sort(uncertainty), size)[chosen].mean(1)
    if np.ptp(accuracy) == 0.0 or np.ptp(doubt) == 0.0:
        return float("nan")
    return float(np.corrcoef(rankdata(accuracy), rankdata(doubt))[0, 1])
