"""The empirical neural tangent kernel: the Gram matrix of the outputs' gradients, by its smaller side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.curvature.checks import check_jacobian
from landscape.core.curvature.operator import GaussNewton
from landscape.core.data.batches import Batch
from landscape.core.linalg.quadrature import SpectralMeasure
from landscape.core.problem.derivatives.record import Check
from landscape.core.problem.problem import Problem
from landscape.core.stats.intervals import reach
from landscape.errors import InputError

__all__ = ["KernelMoments", "TangentGram", "centred_targets", "kernel_moments", "label_gradient"]

Array = NDArray[np.float64]


class TangentGram(GaussNewton):
    """JᵀJ, of size P, whose eigenvalues other than 0 are those of the kernel Θ = JJᵀ of N examples.

    J (N·C, P) is the Jacobian of all outputs of all examples, which is never formed, nor is Θ (N·C, N·C).
    Weight decay has no part in it.

    Args:
        problem: A problem whose model returns one tensor, each example's outputs its own.
        memory_budget: As in `CurvatureOperator`.

    Raises:
        InputError: If BatchNorm takes the statistics of the batch.
    """

    _title = "The tangent kernel"
    _checks: tuple[Check, ...] = (check_jacobian,)

    def __init__(self, problem: Problem, *, memory_budget: int | None = None) -> None:
        if problem.batchnorm == "batch":
            raise InputError(
                "a kernel between examples needs outputs that depend on one example each, but with"
                " batchnorm='batch' they depend on the batch; take batchnorm='checkpoint'."
            )
        super().__init__(problem, memory_budget=memory_budget)

    def inner(
        self, output: Tensor, target: Tensor, batch: Batch, start: int
    ) -> Callable[[Tensor], Tensor] | None:
        """The identity: the matrix is JᵀJ, whatever the loss."""
        return lambda tangent: tangent

    def _apply(self, V: Tensor) -> Tensor:
        mean = super()._apply(V)
        return (mean - self.problem.weight_decay * V) * self.problem.examples


@under_own_context
def centred_targets(problem: Problem) -> list[Tensor] | None:
    """Targets by batch, (B, C) as the outputs, less their mean over all examples: one-hot of classes.

    Returns:
        Them; ``None`` if the outputs are not (B, C), or the targets neither classes nor of that shape.
    """
    found = []
    for batch in problem.batches:
        with torch.no_grad():
            output, target = problem.output(batch)
        if not isinstance(output, Tensor) or output.ndim != 2 or not isinstance(target, Tensor):
            return None
        if target.shape == output.shape:
            found.append(target.to(output.dtype))
        elif target.shape == output.shape[:1] and not target.is_floating_point() and output.shape[1] > 1:
            if not bool(((target >= 0) & (target < output.shape[1])).all()):
                return None  # labels that the loss leaves out belong to no class
            found.append(torch.nn.functional.one_hot(target.long(), output.shape[1]).to(output.dtype))
        else:
            return None
    mean = torch.stack([rows.double().sum(0) for rows in found]).sum(0) / problem.examples
    return [rows - mean.to(rows.dtype) for rows in found]


@under_own_context
def label_gradient(problem: Problem, targets: list[Tensor]) -> Tensor:
    """Jᵀy of targets y by batch, (P,): the gradient of Σ y·f. Its square is yᵀΘy."""
    total = torch.zeros_like(problem.theta)
    for batch, rows in zip(problem.batches, targets, strict=True):
        with torch.enable_grad():
            output, _ = problem.output(batch)
            score = (output * rows).sum()
            if score.requires_grad:
                total += problem.flatten_grads(
                    torch.autograd.grad(score, problem.parameters, allow_unused=True)
                )
    return total


@dataclass(frozen=True)
class KernelMoments:
    """Numbers of the whole spectrum of Θ, each with half the width of its 95 % interval over probes.

    Attributes:
        trace: tr Θ = ‖J‖²_F.
        frobenius: ‖Θ‖_F.
        effective_rank: exp H(λ/tr Θ) of its eigenvalues λ (Roy & Vetterli 2007).
        participation: (tr Θ)²/‖Θ‖²_F.
        alignment: yᵀΘy/(‖Θ‖_F ‖y‖²); NaN without targets.
    """

    trace: tuple[float, float]
    frobenius: tuple[float, float]
    effective_rank: tuple[float, float]
    participation: tuple[float, float]
    alignment: tuple[float, float]


def kernel_moments(measure: SpectralMeasure, along: float, square: float) -> KernelMoments:
    """Moments of the kernel from the spectrum of JᵀJ, whose zeros count nothing.

    Of ratios and roots the bias of few probes is taken off, and the error found, by leaving out each probe in
    turn (jackknife). Few probes seldom see the largest eigenvalues of the rest, and then miss how much they
    vary as well: the interval is no narrower than twice what the variance 2 tr f(M)² of a quadratic form in
    Gaussian numbers gives, M being what is left beside the known eigenpairs.

    Args:
        measure: The spectrum of JᵀJ, of size P.
        along: yᵀΘy.
        square: ‖y‖².

    Example:
        >>> from landscape.core.linalg.operators import DenseOperator
        >>> from landscape.core.linalg.quadrature import whole_measure
        >>> kernel = whole_measure(DenseOperator(torch.diag(torch.tensor([2.0, 2.0, 0.0]))))
        >>> found = kernel_moments(kernel, 8.0, 4.0)
        >>> [round(v[0], 6) for v in (found.trace, found.effective_rank, found.participation)]
        [4.0, 2.0, 2.0]
    """
    x = np.maximum(measure.nodes, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(x > 0, x * np.log(np.where(x > 0, x, 1.0)), 0.0)
    sums = np.stack([measure.size * (measure.weights * f).sum(1) for f in (x, x**2, logs)], 1)
    n, total = len(sums), sums.sum(0)
    # Of all probes, then without each in turn; a single probe has no error.
    means = np.concatenate([total[None] / n, (total - sums) / (n - 1)]) if n > 1 else sums
    trace, squares, entropy = means.T
    with np.errstate(divide="ignore", invalid="ignore"):
        frobenius = np.sqrt(squares)
        rank = np.exp(np.log(trace) - entropy / trace)
        alignment = along / (frobenius * square)
        found = (trace, frobenius, rank, trace**2 / squares, alignment)
        t, q, e = (v[0] for v in (trace, squares, entropy))
        slopes = np.array(
            [
                [1.0, 0.0, 0.0],
                [0.0, 0.5 / frobenius[0], 0.0],
                [rank[0] * (1.0 / t + e / t**2), 0.0, -rank[0] / t],
                [2.0 * t / q, -((t / q) ** 2), 0.0],
                [0.0, -0.5 * alignment[0] / q, 0.0],
            ]
        )
        least = np.sqrt(np.einsum("ij,jk,ik->i", slopes, _variance(measure, (x, x**2, logs)) / n, slopes))
    return KernelMoments(
        *(_jackknifed(values, n, 2.0 * half) for values, half in zip(found, least, strict=True))
    )


def _variance(measure: SpectralMeasure, functions: Sequence[Array]) -> Array:
    """Covariances of one probe's estimates of tr f of the rest, by the spectrum itself (functions twice)."""
    last = measure.nodes.shape[1] - measure.outliers
    count = measure.size - measure.outliers
    weights = measure.size * measure.weights[:, :last]
    f = [values[:, :last] for values in functions]
    sums = np.array([(weights * a).sum(1).mean() for a in f])
    squares = np.array([[(weights * a * b).sum(1).mean() for b in f] for a in f])
    # A probe of fixed length has no variance from a spectrum that is all one value.
    found: Array = 2.0 * (squares - np.outer(sums, sums) / max(count, 1))
    return found


def _jackknifed(values: Array, n: int, least: float) -> tuple[float, float]:
    if n < 2:
        return float(values[0]), float("nan")
    left = values[1:]
    if np.ptp(left) <= 1e-14 * abs(values[0]):  # all eigenvalues are known
        return float(values[0]), 0.0
    error = np.sqrt((n - 1) / n * np.square(left - left.mean()).sum())
    return float(n * values[0] - (n - 1) * left.mean()), max(
        float(reach(n) * error), float(np.nan_to_num(least))
    )
