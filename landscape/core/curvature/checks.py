"""Checks of second derivatives and Jacobians, made once per problem before curvature is reported."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from landscape.core.curvature.double_backward import twice_differentiable, unread_gradient
from landscape.core.problem.derivatives.culprit import culprit
from landscape.core.problem.derivatives.differences import Verdict, judge
from landscape.core.problem.derivatives.gradient import WAY_OUT
from landscape.core.problem.derivatives.twin import Twin
from landscape.core.problem.problem import Problem
from landscape.errors import InputError, reason

__all__ = ["check_hessian", "check_jacobian", "check_loss_curvature"]

ASYMMETRY = 0.02
"""How far uᵀHv and vᵀHu may be apart, as a part of their sizes; sound models in float32 are at 1e-4."""


def check_hessian(problem: Problem, twin: Twin | None) -> None:
    """Raise if products of the Hessian are not what differences of the gradient give.

    Where something rounds to float32, steps have to be so long that they cross kinks, which have a part in
    differences and none in the Hessian: there products have to be asymmetric as well before they are refused.

    Raises:
        InputError: If they are not, or the loss cannot be differentiated twice; with the module that is at
            fault if it can be found.
    """

    def verdict(twin: Twin, seed: int) -> Verdict:
        u, v = twin.draw(seed), twin.draw(seed + 10)
        said = _hessian_product(twin, v)
        found = twin.judge(said.cpu(), v, lambda: _gradient(twin).cpu(), second=True)
        if found == "wrong" and twin.rounds:
            a, b = float(u @ said), float(v @ _hessian_product(twin, u))
            size = float(said.norm()) / twin.problem.size**0.5
            return "wrong" if abs(a - b) > ASYMMETRY * max(abs(a), abs(b), size) else "unknown"
        return found

    _check(problem, twin, "second derivatives of the loss", "second derivatives", verdict)


def check_jacobian(problem: Problem, twin: Twin | None) -> None:
    """Raise if Jacobian-vector products of the model are not what differences of its output give.

    Raises:
        InputError: As `check_hessian`.
    """

    def verdict(twin: Twin, seed: int) -> Verdict:
        v = twin.draw(seed)
        with torch.no_grad():
            output, _ = twin.problem.output(twin.batch)
        if not isinstance(output, Tensor):
            return "right"  # operators refuse it with a sentence of their own
        said = _jacobian_product(twin, v, output)
        return twin.judge(said, v, lambda: _output(twin), second=False)

    _check(problem, twin, "derivatives of the output", "derivatives of the output", verdict)


def check_loss_curvature(problem: Problem, twin: Twin | None) -> None:
    """Raise if second derivatives of the loss in the outputs are not what differences give.

    Raises:
        InputError: As `check_hessian`.
    """

    def verdict(twin: Twin, seed: int) -> Verdict:
        with torch.no_grad():
            output, target = twin.problem.output(twin.batch)
        if not isinstance(output, Tensor):
            return "right"
        output = output.detach()
        draw = torch.randn(output.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        tangent = (draw / draw.norm()).to(output)

        def slope(place: Tensor) -> Tensor:
            loss = twin.problem.loss_sum(place, target, twin.batch.size)
            if not loss.requires_grad:
                return torch.zeros_like(place)
            return torch.autograd.grad(loss, place, create_graph=True)[0]

        def value(t: float) -> Tensor:
            return slope((output + t * tangent).requires_grad_()).detach().double().cpu()

        with twice_differentiable():
            place = output.clone().requires_grad_()
            gradient = slope(place)
            said = torch.zeros_like(place)
            if gradient.requires_grad:
                (found,) = torch.autograd.grad(gradient, place, tangent, allow_unused=True)
                said = said if found is None else found
        length = float(output.norm()) or 1.0
        return judge(said.detach().double().cpu(), value, length, twin.ruler(second=True))

    _check(problem, twin, "second derivatives of the loss in the outputs", "second derivatives", verdict)


def _check(
    problem: Problem, twin: Twin | None, what: str, kind: str, verdict: Callable[[Twin, int], Verdict]
) -> None:
    """Ask for a verdict along a random direction; a doubt is confirmed along a second."""
    unknown = problem.derivatives.unknown
    if twin is None:
        unknown[kind] = "the model runs neither in float64 nor in float32"
        return
    model = type(problem.module).__name__
    found = []
    for seed in (0, 1):
        try:
            found.append(verdict(twin, seed))
        except torch.OutOfMemoryError:
            found.append("unknown")
        except (RuntimeError, NotImplementedError) as error:
            if _runs_as_it_is(problem, twin, verdict):
                unknown[kind] = f"{what} cannot be taken in float64"
                return
            raise InputError(
                f"{model} cannot be differentiated as curvature needs it"
                f"{_culprit(twin)} ({reason(error)}): write that"
                " part in operations that have second derivatives, or leave it out with parameters=."
            ) from error
        if found[-1] == "right":
            return
    if "unknown" in found:
        unknown[kind] = f"the {what} change too fast here for differences"
        return
    raise InputError(
        f"the {what} of {model} that autograd gives are not what differences give"
        f"{_culprit(twin)}: a custom function whose backward pass"
        " is not differentiable (once_differentiable, detach, no_grad) or wrong does that; write it in"
        f" differentiable operations, {WAY_OUT}"
    )


def _culprit(twin: Twin) -> str:
    """The module at fault; a Jacobian-vector product differentiates the backward pass, too."""
    return culprit(twin, second=True, settings=twice_differentiable)


def _runs_as_it_is(problem: Problem, twin: Twin, verdict: Callable[[Twin, int], Verdict]) -> bool:
    """Whether what fails in float64 runs in the problem's own dtype."""
    if twin.problem.dtype == problem.dtype:
        return False
    try:
        verdict(Twin(problem.rebuilt(problem.dtype, twin.batch), rounds=True), 0)
    except (RuntimeError, NotImplementedError):
        return False
    return True


