"""Diagonal blocks of a curvature operator, by groups of parameters such as layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from landscape.core.linalg.operators import SymmetricOperator
from landscape.core.problem.parameters import Grouping, group_parameters
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.core.problem.problem import Problem

__all__ = ["BlockDiagonal", "DiagonalBlock", "Entries", "block_diagonal", "diagonal_blocks"]


class _Whole(Protocol):
    """What a block needs of its operator: a product of chosen rows and columns."""

    @property
    def problem(self) -> Problem: ...

    @property
    def size(self) -> int: ...

    @property
    def dtype(self) -> torch.dtype: ...

    @property
    def device(self) -> torch.device: ...

    def multiply(self, V: Tensor, members: Sequence[int], groups: Sequence[Sequence[int]]) -> Tensor: ...


def diagonal_blocks(whole: _Whole, by: Grouping = "module") -> dict[str, DiagonalBlock]:
    """Diagonal blocks as operators, by name; they share the graphs of the whole.

    Args:
        whole: The operator, of size P.
        by: ``"parameter"``, ``"module"`` (the parameters of one layer together), globs over parameter
            names, each a block, or a mapping of block names to globs. Parameters in no group are left out.

    Raises:
        InputError: If a glob matches nothing, or a parameter falls into two groups.

    Example:
        The layers of a linear network.

        >>> import torch
        >>> from landscape.core.curvature.operator import hessian
        >>> from landscape.core.problem.problem import Problem
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
        >>> H = hessian(Problem(model, "mse", (torch.zeros(4, 2), torch.zeros(4, 1))))
        >>> {name: block.size for name, block in diagonal_blocks(H).items()}
        {'0': 9, '1': 4}
    """
    groups = group_parameters(whole.problem.space.names, by)
    return {name: DiagonalBlock(whole, members) for name, members in groups.items()}


def block_diagonal(whole: _Whole, by: Grouping = "module") -> BlockDiagonal:
    """The operator with zeros outside its diagonal blocks, as optimisers by layer take the Hessian to be.

    Args:
        whole: The operator, of size P.
        by: As in `diagonal_blocks`, but every parameter has to be in a group.

    Raises:
        InputError: If a glob matches nothing, or a parameter falls into two groups or none.
    """
    return BlockDiagonal(whole, group_parameters(whole.problem.space.names, by))


class DiagonalBlock(SymmetricOperator):
    """A diagonal block of a curvature operator: its rows and columns of one group of parameters.

    Attributes:
        names: Names of the parameters, in the order of its rows.
    """

    def __init__(self, whole: _Whole, members: Sequence[int]) -> None:
        sizes = whole.problem.space.sizes
        super().__init__(sum(sizes[i] for i in members), whole.dtype, whole.device)
        self.names = tuple(whole.problem.space.names[i] for i in members)
        self._whole = whole
        self._members = list(members)

    def _apply(self, V: Tensor) -> Tensor:
        return self._whole.multiply(V, self._members, [self._members])


class Entries(SymmetricOperator):
    """The rows and columns of some entries of another operator, such as one head of a fused projection.

    Args:
        whole: The operator, of size n.
        index: Positions of the entries (m,), without repeats.
    """

    def __init__(self, whole: SymmetricOperator, index: Tensor) -> None:
        super().__init__(len(index), whole.dtype, whole.device)
        self._whole = whole
        self._index = index.to(whole.device)

    def _apply(self, V: Tensor) -> Tensor:
        padded = torch.zeros(self._whole.size, V.shape[1], dtype=V.dtype, device=V.device)
        padded[self._index] = V
        return (self._whole @ padded)[self._index]


class BlockDiagonal(SymmetricOperator):
    """A curvature operator with everything outside its diagonal blocks set to zero.

    Raises:
        InputError: If a parameter belongs to no group.
    """

    def __init__(self, whole: _Whole, groups: Mapping[str, Sequence[int]]) -> None:
        super().__init__(whole.size, whole.dtype, whole.device)
        names = whole.problem.space.names
        missing = sorted(set(range(len(names))) - {i for members in groups.values() for i in members})
        if missing:
            raise InputError(
                f"parameter '{names[missing[0]]}' is in no group ({len(missing)} in all); add one for it."
            )
        self._whole = whole
        self._groups = [list(members) for members in groups.values()]

    def _apply(self, V: Tensor) -> Tensor:
        # All blocks in one pass, since they share the graphs of the whole.
        return self._whole.multiply(V, range(len(self._whole.problem.parameters)), self._groups)
