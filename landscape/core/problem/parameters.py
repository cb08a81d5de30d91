"""Named parameters and the flat vector they form."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from landscape.errors import InputError, suggest

if TYPE_CHECKING:
    pass

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

import torch
from torch import nn

__all__ = ["Grouping", "ParameterSpace", "group_parameters", "select_parameters"]


@dataclass(frozen=True)
class ParameterSpace:
    """The chosen parameters of a model, in order, and where each lies in the flat vector.

    Attributes:
        names: Parameter names; a tied weight appears once, under its first name.
        shapes: Their shapes.
        dtype: The dtype of the flat vector.
        device: Its device.

    Example:
        >>> space = ParameterSpace.of({"w": torch.zeros(2, 3), "b": torch.zeros(2)})
        >>> space.size
        8
        >>> [tuple(t.shape) for t in space.unflatten(torch.arange(8.0)).values()]
        [(2, 3), (2,)]
    """

    names: tuple[str, ...]
    shapes: tuple[torch.Size, ...]
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> ParameterSpace:
        """The space of a mapping of tensors, which must share a dtype and a device.

        Raises:
            InputError: If the mapping is empty or mixes dtypes or devices.
        """
        if not tensors:
            raise InputError("there are no parameters to study; choose at least one.")
        for what in ("dtype", "device"):
            kinds = sorted({str(getattr(t, what)) for t in tensors.values()})
            if len(kinds) > 1:
                raise InputError(
                    f"the parameters mix {what}s {', '.join(kinds)}; give Problem one dtype and one device."
                )
        first = next(iter(tensors.values()))
        shapes = tuple(t.shape for t in tensors.values())
        return cls(tuple(tensors), shapes, first.dtype, first.device)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of entries of each parameter."""
        return tuple(prod(s) for s in self.shapes)

    @property
    def size(self) -> int:
        """Length P of the flat vector."""
        return sum(self.sizes)

    def flatten(self, tensors: Mapping[str, Tensor] | Sequence[Tensor]) -> Tensor:
        """Concatenate parameters (by name, or in order) into a new vector of shape (P,).

        Raises:
            InputError: If a name is missing or a shape differs.
        """
        if isinstance(tensors, Mapping):
            missing = [n for n in self.names if n not in tensors]
            if missing:
                raise InputError(f"the state lacks parameter '{missing[0]}' ({len(missing)} missing).")
            tensors = [tensors[n] for n in self.names]
        for name, shape, tensor in zip(self.names, self.shapes, tensors, strict=True):
            if tensor.shape != shape:
                raise InputError(f"parameter '{name}' has shape {tuple(tensor.shape)}, not {tuple(shape)}.")
        return torch.cat([t.detach().reshape(-1).to(self.device, self.dtype) for t in tensors])

    def unflatten(self, vector: Tensor) -> dict[str, Tensor]:
        """Views of a flat vector (P,) by name; of a block (P, k) with a trailing axis k.

        Raises:
            InputError: If the vector is not of length P.
        """
        if vector.shape[0] != self.size:
            raise InputError(f"a vector of {vector.shape[0]} entries does not fit {self.size} parameters.")
        rest = vector.shape[1:]
        pieces = torch.split(vector, list(self.sizes))
        return {
            name: piece.view((*shape, *rest))
            for name, shape, piece in zip(self.names, self.shapes, pieces, strict=True)
        }


def select_parameters(model: nn.Module, patterns: str | Iterable[str] | None) -> tuple[str, ...]:
    """Names of the parameters to study, in the model's order.

    Args:
        model: The model.
        patterns: Globs over parameter names; ``None`` takes all that require a gradient. A glob takes
            frozen parameters too, if their names match.

    Returns:
        The names; a tied weight appears once, under its first name, and may be matched by any of them.

    Raises:
        InputError: If nothing matches, a pattern matches nothing, a matching one is not floating point, or
            all are empty.
    """
    named = dict(model.named_parameters())
    if patterns is None:
        chosen = [n for n, p in named.items() if p.requires_grad]
        if not chosen:
            raise InputError(
                f"{type(model).__name__} has no trainable parameter; unfreeze some or name them"
                " with parameters=."
            )
    else:
        patterns = [patterns] if isinstance(patterns, str) else list(patterns)
        if not patterns:
            raise InputError("parameters= is an empty list; name at least one glob, or give None for all.")
        names = dict(model.named_parameters(remove_duplicate=False))
        for pattern in patterns:
            if not fnmatch.filter(names, pattern):
                raise InputError(
                    f"no parameter of {type(model).__name__} matches '{pattern}'; {suggest(pattern, names)}"
                )
        # By identity: a tied weight may be meant by any of its names, and counts once.
        matched = {id(t) for n, t in names.items() if any(fnmatch.fnmatchcase(n, p) for p in patterns)}
        chosen = [n for n, parameter in named.items() if id(parameter) in matched]
    for name in chosen:
        if not named[name].is_floating_point():
            raise InputError(f"parameter '{name}' is {named[name].dtype}; only real floats can be studied.")
    if not any(named[name].numel() for name in chosen):
        raise InputError(
            f"the parameters of {type(model).__name__} hold no number ('{chosen[0]}' has shape"
            f" {tuple(named[chosen[0]].shape)}), so that there is nothing to differentiate; choose others"
            " with parameters=."
        )
    return tuple(chosen)


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
