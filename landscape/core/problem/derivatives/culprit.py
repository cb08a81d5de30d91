"""Which module is at fault: each module that a pass calls is held against differences by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from landscape.core.data.trees import map_tensors, tensors_in
from landscape.core.problem.derivatives.differences import FINE, FINE_SECOND, judge
from landscape.core.problem.private_model import plain_encoder

if TYPE_CHECKING:
    from landscape.core.problem.derivatives.twin import Twin
    from landscape.core.problem.problem import Problem

__all__ = ["culprit"]


Function = Callable[[dict[str, Tensor], list[Tensor]], list[Tensor]]
Settings = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class _Call:
    """A call of a module, as the pass made it."""

    module: nn.Module
    args: Any
    keywords: Any


def culprit(
    twin: Twin,
    *,
    second: bool = False,
    settings: Settings = torch.enable_grad,
) -> str:
    """The innermost module whose derivatives are wrong while those of its parts are right, as " in ...".

    Args:
        twin: The problem that failed.
        second: Whether second derivatives are at fault.
        settings: What derivatives are taken under.

    Returns:
        Its name, kind and custom functions; empty if none is found.
    """
    if twin.rounds:
        return ""
    with twin.problem._evaluating(), plain_encoder():
        return _search(twin.problem, second, settings)


def _search(problem: Problem, second: bool, settings: Settings) -> str:
    try:
        calls = _calls(problem)
    except Exception:  # this only names what is known to be wrong
        return ""
    for name in reversed(calls):  # parts come after the whole
        call = calls[name]
        if _is_at_fault(partial(_run, call), *_free(call), second, settings):
            kind = type(call.module).__name__
            where = f"module '{name}' ({kind})" if name else f"the forward pass of {kind} itself"
            return f", in {where}{_custom(call)}"
    return ", in the loss" if _loss_is_at_fault(problem, second, settings) else ""


def _calls(problem: Problem) -> dict[str, _Call]:
    """The first call of each module, from the whole to its parts."""
    found: dict[str, _Call] = {}
    handles = []
    for name, module in problem.module.named_modules():

        def look(module: nn.Module, args: Any, keywords: Any, name: str = name) -> None:
            if name not in found:
                args, keywords = (
                    map_tensors(tree, lambda t: t.detach().clone()) for tree in (args, keywords)
                )
                found[name] = _Call(module, args, keywords)

        handles.append(module.register_forward_pre_hook(look, with_kwargs=True))
    try:
        problem.output(problem.first)
    finally:
        for handle in handles:
            handle.remove()
    return {name: found[name] for name, _ in problem.module.named_modules() if name in found}


def _floating(tree: Any) -> list[Tensor]:
    return [t for _, t in tensors_in(tree) if t.is_floating_point()]


def _free(call: _Call) -> tuple[dict[str, Tensor], list[Tensor]]:
    """What a call depends on: floating parameters by name, and floating inputs."""
    state = {n: p.detach().clone() for n, p in call.module.named_parameters() if p.is_floating_point()}
    return state, _floating((call.args, call.keywords))


def _run(call: _Call, state: dict[str, Tensor], inputs: list[Tensor]) -> list[Tensor]:
    """What the call gives with other parameters and inputs, as floating tensors."""
    queue = iter(inputs)

    def swap(tensor: Tensor) -> Tensor:
        # a copy, which layers in place may write to
        return next(queue).clone() if tensor.is_floating_point() else tensor

    args, keywords = map_tensors(call.args, swap), map_tensors(call.keywords, swap)
    return _floating(functional_call(call.module, state, args, keywords))


def _is_at_fault(
    function: Function, state: dict[str, Tensor], inputs: list[Tensor], second: bool, settings: Settings
) -> bool:
    """Whether a part is what is wrong; what cannot be run by itself is not."""
    try:  # along several directions: along one, kinks may cancel by chance
        return all(_is_wrong(function, state, inputs, second, settings, seed) for seed in range(3))
    except Exception:
        return second and _fails(function, state, inputs, settings)


def _is_wrong(
    function: Function,
    state: dict[str, Tensor],
    inputs: list[Tensor],
    second: bool,
    settings: Settings,
    seed: int,
) -> bool:
    """Whether differences contradict derivatives of a function's outputs, summed with random weights."""
    start = [*state.values(), *inputs]
    if not start:
        return False
    draw = torch.Generator().manual_seed(seed)

    def normal(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=draw, dtype=torch.float64).to(like)

    direction = [normal(t) for t in start]
    weights: list[Tensor] = []

    def leaves(t: float) -> list[Tensor]:
        return [(x + t * v).requires_grad_() for x, v in zip(start, direction, strict=True)]

    def value(places: list[Tensor]) -> Tensor:
        outputs = function(dict(zip(state, places, strict=False)), places[len(state) :])
        weights.extend(normal(o) for o in outputs[len(weights) :])
        total: Tensor = sum(((o * w).sum() for o, w in zip(outputs, weights, strict=True)), torch.zeros(()))
        return total

    def gradient(t: float, create_graph: bool = False) -> tuple[list[Tensor], list[Tensor]]:
        places = leaves(t)
        with settings():
            total = value(places)
            if not total.requires_grad:
                return places, [torch.zeros_like(p) for p in places]
            found = torch.autograd.grad(total, places, create_graph=create_graph, allow_unused=True)
        return places, [torch.zeros_like(p) if g is None else g for g, p in zip(found, places, strict=True)]

    places, grads = gradient(0.0, second)
    along = torch.stack([(g * v).sum() for g, v in zip(grads, direction, strict=True)]).sum()
    if not second:

        def values(t: float) -> Tensor:
            return _flat([value(leaves(t))])

        if not any(bool(g.any()) for g in grads) and _steps_without_gradient(values, gradient):
            return True
        return judge(_flat([along]), values, 1.0, FINE) == "wrong"
    said = [torch.zeros_like(p) for p in places]
    if along.requires_grad:
        found = torch.autograd.grad(along, places, allow_unused=True)
        said = [z if g is None else g for g, z in zip(found, said, strict=True)]
    return judge(_flat(said), lambda t: _flat(gradient(t)[1]), 1.0, FINE_SECOND) == "wrong"


