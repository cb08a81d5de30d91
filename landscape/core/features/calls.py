"""Calls of modules: what a module was called with, and the same call once more with another input."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from landscape.core.data.trees import tensors_in

__all__ = ["ModuleCall", "first_input"]


def first_input(module: nn.Module, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> int | str | None:
    """Where the tensor stands that a module's forward takes first; ``None`` if that is no tensor.

    Args:
        module: The module.
        args: What it is called with by position.
        keywords: What it is called with by name.

    Returns:
        0, or the name of the first parameter if it is given by name.
    """
    if args:
        return 0 if isinstance(args[0], Tensor) else None
    if not keywords:
        return None
    name = next(iter(inspect.signature(module.forward).parameters), None)
    return name if isinstance(keywords.get(name or ""), Tensor) else None


@dataclass(frozen=True)
class ModuleCall:
    """A call of a module that is under way or over, to be made again.

    Attributes:
        module: The module.
        args: What it was called with by position.
        keywords: What it was called with by name.
        place: Where its first input stands; see `first_input`.
        versions: How often each tensor among these had been written to, in their order; ``None`` for one that
            does not count.
    """

    module: nn.Module
    args: tuple[Any, ...]
    keywords: Mapping[str, Any]
    place: int | str | None
    versions: tuple[int | None, ...]

    @classmethod
    def of(cls, module: nn.Module, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> ModuleCall:
        """The call that is about to be made."""
        place = first_input(module, args, keywords)
        return cls(module, args, keywords, place, tuple(_versions(args, keywords)))

    @property
    def tensor(self) -> Tensor | None:
        """The first input, if it is a tensor."""
        if self.place is None:
            return None
        found: Tensor = self.args[0] if self.place == 0 else self.keywords[str(self.place)]
        return found

    @property
    def overwritten(self) -> tuple[bool, bool]:
        """Whether the first input, and whether anything else of the call, was written to since."""
        now = _versions(self.args, self.keywords)
        tensors = [t for _, t in tensors_in((self.args, self.keywords))]
        changed = [
            t for t, old, new in zip(tensors, self.versions, now, strict=True) if old is None or old != new
        ]
        return any(t is self.tensor for t in changed), any(t is not self.tensor for t in changed)

    @property
    def has_more(self) -> bool:
        """Whether tensors beside the first input enter the call."""
        return any(t is not self.tensor for _, t in tensors_in((self.args, self.keywords)))

    def again(self, tensor: Tensor) -> Any:
        """What the module puts out for another first input, everything else as it was called with.

        Args:
            tensor: In place of the first input.
        """
        if self.place == 0:
            return self.module(tensor, *self.args[1:], **self.keywords)
        return self.module(*self.args, **{**self.keywords, str(self.place): tensor})


def _versions(args: tuple[Any, ...], keywords: Mapping[str, Any]) -> list[int | None]:
    tensors = (t for _, t in tensors_in((args, keywords)))
    return [None if t.is_inference() else t._version for t in tensors]
