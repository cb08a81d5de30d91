"""Other measures of similarity, all from centred features (n, p) of one shared sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, rel_entr
from scipy.stats import rankdata

from landscape.core.linalg.reductions import distance
from landscape.core.problem.problem import Problem

__all__ = ["Representation", "agreement", "jensen_shannon"]
__all__ += ["mutual_neighbours", "procrustes", "procrustes_angle", "pwcca", "rsa", "svcca", "thinned"]
__all__ += ["jensen_shannon_values", "weight_distance"]

Array = NDArray[np.float64]

MOST_ENTRIES = 4096
"""Of wider features evenly spaced entries weigh the correlations of `pwcca`, so that memory stays small."""


@dataclass(frozen=True)
class Representation:
    """What the measures need of a layer.

    Features that are the same for all examples, or not finite, have no components: every measure is NaN.

    Attributes:
        scores: Principal components' scores (n, r), scaled to Frobenius norm 1: the layer up to rotation
            and scale.
        directions: Orthonormal columns (n, k): the leading components that hold the share of variance.
        loadings: Inner products (k, entries) of the directions with the features' entries.
        ranks: Ranks (n(n−1)/2,) of the distances between examples.
        neighbours: Which examples are among each one's k nearest (n, n), without itself.
    """

    scores: Array
    directions: Array
    loadings: NDArray[np.float32]
    ranks: Array
    neighbours: NDArray[np.bool_]

    @classmethod
    def of(cls, features: Array, variance: float = 0.99, k: int = 10) -> Representation:
        """From features (n, p) with their mean over examples taken off.

        Args:
            features: X.
            variance: Share of variance that `svcca` and `pwcca` keep.
            k: Neighbours of each example.
        """
        return cls.from_gram(features @ features.T, thinned(features), variance, k)

    @classmethod
    def from_gram(cls, gram: Array, entries: Array, variance: float = 0.99, k: int = 10) -> Representation:
        """From the Gram matrix (n, n) of centred features, and those of their entries that `pwcca` weighs by.

        Args:
            gram: XXᵀ.
            entries: `thinned` of X.
            variance: As of `of`.
            k: As of `of`.
        """
        if not np.isfinite(gram).all() or not gram.any():
            return cls._empty(len(gram))
        # Not by an SVD of the features, which are mostly far wider than there are examples.
        values, vectors = np.linalg.eigh(gram)
        values, vectors = np.clip(values[::-1], 0.0, None), vectors[:, ::-1]
        total = values.sum()
        # What lies below is rounding, and its vectors are noise: all measures would count them as components.
        keep = values > total * len(gram) * np.finfo(np.float64).eps
        scores = vectors[:, keep] * np.sqrt(values[keep] / total)
        # The fewest components that hold the share; the slack keeps rounding from asking for one more.
        count = int(np.searchsorted(np.cumsum(values) / total, variance - 1e-12)) + 1
        norms = np.diagonal(gram)
        squares = norms[:, None] + norms - 2.0 * gram
        upper = squares[np.triu_indices(len(gram), 1)]
        np.fill_diagonal(squares, np.inf)  # no example is its own neighbour
        neighbours = np.zeros(gram.shape, dtype=bool)
        np.put_along_axis(neighbours, np.argsort(squares, axis=1, kind="stable")[:, :k], True, axis=1)
        directions = vectors[:, :count]
        loadings = (directions.T @ entries).astype(np.float32)
        return cls(scores, directions, loadings, rankdata(upper), neighbours)

    @classmethod
    def _empty(cls, n: int) -> Representation:
        none = np.zeros((n, 0))
        pairs = np.full(n * (n - 1) // 2, np.nan)
        return cls(none, none, np.zeros((0, 1), dtype=np.float32), pairs, np.zeros((n, n), dtype=bool))


def thinned(features: Array) -> Array:
    """Evenly spaced entries of features (n, p), all if there are no more than `MOST_ENTRIES`."""
    return features[:, :: max(1, -(-features.shape[1] // MOST_ENTRIES))]


Measure = Callable[[Representation, Representation], float]


def _nan_without_components(measure: Measure) -> Measure:
    @wraps(measure)
    def measured(a: Representation, b: Representation) -> float:
        return measure(a, b) if a.scores.shape[1] and b.scores.shape[1] else float("nan")

    return measured


@_nan_without_components
def procrustes(a: Representation, b: Representation) -> float:
    """Least ‖A − BR‖² over rotations R with ‖A‖ = ‖B‖ = 1: 2 − 2‖AᵀB‖_*, from 0 to 2 (Ding et al. 2021).

    A square: it obeys no triangle inequality. `procrustes_angle` does.
    """
    return float(2.0 - 2.0 * _overlap(a, b))


@_nan_without_components
def procrustes_angle(a: Representation, b: Representation) -> float:
    """Angle arccos ‖AᵀB‖_* between A and the nearest rotation of B, in radians from 0 to π/2.

    A metric on layers up to rotation and scale (Williams et al. 2021, equation 4 with orthogonal maps).
    """
    # arccos is steep at 1: rounding of 1e-16 moves it by 1e-8
    return float(np.arccos(np.clip(_overlap(a, b), 0.0, 1.0)))


def _overlap(a: Representation, b: Representation) -> float:
    """Sum of singular values of AᵀB."""
    return float(np.linalg.svd(a.scores.T @ b.scores, compute_uv=False).sum())


@_nan_without_components
def svcca(a: Representation, b: Representation) -> float:
    """Mean canonical correlation of the leading principal components (Raghu et al. 2017)."""
    return float(np.linalg.svd(a.directions.T @ b.directions, compute_uv=False).mean())


@_nan_without_components
def pwcca(a: Representation, b: Representation) -> float:
    """Mean canonical correlation of leading components, weighted by what they explain of ``a``.

    Morcos et al. (2018), section 3: the weight of the canonical variate h of ``a`` is Σ_j |⟨h, x_j⟩| over
    the entries x_j of its features. Not symmetric, and unlike `svcca` it sees a rotation of ``a``.
    """
    left, correlations, _ = np.linalg.svd(a.directions.T @ b.directions, full_matrices=False)
    weights = np.abs(left.T.astype(np.float32) @ a.loadings).sum(1, dtype=np.float64)
    return float(weights @ correlations / weights.sum())


@_nan_without_components
def rsa(a: Representation, b: Representation) -> float:
    """Spearman's correlation of the distances between examples (Kriegeskorte et al. 2008)."""
    with np.errstate(invalid="ignore"):  # all distances equal: NaN
        return float(np.corrcoef(a.ranks, b.ranks)[0, 1])


