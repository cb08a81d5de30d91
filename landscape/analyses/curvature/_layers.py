"""What a layer is: the parameters of one module, or each parameter tensor."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from landscape.core.problem.problem import Problem

__all__ = ["layers_of"]


def layers_of(problem: Problem, by: str) -> tuple[list[str], list[int]]:
    """Names and sizes of the layers, in the order of θ: parameters of one layer stand together.

    Args:
        problem: The problem.
        by: ``module`` or ``parameter``.
    """
    names = [n if by == "parameter" else n.rpartition(".")[0] for n in problem.space.names]
    first = [i for i, name in enumerate(names) if i == 0 or name != names[i - 1]]
    ends = pairwise([*first, len(names)])
    return [names[i] or "(model)" for i in first], [sum(problem.space.sizes[a:b]) for a, b in ends]
