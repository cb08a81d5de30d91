"""Logits of one scale: what a loss says of a model beside how large its logits are."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.data.batches import Batch
from landscape.core.problem.forward import Forward
from landscape.core.problem.losses import CROSS_ENTROPIES
from landscape.core.problem.problem import Problem
from landscape.errors import InputError

__all__ = ["logit_scale", "normalised_logits"]


class _Normalised(Forward):
    """Divides outputs by the root mean square of their deviations over the classes."""

    def __init__(self, inner: Forward, axis: int) -> None:
        super().__init__(inner.function)
        self.takes_batch, self.call = inner.takes_batch, inner.call
        self.inner, self.axis = inner, axis

    def __call__(self, model: Any, batch: Batch) -> tuple[Any, Any]:
        output, target = self.inner(model, batch)
        spread = output.var(self.axis, correction=0, keepdim=True)
        # of equal logits there is no scale: they stay as they are, with a derivative that is finite
        return output / spread.clamp_min(torch.finfo(output.dtype).tiny).sqrt(), target


def normalised_logits(problem: Problem) -> Problem:
    """The same problem with logits f/√(Σ (f_c − f̄)²/C), so that their scale does not decide its curvature.

    Training on separable data makes logits grow without end, and with them the loss around falls flat: two
    models that predict alike then differ in sharpness. The private model is shared.

    Raises:
        InputError: If the problem is no classification by logits.

    Reference:
        Andriushchenko et al. (2023), A modern look at the relationship between sharpness and generalization.
    """
    axis = _class_axis(problem)
    if axis is None:
        raise InputError(
            "logits can be normalised only where a model puts out one logit per class under cross-entropy;"
            f" the loss here is {problem.loss_name}: leave normalise_logits out."
        )
    other = copy.copy(problem)
    other._forward = _Normalised(problem._forward, axis)
    return other


@under_own_context
def logit_scale(problem: Problem) -> float:
    """Root mean square over all examples of logits about their mean over the classes; NaN without logits."""
    axis = _class_axis(problem)
    if axis is None:
        return float("nan")
    sums = torch.zeros(2, dtype=torch.float64, device=problem.device)
    with torch.no_grad(), problem.sharding.summing(sums):
        for batch in problem.shard:
            output: Tensor = problem.output(batch)[0]
            spread = output.detach().double().var(axis, correction=0)
            sums += torch.stack([spread.sum(), spread.new_tensor(float(spread.numel()))])
    return float((sums[0] / sums[1]).sqrt())


def _class_axis(problem: Problem) -> int | None:
    """The axis of the logits of a cross-entropy; ``None`` of others."""
    if problem.loss_name not in CROSS_ENTROPIES or problem.reading.scale != "logits":
        return None
    output, _ = problem.output(problem.first)
    if not torch.is_tensor(output) or not output.is_floating_point() or output.ndim < 2:
        return None
    return problem.reading.axis or 1
