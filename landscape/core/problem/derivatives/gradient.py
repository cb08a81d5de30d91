"""The check that a loss moves as its gradient says, made once per problem before a derivative is reported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from landscape.core.linalg.reductions import distance, inner_product, length
from landscape.core.problem.derivatives.culprit import culprit
from landscape.core.problem.derivatives.twin import Twin
from landscape.errors import InputError, reason

if TYPE_CHECKING:
    from landscape.core.problem.problem import Problem

__all__ = ["WAY_OUT", "check_gradient"]

MOVES = (1e-2, 1e-1, 0.3)
"""Lengths of the moves that tell whether a loss depends on parameters that have no gradient, as parts of the
norms of these."""

TREMOR, ROUNDED_TREMOR = 1e-13, 1e-6
"""Relative changes of all weights in their last digits, in float64 and where something rounds to float32."""

NOISE = 0.3
"""A gradient that changes by more than this part of itself with them is rounding alone."""

HALVINGS = 40
"""How often the way to another loss is halved in search of a place where the loss has a slope."""

CONFIRMED = (1, 2, 3)
"""Seeds of the directions along which a doubt is confirmed: along one, kinks may cancel by chance."""

WAY_OUT = (
    "leave its parameters out with parameters=, or give check_derivatives=False if you know what is"
    " differentiated."
)


def check_gradient(problem: Problem, twin: Twin | None) -> None:
    """Raise unless the loss moves as its gradient says.

    The gradient is held against differences of the loss along itself and, to confirm a doubt, along mixtures
    of it with random directions; where some parameters have none, along random directions of these. What
    differences cannot judge passes, and the problem's record says so.

    Raises:
        InputError: If the loss has no gradient in any parameter, changes with parameters in which it has
            none, or does not move as its gradient says; with the module that is at fault if it can be found.
    """
    _refuse_without_graph(problem, twin)
    if twin is None:
        problem.derivatives.unknown["gradients"] = "the model runs neither in float64 nor in float32"
        return
    here = twin.problem
    try:
        grads = [None if g is None else g / twin.batch.size for g in here.batch_gradients(twin.batch)]
    except torch.OutOfMemoryError:
        problem.derivatives.unknown["gradients"] = "there is too little memory"
        return
    except RuntimeError as error:
        problem.derivatives.unknown["gradients"] = "the gradient cannot be taken in float64"
        _refuse_what_has_none(problem, error)
        return
    gradient = here.flatten_grads(grads)
    if not bool(gradient.isfinite().all()):
        return  # NaN stays NaN
    dead = [g is None or not bool(g.any()) for g in grads]
    if any(dead):
        _check_dead(problem, twin, dead)
    slope = length(gradient)
    if slope == 0.0:
        return
    ahead = gradient / slope
    mixed = [ahead + twin.draw(seed) for seed in CONFIRMED]
    verdicts = set()
    for direction in (ahead, *(m / m.norm() for m in mixed)):
        said = torch.tensor(inner_product(gradient, direction), dtype=torch.float64)
        verdict = twin.judge(said, direction, lambda: _loss(here))
        if verdict == "right":
            return  # further directions are only tried to confirm a doubt
        verdicts.add(verdict)
    if verdicts == {"wrong"}:
        _refuse_rounding(problem, twin, gradient)
        raise InputError(
            f"the loss of {type(problem.module).__name__} does not move as its gradient says"
            f"{culprit(twin)}: a straight-through estimator, a detached part or a custom backward pass gives"
            f" the derivatives of another function than the loss; take that out of forward, {WAY_OUT}"
        )
    problem.derivatives.unknown["gradients"] = "the loss is not smooth enough here for differences"


def _refuse_rounding(problem: Problem, twin: Twin, gradient: Tensor) -> None:
    """Raise if the gradient changes with the last digits of the weights, as no function's does."""
    here = twin.problem
    with here.at(here.theta * (1 + (ROUNDED_TREMOR if twin.rounds else TREMOR))):
        again = here.flatten_grads(here.batch_gradients(twin.batch)) / twin.batch.size
    if distance(again, gradient) > NOISE * max(length(again), length(gradient)):
        raise InputError(
            f"the gradient of the loss of {type(problem.module).__name__} is rounding alone: it is another"
            " one where weights differ in their last digits. They are too large (their norm is"
            f" {length(problem.theta):.2g}), as after a training that diverged; scale them down, {WAY_OUT}"
        )