@_nan_without_components
def mutual_neighbours(a: Representation, b: Representation) -> float:
    """Mean share of k nearest neighbours in common (Huh et al. 2024)."""
    return float((a.neighbours & b.neighbours).sum() / a.neighbours.sum())


# Models


def agreement(a: Array, b: Array) -> float:
    """Share of examples for which two sets of logits (n, C) have the same largest entry; NaN stays NaN."""
    if a.shape != b.shape or np.isnan(a).any() or np.isnan(b).any():
        return float("nan")
    return float((a.argmax(1) == b.argmax(1)).mean())


def jensen_shannon(a: Array, b: Array) -> float:
    """Mean Jensen-Shannon divergence between the distributions of logits (n, C), in nats: 0 to ln 2.

    Lin (1991). `scipy.spatial.distance.jensenshannon` gives its root, the square of which has other last
    bits, so that the divergence itself is taken here.
    """
    if a.shape != b.shape:
        return float("nan")
    return float(jensen_shannon_values(a, b).mean())


def jensen_shannon_values(a: Array, b: Array) -> Array:
    """The divergence of each example (n,)."""
    with np.errstate(invalid="ignore"):  # infinite logits: NaN
        p, q = np.exp(log_softmax(a, axis=1)), np.exp(log_softmax(b, axis=1))
    middle = (p + q) / 2
    return np.asarray(0.5 * (rel_entr(p, middle) + rel_entr(q, middle)).sum(1))


def weight_distance(a: Problem, b: Problem) -> float:
    """‖θ_a − θ_b‖ over all parameters; NaN unless names and shapes agree."""
    one: Mapping[str, object] = {n: p.shape for n, p in a.module.named_parameters()}
    two: Mapping[str, object] = {n: p.shape for n, p in b.module.named_parameters()}
    if one != two:
        return float("nan")
    others = dict(b.module.named_parameters())
    apart = [distance(p.detach(), others[n].detach()) for n, p in a.module.named_parameters()]
    return float(np.linalg.norm(apart))
