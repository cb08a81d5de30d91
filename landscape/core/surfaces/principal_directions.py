"""Trajectories: principal directions of a run's checkpoints, in float64 through the Gram matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

from landscape.core.linalg.reductions import BLOCK_ENTRIES, slices
from landscape.errors import InputError

__all__ = ["Centring", "gram_matrix", "principal_directions"]

Centring = Literal["mean", "last"]
"""Of what the points are taken about: their mean, or the last of them."""

DISTINCT = 1e-10
"""A variance below this share of the first counts as none."""


def principal_directions(
    points: Sequence[Tensor], k: int = 2, centring: Centring = "mean"
) -> tuple[Tensor, Tensor]:
    """The k leading principal directions of T points (P,).

    About their mean they are those of a principal component analysis; about the last point, of the matrix
    [θ₀ − θ_n; …; θ_{n−1} − θ_n] of Li et al. (2018), section 7.

    The T × T Gram matrix of the points about their centre is summed in float64 over slices of the
    parameters, so that no T × P matrix is made; its eigenvectors give the directions. The sign of each is
    such that the point of largest score lies on the positive side.

    Returns:
        Orthonormal directions (k, P) in the precision of the points, and the share of the variance that
        each explains (k,), float64; about the last point, the share of the squared distances from it.

    Raises:
        InputError: If the points span fewer than k dimensions.
    """
    values, vectors = torch.linalg.eigh(gram_matrix(points, centring))
    values, vectors = values.flip(0), vectors.flip(1)[:, :k]
    # T points about their mean, or about one of them, span at most T − 1 dimensions.
    if len(values) <= k or not float(values[k - 1]) > DISTINCT * float(values[0]):
        raise InputError(
            f"{len(points)} checkpoints do not span {k} directions; give at least {k + 1} different ones"
            " that do not lie on a line."
        )
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    weights = (vectors * largest.sign() / values[:k].sqrt()).T
    directions = torch.empty(k, len(points[0]), dtype=points[0].dtype, device=points[0].device)
    for part, block in _centred_blocks(points, centring):
        directions[:, part] = (weights.to(block.device) @ block).to(directions.dtype)
    # The last eigenvalue, zero since the mean was taken off, may come out just below it.
    return directions, values[:k] / values.clamp_min(0).sum()


def gram_matrix(points: Sequence[Tensor], centring: Centring = "mean") -> Tensor:
    """Inner products (T, T) of T points (P,) about their centre, in float64 on the CPU."""
    total = torch.zeros(len(points), len(points), dtype=torch.float64)
    for _, block in _centred_blocks(points, centring):
        total += (block @ block.T).cpu()
    return total


def _centred_blocks(points: Sequence[Tensor], centring: Centring) -> Iterator[tuple[slice, Tensor]]:
    for part in slices(len(points[0]), max(1, BLOCK_ENTRIES // len(points))):
        block = torch.stack([point[part] for point in points]).double()
        yield part, block - (block[-1] if centring == "last" else block.mean(0))