def _loss(problem: Problem) -> Tensor:
    with torch.set_grad_enabled(problem._derives):
        return (problem.batch_loss(problem.first) / problem.first.size).detach().cpu()


def _refuse_without_graph(problem: Problem, twin: Twin | None) -> None:
    """Raise if no loss of any batch carries a graph to a parameter."""
    if twin is not None and twin.problem.batch_loss(twin.batch).requires_grad:
        return
    for batch in (problem.first, *problem.shard):  # a pass may branch on its data
        with torch.enable_grad():
            if problem.batch_loss(batch).requires_grad:
                return
    where = culprit(twin) if twin is not None else ""
    raise InputError(
        f"the loss of {type(problem.module).__name__} has no gradient in any chosen parameter{where}: its"
        " forward pass cuts the graph (no_grad, inference_mode, detach), or does not use these parameters;"
        " take that out of forward, or name other parameters with parameters=."
    )


def _refuse_what_has_none(problem: Problem, failure: Exception) -> None:
    """Raise if the problem itself cannot be differentiated either."""
    try:
        problem.batch_gradients(problem.first)
    except RuntimeError:
        raise InputError(
            f"{type(problem.module).__name__} cannot be differentiated ({reason(failure)}); change what"
            " forward does there."
        ) from failure


def _check_dead(problem: Problem, twin: Twin, dead: Sequence[bool]) -> None:
    """Raise if the loss changes with parameters that have no gradient; else note what it does not use."""
    here = twin.problem
    names = [name for name, none in zip(here.space.names, dead, strict=True) if none]
    sizes = list(here.space.sizes)
    mask = torch.cat([torch.full((n,), float(d)) for n, d in zip(sizes, dead, strict=True)])
    if not bool(mask.any()):  # parameters without entries
        return
    verdicts = set()
    for seed in CONFIRMED:
        direction = twin.draw(seed) * mask.to(here.theta)
        direction /= direction.norm()
        verdicts.add(twin.judge(torch.zeros((), dtype=torch.float64), direction, lambda: _loss(here)))
    cut = verdicts == {"wrong"}
    if not cut:
        moved, still = _moves(twin, dead)
        if not moved:
            problem.derivatives.without_gradient = tuple(names)
            return
        cut = still
    if cut:
        what = "any chosen parameter" if all(dead) else f"parameter '{names[0]}'"
        others = f" and {len(names) - 1} more" if len(names) > 1 and not all(dead) else ""
        raise InputError(
            f"the loss of {type(problem.module).__name__} changes with its parameters but has no gradient in"
            f" {what}{others}{culprit(twin)}: its forward pass cuts the graph (no_grad, detach, .data), or"
            f" rounds; take that out of forward, {WAY_OUT}"
        )


def _moves(twin: Twin, dead: Sequence[bool]) -> tuple[bool, bool]:
    """Whether the loss changes with parameters without gradient, and whether they have none where it does.

    A loss that is flat here, such as one at a minimum or of units that are off, has a gradient elsewhere.
    """
    here = twin.problem
    loss = float(_loss(here))
    generator = torch.Generator().manual_seed(3)
    for move in MOVES:
        theta = here.theta.clone()
        for piece, none in zip(torch.split(theta, list(here.space.sizes)), dead, strict=True):
            step = torch.randn(len(piece), generator=generator, dtype=torch.float64).to(piece)
            if none and len(piece):
                piece += move * (float(piece.norm()) or 1.0) * step / step.norm()
        with here.at(theta):
            there = float(_loss(here))
            grads = here.batch_gradients(twin.batch)
        if any(g is not None and bool(g.any()) for g, none in zip(grads, dead, strict=True) if none):
            return True, False
        if abs(there - loss) > 1e-6 * max(abs(loss), abs(there)):
            return True, not _slopes_between(twin, dead, theta, loss, there)
    return False, False


def _slopes_between(twin: Twin, dead: Sequence[bool], theta: Tensor, loss: float, there: float) -> bool:
    """Whether the way to ``theta`` has a slope somewhere, as past units that are saturated, or jumps alone.

    Each step keeps the half on which the loss changes more.
    """
    here, start = twin.problem, twin.problem.theta.clone()
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        with here.at(torch.lerp(start, theta, middle)):
            value = float(_loss(here))
            grads = here.batch_gradients(twin.batch)
        if any(g is not None and bool(g.any()) for g, none in zip(grads, dead, strict=True) if none):
            return True
        if abs(value - loss) >= abs(there - value):
            high, there = middle, value
        else:
            low, loss = middle, value
    return False
