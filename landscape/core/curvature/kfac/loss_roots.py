"""Roots of the loss's curvature in the outputs: what is sent backwards through the network for KFAC."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Literal

import torch
from torch import Tensor

from landscape.core.curvature.operator import ggn
from landscape.core.data.batches import Batch
from landscape.core.problem.losses import CROSS_ENTROPIES, IGNORE_INDEX
from landscape.core.problem.problem import Problem
from landscape.core.seeds import seeded_generator
from landscape.errors import InputError

__all__ = ["MOST_OUTPUTS", "Roots", "backward_columns"]

Roots = Literal["exact", "mc", "empirical"]
"""Λ = Σ vvᵀ over all columns of its root; over random columns whose expectation it is; or v = ∇ℓ, which
approximates the empirical Fisher matrix instead."""

MOST_OUTPUTS = 1024
"""Outputs of one example of whose curvature a matrix is formed."""

NEGATIVE = 1e-4  # of the largest eigenvalue: below it, more than rounding

_CONVEX = {*CROSS_ENTROPIES, "mse", "mse_loss", "half_squared_error", "binary_cross_entropy_with_logits"}

_DIAGONAL = ("mse", "half_squared_error", "gaussian_nll")


def backward_columns(
    problem: Problem,
    output: Tensor,
    target: Tensor,
    batch: Batch,
    start: int,
    roots: Roots,
    samples: int,
    seed: int,
) -> Iterator[Tensor]:
    """Vectors v shaped as the outputs (B, ...), Σ vvᵀ of which is the loss's curvature of each example.

    Args:
        problem: The problem.
        output: Its outputs on a batch.
        target: Their targets.
        batch: The batch.
        start: How many examples come before it.
        roots: Which.
        samples: Random columns, of ``mc``.
        seed: Their seed.

    Raises:
        InputError: If an example has more outputs than a matrix is formed of, or the loss is not convex.
    """
    if roots == "empirical":
        yield _slopes(problem, output, target)
        return
    plain = output.detach()
    with torch.enable_grad():
        inner = ggn(problem).inner(plain.clone(), target, batch, start)
    if inner is None:
        return
    if roots == "mc":
        draw = seeded_generator(seed, start)
        for _ in range(samples):
            yield _drawn(problem, plain, target, inner, draw) / samples**0.5
        return
    for column in _root(plain, inner, problem).unbind(2):
        if bool(column.any()):
            yield column.reshape(plain.shape)


def _slopes(problem: Problem, output: Tensor, target: Tensor) -> Tensor:
    with torch.enable_grad():
        leaf = output.detach().requires_grad_()
        losses = problem.criterion(leaf, target)
        if losses.ndim == 0:
            raise InputError(
                f"the loss {problem.loss_name} returns a batch mean; roots='empirical' needs one loss per"
                " example, shape (B,)."
            )
        (slope,) = torch.autograd.grad(losses.sum(), leaf)
    return slope


def _root(output: Tensor, inner: Callable[[Tensor], Tensor], problem: Problem) -> Tensor:
    """Roots S of the curvature SSᵀ of each example (B, K, K)."""
    K = prod(output.shape[1:])
    if K > MOST_OUTPUTS:
        raise InputError(
            f"the exact curvature of {K} outputs per example takes {K} backward passes and matrices of"
            f" {K} x {K}; roots='mc' draws some columns (the limit is {MOST_OUTPUTS})."
        )
    columns = []
    for k in range(K):
        unit = torch.zeros(output.shape[0], K, dtype=output.dtype, device=output.device)
        unit[:, k] = 1.0
        columns.append(inner(unit.reshape(output.shape)).detach().reshape(len(output), K))
    matrices = torch.stack(columns, 2).double()
    values, vectors = torch.linalg.eigh((matrices + matrices.mT) / 2)
    convex = {problem.loss_name, problem.criterion.of_torch} & _CONVEX
    # Of a confident example all of the curvature may be rounding: the largest of the batch is the measure.
    if not convex and bool((values < -NEGATIVE * values.abs().amax()).any()):
        raise InputError(
            f"the loss {problem.loss_name} is not convex in the outputs, so that its curvature there has no"
            " root; KFAC is for convex ones, such as 'cross_entropy' (roots='empirical' takes gradients of"
            " any loss)."
        )
    root: Tensor = (vectors * values.clamp_min(0).sqrt()[:, None, :]).to(output.dtype)
    return root


def _drawn(
    problem: Problem, output: Tensor, target: Tensor, inner: Callable[[Tensor], Tensor], draw: torch.Generator
) -> Tensor:
    """One random column: of cross-entropy a drawn class's slope by position; else a root's signs."""
    if problem.loss_name in CROSS_ENTROPIES and not target.is_floating_point():
        axis = problem.reading.axis or 1
        logits = output.movedim(axis, -1)
        p = logits.softmax(-1)
        rows = p.reshape(-1, p.shape[-1])
        classes = torch.multinomial(rows.cpu(), 1, generator=draw)[:, 0].to(p.device)
        hot = torch.nn.functional.one_hot(classes, p.shape[-1]).to(p).reshape(p.shape)
        counted = (target != IGNORE_INDEX).to(p.dtype)
        if counted.ndim > 1 and not problem.criterion.by_token:
            counted = counted / counted.flatten(1).sum(1).view(-1, *(1,) * (counted.ndim - 1))
        weight = problem.criterion.scale * counted
        return (weight.sqrt().unsqueeze(-1) * (p - hot)).movedim(-1, axis)
    if problem.loss_name in _DIAGONAL:
        signs = 2.0 * torch.randint(0, 2, output.shape, generator=draw) - 1.0
        return inner(torch.ones_like(output)).detach().sqrt() * signs.to(output)
    root = _root(output, inner, problem)
    signs = 2.0 * torch.randint(0, 2, root.shape[:2], generator=draw) - 1.0
    return (root @ signs.to(root)[..., None])[..., 0].reshape(output.shape)
