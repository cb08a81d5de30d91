"""Random signs and what they tell of an operator: means with honest standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from landscape.core.linalg.reductions import products, project_out, slices, summed

__all__ = ["HutchinsonSampler", "TraceEstimate", "block_sums", "mean_and_error", "random_signs"]

PIECE = 1 << 18
"""Entries of each probe that are turned into float64 at a time."""


@dataclass(frozen=True)
class TraceEstimate:
    """Estimates with standard errors, all from the same products.

    Attributes:
        trace: tr A.
        trace_se: Its standard error; 0 if the trace is exact.
        blocks: Traces of the diagonal blocks (b,), float64; they sum to the trace.
        blocks_se: Their standard errors (b,).
        frobenius: ‖A‖_F.
        frobenius_se: Its standard error; where few eigenvalues dominate what is sampled, two errors cover
            80 to 90 %, since the mean of few squares comes out low together with its error.
        diagonal: The diagonal (n,), float64, if asked for.
        diagonal_se: Its standard errors (n,).
        sketch: Dimension of the subspace in which everything is exact.
        samples: Independent probes of the rest.
        products: Products with single vectors.
        converged: Whether the standard error of the trace reached the target.
        estimator: What they come from: "hutch++", "hutchinson", "xtrace", or "exact", without error.
    """

    trace: float
    trace_se: float
    blocks: Tensor
    blocks_se: Tensor
    frobenius: float
    frobenius_se: float
    diagonal: Tensor | None
    diagonal_se: Tensor | None
    sketch: int
    samples: int
    products: int
    converged: bool
    estimator: str


class HutchinsonSampler:
    """The part of a symmetric A that a subspace makes exact, and samples of the rest.

    With P = QQᵀ the exact part has the diagonal of PA + AP − PAP; the rest is M = (I − P)A(I − P), of which
    random signs ω give ω∘Mω, whose mean is the diagonal of M.

    Args:
        Q: Orthonormal columns (n, s); there may be none.
        image: A Q, (n, s).
        sizes: Lengths of consecutive diagonal blocks, summing to n.
    """

    def __init__(self, Q: Tensor, image: Tensor, sizes: Sequence[int]) -> None:
        self.Q = Q
        self.sizes = list(sizes)
        self.count = 0
        # diag(PA + AP − PAP) = rows of Q∘(2AQ − QT) with T = QᵀAQ; ‖PA + AP − PAP‖_F² = 2‖AQ‖² − ‖T‖².
        T = products(Q.T, image.T)
        pieces = list(slices(len(Q), PIECE)) or [slice(0, 0)]
        self._known = torch.cat([(Q[part] * (2 * image[part] - Q[part] @ T)).sum(1) for part in pieces])
        image_square = float(summed(lambda part: part.double().square().sum(), image))
        self._known_square = 2 * image_square - float(T.double().square().sum())
        self._blocks: list[Tensor] = []
        self._squares: list[Tensor] = []
        self._sum = torch.zeros(len(Q), dtype=torch.float64, device=Q.device)
        self._sum_of_squares = torch.zeros_like(self._sum)

    def rest(self, signs: Tensor) -> Tensor:
        """(I − P)ω for signs ω (n, c): what A is to multiply."""
        return project_out(self.Q, signs)

    def add(self, signs: Tensor, image: Tensor) -> None:
        """Take samples.

        Args:
            signs: Random signs ω (n, c).
            image: A(I − P)ω.
        """
        image = self.rest(image)
        self._squares.append(summed(lambda part: part.double().square().sum(0), image).cpu())
        self._blocks.append(block_sums(image, self.sizes, times=signs))
        for part in slices(len(signs), PIECE):
            entries = (signs[part] * image[part]).double()
            self._sum[part] += entries.sum(1)
            self._sum_of_squares[part] += entries.square().sum(1)
        self.count += signs.shape[1]

    def trace(self) -> tuple[float, float]:
        """The trace so far and its standard error.

        Random signs have Var ωᵀMω = 2 Σ_{i≠j} M_ij² = 2 Σ_i Var ω_i(Mω)_i. The sum over entries is known
        far better than the variance of the few ωᵀMω, whose distribution has a heavy tail where one
        eigenvalue dominates M.
        """
        mean = float(torch.cat(self._blocks, dim=1).mean(1).sum())
        variance = 2.0 * float(summed(lambda *part: self._variances(*part).sum(), *self._moments))
        known = float(summed(lambda part: part.double().sum(), self._known))
        return known + mean, (variance / self.count) ** 0.5

    def estimate(self, *, diagonal: bool = False, products: int = 0, converged: bool = True) -> TraceEstimate:
        """All estimates so far.

        Args:
            diagonal: Whether to return the diagonal.
            products: Number of products to report.
            converged: Verdict to report.
        """
        trace, trace_se = self.trace()
        means, errors = mean_and_error(torch.cat(self._blocks, dim=1))
        # entries of one block are not negatively correlated, so this is the least their sum can have
        pairs = zip(*(torch.split(moment, self.sizes) for moment in self._moments), strict=True)
        least = torch.stack([summed(lambda *part: self._variances(*part).sum(), *pair) for pair in pairs])
        least = least.cpu() / self.count
        square, square_se = (float(v) for v in mean_and_error(torch.cat(self._squares)))
        frobenius = (square + self._known_square) ** 0.5
        return TraceEstimate(
            trace=trace,
            trace_se=trace_se,
            blocks=block_sums(self._known[:, None], self.sizes)[:, 0] + means,
            blocks_se=torch.maximum(errors, least.sqrt()),
            frobenius=frobenius,
            # of a root: d√x = dx/(2√x)
            frobenius_se=square_se / (2 * frobenius) if frobenius else square_se,
            diagonal=(self._known + self._sum / self.count).cpu() if diagonal else None,
            diagonal_se=(self._variances(*self._moments) / self.count).sqrt().cpu() if diagonal else None,
            sketch=self.Q.shape[1],
            samples=self.count,
            products=products,
            converged=converged,
            estimator="hutch++" if self.Q.shape[1] else "hutchinson",
        )

    @property
    def _moments(self) -> tuple[Tensor, Tensor]:
        return self._sum, self._sum_of_squares

    def _variances(self, total: Tensor, squares: Tensor) -> Tensor:
        """Variances over probes of entries of ω∘Mω with these sums, enlarged as in `mean_and_error`."""
        g = self.count
        if g <= 3:  # unknown, also of entries that have not varied so far
            return torch.full_like(total, float("inf"))
        spread = (squares / g - (total / g).square()).clamp_min(0)
        return spread * (g / (g - 1) * _enlarged(g) ** 2)


def random_signs(n: int, count: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """Random signs (n, count) with the dtype and device of ``like``; the same bits on every device."""
    signs = torch.empty(n, count, dtype=like.dtype, device=like.device)
    for part in slices(n, PIECE):  # integers take eight bytes each
        rows = len(range(*part.indices(n)))
        signs[part] = (2 * torch.randint(0, 2, (rows, count), generator=generator) - 1).to(like)
    return signs


def block_sums(entries: Tensor, sizes: Sequence[int], *, times: Tensor | None = None) -> Tensor:
    """Sums over consecutive rows (b, k) of entries (n, k), float64.

    Args:
        entries: What to sum.
        sizes: Numbers of rows, summing to n.
        times: A factor for each entry (n, k).
    """
    factors = (entries,) if times is None else (entries, times)
    blocks = zip(*(torch.split(factor, list(sizes)) for factor in factors), strict=True)
    return torch.stack([summed(_product_sum, *block).cpu() for block in blocks])


def _product_sum(*factors: Tensor) -> Tensor:
    product, *rest = (factor.double() for factor in factors)
    for factor in rest:
        product = product * factor
    return product.sum(0)


def mean_and_error(samples: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over the last axis and its standard error.

    The error is enlarged by √((g − 1)/(g − 3)) for g samples, which makes (mean − truth)/error a variable
    of variance 1 (Student's t has (g − 1)/(g − 3)), so that two errors cover what is expected of them.
    """
    g = samples.shape[-1]
    return samples.mean(-1), samples.std(-1) * _enlarged(g) / g**0.5


def _enlarged(g: int) -> float:
    return ((g - 1) / (g - 3)) ** 0.5 if g > 3 else float("inf")
