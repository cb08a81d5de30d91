"""Neural collapse: how near features of a classifier are to one point per class, and these to a simplex."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["ClassMeans", "ClassScatter", "Simplex", "self_duality", "simplex_of"]

RANK = 1e-10
"""Directions in which class means vary less than this, relative to the most, are none."""


class ClassMeans:
    """Means of features by class, from parts of the data.

    Args:
        classes: Number of classes K that labels may name.
    """

    def __init__(self, classes: int) -> None:
        self.counts = torch.zeros(classes, dtype=torch.long)
        self._sums: Tensor | None = None

    def add(self, features: Tensor, labels: Tensor) -> None:
        """Add features (B, D) of labels (B,)."""
        features, labels = features.detach().double().cpu(), labels.cpu()
        if self._sums is None:
            self._sums = torch.zeros(len(self.counts), features.shape[1], dtype=torch.float64)
        self._sums.index_add_(0, labels, features)
        self.counts += torch.bincount(labels, minlength=len(self.counts))

    @property
    def present(self) -> Tensor:
        """Classes with an example, ascending."""
        return self.counts.nonzero()[:, 0]

    def means(self) -> Tensor:
        """Their means, in float64, a row for each class that is present."""
        assert self._sums is not None
        chosen = self.present
        return self._sums[chosen] / self.counts[chosen, None]


class ClassScatter:
    """Spread of features about the means of their classes, from parts of the data: a second pass.

    Σ_B is the covariance (1/K) Σ (μ_k − μ)(μ_k − μ)ᵀ of the class means about their own mean μ; Σ_W the mean
    over classes of the covariance within, unbiased. Each class counts alike, however many examples it has.

    Args:
        means: What the first pass found.

    Attributes:
        agreement: Examples whose answer is the class of the nearest mean.
        nearest: Examples whose label is.
        right: Examples whose answer is their label.
        examples: All of them.
    """

    def __init__(self, means: ClassMeans) -> None:
        self._means, self._present = means.means(), means.present
        self._counts = means.counts[self._present].double()
        centered = self._means - self._means.mean(0)
        _, values, directions = torch.linalg.svd(centered, full_matrices=False)
        spread = values.square() / len(centered)  # eigenvalues of Σ_B
        self._between = float(spread.sum())
        kept = values > RANK * values.max()
        self._whiten = directions[kept].T / spread[kept].sqrt()
        self._weighted = torch.zeros(len(centered), dtype=torch.float64)
        self._total = torch.zeros(len(centered), dtype=torch.float64)
        self.agreement = self.nearest = self.right = self.examples = 0

    def add(self, features: Tensor, labels: Tensor, answers: Tensor) -> None:
        """Add features (B, D) with their labels (B,) and the model's answers (B,)."""
        features, labels, answers = features.detach().double().cpu(), labels.cpu(), answers.cpu()
        rows = torch.searchsorted(self._present, labels)
        rest = features - self._means[rows]
        self._weighted.index_add_(0, rows, (rest @ self._whiten).square().sum(1))
        self._total.index_add_(0, rows, rest.square().sum(1))
        closest = self._present[torch.cdist(features, self._means).argmin(1)]
        self.agreement += int((closest == answers).sum())
        self.nearest += int((closest == labels).sum())
        self.right += int((answers == labels).sum())
        self.examples += len(labels)

    @property
    def nc1(self) -> float:
        """NC1 = tr(Σ_W Σ_B⁺)/K; NaN if a class has one example, or all means are equal.

        Papyan, Han & Donoho (2020), Prevalence of neural collapse, "NC1".
        """
        if not self._whiten.shape[1]:
            return float("nan")
        return float((self._weighted / (self._counts - 1)).mean()) / len(self._counts)

    @property
    def trace_ratio(self) -> float:
        """The ratio tr Σ_W / tr Σ_B, the form of Tirer & Bruna (2022)."""
        return (
            float((self._total / (self._counts - 1)).mean()) / self._between
            if self._between
            else float("nan")
        )

    @property
    def distance_variance(self) -> float:
        """Class-distance normalised variance: (v_i + v_j)/(2‖μ_i − μ_j‖²), averaged over pairs of classes.

        Galanti, György & Hutter (2022), On the role of neural collapse in transfer learning, equation 4.
        """
        variances = self._total / (self._counts - 1)
        i, j = torch.triu_indices(len(variances), len(variances), 1)
        squares = (self._means[i] - self._means[j]).square().sum(1)
        return float(((variances[i] + variances[j]) / (2.0 * squares)).mean())


@dataclass(frozen=True)
class Simplex:
    """How near K vectors are to the corners of a simplex about their mean.

    Attributes:
        norms: Standard deviation of their lengths over the mean length: 0 if equal.
        angles: Standard deviation of the cosines of all pairs: 0 if equal.
        gap: Mean distance of the cosines from −1/(K − 1): 0 for a simplex.
        cosines: All cosines (K, K).
    """

    norms: float
    angles: float
    gap: float
    cosines: Tensor


def simplex_of(vectors: Tensor) -> Simplex:
    """Lengths and angles of K vectors (K, D) about their mean (Papyan et al. 2020, "NC2"); K ≥ 2."""
    centered = vectors.double() - vectors.double().mean(0)
    lengths = centered.norm(dim=1)
    unit = centered / lengths[:, None]
    cosines = unit @ unit.T
    count = len(cosines)
    pairs = cosines[tuple(torch.triu_indices(count, count, 1))]
    return Simplex(
        float(lengths.std(correction=0) / lengths.mean()),
        float(pairs.std(correction=0)),
        float((pairs + 1.0 / (count - 1)).abs().mean()),
        cosines,
    )


def self_duality(weight: Tensor, means: Tensor) -> float:
    """‖W/‖W‖ − M/‖M‖‖ of the rows of the last layer and the centred class means (Papyan et al. 2020, "NC3").

    0 if they are alike up to scale, 2 at most. Rows are taken as they are: one vector added to all of them
    changes no answer, but it does change this number.

    Args:
        weight: W, (K, D).
        means: Class means, (K, D); their mean is taken off.
    """
    weight, centered = weight.detach().double().cpu(), means - means.mean(0)
    return float((weight / weight.norm() - centered / centered.norm()).norm())