def _flat(tensors: list[Tensor]) -> Tensor:
    return torch.cat([t.detach().double().reshape(-1).cpu() for t in tensors])


def _steps_without_gradient(
    values: Callable[[float], Tensor], gradient: Callable[[float], tuple[list[Tensor], list[Tensor]]]
) -> bool:
    """Whether a function changes along a line and has no gradient anywhere on it, as one that rounds."""
    places = (0.03, 0.1, 0.3, 1.0)
    if any(bool(g.any()) for t in places for g in gradient(t)[1]):
        return False
    return any(not torch.equal(values(t), values(0.0)) for t in places)


def _fails(function: Function, state: dict[str, Tensor], inputs: list[Tensor], settings: Settings) -> bool:
    """Whether a function can be differentiated once but not twice."""
    places = [t.detach().clone().requires_grad_() for t in (*state.values(), *inputs)]
    try:
        with settings():
            outputs = function(dict(zip(state, places, strict=False)), places[len(state) :])
            total = torch.stack([o.square().sum() for o in outputs]).sum()
            grads = torch.autograd.grad(total, places, create_graph=True, allow_unused=True)
            slope = torch.stack([g.square().sum() for g in grads if g is not None]).sum()
    except Exception:
        return False
    try:
        torch.autograd.grad(slope, places, allow_unused=True)
    except Exception:
        return True
    return False


def _loss_is_at_fault(problem: Problem, second: bool, settings: Settings) -> bool:
    """Whether the loss as a function of the outputs is what is wrong."""
    try:
        output, target = problem.output(problem.first)
    except Exception:
        return False
    if not isinstance(output, Tensor):
        return False

    def loss(state: dict[str, Tensor], x: list[Tensor]) -> list[Tensor]:
        return [problem.loss_sum(x[0], target, problem.first.size)]

    return _is_at_fault(loss, {}, [output.detach()], second, settings)


def _custom(call: _Call) -> str:
    """Functions with backward passes of their own that a call makes, as text."""
    state, inputs = _free(call)
    try:
        with torch.enable_grad():
            leaves = {name: p.requires_grad_() for name, p in state.items()}
            outputs = _run(call, leaves, [x.requires_grad_() for x in inputs])
    except Exception:
        return ""
    names = dict.fromkeys(
        type(node).__name__.removesuffix("Backward")
        for output in outputs
        for node in _nodes(output.grad_fn)
        if isinstance(node, torch.autograd.function.BackwardCFunction)
    )
    return f" by its function {', '.join(names)}" if names else ""


def _nodes(start: Any) -> Iterator[Any]:
    """All nodes of a graph."""
    seen, queue = set(), [start]
    while queue:
        node = queue.pop()
        if node is not None and node not in seen:
            seen.add(node)
            queue.extend(n for n, _ in node.next_functions)
            yield node
