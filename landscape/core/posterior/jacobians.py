"""Jacobians of a network's outputs in some entries of θ, example by example."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap
from torch.nn.modules.conv import _ConvNd

from landscape.core.ambient import under_own_context
from landscape.core.curvature.checks import check_jacobian
from landscape.core.problem.derivatives.gradient import check_gradient
from landscape.core.problem.parameters import ParameterSpace
from landscape.core.problem.problem import Problem
from landscape.errors import InputError

__all__ = ["OutputJacobian", "data_jacobians"]

BYTES = 2**28
"""Of the Jacobians that are in memory at a time, where they are made in pieces."""


class OutputJacobian:
    """x ↦ (f(x), ∂f/∂θ_S) of a module at its own parameters.

    Of a network of linear layers, all examples are differentiated side by side. Others (convolutions, fused
    attention) go faster example by example, by one backward pass for each output, which any model allows.

    Args:
        module: A module in evaluation mode, from inputs (N, ...) to outputs (N, C).
        space: Which of its parameters form θ.
        index: The entries S of θ, ascending; ``None`` for all.
    """

    def __init__(self, module: nn.Module, space: ParameterSpace, index: Tensor | None = None) -> None:
        self.module = module
        self.size = space.size if index is None else len(index)
        starts = [0, *accumulate(space.sizes)]
        self._entries: dict[str, Tensor | None] = {}
        for name, first, size in zip(space.names, starts, space.sizes, strict=False):
            if index is None:
                self._entries[name] = None
                continue
            inside = index[(index >= first) & (index < first + size)] - first
            if len(inside):  # the others need no derivative
                self._entries[name] = inside
        self._vectorised: bool | None = None

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs (N, C) and their Jacobian (N, C, S), which carry no graph.

        Raises:
            InputError: If the outputs are not (N, C).
        """
        if self.vectorises(x):
            return self._side_by_side(x)
        parameters = self._parameters()
        outputs, rows = [], []
        with torch.enable_grad():
            for one in torch.split(x, 1):
                output = _checked(functional_call(self.module, parameters, (one,)))
                outputs.append(output.detach())
                rows.append(self.of_output(output, list(parameters.values())))
        return torch.cat(outputs), torch.cat(rows)

    def vectorises(self, x: Any) -> bool:
        """Whether examples such as x (N, ...) are differentiated side by side."""
        if self._vectorised is None:
            self._vectorised = isinstance(x, Tensor) and _vectorises(
                self.module, lambda: self._side_by_side(x[:1])
            )
        return self._vectorised

    def of_output(self, output: Tensor, parameters: list[Any]) -> Tensor:
        """The Jacobian (1, C, S) of one example's output (1, C) that carries a graph.

        Args:
            output: The output.
            parameters: The leaves to differentiate by: those with chosen entries, in the order of θ.
        """
        count = output.shape[1]
        rows = []
        for number, entry in enumerate(output[0]):
            last = number + 1 == count
            gradients: Sequence[Tensor | None] = [None] * len(parameters)
            if entry.requires_grad:
                gradients = torch.autograd.grad(entry, parameters, retain_graph=not last, allow_unused=True)
            full = [
                torch.zeros_like(p) if g is None else g for g, p in zip(gradients, parameters, strict=True)
            ]
            rows.append(self._chosen([g.detach().reshape(1, -1) for g in full]))
        return torch.stack(rows, dim=1)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters that have chosen entries."""
        return tuple(self._entries)

    def _chosen(self, flat: list[Tensor]) -> Tensor:
        """Of derivatives by parameter (..., size), those of the chosen entries, (..., S)."""
        parts = zip(flat, self._entries.values(), strict=True)
        return torch.cat([p if at is None else p[..., at.to(p.device)] for p, at in parts], dim=-1)

    def _parameters(self) -> dict[str, Tensor]:
        named = dict(self.module.named_parameters())
        return {name: named[name].detach().requires_grad_() for name in self._entries}

    def _side_by_side(self, x: Tensor) -> tuple[Tensor, Tensor]:
        parameters = {name: p.detach() for name, p in self._parameters().items()}

        def output(values: dict[str, Tensor], one: Tensor) -> tuple[Tensor, Tensor]:
            found = _checked(functional_call(self.module, values, (one[None],)))[0]
            return found, found

        jacobian, outputs = vmap(jacrev(output, has_aux=True), in_dims=(None, 0))(parameters, x)
        jacobian, outputs = {n: g.detach() for n, g in jacobian.items()}, outputs.detach()
        return outputs, self._chosen([jacobian[name].flatten(2) for name in self._entries])


def _checked(output: Any) -> Tensor:
    if not isinstance(output, Tensor) or output.ndim != 2:
        got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise InputError(f"a Jacobian needs a model with outputs (examples, outputs); got {got}.")
    return output


def _vectorises(module: nn.Module, trial: Callable[[], object]) -> bool:
    """Whether torch maps the module over examples in earnest, rather than in a slow loop of its own."""
    if any(isinstance(part, _ConvNd) for part in module.modules()):
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # "There is a performance drop": no batching rule
        try:
            trial()
        except Exception:  # whatever a transform does not know: data-dependent control flow, in-place writes
            return False
    return True


@under_own_context
def data_jacobians(problem: Problem, index: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
    """Outputs (n, C) and Jacobians (n, C, S) of the data of a problem, some examples at a time.

    Args:
        problem: A problem whose model maps examples one by one to outputs (n, C).
        index: Entries of θ, ascending; ``None`` for all.

    Raises:
        InputError: If the outputs are not (n, C), or BatchNorm takes the statistics of the batch.
    """
    if problem.batchnorm == "batch":
        raise InputError(
            "a posterior needs outputs that depend on one example each; take batchnorm='checkpoint'."
        )
    problem.vouch(check_gradient, check_jacobian)
    jacobian = OutputJacobian(problem.module, problem.space, index)
    named = dict(problem.module.named_parameters())
    leaves = [named[name] for name in jacobian.names]
    with torch.no_grad():
        output = _checked(problem.output(problem.first)[0])
    step = max(1, BYTES // (jacobian.size * output.shape[1] * output.element_size()))
    side_by_side = problem.calls()[1] is None and jacobian.vectorises(problem.first.inputs)
    for batch in problem.batches:
        if side_by_side:
            yield from map(jacobian, batch.inputs.split(step))
            continue
        for one in batch.split(1):
            with torch.enable_grad():
                output = _checked(problem.output(one)[0])
                if len(output) != 1:
                    raise InputError(
                        "the data come in batches that cannot be taken apart into single examples."
                    )
                yield output.detach(), jacobian.of_output(output, leaves)
