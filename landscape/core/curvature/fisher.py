"""Fisher matrices of a problem as symmetric operators: exact, by Monte Carlo, and empirical."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Literal

import torch
from torch import Tensor

from landscape.core.curvature.checks import check_jacobian
from landscape.core.curvature.double_backward import twice_differentiable
from landscape.core.curvature.operator import GaussNewton, Graph, Sandwich
from landscape.core.data.batches import Batch
from landscape.core.problem.criterion import Criterion
from landscape.core.problem.derivatives.record import Check
from landscape.core.problem.losses import CROSS_ENTROPIES, IGNORE_INDEX, gaussian_fisher, gaussian_moments
from landscape.core.problem.problem import Problem
from landscape.errors import InputError

__all__ = ["EmpiricalFisher", "Fisher", "empirical_fisher", "fisher"]

LIKELIHOODS = (*CROSS_ENTROPIES, "mse", "half_squared_error", "gaussian_nll")
"""Losses by name that are the negative logarithm of a density, up to a constant."""


class Fisher(GaussNewton):
    """The Fisher matrix (1/N) Σ E[∇ℓ ∇ℓᵀ] + λI, targets drawn from the model (Martens 2020, §5).

    Cross-entropy is the likelihood of a categorical distribution; the squared errors are that of a Gaussian
    of variance 1 (``"half_squared_error"``) or K/2 (``"mse"``, K outputs per example), ``"gaussian_nll"``
    that of one whose variance is put out as well. Positions of a dense output count as observations of their
    own. Equals the Gauss-Newton matrix for these losses.

    Args:
        problem: A problem with a loss of one of these names.
        type: ``"true"`` takes the expectation exactly; ``"mc"`` averages over ``samples`` targets drawn for
            each example, the same ones in every product.
        samples: Number of drawn targets per example.
        seed: Seed of the draws.
        memory_budget: As in `CurvatureOperator`.

    Raises:
        InputError: If the loss has no likelihood known here, or an option is wrong.
    """

    _title = "The Fisher matrix"
    _checks: tuple[Check, ...] = (check_jacobian,)  # the loss's own curvature has no part in it

    def __init__(
        self,
        problem: Problem,
        *,
        type: Literal["true", "mc"] = "true",
        samples: int = 1,
        seed: int = 0,
        memory_budget: int | None = None,
    ) -> None:
        super().__init__(problem, memory_budget=memory_budget)
        if problem.loss_name not in LIKELIHOODS:
            *others, last = (f"'{name}'" for name in LIKELIHOODS)
            raise InputError(
                f"the loss {problem.loss_name} has no known likelihood; use {', '.join(others)} or {last},"
                " or take ggn or empirical_fisher."
            )
        if type not in ("true", "mc"):
            raise InputError(f"there is no Fisher matrix of type '{type}'; known: mc, true.")
        if samples < 1:
            raise InputError(f"the number of samples must be at least 1; got {samples}.")
        self._samples = samples if type == "mc" else 0
        self._seed = seed

    def inner(
        self, output: Tensor, target: Tensor, batch: Batch, start: int
    ) -> Callable[[Tensor], Tensor] | None:
        """As `GaussNewton.inner`, by the likelihood instead of the loss's own derivatives."""
        if self.problem.loss_name in CROSS_ENTROPIES:
            # Per observation the Fisher matrix of the logits is diag(p) − ppᵀ, whatever the target.
            axis = self.problem.reading.axis
            if axis == -1 and output.ndim > 2:  # the classes come last: the same of the outputs turned
                turned = self._of_logits(output.movedim(-1, 1), target, start)
                return lambda t: turned(t.movedim(-1, 1)).movedim(1, -1)
            return self._of_logits(output, target, start)
        if self.problem.loss_name == "gaussian_nll":
            return self._of_gaussian(output, start)
        outputs = prod(output.shape[1:])
        # The mean over K outputs of (z − y)² is −ln of a Gaussian of variance K/2: precision 2/K.
        precision = 2.0 / outputs if self.problem.loss_name == "mse" else 1.0
        if not self._samples:
            return lambda t: precision * t
        shape = (self._samples, batch.size, outputs)
        scores = torch.randn(shape, generator=self._generator(start), dtype=output.dtype).to(output.device)

        # The score is √precision · ε with ε ~ N(0, 1): its outer product has the factor precision once.
        def inner(t: Tensor) -> Tensor:
            along = (scores * t.reshape(1, batch.size, outputs)).sum(2, keepdim=True)
            return precision * (scores * along).mean(0).reshape(t.shape)

        return inner

    def _of_logits(self, output: Tensor, target: Tensor, start: int) -> Callable[[Tensor], Tensor]:
        """The Fisher matrix of logits (B, C, ...)."""
        weight = _observation_weights(output, target, self.problem.criterion)
        p = output.softmax(1)
        if not self._samples:
            return lambda t: weight * (p * t - p * (p * t).sum(1, keepdim=True))
        scores = p - self._drawn_classes(p, start)
        return lambda t: weight * (scores * (scores * t).sum(2, keepdim=True)).mean(0)

    def _of_gaussian(self, output: Tensor, start: int) -> Callable[[Tensor], Tensor]:
        """The Fisher matrix of means and variances (B, 2D, ...)."""
        if not self._samples:
            return gaussian_fisher(output)
        mean, variance = gaussian_moments(output)
        shape = (self._samples, *mean.shape)
        noise = torch.randn(shape, generator=self._generator(start), dtype=output.dtype).to(output.device)
        slope = output.chunk(2, dim=1)[1].sigmoid()  # of the variance, in what is put out
        scores = torch.cat([-noise / variance.sqrt(), (1 - noise**2) * slope / (2 * variance)], dim=2)

        def inner(t: Tensor) -> Tensor:
            along = (scores * t).flatten(2).sum(2)
            return (scores * along.view(*along.shape, *(1,) * (t.ndim - 1))).mean(0)

        return inner

    def _generator(self, start: int) -> torch.Generator:
        """The draws of one micro-batch: the same in every product, whatever was drawn before."""
        # Shifted beyond the number of examples: no two batches of neighbouring seeds share their draws.
        return torch.Generator().manual_seed(((self._seed << 24) + start) % 2**64)

    def _drawn_classes(self, p: Tensor, start: int) -> Tensor:
        """Classes drawn from probabilities (B, C, ...), one-hot, (samples, B, C, ...)."""
        rows = p.movedim(1, -1)
        drawn = torch.multinomial(
            rows.reshape(-1, p.shape[1]).cpu(),
            self._samples,
            replacement=True,
            generator=self._generator(start),
        )
        hot = torch.nn.functional.one_hot(drawn.T, p.shape[1]).to(p.device, p.dtype)
        return hot.reshape(self._samples, *rows.shape).movedim(-1, 2)


