"""By how much a feature map expands distances: between examples, about them, and to other data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape.core.data.batches import Batch
from landscape.core.inputs.feature_map import FeatureMap, inputs_of

__all__ = ["chosen_pairs", "expansions", "rows_of"]

Array = NDArray[np.float64]


@torch.no_grad()
def rows_of(features: FeatureMap, batches: Sequence[Batch]) -> tuple[Tensor, Tensor]:
    """Inputs (N, D) and features (N, F) of all examples of batches, on the CPU, float64."""
    inputs = torch.cat([inputs_of(batch).flatten(1).double().cpu() for batch in batches])
    found = torch.cat([features(batch).double().cpu() for batch in batches])
    return inputs, found


def chosen_pairs(count: int, most: int, seed: int, other: int = 0) -> NDArray[np.int64]:
    """Random pairs (most, 2) of different examples; with `other`, of an example and one of so many others."""
    rng = np.random.default_rng((seed, other))
    first = rng.integers(0, count, most)
    if other:
        return np.stack([first, rng.integers(0, other, most)], 1)
    return np.stack([first, (first + rng.integers(1, count, most)) % count], 1)


def ratio(h: Tensor, other_h: Tensor, x: Tensor, other_x: Tensor) -> Array:
    """‖h − h′‖/‖x − x′‖ row by row; NaN for equal inputs."""
    far = torch.linalg.vector_norm(x - other_x, dim=1)
    moved = torch.linalg.vector_norm(h - other_h, dim=1)
    values: Array = (moved / far.where(far > 0, torch.nan)).numpy()
    return values


def expansions(
    features: FeatureMap,
    batches: Sequence[Batch],
    others: Mapping[str, Sequence[Batch]],
    radii: Sequence[float],
    *,
    pairs: int,
    seed: int,
) -> Iterator[tuple[str, float, Array]]:
    """Expansions of pairs of one kind after the other: name, mean distance of the inputs, ratios (pairs,).

    Kinds are ``data``, two examples; ``<r> × median``, an example and itself moved in a random direction by
    so much of the median distance of two examples; ``data ~ <name>``, an example and one of other data.

    Args:
        features: The feature map.
        batches: The examples.
        others: Batches of other data, by name.
        radii: Relative to that median.
        pairs: How many of each kind.
        seed: Of pairs and directions.
    """
    x, h = rows_of(features, batches)
    i, j = chosen_pairs(len(x), pairs, seed).T
    distances = torch.linalg.vector_norm(x[i] - x[j], dim=1)
    yield "data", float(distances.mean()), ratio(h[i], h[j], x[i], x[j])
    for index, radius in enumerate(radii):
        length = radius * float(distances.median())
        generator = torch.Generator().manual_seed((seed * 1009 + index) % 2**63)
        found = []
        for batch in batches:
            own = inputs_of(batch)
            step = torch.randn(own.shape, generator=generator).to(own)
            step = step * (length / step.flatten(1).norm(dim=1)).view(-1, *[1] * (own.ndim - 1))
            with torch.no_grad():
                moved, at = features(batch, own + step), features(batch)
            gap = (own + step - own).flatten(1).double().norm(dim=1)
            found.append(((moved.double() - at.double()).norm(dim=1) / gap).cpu().numpy())
        ratios = np.concatenate(found)
        yield (
            f"{radius:g} × median",
            length,
            ratios[np.random.default_rng(seed).permutation(len(ratios))[:pairs]],
        )
    for name, given in others.items():
        other_x, other_h = rows_of(features, given)
        i, j = chosen_pairs(len(x), pairs, seed, len(other_x)).T
        apart = float(torch.linalg.vector_norm(x[i] - other_x[j], dim=1).mean())
        yield f"data ~ {name}", apart, ratio(h[i], other_h[j], x[i], other_x[j])
