"""Errors of measures of similarity, by subsamples of the examples without repeats.

Examples drawn twice, as the bootstrap does, lie at distance 0 from one another: they are each other's nearest
neighbours, and pairs of them agree in every layer, so that all measures come out too alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landscape.core.similarity.measures import Representation, mutual_neighbours, rsa, thinned

__all__ = ["BETWEEN", "SHARE", "KeptLayer", "between", "subsample_errors"]

Array = NDArray[np.float64]

SHARE = 0.8
"""Of the examples, in each subsample."""

BETWEEN = ("procrustes", "procrustes_angle", "svcca", "pwcca", "rsa", "mutual_neighbours")
"""Measures between layers."""

_NAN = float("nan")


@dataclass(frozen=True)
class KeptLayer:
    """What of a layer's features is kept to compare subsamples of the examples.

    Attributes:
        gram: Inner products of the examples (n, n), their mean taken off.
        entries: Evenly spaced entries of the features (n, at most `measures.MOST_ENTRIES`).
        whole: All examples.
    """

    gram: Array
    entries: NDArray[np.float32]
    whole: Representation

    @classmethod
    def of(cls, features: Array, variance: float = 0.99, k: int = 10) -> KeptLayer:
        """From centred features (n, p); see `Representation.of`."""
        some = thinned(features)
        gram = features @ features.T
        return cls(gram, some.astype(np.float32), Representation.from_gram(gram, some, variance, k))

    def on(self, rows: NDArray[np.intp], variance: float, k: int) -> Representation:
        """The layer on some of the examples, centred on them."""
        part = self.gram[np.ix_(rows, rows)]
        mean = part.mean(0)
        part = part - mean - mean[:, None] + mean.mean()
        some = self.entries[rows].astype(np.float64)
        return Representation.from_gram(part, some - some.mean(0), variance, k)


def between(a: Representation, b: Representation) -> dict[str, tuple[float, float]]:
    """Every measure of `BETWEEN`, of a against b and of b against a; two decompositions serve them all."""
    if not (a.scores.shape[1] and b.scores.shape[1]):
        return dict.fromkeys(BETWEEN, (_NAN, _NAN))
    overlap = float(np.linalg.svd(a.scores.T @ b.scores, compute_uv=False).sum())
    left, correlations, right = np.linalg.svd(a.directions.T @ b.directions, full_matrices=False)
    weighted = []
    for variates, layer in ((left.T, a), (right, b)):
        # in the loadings' float32, which would else be copied into float64 for each pair
        weights = np.abs(variates.astype(np.float32) @ layer.loadings).sum(1, dtype=np.float64)
        weighted.append(float(weights @ correlations / weights.sum()))
    angle = float(np.arccos(np.clip(overlap, 0.0, 1.0)))
    same = {"procrustes": 2.0 - 2.0 * overlap, "procrustes_angle": angle, "svcca": float(correlations.mean())}
    same |= {"rsa": rsa(a, b), "mutual_neighbours": mutual_neighbours(a, b)}
    return {**{name: (value, value) for name, value in same.items()}, "pwcca": (weighted[0], weighted[1])}


def subsample_errors(
    layers: Sequence[KeptLayer],
    *,
    draws: int,
    variance: float,
    k: int,
    seed: int,
    derived: Callable[[Mapping[str, Array]], Mapping[str, Array]] = lambda values: {},
    progress: Callable[[float], None] = lambda fraction: None,
) -> dict[str, Array]:
    """Standard errors (L, L) of every measure of `BETWEEN`, and of what is derived from them.

    √(m/(n − m)) times the standard deviation of the measure over random subsamples of m of the n examples
    without repeats (the delete-d jackknife). The error is that of the measure at this number of examples, on
    which several measures depend; of a layer with itself it is 0. NaN for fewer than two draws.

    Args:
        layers: All layers, on the same examples.
        draws: Number of subsamples.
        variance: As of `Representation.of`.
        k: Neighbours of each example among all; among fewer, the same share.
        seed: Of the draws.
        derived: Other numbers from the matrices of one subsample.
        progress: Called with the finished fraction.

    Reference:
        Shao & Wu (1989), A general theory for jackknife variance estimation, section 2; Politis & Romano
        (1994) for subsamples in general.
    """
    n, count = len(layers[0].gram), len(layers)
    size = min(n - 1, max(2, round(SHARE * n)))
    generator = np.random.default_rng(seed)
    values: dict[str, list[Array]] = {}
    for draw in range(draws):
        rows = np.sort(generator.permutation(n)[:size])
        parts = [layer.on(rows, variance, max(1, round(k * size / n))) for layer in layers]
        found = {name: np.zeros((count, count)) for name in BETWEEN}
        for i, one in enumerate(parts):
            for j, two in enumerate(parts[:i]):
                for name, both in between(one, two).items():
                    found[name][i, j], found[name][j, i] = both
        for name, value in {**found, **derived(found)}.items():
            values.setdefault(name, []).append(value)
        progress((draw + 1) / draws)
    if draws < 2:
        return {}
    factor = (size / (n - size)) ** 0.5
    errors = {name: factor * np.std(np.stack(v), axis=0, ddof=1) for name, v in values.items()}
    for name in BETWEEN:  # a layer of no components has no measure of itself either
        own = [_NAN if not layer.whole.scores.shape[1] else 0.0 for layer in layers]
        np.fill_diagonal(errors[name], own)
    return errors
