"""What a Hessian is made of: its Gauss-Newton part and the residual, its outliers, its gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.linalg.hutchinson import HutchinsonSampler, TraceEstimate, block_sums, random_signs
from landscape.core.linalg.krylov import finite_product, working_dtype
from landscape.core.linalg.operators import SymmetricOperator
from landscape.core.linalg.reductions import summed
from landscape.errors import InputError

__all__ = ["Outliers", "Split", "block_shares", "count_outliers", "split"]

Array = NDArray[np.float64]

BLOCK = 4  # probes multiplied at a time


@dataclass(frozen=True)
class Outliers:
    """How many of the largest eigenvalues stand apart from the rest.

    Attributes:
        count: Eigenvalues above the gap; 0 if no gap is significant.
        gap: Ratio of the last outlier to the next eigenvalue; NaN without outliers.
        p_value: Probability of so wide a gap anywhere in a spectrum without one.
        scores: Of each rank i, i ln(λ_i/λ_{i+1}) over its typical value (m - 1,).
    """

    count: int
    gap: float
    p_value: float
    scores: Array


def count_outliers(values: Array, *, level: float = 0.05) -> Outliers:
    """Look for a gap below which the largest eigenvalues go on evenly.

    The widest ratio of neighbours is a poor sign of a gap: it nearly always lies at rank 1. In a spectrum
    that falls like a power law, the typical tail of a Hessian, the i-th ratio is the smaller the higher i:
    the largest of many draws from a Pareto law have independent and exponentially distributed
    i ln(λ_i/λ_{i+1}), all of one mean (Rényi 1953; the basis of Hill's estimator, 1975). The score of rank i
    is this number over the mean, estimated as the median over ranks / ln 2, which a few gaps do not move.
    The gap is at the rank of the largest score S of m - 1; without a gap, a score so large occurs with
    probability 1 - (1 - exp(-S))^(m - 1), and no outliers are counted unless that is at most ``level``.
    Neighbouring eigenvalues of a matrix repel each other, so that this errs on the side of no gap.

    Args:
        values: The m largest eigenvalues, in any order; all positive.
        level: Largest p-value of a gap.

    Example:
        >>> rank = np.arange(1, 31)
        >>> [count_outliers(np.where(rank <= 10, lift, 1) / rank).count for lift in (1, 5)]
        [0, 10]
    """
    x: Array = np.sort(np.asarray(values, dtype=np.float64))[::-1]
    if len(x) and not x[-1] > 0:
        raise InputError(f"outliers are counted among positive eigenvalues; got {x[-1]:.3g}.")
    if len(x) < 4:  # no typical ratio to compare with
        return Outliers(0, float("nan"), float("nan"), np.full(max(len(x) - 1, 0), np.nan))
    spacings = np.arange(1, len(x)) * np.log(x[:-1] / x[1:])
    # The median of an exponential law is ln 2 times its mean.
    typical = np.median(spacings) / np.log(2.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        scores: Array = spacings / typical
    rank = int(np.nanargmax(scores)) if np.isfinite(scores).any() else 0
    # By way of log1p and expm1: of a large score, 1 − exp(−S) rounds to 1 and would leave no p-value.
    p_value = float(-np.expm1(len(scores) * np.log1p(-np.exp(-scores[rank]))))
    if not p_value <= level:
        return Outliers(0, float("nan"), p_value, scores)
    return Outliers(rank + 1, float(x[rank] / x[rank + 1]), p_value, scores)


def block_shares(vectors: Tensor, sizes: Sequence[int]) -> Tensor:
    """Share of each vector's squared norm in consecutive blocks of entries.

    Args:
        vectors: (n, k) or (n,); a zero vector gives NaN.
        sizes: Lengths of the b blocks, summing to n.

    Returns:
        Shares (b, k) or (b,), float64; those of a vector sum to 1.
    """
    sums = block_sums(vectors, sizes, times=vectors)
    return sums / sums.sum(0)


@dataclass(frozen=True)
class Split:
    """Traces, Frobenius norms and traces of blocks of A = G + R, from the same probes.

    Attributes:
        whole: Of A.
        part: Of G.
        rest: Of R = A - G.
        quotients: uᵀGu for the columns u of Q (k,), float64; uᵀRu is uᵀAu minus this.
    """

    whole: TraceEstimate
    part: TraceEstimate
    rest: TraceEstimate
    quotients: Tensor


@under_own_context
def split(
    whole: SymmetricOperator,
    part: SymmetricOperator,
    Q: Tensor,
    *,
    sizes: Sequence[int],
    samples: int = 16,
    seed: int = 0,
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> Split:
    """Compare a matrix A with a part G of it, such as a Hessian with its Gauss-Newton matrix.

    What the subspace of Q holds is exact; the rest is sampled with random signs, each multiplied by A and by
    G, so that R = A - G is sampled by their difference, without noise from what A and G share; see
    `HutchinsonSampler`.

    Costs samples + k products with A and as many with G.

    Args:
        whole: A, of size n.
        part: G.
        Q: Orthonormal columns (n, k), such as eigenvectors of A; there may be none.
        sizes: Lengths of consecutive diagonal blocks, summing to n.
        samples: Number of random signs, at least 4.
        seed: Seed of the signs.
        on_progress: Called with the finished fraction.

    Raises:
        InputError: If there are too few samples, or G is of another size.
        LandscapeError: If a product is not finite.
    """
    n = whole.size
    if part.size != n:
        raise InputError(f"a matrix of size {n} cannot be compared with a part of size {part.size}.")
    if samples < 4:
        raise InputError(f"{samples} samples have no standard error; take at least 4.")
    dtype = working_dtype(whole.dtype)
    Q = Q.to(whole.device, dtype)
    images = [finite_product(A, Q) if Q.shape[1] else Q for A in (whole, part)]
    samplers = [HutchinsonSampler(Q, image, sizes) for image in (*images, images[0] - images[1])]
    generator = torch.Generator().manual_seed(seed)
    done = 0
    while done < samples:
        on_progress(done / samples)
        signs = random_signs(n, min(BLOCK, samples - done), generator, Q)
        probe = samplers[0].rest(signs)
        first, second = finite_product(whole, probe), finite_product(part, probe)
        for sampler, image in zip(samplers, (first, second, first - second), strict=True):
            sampler.add(signs, image)
        done += signs.shape[1]
    on_progress(1.0)
    used = samples + Q.shape[1]
    of_whole, of_part, of_rest = (sampler.estimate(products=used) for sampler in samplers)
    quotients = summed(lambda u, image: (u * image).double().sum(0), Q, images[1])
    return Split(of_whole, of_part, of_rest, quotients.cpu())
