"""What stands for things in a pickle that were not made, and the errors of reading one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["Budget", "DamagedError", "Name", "RefusedError", "Stub", "UnsupportedError", "attributes"]

_SPARE = 250_000_000


class DamagedError(ValueError):
    """The file is not what its format says."""


class RefusedError(ValueError):
    """The file asks for more than it holds, or for what may bring the process down."""


class UnsupportedError(ValueError):
    """The file holds tensors in a form that only torch can make."""


class Budget:
    """Memory that reading a file may take: some multiple of the file, and a fixed part for small ones.

    Args:
        size: Bytes of the file.
        spare: Bytes beside twice that.

    Attributes:
        size: The same.
    """

    def __init__(self, size: int, spare: int = _SPARE) -> None:
        self.size = size
        self._limit = self._left = 2 * size + spare

    def take(self, amount: int) -> None:
        """Count bytes.

        Raises:
            RefusedError: If too many were counted.
        """
        self._left -= amount
        if self._left < 0:
            raise RefusedError(f"its {self.size:,} bytes would fill more than {self._limit:,} of memory")


class Name:
    """A name that a pickle looks up; nothing is imported for it.

    Args:
        name: Dotted.
        make: What is called instead of the function of that name, with the arguments in the pickle; ``None``
            if it is not known here.
    """

    __slots__ = ("make", "name")

    def __init__(self, name: str, make: Callable[..., Any] | None = None) -> None:
        self.name = name
        self.make = make


class Stub:
    """An object that was not made: the pickle's words about it, and no more.

    Attributes:
        name: Of its class, or of the function that would have made it.
        arguments: What that would have been called with.
        fields: Its attributes.
        entries: Its entries, if it is a mapping.
        elements: Its elements, if it is a sequence.
    """

    __slots__ = ("arguments", "elements", "entries", "fields", "name")

    def __init__(self, name: str, arguments: tuple[Any, ...] = ()) -> None:
        self.name = name
        self.arguments = arguments
        self.fields: dict[Any, Any] = {}
        self.entries: dict[Any, Any] = {}
        self.elements: list[Any] = []

    def build(self, state: Any) -> None:
        """Take over a state: attributes, also in slots; of any other form, nothing."""
        for part in state if isinstance(state, tuple) and len(state) == 2 else (state,):
            if isinstance(part, dict):
                self.fields.update(part)


def attributes(value: object) -> Mapping[Any, Any]:
    """The attributes or entries of what a checkpoint holds, of stubs and of real objects."""
    if isinstance(value, Stub):
        return value.entries or value.fields
    if isinstance(value, Mapping):
        return value
    return getattr(value, "__dict__", {})
