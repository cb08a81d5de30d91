"""Groups of parameters, and the diagonal blocks that a curvature operator has for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from landscape.core.linalg.operators import SymmetricOperator
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.core.curvature.operator import CurvatureOperator

__all__ = ["BlockDiagonal", "DiagonalBlock"]


class DiagonalBlock(SymmetricOperator):
    """A diagonal block of a curvature operator: its rows and columns of one group of parameters.

    Attributes:
        names: Names of the parameters, in the order of its rows.
    """

    def __init__(self, whole: CurvatureOperator, members: Sequence[int]) -> None:
        sizes = whole.problem.space.sizes
        super().__init__(sum(sizes[i] for i in members), whole.dtype, whole.device)
        self.names = tuple(whole.problem.space.names[i] for i in members)
        self._whole = whole
        self._members = list(members)

    def _apply(self, V: Tensor) -> Tensor:
        return self._whole.multiply(V, self._members, [self._members])


class BlockDiagonal(SymmetricOperator):
    """A curvature operator with everything outside its diagonal blocks set to zero.

    Raises:
        InputError: If a parameter belongs to no group.
    """

    def __init__(self, whole: CurvatureOperator, groups: Mapping[str, Sequence[int]]) -> None:
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
        return self._whole.multiply(V, range(len(self._whole.problem.parameters)), self._groups)
