"""Groups of parameters, and the diagonal blocks that a curvature operator has for them."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from landscape.core.linalg.operators import SymmetricOperator
from landscape.errors import InputError, suggest

if TYPE_CHECKING:
    from landscape.core.curvature.operator import CurvatureOperator

__all__ = ["Block", "BlockDiagonal", "Grouping", "group_parameters"]

Grouping = str | Sequence[str] | Mapping[str, str | Sequence[str]]
"""``"parameter"``, ``"module"``, globs over parameter names, or globs by group name."""


def group_parameters(names: Sequence[str], by: Grouping) -> dict[str, list[int]]:
    """Positions of parameters by group.

    Args:
        names: Parameter names.
        by: ``"parameter"`` (each its own group), ``"module"`` (those of one layer together), globs, each a
            group of its own, or a mapping of group names to globs.

    Returns:
        Positions in ``names``, ascending, by group.

    Raises:
        InputError: If a glob matches nothing, or a parameter falls into two groups.

    Example:
        >>> group_parameters(["a.weight", "a.bias", "b.weight"], "module")
        {'a': [0, 1], 'b': [2]}
        >>> group_parameters(["a.weight", "a.bias", "b.weight"], {"weights": "*.weight"})
        {'weights': [0, 2]}
    """
    groups: dict[str, list[int]] = {}
    if by in ("parameter", "module"):
        for position, name in enumerate(names):
            group = name if by == "parameter" else name.rpartition(".")[0]
            groups.setdefault(group, []).append(position)
        return groups
    if not isinstance(by, Mapping):
        by = {glob: glob for glob in ([by] if isinstance(by, str) else by)}
    taken: dict[int, str] = {}
    for group, globs in by.items():
        globs = [globs] if isinstance(globs, str) else list(globs)
        for glob in globs:
            if not fnmatch.filter(names, glob):
                raise InputError(f"no parameter matches '{glob}'; {suggest(glob, names)}")
        chosen = [i for i, n in enumerate(names) if any(fnmatch.fnmatchcase(n, g) for g in globs)]
        for position in chosen:
            if position in taken:
                raise InputError(
                    f"parameter '{names[position]}' is in the groups '{taken[position]}' and '{group}';"
                    " let it match one only."
                )
            taken[position] = group
        groups[group] = chosen
    return groups


class Block(SymmetricOperator):
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
