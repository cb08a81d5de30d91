"""What analyses of images have in common: parts of the data as pieces of a ledger, and options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from landscape.core.stats.order_statistics import quantile_ranks

if TYPE_CHECKING:
    import xarray as xr

    from landscape.base.context import Context
    from landscape.core.inputs.images import AnswerReader, Images
    from landscape.core.problem.problem import Problem

__all__ = ["Images128", "by_part", "empirical_distribution", "images_in", "median_interval", "reader_of"]

Array = NDArray[np.float64]

Images128 = Annotated[
    int,
    Field(ge=2, description="at most so many images, a random sample: the errors show what more would bring"),
]


def reader_of(problem: Problem) -> AnswerReader | None:
    """How answers to images are read; ``None`` where they are one of K classes given by their index.

    Raises:
        InputError: If the problem is no classification.
    """
    from landscape.core.problem.answers.classification import classification_of

    what = classification_of(problem)
    return None if what.plain else what


def by_part(
    parts: list[Images],
    context: Context,
    measure: Callable[[Images, Callable[[float], None]], Mapping[str, Array]],
    axes: Mapping[str, int],
) -> dict[str, Array]:
    """Measure each part of the images, as a piece of the ledger, and put the parts together.

    Args:
        parts: The images.
        context: Keeps the pieces and is told of progress.
        measure: ``(images, report) -> arrays``; ``report`` takes the share of the part that is done.
        axes: Which axis of each array is that of the images.

    Returns:
        The arrays over all images, in the order of the data, and their numbers as ``image``.
    """
    done = 0

    def compute(index: int) -> Mapping[str, Array]:
        found = measure(parts[index], lambda share: context.progress((done + min(share, 1.0)) / len(parts)))
        return dict(found)

    def count(finished: int) -> None:
        nonlocal done
        done = finished
        context.progress(finished / len(parts))

    pieces = context.ledger.collect([f"images-{i}" for i in range(len(parts))], compute, count)
    numbers = np.concatenate([part.numbers.numpy() for part in parts])
    order = np.argsort(numbers)
    joined: dict[str, Array] = {"image": numbers[order]}
    for name, axis in axes.items():
        joined[name] = np.take(np.concatenate([piece[name] for piece in pieces], axis), order, axis)
    return joined


def median_interval(values: Array) -> tuple[float, float, float]:
    """The median and its 95 % interval by order statistics; infinity does not disturb it, NaN stays NaN."""
    if np.isnan(values).any():
        return (float("nan"),) * 3
    ordered, n = np.sort(values), len(values)
    first, last = quantile_ranks(n, 0.5)
    low, high = ordered[max(first - 1, 0)], ordered[min(last, n) - 1]
    middle = float(ordered[n // 2]) if n % 2 else float(ordered[n // 2 - 1] / 2 + ordered[n // 2] / 2)
    return middle, float(low), float(high)


def images_in(datasets: Mapping[str, xr.Dataset]) -> str:
    """The number of images for captions: "128", or "64 to 128" where results differ."""
    counts = {int(ds.sizes["image"]) for ds in datasets.values()}
    return str(min(counts)) if len(counts) == 1 else f"{min(counts)} to {max(counts)}"


def empirical_distribution(values: Any) -> tuple[Array, Array]:
    """Steps of the share of finite values up to x among all that are no NaN: places and shares."""
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    finite = np.sort(known[np.isfinite(known)])
    shares = (np.sum(known == -np.inf) + np.arange(1, len(finite) + 1)) / max(len(known), 1)
    # each value twice: a step up at it
    return np.repeat(finite, 2), np.stack([shares - 1 / max(len(known), 1), shares], 1).reshape(-1)