def _gradient(twin: Twin) -> Tensor:
    return twin.problem.flatten_grads(twin.problem.batch_gradients(twin.batch))


def _output(twin: Twin) -> Tensor:
    with torch.no_grad():
        found, _ = twin.problem.output(twin.batch)
    return found.reshape(-1).cpu()  # type: ignore[no-any-return]


def _hessian_product(twin: Twin, v: Tensor) -> Tensor:
    here = twin.problem
    with twice_differentiable():
        grads = here.batch_gradients(twin.batch, derive=unread_gradient)
        outputs, vectors = _live(grads, here, v)
        if not outputs:
            return torch.zeros_like(v)
        rows = torch.autograd.grad(outputs, here.parameters, vectors, allow_unused=True)
    return here.flatten_grads(rows)


def _jacobian_product(twin: Twin, v: Tensor, like: Tensor) -> Tensor:
    here = twin.problem
    moved = torch.zeros_like(like)
    with twice_differentiable(adjoint=True):
        output, _ = here.output(twin.batch)
        if output.requires_grad:
            dual = torch.zeros_like(output, requires_grad=True)
            adjoint = unread_gradient(output, here.parameters, dual)
            outputs, vectors = _live(adjoint, here, v)
            if outputs:
                (moved,) = torch.autograd.grad(outputs, dual, vectors)
    return moved.detach().double().reshape(-1).cpu()


def _live(rows: Sequence[Tensor | None], problem: Problem, v: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """The rows that can be differentiated, and their parts of a vector (P,)."""
    parts = torch.split(v, list(problem.space.sizes))
    pairs = [
        (row, part.view(shape))
        for row, part, shape in zip(rows, parts, problem.space.shapes, strict=True)
        if row is not None and row.requires_grad
    ]
    return [row for row, _ in pairs], [part for _, part in pairs]
