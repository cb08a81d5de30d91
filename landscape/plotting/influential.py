"""The most influential training examples, as a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from landscape.base.figure import Axis, FigureSpec, Guide, Points, Series
from landscape.errors import InputError

__all__ = ["most_influential"]


def most_influential(
    scores: ArrayLike, bounds: ArrayLike | None = None, *, names: Sequence[str] = (), count: int = 10
) -> FigureSpec:
    """The training examples that lower and raise a loss most, for `landscape.plot`.

    Args:
        scores: Influence by example (N,), as `landscape.influence` gives it.
        bounds: Their errors (N,).
        names: What the examples are called; default: their numbers.
        count: How many of each sign at most.

    Raises:
        InputError: If there is no finite score, or lengths differ.
    """
    values = np.asarray(scores, dtype=np.float64)
    errors = np.full(len(values), np.nan) if bounds is None else np.asarray(bounds, dtype=np.float64)
    if values.ndim != 1 or errors.shape != values.shape or (names and len(names) != len(values)):
        raise InputError("a picture of influence needs one score, one bound and one name for each example.")
    if not np.isfinite(values).any():
        raise InputError("no example has a finite influence.")
    order = np.argsort(np.where(np.isfinite(values), values, 0.0), kind="stable")
    helpful = [i for i in order[:count] if values[i] < 0]
    harmful = [i for i in order[-count:] if values[i] > 0]
    chosen = np.array([*helpful, *harmful], dtype=int)
    called = tuple(str(names[i]) if names else str(i) for i in chosen)
    bars = np.where(np.isfinite(errors[chosen]), errors[chosen], 0.0)
    texts = tuple(f"example {name}: {values[i]:.4g}" for name, i in zip(called, chosen, strict=True))
    marks = (
        Points(np.arange(len(chosen)), values[chosen], Series(label="influence"), error=bars, texts=texts),
        Guide(y=0.0),
    )
    return FigureSpec(
        "influence",
        "Most influential training examples",
        Axis("training example", categories=called, limits=(-0.5, len(chosen) - 0.5)),
        Axis("change of the test loss per unit of weight"),
        marks,
        f"The {len(helpful)} training examples that lower the test loss most and the {len(harmful)} that"
        f" raise it most, of {len(values)}, to first order.",
        "Bars: largest error that the unfinished linear system leaves.",
    )