def _observation_weights(output: Tensor, target: Tensor, loss: Criterion) -> Tensor:
    """Weights (B, 1, ...) of the observations of each example in the cross-entropy."""
    if target.is_floating_point():
        mass = target.sum(1, keepdim=True)
        return mass / prod(mass.shape[1:])
    counted = (target != IGNORE_INDEX).to(output.dtype)
    if loss.by_token:
        counted *= loss.scale
    elif counted.ndim > 1:
        counted /= counted.flatten(1).sum(1).view(-1, *(1,) * (counted.ndim - 1))
    return counted.unsqueeze(1)


class EmpiricalFisher(Sandwich):
    """(1/N) Σ ∇ℓₙ ∇ℓₙᵀ + λI, the second moment of the gradients at the data's own targets.

    Not an estimate of the Fisher matrix (Kunstner et al. 2019). Exact: the per-example losses are the output
    z and B = I. λ enters only through λI, not through the gradients.
    """

    def _graph(self, batch: Batch, start: int) -> Graph | None:
        with twice_differentiable(adjoint=True):
            losses = self.problem.batch_losses(batch)
            if losses.ndim == 0:
                raise InputError(
                    f"the loss {self.problem.loss_name} returns a batch mean; the empirical Fisher matrix"
                    " needs one loss per example, shape (B,)."
                )
            return self._sandwich(losses, lambda tangent: tangent)


def fisher(
    problem: Problem,
    *,
    type: Literal["true", "mc"] = "true",
    samples: int = 1,
    seed: int = 0,
    memory_budget: int | None = None,
) -> Fisher:
    """The Fisher operator of a problem, size P, exact or by Monte Carlo; see `Fisher`."""
    return Fisher(problem, type=type, samples=samples, seed=seed, memory_budget=memory_budget)


def empirical_fisher(problem: Problem, *, memory_budget: int | None = None) -> EmpiricalFisher:
    """The operator of the gradients' second moment, size P; see `EmpiricalFisher`."""
    return EmpiricalFisher(problem, memory_budget=memory_budget)
